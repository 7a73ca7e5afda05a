"""Pools are paid for by use: what was never needed at once costs nothing; what was used is used again."""

import os

import pytest

from roomtone.ext.flow.media import Arena, Media
from roomtone.ext.flow.pool import Slots

REST_US = 2_000_000


def test_slots_come_in_order_until_one_that_was_used_has_rested():
    slots = Slots(10, 1)
    first = [slots.take(0) for _ in range(3)]
    slots.give_back(2, 0)
    assert slots.take(REST_US - 1) == 4  # 2 still rests
    assert slots.take(REST_US) == 2
    assert (first, slots.used) == ([1, 2, 3], 5)


def test_those_that_rested_longest_come_first():
    slots = Slots(4)
    taken = [slots.take(0) for _ in range(4)]
    for at, slot in enumerate(reversed(taken)):
        slots.give_back(slot, at)
    assert [slots.take(REST_US + 4) for _ in range(5)] == [3, 2, 1, 0, -1]


def test_coming_and_going_uses_no_more_slots_than_were_there_at_once():
    slots = Slots(1 << 20)
    present = []
    for visit in range(10_000):  # 10 a second, each for a second
        present.append(slots.take(visit * 100_000))
        if len(present) > 10:
            slots.give_back(present.pop(0), visit * 100_000)
    assert slots.used <= 10 + 20 + 2  # those present and those that rest


@pytest.fixture
def media():
    fd = os.memfd_create("arena")
    Arena.format(fd, endpoints=65_536, worker=0, epoch=1)
    yield Media(Arena(fd, writable=True), fact_fd=-1)
    os.close(fd)


def opened(media):
    handle = media.endpoint_take()
    media.endpoint_open(
        handle,
        rtp_fd=-1,
        rtcp_fd=-1,
        local=("127.0.0.1", 4000),
        local_rtcp_port=4001,
        ssrc=7,
        cname="anna",
        seq=5,
        timestamp=6,
    )
    return handle


def test_an_empty_worker_of_65536_slots_holds_its_header(media):
    memory = media.memory()
    assert memory["arena_bytes"] > 32 << 20 and memory["private_bytes"] > 1 << 30
    assert memory["arena_resident_bytes"] == 4096 and memory["private_resident_bytes"] == 0


def test_an_endpoint_costs_a_few_kilobytes_and_its_pages_are_there_before_the_media_thread_looks(media):
    for _ in range(500):
        opened(media)
    memory = media.memory()  # the media thread has not run
    assert 500 * 512 <= memory["arena_resident_bytes"] <= 600 * 512 + 3 * 4096
    assert memory["private_resident_bytes"] >= 500 * 1024
    assert memory["endpoint_resident_bytes"] < 5000
