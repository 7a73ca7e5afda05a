"""The client's side of a WebSocket, no more than the load needs: frames as bytes, no library (RFC 6455)."""

import base64
import os
import struct

# Section 5.2: the first byte.
FIN_TEXT, PING, PONG, CLOSE = 0x81, 0x89, 0x8A, 0x88
MASKED = 0x80
LENGTH_16, LENGTH_64 = 126, 127
LENGTH_16_MAX = 0xFFFF
NO_MASK = bytes(4)  # a key of zeros: masked text reads as it is
HEAD_END = b"\r\n\r\n"
SWITCHED = b"HTTP/1.1 101"

UPGRADE = (
    "GET / HTTP/1.1\r\nHost: {ip}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)


def upgrade(ip: str) -> bytes:
    """The request that opens the connection."""
    return UPGRADE.format(ip=ip, key=base64.b64encode(os.urandom(16)).decode()).encode()


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size < LENGTH_16:
        return bytes((first, MASKED | size)) + NO_MASK + payload
    if size <= LENGTH_16_MAX:
        return struct.pack(">BBH", first, MASKED | LENGTH_16, size) + NO_MASK + payload
    return struct.pack(">BBQ", first, MASKED | LENGTH_64, size) + NO_MASK + payload


def split(data: bytes, begin: int = 0) -> tuple[int, int, int] | None:
    """(first byte, begin and end of the payload) of the frame at `begin`; None: it is not all there."""
    if len(data) < begin + 2:
        return None
    size, at = data[begin + 1], begin + 2
    if size == LENGTH_16:
        size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
    elif size == LENGTH_64:
        size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
    return (data[begin], at, at + size) if len(data) >= at + size else None
