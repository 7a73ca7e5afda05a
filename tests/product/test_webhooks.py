"""Webhooks from the whole product to a real receiver: signed, in order, none lost with a killed process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from demo_parts.receiver import Receiver
from product import Product
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
