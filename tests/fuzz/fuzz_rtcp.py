"""RTCP reader against a reference in Python, and writer to reader."""

import sys

import atheris
from guard import Guarded

from roomtone.ext.wire import rtcp

OK, SHORT, VERSION, LENGTH, TYPE = 0, -1, -2, -3, -4
SR, RR, SDES, BYE, APP = 200, 201, 202, 203, 204
GUARD = Guarded()


@atheris.instrument_func
def split(data: bytes) -> tuple[list[tuple[bytes, bool]], int]:
    """The packets that lengths cut out (packet, is last), and the error that stopped it."""
    packets = []
    offset = 0
    while offset < len(data):
        if len(data) - offset < 4:
            return packets, LENGTH
        if data[offset] >> 6 != 2:
            return packets, VERSION
        size = 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4], "big")
        if offset + size > len(data):
            return packets, LENGTH
        packets.append((data[offset : offset + size], offset + size == len(data)))
        offset += size
    return packets, OK


@atheris.instrument_func
def unpadded(packet: bytes) -> bytes | None:
    if not packet[0] & 0x20:
        return packet
    padding = packet[-1]
    if padding == 0 or padding % 4 or padding > len(packet) - 4:
        return None
    return packet[:-padding]


@atheris.instrument_func
def reference_check(data: bytes) -> int:
    if len(data) < 4:
        return SHORT
    if data[0] >> 6 != 2:
        return VERSION
    if not SR <= data[1] <= 207:
        return TYPE
    packets, error = split(data)
    for packet, last in packets:
        if packet[0] & 0x20 and (not last or unpadded(packet) is None):
            return LENGTH
    return error


@atheris.instrument_func
def reference_packet(packet: bytes) -> tuple | int:
    """(type, count, body) of one packet, or LENGTH."""
    text = unpadded(packet)
    if text is None:
        return LENGTH
    kind, count = text[1], text[0] & 31
    head = {SR: 28, RR: 8, SDES: 4, BYE: 4, APP: 8}.get(kind, min(8, len(text)))
    need = head + {SR: 24, RR: 24, SDES: 8, BYE: 4}.get(kind, 0) * count + (4 if kind == APP else 0)
    if len(text) < need:
        return LENGTH
    return kind, count, text[head:]


@atheris.instrument_func
def compare(data: bytes) -> None:
    packets, error = split(data)
    expected = [reference_packet(packet) for packet, _ in packets] + ([error] if error else [])
    for view in (GUARD.at_end(data), GUARD.at_start(data)):
        read = rtcp.parse(view)
        assert [p if isinstance(p, int) else (p["type"], p["count"], p["body"]) for p in read] == expected
        assert rtcp.check(view) == reference_check(data)
        for packet in read:
            if not isinstance(packet, int) and packet["type"] in (SR, RR):
                assert len(packet["blocks"]) == packet["count"]
            if not isinstance(packet, int) and packet["type"] == BYE:
                assert len(packet["ssrcs"]) == packet["count"]
                assert len(packet["reason"]) < max(1, len(packet["body"]) - 4 * packet["count"])


@atheris.instrument_func
def compound(data: bytes) -> bytes:
    """Bytes become packets with right lengths, so that more than the first header is reached."""
    source = atheris.FuzzedDataProvider(data)
    out = b""
    while source.remaining_bytes() > 4 and len(out) < 4096:
        words = source.ConsumeIntInRange(0, 20)
        first = 0x80 | source.ConsumeIntInRange(0, 0x3F)
        kind = source.ConsumeIntInRange(SR - 1, 208)
        body = source.ConsumeBytes(4 * words).ljust(4 * words, b"\x04")
        out += bytes([first, kind]) + words.to_bytes(2, "big") + body
    return out


@atheris.instrument_func
def write_and_read(data: bytes) -> None:
    source = atheris.FuzzedDataProvider(data)
    word = 0xFFFFFFFF
    cname = source.ConsumeBytes(source.ConsumeIntInRange(0, 70))
    sender = tuple(source.ConsumeIntInRange(0, word) for _ in range(5)) if source.ConsumeBool() else None
    lost = source.ConsumeIntInRange(-(2**31), 2**31 - 1)
    block = (
        7,
        source.ConsumeIntInRange(0, 255),
        lost,
        *(source.ConsumeIntInRange(0, word) for _ in range(4)),
    )
    capacity = source.ConsumeIntInRange(0, 256)
    written = rtcp.report(1, cname, sender=sender, block=block, bye=source.ConsumeBool(), capacity=capacity)
    if isinstance(written, bytes):
        assert len(written) <= capacity and rtcp.check(written) == OK
        first, sdes = rtcp.parse(written)[:2]
        assert first["blocks"] == [(*block[:2], max(-(2**23), min(2**23 - 1, lost)), *block[3:])]
        assert sdes["body"][5 : 6 + len(cname)] == bytes([len(cname)]) + cname


@atheris.instrument_func
def test_one_input(data: bytes) -> None:
    compare(data)
    compare(compound(data))
    write_and_read(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
