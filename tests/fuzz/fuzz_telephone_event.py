"""Telephone-event reader, receive machine under arbitrary packets, send machine under arbitrary clocks."""

import sys

import atheris
from guard import Guarded

from roomtone.ext.wire import telephone_event as te

SHORT, EMPTY = -1, -8
GUARD = Guarded(4096)


@atheris.instrument_func
def read(data: bytes) -> None:
    expected: tuple | int = SHORT
    if len(data) >= 4:
        expected = (data[0], data[1] >= 128, data[1] & 63, int.from_bytes(data[2:4], "big"))
    assert te.parse(GUARD.at_end(data[:64])) == expected
    assert te.parse(GUARD.at_start(data[:64])) == expected
    if isinstance(expected, tuple):
        assert te.parse(te.write(*expected)) == expected


@atheris.instrument_func
def receive(data: bytes) -> None:
    """Whatever comes: reports name a digit that was there, and never more presses than packets."""
    source = atheris.FuzzedDataProvider(data)
    receiver = te.Receiver()
    now_us, timestamp, packets, presses = 0, source.ConsumeIntInRange(0, 0xFFFFFFFF), 0, 0
    seen = set()
    while source.remaining_bytes() > 2:
        now_us += source.ConsumeIntInRange(0, 40) * 5000
        step = source.PickValueInList([0, 0, 0, 160, 320, 640, 65535, -160, -65535, 1 << 31])
        timestamp = (timestamp + step) & 0xFFFFFFFF
        event = source.ConsumeIntInRange(0, 17)
        end = source.ConsumeBool()
        answers = [receiver.put(event, end, source.ConsumeIntInRange(0, 0xFFFF), timestamp, now_us)]
        assert event <= 15 or answers[0][0] == te.RX_NONE
        if source.ConsumeBool():
            answers.append(receiver.poll(now_us))
        if event <= 15:
            packets += 1
            seen.add(event)
        for result, digit, _ in answers:
            if result in (te.RX_END, te.RX_SWITCH):
                presses += 1
                assert digit in seen
        assert presses + receiver.active <= packets
    receiver.poll(now_us + 60_000_000)
    assert not receiver.active


@atheris.instrument_func
def send(data: bytes) -> None:
    source = atheris.FuzzedDataProvider(data)
    sender = te.Sender()
    now_us = source.ConsumeIntInRange(0, 1 << 40)
    rate = source.PickValueInList([8000, 16000, 48000])
    event, duration_ms = source.ConsumeIntInRange(0, 255), source.ConsumeIntInRange(0, 2500)
    sender.start(event, duration_ms, 0xFFFFFF00, now_us, clock_rate_hz=rate)
    ends, last, markers = [], (None, 0), 0
    while sender.active:
        packet = sender.poll(now_us)
        now_us += source.PickValueInList([20, 1, 7, 21, 55, 400]) * 1000
        if isinstance(packet, int):
            assert packet in (0, EMPTY)
            continue
        _, end, _, duration, timestamp, marker = packet
        assert timestamp != last[0] or duration >= last[1]
        assert end or not ends
        last = (timestamp, duration)
        markers += marker
        if end:
            ends.append((timestamp, duration))
    assert len(ends) == 3 and len(set(ends)) == 1 and markers == 1


@atheris.instrument_func
def test_one_input(data: bytes) -> None:
    read(data)
    receive(data)
    send(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
