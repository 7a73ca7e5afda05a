"""The clients of `roomtone bench sockets`: what they count of what a server sends."""

import select
import socket
import struct

import pytest

from roomtone.bench.load.socket_holder import Holder, HolderError
from roomtone.bench.load.websocket import FIN_TEXT, PING, PONG, frame, split


@pytest.fixture
def held() -> tuple[Holder, socket.socket]:
    holder = Holder()
    ours, server = socket.socketpair()
    ours.setblocking(False)
    holder.sockets[ours.fileno()] = ours
    holder.epoll.register(ours.fileno(), select.EPOLLIN | select.EPOLLET)
    return holder, server


def text(size: int) -> bytes:
    head = bytes((FIN_TEXT, size)) if size < 126 else struct.pack(">BBH", FIN_TEXT, 126, size)
    return head + b"x" * size


def test_events_are_counted_however_they_are_cut(held: tuple[Holder, socket.socket]) -> None:
    holder, server = held
    stream = text(100) + text(500) + text(3)
    for at in range(0, len(stream), 7):
        server.sendall(stream[at : at + 7])
        holder.sweep()
    totals = holder.totals()
    assert (totals["events"], totals["bytes"]) == (3, len(stream))
    assert holder.totals()["events"] == 0


def test_a_ping_is_answered_with_its_own_payload(held: tuple[Holder, socket.socket]) -> None:
    holder, server = held
    server.sendall(bytes((PING, 2)) + b"hi" + text(5))
    holder.sweep()
    assert server.recv(100) == frame(PONG, b"hi")
    totals = holder.totals()
    assert (totals["pings"], totals["events"]) == (1, 1)


def test_a_connection_that_ends_ends_the_measurement(held: tuple[Holder, socket.socket]) -> None:
    holder, server = held
    server.close()
    with pytest.raises(HolderError, match="closed"):
        holder.sweep()


def test_a_frame_is_found_only_when_it_is_whole() -> None:
    data = text(300)
    assert [split(data[:size]) for size in (0, 1, 3, 303)] == [None] * 4
    assert split(data) == (FIN_TEXT, 4, 304)
    assert split(b"?" + data, 1) == (FIN_TEXT, 5, 305)
