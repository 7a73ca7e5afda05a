"""rtpengine's ng protocol: one bencoded dictionary a datagram, behind a cookie that the answer repeats.

    datagram = cookie SP bencoding
    bencoding = "i" digits "e" / length ":" bytes / "l" values "e" / "d" (string value)... "e"

Strings are UTF-8 both ways.
"""

import asyncio
import itertools
import socket
from typing import Any, Self

Value = int | str | list[Any] | dict[str, Any]

REPLY_WAIT_S = 2.0  # loopback answers in under a millisecond; a lost datagram is sent again
TRIES = 3  # the same cookie: a request that was already served is answered again, not served twice
DATAGRAM_BYTES = 65535


class NgError(RuntimeError):
    """No answer, or the answer was not "ok" or "pong"."""


def encode(value: Value) -> bytes:
    """Dictionaries come out with sorted keys."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        text = value.encode()
        return b"%d:%s" % (len(text), text)
    if isinstance(value, list):
        return b"l%se" % b"".join(map(encode, value))
    pairs = sorted((key.encode(), member) for key, member in value.items())
    return b"d%se" % b"".join(b"%d:%s%s" % (len(key), key, encode(member)) for key, member in pairs)


def decode(data: bytes) -> Value:
    """The one value in `data`.  ValueError: it is not exactly one."""
    try:
        value, end = _value(data, 0)
    except IndexError:
        raise ValueError("the data ends inside a value") from None
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the value")
    return value


def _value(data: bytes, at: int) -> tuple[Value, int]:
    """The value that begins at `at`, and where it ends."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        members: list[Any] = []
        at += 1
        while data[at] != ord("e"):
            member, at = _value(data, at)
            members.append(member)
        if kind == b"l":
            return members, at + 1
        if not all(isinstance(key, str) for key in members[::2]):
            raise ValueError("a dictionary's keys are strings")
        return dict(zip(members[::2], members[1::2], strict=True)), at + 1
    colon = data.index(b":", at)
    begin, end = colon + 1, colon + 1 + int(data[at:colon])
    if end > len(data):
        raise ValueError("a string is longer than the data")
    return data[begin:end].decode(), end


class Ng:
    """A client of one server, one request at a time."""

    def __init__(self, ip: str, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((ip, port))
        self.cookies = itertools.count(1)

    async def call(self, command: str, **parameters: Value) -> dict[str, Any]:
        """Send a command; underscores in parameter names stand for hyphens.

        NgError: refused, or no answer.
        """
        request = {key.replace("_", "-"): value for key, value in parameters.items()} | {"command": command}
        cookie = b"%d" % next(self.cookies)
        for _ in range(TRIES):
            try:
                return self._judged(command, await asyncio.wait_for(self._ask(cookie, request), REPLY_WAIT_S))
            except (TimeoutError, ConnectionRefusedError):
                continue
        raise NgError(f"{command}: no answer")

    async def _ask(self, cookie: bytes, request: dict[str, Any]) -> Value:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.socket, cookie + b" " + encode(request))
        while True:
            answered, _, body = (await loop.sock_recv(self.socket, DATAGRAM_BYTES)).partition(b" ")
            if answered == cookie:
                return decode(body)

    @staticmethod
    def _judged(command: str, answer: Value) -> dict[str, Any]:
        if not isinstance(answer, dict) or answer.get("result") not in ("ok", "pong"):
            raise NgError(f"{command}: {answer}")
        return answer

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
