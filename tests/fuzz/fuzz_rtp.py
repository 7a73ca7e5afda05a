"""RTP header reader against a reference in Python; the datagram ends at an unreadable page."""

import sys

import atheris
from guard import Guarded

from roomtone.ext.wire import rtp

SHORT, VERSION, LENGTH = -1, -2, -3
GUARD = Guarded()


@atheris.instrument_func
def reference(data: bytes) -> tuple | int:
    """RFC 3550 section 5.1, written for reading."""
    if len(data) < 12:
        return SHORT
    if data[0] >> 6 != 2:
        return VERSION
    offset = 12 + 4 * (data[0] & 15)
    if data[0] & 0x10:
        if offset + 4 > len(data):
            return SHORT
        offset += 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4], "big")
    if offset > len(data):
        return SHORT
    payload = len(data) - offset
    if data[0] & 0x20:
        if payload == 0 or not 1 <= data[-1] <= payload:
            return LENGTH
        payload -= data[-1]
    number = int.from_bytes
    return (
        data[1] & 127,
        data[1] >= 128,
        number(data[2:4], "big"),
        number(data[4:8], "big"),
        number(data[8:12], "big"),
        offset,
        payload,
    )


def datagram(data: bytes) -> bytes:
    """Half of the inputs get a version that leads further in."""
    if len(data) > 1 and data[-1] & 1:
        return bytes([data[0] & 0x3F | 0x80]) + data[1:]
    return data


@atheris.instrument_func
def test_one_input(data: bytes) -> None:
    data = datagram(data)
    expected = reference(data)
    assert rtp.parse(GUARD.at_end(data)) == expected
    assert rtp.parse(GUARD.at_start(data)) == expected
    if isinstance(expected, tuple):
        again = rtp.parse(rtp.write(*expected[:5]))
        assert again == (*expected[:5], 12, 0)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
