"""Keys in calls in virtual time: pressed at one telephone, told by the media thread, noticed at another."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from lab import EVENT_TYPE, Lab, Peer, silence
from workers import Workers

from roomtone.ext.flow.media import FACT_KEY
from roomtone.ext.wire.telephone_event import RX_END, RX_SWITCH, Receiver

BODY = struct.Struct("!BBH")  # event, end bit and volume, duration: RFC 4733 section 2.3


def dial(
    lab: Lab | Workers, peer: Peer, digits: Iterable[int], *, press_ms: int = 100, pause_ms: int = 100
) -> None:
    """Press after press; speech pauses meanwhile and the timestamp runs on."""
    for digit in digits:
        peer.talk(None)
        peer.press(digit, press_ms)
        lab.run(press_ms)
        peer.pause(press_ms)
        peer.talk(silence)
        lab.run(pause_ms)


def told(lab: Lab, peer: Peer) -> list[tuple[int, int]]:
    """Presses of this telephone that were reported: (digit, ms)."""
    return [(digit, ms) for handle, digit, ms in lab.facts(FACT_KEY) if handle == peer.handle]


def received(peer: Peer, payload_type: int = EVENT_TYPE, rate: int = 8000) -> list[tuple[int, int]]:
    """Presses a telephone would notice: (digit, ms), by the receive machine over what was sent to it."""
    machine, out = Receiver(), []
    events = [p for p in peer.heard if p.payload_type == payload_type]
    for p in events:
        event, flags, duration = BODY.unpack(p.payload)
        result, digit, ticks = machine.put(event, bool(flags & 0x80), duration, p.timestamp, p.at_us)
        if result in (RX_END, RX_SWITCH):
            out.append((digit, ticks * 1000 // rate))
    result, digit, ticks = machine.poll(events[-1].at_us + 10_000_000) if events else (0, 0, 0)
    return [*out, (digit, ticks * 1000 // rate)] if result == RX_END else out
