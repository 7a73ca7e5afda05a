"""Keys of a caller who was transferred to a session on another worker."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable

import pytest
from product import Phone, Product, wait_for

from roomtone.client import Client, connect

pytestmark = [pytest.mark.process, pytest.mark.real_time]

KEY_TYPE = 101
FRAME = 160
BODY = struct.Struct("!BBH")  # event, end bit and volume, duration: RFC 4733 section 2.3
END = 0x80


class Keypad(Phone):
    """A phone whose keys can be pressed, and that tells the presses it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.pressing: deque[tuple[int, bytes] | None] = (
            deque()
        )  # (packets since the press began, body), or sound

    def press(self, *digits: int, ms: int = 160, pause_ms: int = 100) -> None:
        updates = ms // 20
        for digit in digits:
            for i in range(updates + 2):
                told = min(i + 1, updates)
                body = BODY.pack(digit, 10 | (END if told == updates else 0), told * FRAME)
                self.pressing.append((i, body))
            self.pressing.extend([None] * (pause_ms // 20))

    def packet(self) -> bytes:
        header = super().packet()[:12]
        now = self.pressing.popleft() if self.pressing else None
        if now is None:
            return header + self.payload
        behind, body = now
        first, _, seq, timestamp, ssrc = struct.unpack("!BBHII", header)
        kind = KEY_TYPE | (0x80 if behind == 0 else 0)
        return struct.pack("!BBHII", first, kind, seq, timestamp - behind * FRAME, ssrc) + body

    def ends(self) -> list[tuple[int, int, int]]:
        """Every end packet heard: (timestamp, digit, ms)."""
        events = [data for data in self.heard if data[1] & 0x7F == KEY_TYPE]
        bodies = [(int.from_bytes(data[4:8], "big"), *BODY.unpack(data[12:16])) for data in events]
        return [(stamp, digit, ticks // 8) for stamp, digit, flags, ticks in bodies if flags & END]

    def presses(self) -> list[tuple[int, int]]:
        """(digit, ms) of every press that has ended, once each."""
        return [(digit, ms) for _, digit, ms in dict.fromkeys(self.ends())]


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
