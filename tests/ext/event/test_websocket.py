"""Text frames to many sockets at once, as their peers read them."""

import socket
from collections.abc import Iterator

import pytest

from roomtone.ext.event.websocket import send_texts

LARGEST = 4092  # of those that are tried


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(6)]
    yield made
    for ours, theirs in made:
        ours.close()
        theirs.close()


def payload(frame: bytes) -> bytes:
    """A final, unmasked text frame's (RFC 6455 section 5.2)."""
    assert frame[0] == 0x81
    if frame[1] == 126:
        size, text = int.from_bytes(frame[2:4], "big"), frame[4:]
        assert size > 125
    else:
        size, text = frame[1], frame[2:]
    assert size == len(text)
    return text


def test_each_peer_gets_its_own_text(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    texts = [bytes([65 + n]) * size for n, size in enumerate((0, 1, 125, 126, 300, LARGEST))]
    assert send_texts([ours.fileno() for ours, _ in pairs], texts) == []
    assert [payload(theirs.recv(8192)) for _, theirs in pairs] == texts


def test_what_could_not_be_sent_whole_is_told_with_how_much_was(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    pairs[1][1].close()
    slow = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(slow.getsockname())
    peer, _ = slow.accept()
    sender.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += sender.send(b"x" * 1000)
    fds = [pairs[0][0].fileno(), pairs[1][0].fileno(), sender.fileno(), pairs[2][0].fileno()]
    short = send_texts(fds, [b"a", b"b", b"c" * 4000, b"d" * (LARGEST + 1)])
    assert [place for place, _ in short] == [1, 2, 3]
    assert short[0][1] == 0 and short[1][1] < 4004 and short[2][1] == 0
    sender.close()
    arrived = sum(len(data) for data in iter(lambda: peer.recv(1 << 16), b""))
    assert arrived == sent + short[1][1]
    peer.close()
    slow.close()
    assert payload(pairs[0][1].recv(100)) == b"a"
