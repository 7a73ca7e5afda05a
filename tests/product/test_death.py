"""What a caller and a client notice when a process dies: as little as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from product import Phone, Product, call, gaps, wait_for

from roomtone.client import Client, Reconnected, RoomtoneError, connect

pytestmark = pytest.mark.process


async def pair(client: Client, phones: list[Phone]) -> list[str]:
    """Both phones in the client's session, talking."""
    ids = await call(client, phones)
    await asyncio.to_thread(wait_for, lambda: all(len(one.heard) > 20 for one in phones), what="audio")
    return ids


def test_media_does_not_notice_that_control_died_and_the_client_gets_its_session_back(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=1)
    phones = [phone(), phone()]

    async def scenario() -> None:
        async with connect(product.url, reconnect=True) as client:
            session = (await client.session_create()).session_id
            ids = await pair(client, phones)
            before = (await client.call("session.info"))["endpoints"]
            product.kill("roomtone: control")
            heard = len(phones[0].heard)
            assert await client.wait_for(Reconnected) == Reconnected(session, lost_session_id=None)
            await asyncio.to_thread(wait_for, lambda: len(phones[0].heard) > heard + 50, what="more audio")
            info = await client.call("session.info")
            assert [e["endpoint_id"] for e in info["endpoints"]] == ids
            assert info["endpoints"] == before, "what the session is, a new control process knows again"
            await client.call("endpoint.remove", endpoint_id=ids[0])
            assert len((await client.call("session.info"))["endpoints"]) == 1

    asyncio.run(scenario())
    assert all(gaps(one.sequence_numbers()) == 0 for one in phones)
    assert all(one.sent - len(one.heard) < 20 for one in phones[1:]), "nothing was lost on the way"


def test_a_session_nobody_claims_after_control_died_is_ended(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=1, disconnect_timeout_secs=1)
    phones = [phone(), phone()]

    async def scenario() -> int:
        async with await connect(product.url) as client:
            await client.call("session.create")
            await pair(client, phones)
            return product.kill("roomtone: control")

    old = asyncio.run(scenario())
    product.wait_for_another("roomtone: control", old)
    wait_for(lambda: product.get("/sessions")[1].strip() == "[]", what="no session")
    wait_for(lambda: product.total("roomtone_endpoints") == 0, what="no endpoint")


def test_a_dead_worker_is_replaced_and_its_sessions_are_reported_lost_once(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=1)
    phones = [phone(), phone()]

    async def scenario() -> list[tuple[str, dict[str, Any]]]:
        async with await connect(product.url) as client:
            session = (await client.call("session.create"))["session_id"]
            await pair(client, phones)
            product.kill("roomtone: worker 0")
            seen = []
            async for event in client.events():
                seen.append((event.name, event.data))
                if event.name == "session.lost":
                    assert event.data["session_id"] == session
                    break
            with pytest.raises(RoomtoneError) as refused:
                await client.call("session.info")
            assert refused.value.code == "SESSION_GONE"
            await asyncio.to_thread(wait_for, product.ready, what="readiness")
            await client.call("session.create")
            fresh = phone()
            fresh.answered((await client.call("endpoint.create_from_offer", sdp=fresh.offer()))["sdp_answer"])
            fresh.call()
            tone = await client.call("endpoint.create_tone", tone="ringing")
            await asyncio.to_thread(wait_for, lambda: len(fresh.heard) > 20, what="audio from the new worker")
            await client.call("endpoint.remove", endpoint_id=tone["endpoint_id"])
            return seen

    seen = asyncio.run(scenario())
    assert [name for name, _ in seen].count("session.lost") == 1
