"""Keys of a caller who was transferred to a session on another worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from keypad import Keypad
from product import Product, wait_for

from roomtone.client import Client, connect

pytestmark = [pytest.mark.process, pytest.mark.real_time]


async def call(client: Client, phone: Keypad) -> str:
    made = await client.call("endpoint.create_from_offer", sdp=phone.offer())
    phone.answered(made["sdp_answer"])
    phone.call()
    return str(made["endpoint_id"])


def test_after_a_transfer_to_another_worker_keys_reach_the_others_and_theirs_the_caller(
    serve: Callable[..., Product],
) -> None:
    product = serve(workers=2)
    mover, anna, ben = phones = [Keypad() for _ in range(3)]

    async def press(phone: Keypad, digits: tuple[int, ...], heard_by: list[Keypad]) -> None:
        wanted = [len(other.ends()) + 3 * len(digits) for other in heard_by]
        phone.press(*digits)
        for other, count in zip(heard_by, wanted, strict=True):
            await asyncio.to_thread(wait_for, lambda o=other, n=count: len(o.ends()) >= n, what="the keys")

    async def scenario() -> None:
        async with await connect(product.url) as one, await connect(product.url) as other:
            await one.call("session.create")
            target = (await other.call("session.create"))["session_id"]
            leg = await call(one, mover)
            for phone in (anna, ben):
                await call(other, phone)
            for worker in range(2):
                assert product.metrics()[f'roomtone_worker_sessions{{worker="{worker}"}}'] == 1
            await one.call("endpoint.transfer", endpoint_id=leg, target_session_id=target)
            await press(mover, (1, 2, 2), [anna, ben])
            await press(anna, (7, 9), [mover, ben])
            told = [(await other.event("dtmf")).data for _ in range(5)]
            assert [(event["digit"], event["duration_ms"]) for event in told] == [(d, 160) for d in "12279"]
            assert [event["endpoint_id"] == leg for event in told] == [True] * 3 + [False] * 2

    try:
        asyncio.run(scenario())
        assert anna.presses() == [(1, 160), (2, 160), (2, 160)]
        assert ben.presses() == [*anna.presses(), (7, 160), (9, 160)]
        assert mover.presses() == [(7, 160), (9, 160)]
        dropped = product.metrics()
        assert not any(dropped[key] for key in dropped if 'reason="key_' in key)
    finally:
        for phone in phones:
            phone.hang_up()
