"""Webhooks from the whole product to a real receiver: signed, in order, none lost with a killed process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demo_parts.receiver import Manner, Receiver, lanes
from product import Product, wait_for
from rest import Api

pytestmark = pytest.mark.process

LOCAL = {"webhooks.allow_http": True, "webhooks.allow_localhost": True}


async def app(product: Product, receiver: Receiver, **settings: Any) -> Api:
    """An app whose webhooks come to the receiver."""
    api = await asyncio.to_thread(product.api, webhook_url=receiver.url(), **settings)
    receiver.secrets["/"] = [api.secret]
    return api


def test_an_event_comes_signed_and_numbered(serve: Callable[..., Product]) -> None:
    product = serve(workers=1, **LOCAL)

    async def scenario() -> None:
        async with Receiver() as receiver:
            api = await app(product, receiver)
            made = await asyncio.to_thread(api, "POST", "/conferences", {"name": "Team Standup"})
            room = made.body["room_id"]
            await asyncio.to_thread(api, "DELETE", f"/conferences/{room}")
            ended = await receiver.wait_for("conference.destroyed")
            created = receiver.events[0]
            assert list(created)[:4] == ["event", "app_id", "room_id", "name"]
            assert created["room_id"] == ended["room_id"] == room
            assert (created["sequence"], ended["sequence"]) == (1, 2)
            assert created["request_id"] == made.headers["x-request-id"]
            assert not receiver.refused

    asyncio.run(scenario())


@pytest.mark.parametrize("victim", ["roomtone: dispatcher", "roomtone: control"])
def test_a_process_that_is_killed_costs_no_event_and_no_order(
    serve: Callable[..., Product], victim: str
) -> None:
    product = serve(workers=1, **LOCAL)
    rooms = 12

    async def scenario() -> None:
        async with Receiver() as receiver:
            receiver.manner = lambda path, event: Manner(delay_s=0.05)
            api = await app(product, receiver)
            made = []
            for number in range(rooms):
                reply = await asyncio.to_thread(api, "POST", "/conferences", {"name": f"room {number}"})
                assert reply.status == 201
                made.append(reply.body["room_id"])
            await receiver.wait_for("conference.created")
            old = await asyncio.to_thread(product.kill, victim)
            await asyncio.to_thread(product.wait_for_another, victim, old)
            for room in made:
                reply = await asyncio.to_thread(api, "DELETE", f"/conferences/{room}")
                assert reply.status == 200, "what was answered was on disk"
            for room in made:
                await receiver.wait_for("conference.destroyed", room_id=room)
            told = [(each["event"], each["room_id"]) for each in receiver.events]
            assert sorted(told) == sorted(
                (name, room) for name in ("conference.created", "conference.destroyed") for room in made
            )
            assert all(numbers == [1, 2] for numbers in lanes(receiver.log).values())
            bytes_of = {each.webhook_id: each.body for each in receiver.log}
            assert all(bytes_of[each.webhook_id] == each.body for each in receiver.log)

    asyncio.run(scenario())


def test_what_happened_last_is_delivered_before_the_server_ends(serve: Callable[..., Product]) -> None:
    product = serve(workers=1, **LOCAL)

    async def scenario() -> None:
        async with Receiver() as receiver:
            receiver.manner = lambda path, event: Manner(delay_s=0.2)
            api = await app(product, receiver)
            for number in range(3):
                await asyncio.to_thread(api, "POST", "/conferences", {"name": f"room {number}"})
            assert await asyncio.to_thread(product.stop) == 0
            assert len(receiver.named("conference.created")) == 3

    asyncio.run(scenario())


def test_the_next_server_delivers_what_the_last_one_could_not(
    serve: Callable[..., Product], tmp_path: Path
) -> None:
    state = str(tmp_path / "state")

    async def scenario() -> None:
        async with Receiver() as receiver:
            receiver.manner = lambda path, event: Manner(status=500)
            first = serve(workers=1, state_dir=state, **LOCAL)
            api = await app(first, receiver)
            await asyncio.to_thread(api, "POST", "/conferences", {"name": "room"})
            await asyncio.to_thread(first.stop)
            receiver.manner = lambda path, event: Manner()
            serve(workers=1, state_dir=state, **LOCAL)
            await receiver.wait_for("conference.created")

    asyncio.run(scenario())


def test_without_a_supervisor_the_dispatcher_ends(serve: Callable[..., Product]) -> None:
    product = serve(workers=1)
    pids = product.children()
    product.process.kill()
    product.process.wait()
    try:
        wait_for(lambda: not alive(pids["roomtone: dispatcher"]), what="the dispatcher's end")
    finally:
        for pid in pids.values():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """It runs; a dead process that nobody has waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
