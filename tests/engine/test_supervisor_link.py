"""The link between supervisor and worker: nothing is lost, nothing leaks, nobody blocks."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from roomtone.engine import process_messages as pm
from roomtone.engine.supervisor_link import SupervisorLink, pair

Ends = tuple[SupervisorLink, SupervisorLink]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = pair(pm.SupervisorMessage)
    other = SupervisorLink(theirs, pm.SupervisorMessage)
    yield ours, other
    for end in (ours, other):
        if end.fileno() >= 0:
            end.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_descriptor_arrives_as_the_same_file_and_is_not_inherited(ends: Ends) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        ends[0].send(pm.Hold([(5, 1)]), (made.fileno(),))
        [(message, fds)] = list(ends[1].receive())
        assert message == pm.Hold([(5, 1)]) and not os.get_inheritable(fds[0])
        with socket.socket(fileno=fds[0]) as copy:
            assert copy.getsockname() == made.getsockname()


def test_what_the_kernel_does_not_take_waits_in_order(ends: Ends) -> None:
    sent = 0
    while not ends[0].waiting:
        ends[0].send(pm.Release([sent]))
        sent += 1
    ends[0].send(pm.Release([sent]))
    got = []
    while ends[0].waiting or len(got) <= sent:
        got += [message.keys[0] for message, _ in ends[1].receive()]
        ends[0].flush()
    assert got == list(range(sent + 1))


def test_a_socket_is_closed_only_after_the_message_that_passes_it(ends: Ends) -> None:
    reader, writer = os.pipe()
    while not ends[0].waiting:
        ends[0].send(pm.Release([0]))
    ends[0].send(pm.Hold([(1, 1)]), (reader,))
    ends[0].send(pm.Release([1]), close_first=(reader,))
    os.fstat(reader)
    while ends[0].waiting:
        for message, fds in ends[1].receive():
            assert message == pm.Release([0]) or fds
            for fd in fds:
                os.close(fd)
        ends[0].flush()
    with pytest.raises(OSError):
        os.fstat(reader)
    os.close(writer)


def test_sending_to_a_dead_end_drops_and_closes_but_hears_what_was_said_before(ends: Ends) -> None:
    reader, writer = os.pipe()
    ends[1].send(pm.Release([1]))
    ends[1].close()
    ends[0].send(pm.Release([2]), close_first=(reader,))
    assert ends[0].broken and not ends[0].closed and not ends[0].waiting
    with pytest.raises(OSError):
        os.fstat(reader)
    assert [message for message, _ in ends[0].receive()] == [pm.Release([1])]
    assert ends[0].closed
    os.close(writer)


def test_an_unreadable_message_is_counted_and_its_descriptors_closed(ends: Ends) -> None:
    before = open_fds()
    ends[0].send({"t": "nonsense"}, (0,))
    assert list(ends[1].receive()) == []
    assert ends[1].undecodable == 1 and open_fds() == before
