"""A phone with keys: RFC 4733 telephone-events."""

from __future__ import annotations

import struct
from collections import deque

from product import Phone

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
