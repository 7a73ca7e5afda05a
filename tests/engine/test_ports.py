"""Port pairs: whose they are, which are skipped, when they return."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from loopback import HERE, port_range

from roomtone.engine.errors import CommandError
from roomtone.engine.ports import BUSY_SKIPS, PORT_REST_US, PortPair, PortPool, Ports, loopback_pair


@pytest.fixture
def taken() -> Iterator[list[PortPair]]:
    pairs: list[PortPair] = []
    yield pairs
    for pair in pairs:
        close(pair)


def close(pair: PortPair) -> None:
    for fd in (pair.rtp_fd, pair.rtcp_fd):
        if fd >= 0:
            os.close(fd)


def pool_of(ports: tuple[int, int], **changes: int) -> PortPool:
    values = {"index": 0, "workers": 1, "epoch": 1, "port_min": ports[0], "port_max": ports[1]}
    return PortPool(HERE, **{**values, **changes})


def take(pool: PortPool, taken: list[PortPair], now_us: int = 0, rtcp_mux: bool = False) -> PortPair:
    pair = pool.take(now_us, rtcp_mux)
    assert pair is not None
    taken.append(pair)
    return pair


def test_workers_share_the_range_without_overlap(taken: list[PortPair]) -> None:
    first, last = port_range(9)
    seen = []
    for index in range(4):
        pool = pool_of((first, last), index=index, workers=4)
        while True:
            try:
                pair = take(pool, taken)
            except CommandError:
                break
            assert (pair.rtp_port - first) // 2 % 4 == index
            assert pair.rtcp_port == pair.rtp_port + 1
            seen.append(pair.rtp_port)
    assert sorted(seen) == list(range(first, last, 2))


def test_an_odd_start_and_an_even_end_hold_only_whole_pairs(taken: list[PortPair]) -> None:
    first, last = port_range(3)
    pool = pool_of((first + 1, last - 1))
    assert take(pool, taken).rtp_port == first + 2
    with pytest.raises(CommandError, match="no free RTP port pair"):
        pool.take(0, False)


def test_a_pair_with_one_busy_port_is_skipped(taken: list[PortPair]) -> None:
    first, last = port_range(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HERE, first + 1))
        pool = pool_of((first, last))
        assert take(pool, taken).rtp_port == first + 2
        assert take(pool, taken).rtp_port == first + 4
    with pytest.raises(CommandError):
        pool.take(PORT_REST_US - 1, False)
    assert take(pool, taken, PORT_REST_US).rtp_port == first


def test_freed_pairs_rest_and_come_back_after_all_others(taken: list[PortPair]) -> None:
    pool = pool_of(port_range(3))
    pairs = [take(pool, taken), take(pool, taken)]
    for pair in reversed(pairs):
        taken.remove(pair)
        close(pair)
        pool.give_back(pair, 1000)
    assert (pool.used, pool.resting) == (0, 2)
    third = take(pool, taken, 1000 + PORT_REST_US)
    assert third.rtp_port == pairs[1].rtp_port + 2 and pool.resting == 0
    again = [take(pool, taken, 1000 + PORT_REST_US).rtp_port for _ in pairs]
    assert again == [pair.rtp_port for pair in pairs]


def test_a_freed_pair_is_not_used_before_it_has_rested(taken: list[PortPair]) -> None:
    pool = pool_of(port_range(1))
    pair = take(pool, taken)
    close(taken.pop())
    pool.give_back(pair, 1000)
    with pytest.raises(CommandError, match="no free RTP port pair"):
        pool.take(1000 + PORT_REST_US - 1, False)
    assert take(pool, taken, 1000 + PORT_REST_US).rtp_port == pair.rtp_port


def test_what_was_used_once_takes_no_more_memory_than_what_never_was() -> None:
    """Thousands of calls an hour over a wide range."""
    pairs = 2000
    pool = pool_of(port_range(pairs))

    def call(now_us: int) -> None:
        pair = pool.take(now_us, True)
        assert pair is not None
        close(pair)
        pool.give_back(pair, now_us)

    tracemalloc.start()
    try:
        for number in range(100):
            call(number * PORT_REST_US // 50)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100, 100 + pairs):
            call(number * PORT_REST_US // 50)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < pairs


def test_many_busy_pairs_are_skipped_in_pieces(taken: list[PortPair]) -> None:
    first, last = port_range(BUSY_SKIPS + 1)
    busy = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(BUSY_SKIPS)]
    for number, other in enumerate(busy):
        other.bind((HERE, first + 2 * number))
    pool = pool_of((first, last))
    assert pool.take(0, False) is None
    assert take(pool, taken).rtp_port == last - 1
    for other in busy:
        other.close()


def test_a_restarted_worker_begins_elsewhere(taken: list[PortPair]) -> None:
    ports = port_range(8)
    starts = [take(pool_of(ports, epoch=epoch), taken).rtp_port for epoch in range(1, 4)]
    assert len(set(starts)) == 3


def test_sockets_do_not_block_and_no_child_inherits_them(taken: list[PortPair]) -> None:
    pair = take(pool_of(port_range(1)), taken)
    for fd in (pair.rtp_fd, pair.rtcp_fd):
        assert not os.get_blocking(fd) and not os.get_inheritable(fd)


def test_a_loopback_pair_is_of_no_range_and_is_given_back_to_none() -> None:
    ports = Ports(index=0, workers=1, epoch=1, port_min=40000, port_max=40001)
    pair = loopback_pair()
    try:
        with socket.socket(fileno=os.dup(pair.rtp_fd)) as udp:
            assert udp.getsockname() == ("127.0.0.1", pair.rtp_port)
        assert (pair.rtcp_port, pair.rtcp_fd) == (pair.rtp_port, -1)
        ports.give_back(pair, now_us=0)
        assert (ports.used, ports.resting) == (0, 0)
    finally:
        os.close(pair.rtp_fd)
