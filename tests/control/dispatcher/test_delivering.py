"""The dispatcher between a real store and a real receiver: what comes, in which order, after whose death."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from demo_parts.receiver import Delivery, Manner, Receiver, lanes
from writing import NODE, SECRET, Writing, event, row, until, webhook, writing

from roomtone.control.core.addresses import LOOPBACK
from roomtone.control.core.effects import WebhookDisabled
from roomtone.control.core.rest.store_questions import Chosen, DeliveryView
from roomtone.control.dispatcher import breaker, dispatcher, target
from roomtone.control.dispatcher.dispatcher import Dispatcher
from roomtone.control.dispatcher.outbox_reader import OutboxReader
from roomtone.control.dispatcher.sender import Sender
from roomtone.control.io import store
from roomtone.control.io.dispatcher_link import DispatcherLink
from roomtone.engine.log import Log

Run = Callable


class Delivering:
    """A store with its link, a receiver, and a dispatcher that can die."""

    def __init__(self, path: Path, writing: Writing, receiver: Receiver) -> None:
        self.path = path
        self.writing = writing
        self.receiver = receiver
        self.dispatcher: Dispatcher | None = None
        self.link: DispatcherLink | None = None

    def endpoint(self, path: str = "/", **given: Any) -> Any:
        self.receiver.secrets[path] = [SECRET]
        return row(webhook(url=self.receiver.url(path), **given))

    def listen(self) -> None:
        """Control's end comes up."""
        self.link = DispatcherLink(self.writing.store, submit=self.writing.told.append, log=Log("error"))
        self.link.open(asyncio.get_running_loop(), str(self.path))

    def start(self, **options: Any) -> None:
        """A dispatcher begins."""
        self.dispatcher = Dispatcher(
            runtime_dir=str(self.path),
            open_reader=lambda: OutboxReader(str(self.path / "state")),
            sender=Sender(allow_http=True, networks=LOOPBACK, timeout_s=5.0, user_agent="roomtone/test"),
            node=NODE,
            log=Log("error"),
            **({"max_in_flight": 64, "hold_s": 86400} | options),
        )
        self.dispatcher.start()

    async def kill(self) -> None:
        """It dies where it stands: what it had not told is not told."""
        assert self.dispatcher is not None
        dead, self.dispatcher = self.dispatcher, None
        dead._link.close()
        await dead.close()

    async def noted(self) -> None:
        """Until everything that the dispatcher knows is on disk."""
        assert self.dispatcher is not None
        link = self.dispatcher._link
        await until(lambda: link.idle)

    async def states(self) -> list[str]:
        """Of all deliveries, the first first."""
        found, _ = await self.writing.reader.deliveries(Chosen(app_id="app"), limit=1000)
        return [each.status for each in reversed(found)]

    async def ended(self, count: int, status: str = "delivered") -> None:
        """Until so many deliveries have that status on disk."""
        while (await self.states()).count(status) < count:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def delivering(path: Path, **options: Any) -> AsyncIterator[Delivering]:
    async with Receiver() as receiver, writing(path / "state", bare=True) as store:
        one = Delivering(path, store, receiver)
        one.listen()
        one.start(**options)
        try:
            yield one
        finally:
            if one.dispatcher is not None:
                await one.dispatcher.close()
            assert one.link is not None
            one.link.close()


def in_order(receiver: Receiver) -> bool:
    found = lanes(receiver.log)
    return bool(found) and all(numbers == sorted(numbers) for numbers in found.values())


def test_rooms_do_not_wait_for_each_other_and_each_keeps_its_order(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            slow: list[str] = []

            def manner(path: str, event: dict[str, Any]) -> Manner:
                if event["room_id"] == "r0" and not slow:
                    slow.append(event["id"])
                    return Manner(status=500)
                return Manner(delay_s=0.001 * (int(event["id"][-1], 16) % 4))

            one.receiver.manner = manner
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(*(event(f"r{n % 5}") for n in range(60)))
            await one.ended(60)
            assert in_order(one.receiver) and len(one.receiver.events) == 60
            first_of_r0 = [each.event["room_id"] for each in one.receiver.log if each.accepted].index("r0")
            assert first_of_r0 >= 48, "the others had gone before the one that failed was tried again"

    run(body())


@pytest.mark.parametrize("days", [-30, 30])
def test_an_event_of_another_clock_comes_at_once_and_is_kept(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The clock was set after the server had begun, or the machine has slept for a month."""
    monkeypatch.setattr(store, "PRUNE_EVERY_S", 0.001)

    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(status=500 if len(one.receiver.log) < 2 else 200)
            await one.writing.commit(rows=[one.endpoint()])
            now_us = time.time_ns() // 1000
            await one.writing.commit(event("r", at_us=now_us + days * 86_400_000_000))
            await one.ended(1)

    run(body())


def test_two_endpoints_get_each_their_own(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            all_of_them = one.endpoint("/all", id="all")
            few = one.endpoint("/few", id="few", events=("events.dropped",))
            await one.writing.commit(rows=[all_of_them, few])
            await one.writing.commit(event("r"), event("r"))
            await one.ended(2)
            assert [each.path for each in one.receiver.log] == ["/all", "/all"]

    run(body())


def test_what_was_not_told_when_the_dispatcher_died_comes_again_with_the_same_bytes(
    tmp_path: Path, run: Run
) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(delay_s=0.05)
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(*(event(f"r{n % 7}") for n in range(40)))
            await until(lambda: len(one.receiver.log) > 10)
            await one.kill()
            one.receiver.manner = lambda path, event: Manner()
            one.start()
            await one.ended(40)
            assert in_order(one.receiver) and len(one.receiver.events) == 40
            again = [each for each in one.receiver.log if each.again]
            assert again, "what was under way came twice"
            first: dict[str, Delivery] = {}
            for each in one.receiver.log:
                assert first.setdefault(each.webhook_id, each).body == each.body

    run(body())


def test_reports_are_told_to_the_next_control_process(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            await one.writing.commit(rows=[one.endpoint()])
            assert one.link is not None
            await until(lambda: one.link.figures is not None)
            one.link.close()
            await one.writing.commit(event("r"))
            one.listen()
            await one.ended(1)
            one.link.close()
            await one.writing.commit(*(event("r") for _ in range(5)))
            one.listen()
            await one.ended(6)
            assert len(one.receiver.log) == 6, "nothing came twice"

    run(body())


def test_an_endpoint_that_is_gone_is_disabled_and_what_waits_comes_when_it_is_enabled(
    tmp_path: Path, run: Run
) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(status=410)
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(event("r"), event("r"))
            await until(lambda: any(isinstance(each, WebhookDisabled) for each in one.writing.told))
            (told,) = [each for each in one.writing.told if isinstance(each, WebhookDisabled)]
            assert told.key == "app/default" and "410" in told.reason
            await one.writing.commit(rows=[one.endpoint(enabled=False)])
            await one.writing.commit(event("r"))
            assert await one.states() == ["pending", "pending"], "nothing is made for who is disabled"
            one.receiver.manner = lambda path, event: Manner()
            await one.writing.commit(rows=[one.endpoint()])
            await one.ended(2)
            assert [each["room_sequence"] for each in one.receiver.events] == [1, 2]

    run(body())


def test_an_endpoint_that_changes_its_address_gets_the_rest_there(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(status=500 if path == "/old" else 200)
            await one.writing.commit(rows=[one.endpoint("/old")])
            await one.writing.commit(event("r"), event("r"))
            await until(lambda: one.receiver.log)
            await one.writing.commit(rows=[one.endpoint("/new", ordering="strict", payload_style="standard")])
            await one.ended(2)
            assert [each.path for each in one.receiver.log if each.accepted] == ["/new", "/new"]
            assert "event" in json.loads(one.receiver.log[-1].body), "bytes are made once"

    run(body())


def test_an_endpoint_that_is_removed_gets_nothing_more(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(status=500)
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(event("r"))
            await until(lambda: one.receiver.log)
            await one.writing.commit(rows=[row(webhook(), gone=True), one.endpoint("/b", id="b")])
            one.receiver.manner = lambda path, event: Manner()
            await one.writing.commit(event("r"))
            await one.ended(1)
            assert [each.path for each in one.receiver.log if each.accepted] == ["/b"]
            assert await one.states() == ["delivered"]
            assert one.link is not None
            await until(lambda: list(one.link.webhooks) == ["app/b"])

    run(body())


def test_a_refused_event_lets_others_pass_and_is_listed_and_sent_again(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(
                status=400 if event["room_sequence"] == 1 else 200
            )
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(event("r"), event("r"))
            await one.ended(1)
            found, _ = await one.writing.reader.deliveries(Chosen(app_id="app", status="pending"), limit=9)
            (late,) = found
            assert (late.late, late.attempts) == (True, 3)
            details = await one.writing.reader.delivery("app", late.id)
            assert details is not None and [each.status for each in details[1].tries] == [400] * 3
            delivered, _ = await one.writing.reader.deliveries(
                Chosen(app_id="app", status="delivered"), limit=9
            )
            again = await one.writing.reader.delivery("app", delivered[0].id)
            assert again is not None
            await one.writing.store.replay([again[0]])
            await until(lambda: one.receiver.log[-1].headers.get("webhook-replay") == "true")
            first = next(
                each for each in one.receiver.log if each.webhook_id == one.receiver.log[-1].webhook_id
            )
            assert first.body == one.receiver.log[-1].body
            assert one.receiver.log[-1].headers["webhook-attempt"] == "2"
            await one.ended(1)

    run(body())


def test_at_the_end_what_can_be_delivered_is(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(delay_s=0.01)
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(*(event("r") for _ in range(20)))
            assert one.link is not None
            await until(lambda: one.receiver.log)
            await one.link.finish(10.0)
            assert await one.states() == ["delivered"] * 20

    run(body())


def test_many_events_of_many_rooms_over_a_small_window(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with delivering(tmp_path, max_in_flight=8) as one:
            await one.writing.commit(rows=[one.endpoint()])
            for start in range(0, 1500, 100):
                one.writing.begin(*(event(f"r{n % 50}") for n in range(start, start + 100)))
            await until(lambda: len(one.receiver.events) == 1500)
            assert in_order(one.receiver)
            assert one.link is not None
            await until(lambda: one.link.figures is not None and sum(one.link.figures.latency) == 1500)
            (figures,) = one.link.webhooks.values()
            assert figures.attempts == {"delivered": 1500} and figures.pending == 0

    run(body())


def test_what_does_not_fit_in_memory_comes_in_its_turn(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "WINDOW", 20)
    monkeypatch.setattr(target, "LOOSE_WINDOW", 3)

    async def body() -> None:
        async with delivering(tmp_path) as one:
            await one.writing.commit(*(event("nobody") for _ in range(3)), rows=[one.endpoint()])
            one.receiver.manner = lambda path, event: Manner(status=500)
            one.writing.begin(*(event(f"r{n % 7}") for n in range(300)))
            await until(lambda: len(one.receiver.log) > 5)
            one.receiver.manner = lambda path, event: Manner()
            await one.ended(303)
            assert in_order(one.receiver)
            assert await one.writing.reader.replay(Chosen(app_id="app"), one.writing.store) == 303
            await until(lambda: sum("webhook-replay" in each.headers for each in one.receiver.log) == 303)
            await one.ended(303)

    run(body())


def test_endpoints_share_what_may_be_under_way_at_a_time(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "IN_FLIGHT", 3)

    async def body() -> None:
        async with delivering(tmp_path) as one:
            under_way: list[str] = []
            most: list[int] = []

            def manner(path: str, event: dict[str, Any]) -> Manner:
                under_way.append(path)
                most.append(len(under_way))
                asyncio.get_running_loop().call_later(0.002, under_way.remove, path)
                return Manner(delay_s=0.002)

            one.receiver.manner = manner
            await one.writing.commit(rows=[one.endpoint(f"/{n}", id=f"e{n}") for n in range(5)])
            await one.writing.commit(*(event(f"r{n}") for n in range(20)))
            await one.ended(100)
            assert max(most) <= 3 and in_order(one.receiver)
            assert {each.path for each in one.receiver.log} == {f"/{n}" for n in range(5)}

    run(body())


def test_a_dispatcher_that_cannot_read_the_store_ends_and_the_next_one_delivers(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(reader: OutboxReader, delivery: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def body() -> None:
        async with delivering(tmp_path) as one:
            with monkeypatch.context() as patched:
                patched.setattr(OutboxReader, "body", unreadable)
                await one.writing.commit(rows=[one.endpoint()])
                await one.writing.commit(event("r"))
                assert one.dispatcher is not None
                await one.dispatcher.ended.wait()
                assert one.dispatcher.failed
                await one.kill()
            one.start()
            await one.ended(1)

    run(body())


def test_what_leaves_the_order_with_its_own_attempt_is_not_forgotten(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt that finds the endpoint down and the end of the event's patience are told together."""
    monkeypatch.setattr(breaker, "BREAKER_FAILURES", 1)
    monkeypatch.setattr(breaker, "BREAKER_OVER_S", 0)

    async def body() -> None:
        async with delivering(tmp_path, hold_s=0) as one:
            one.receiver.manner = lambda path, event: Manner(status=500)
            await one.writing.commit(rows=[one.endpoint()])
            await one.writing.commit(*(event(f"r{n}") for n in range(20)))

            told: list[DeliveryView] = []
            while [each.attempts for each in told] != [1] * 20:
                await asyncio.sleep(0.01)
                told, _ = await one.writing.reader.deliveries(Chosen(app_id="app"), limit=99)
            await one.noted()
            told, _ = await one.writing.reader.deliveries(Chosen(app_id="app"), limit=99)
            assert [each.late for each in told] == [True] * 20

    run(body())


def test_a_receiver_that_takes_long_leaves_room_for_others(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "IN_FLIGHT", 3)

    async def body() -> None:
        async with delivering(tmp_path) as one:
            one.receiver.manner = lambda path, event: Manner(delay_s=0.01 if path == "/slow" else 0)
            await one.writing.commit(rows=[one.endpoint("/slow", id="slow")])
            await one.writing.commit(*(event(f"r{n}") for n in range(200)))
            await until(lambda: one.receiver.log)
            await one.writing.commit(event("q"), rows=[one.endpoint("/quick", id="quick")])
            await until(lambda: any(each.path == "/quick" for each in one.receiver.log))
            waited_for = len(one.receiver.log) - 1
            await one.ended(202)
            assert waited_for < 100, "it did not wait until the slow one had everything"

    run(body())
