"""Timers by key on a real loop, with times that are due already: nothing here waits for the clock."""

import asyncio

import uvloop

from roomtone.control.io.clock import now_us
from roomtone.control.io.timers import Timers


def run(body: object) -> None:
    uvloop.run(body)  # type: ignore[arg-type]


def started() -> Timers:
    timers = Timers()
    timers.start(asyncio.get_running_loop())
    return timers


def test_timers_fire_in_order_of_time_and_once() -> None:
    async def body() -> None:
        timers = started()
        fired: list[str] = []
        done = asyncio.Event()
        now = now_us()
        timers.set(now + 3000, "last", done.set)
        timers.set(now + 2000, "second", lambda: fired.append("second"))
        timers.set(now - 5, "first", lambda: fired.append("first"))
        await done.wait()
        assert fired == ["first", "second"]
        assert len(timers) == 0

    run(body())


def test_setting_a_key_again_replaces_it_earlier_or_later() -> None:
    async def body() -> None:
        timers = started()
        fired: list[str] = []
        done = asyncio.Event()
        now = now_us()
        timers.set(now + 1000, "moved later", lambda: fired.append("stale"))
        timers.set(now + 4000, "moved later", lambda: (fired.append("later"), done.set()))
        timers.set(now + 60_000_000, "moved earlier", lambda: fired.append("stale"))
        timers.set(now + 2000, "moved earlier", lambda: fired.append("earlier"))
        await done.wait()
        assert fired == ["earlier", "later"]
        timers.close()

    run(body())


def test_a_cancelled_timer_does_not_fire() -> None:
    async def body() -> None:
        timers = started()
        fired: list[str] = []
        done = asyncio.Event()
        timers.set(now_us(), "cancelled", lambda: fired.append("cancelled"))
        timers.cancel("cancelled")
        timers.cancel("never set")
        timers.set(now_us() + 1, "done", done.set)
        await done.wait()
        assert fired == []

    run(body())


def test_a_timer_may_set_and_cancel_others_while_it_fires() -> None:
    async def body() -> None:
        timers = started()
        fired: list[str] = []
        done = asyncio.Event()
        now = now_us()

        def first() -> None:
            fired.append("first")
            timers.cancel("second")
            timers.set(now_us(), "third", lambda: (fired.append("third"), done.set()))

        timers.set(now, "first", first)
        timers.set(now + 1, "second", lambda: fired.append("second"))
        await done.wait()
        assert fired == ["first", "third"]

    run(body())
