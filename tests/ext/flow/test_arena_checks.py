"""An arena is taken only when it is one, of this build, and whole; it can be read after its owner died."""

import os
import struct

import pytest

from roomtone.ext.flow import arena
from roomtone.ext.flow.lab import LabMedia
from roomtone.ext.flow.media import Arena

ENDPOINTS = 16


def fresh(**more):
    fd = os.memfd_create("arena")
    Arena.format(fd, **({"endpoints": ENDPOINTS, "worker": 3, "epoch": 9} | more))
    return fd


def opened(fd):
    media = LabMedia(Arena(fd, writable=True), fact_fd=-1, lab=True)
    media.step(1_000_000)
    handle = media.endpoint_take()
    media.endpoint_open(
        handle,
        rtp_fd=-1,
        rtcp_fd=-1,
        local=("2001:db8::1", 4000),
        local_rtcp_port=4001,
        ssrc=77,
        cname="anna",
        seq=5,
        timestamp=6,
    )
    media.step(1_001_000)
    return media, handle


def test_a_fresh_arena_says_whose_it_is():
    found = Arena(fresh())
    assert (found.endpoints, found.worker, found.epoch) == (ENDPOINTS, 3, 9)
    assert found.inspect() == []


@pytest.mark.parametrize("count", [0, (1 << 20) + 1])
def test_a_size_that_handles_cannot_name_is_refused(count):
    with pytest.raises(ValueError, match="slots"):
        fresh(endpoints=count)


@pytest.mark.parametrize(
    ("offset", "word"), [(0, "magic"), (8, "layout"), (16, "size")], ids=["magic", "layout hash", "slots"]
)
def test_an_arena_that_is_not_ours_is_refused(offset, word):
    fd = fresh()
    os.pwrite(fd, struct.pack("<I", 12345), offset)
    with pytest.raises(ValueError, match=word):
        Arena(fd)


def test_a_truncated_arena_is_refused():
    fd = fresh()
    os.ftruncate(fd, arena.arena_bytes(ENDPOINTS) - 4096)
    with pytest.raises(ValueError, match="size"):
        Arena(fd)
    os.ftruncate(fd, 100)
    with pytest.raises(ValueError, match="small"):
        Arena(fd)


def test_a_mapping_for_reading_cannot_run_a_media_thread():
    fd = fresh()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ValueError, match="read-only"):
        LabMedia(Arena(fd), fact_fd=-1, lab=True)
    assert os.listdir("/proc/self/fd") == before  # nobody's descriptor is closed either


def test_another_process_sees_every_endpoint_in_use():
    fd = fresh()
    _, handle = opened(fd)
    (seen,) = Arena(fd).inspect()
    assert seen["handle"] == handle and not seen["torn"]
    assert (seen["local"], seen["cname"], seen["ssrc_tx"]) == ("[2001:db8::1]:4000", "anna", 77)


def test_an_endpoint_whose_writer_died_in_the_middle_is_told_as_torn():
    fd = fresh()
    _, handle = opened(fd)
    size, _ = arena.layout()["endpoint_t"]
    header, _ = arena.layout()["arena_header_t"]
    at = (header + 4095) // 4096 * 4096 + size * (handle & 0xFFFFF)
    (lock,) = struct.unpack("<I", os.pread(fd, 4, at))
    os.pwrite(fd, struct.pack("<I", lock | 1), at)
    (seen,) = Arena(fd).inspect()
    assert seen["torn"]


def test_a_slot_rests_and_comes_back_under_another_handle():
    media, handle = opened(fresh())
    media.endpoint_close(handle)
    media.step(1_002_000)
    media.endpoint_free(handle)
    taken = [media.endpoint_take() for _ in range(ENDPOINTS - 2)]
    with pytest.raises(RuntimeError):
        media.endpoint_take()
    media.step(3_002_000)
    again = media.endpoint_take()
    assert again & 0xFFFFF == handle & 0xFFFFF and again != handle and again not in taken
    with pytest.raises(ValueError, match="out of date"):
        media.stats(handle)


def test_an_open_endpoint_cannot_be_freed():
    media, handle = opened(fresh())
    with pytest.raises(RuntimeError):
        media.endpoint_free(handle)


def test_facts_that_found_no_room_are_followed_by_a_resync():
    from roomtone.ext.flow.media import FACT_BYE, FACT_RESYNC

    media, handle = opened(fresh())
    media.endpoint_media(
        handle,
        receive=[(0, 1)],
        send_payload_type=0,
        send_codec=1,
        event_receive=[],
        event_send=None,
        may_receive=True,
        may_send=True,
    )
    media.endpoint_remote(handle, remote=("2001:db8::2", 9), rtcp_port=10, learn=False, send_at_once=True)
    media.step(1_003_000)
    bye = struct.pack("!BBHIBBHI", 0x80, 201, 1, 7, 0x81, 203, 1, 7)
    for _ in range(1100):
        media.feed(handle, bye, ("2001:db8::2", 10), 1_004_000, True)
    told = media.facts()
    assert {fact[0] for fact in told} == {FACT_BYE} and len(told) == 1024
    media.step(1_005_000)
    assert media.facts() == [(FACT_RESYNC, 0)]
    assert media.metrics()["counters"]["facts_lost"] == 1100 - 1024


def test_a_full_edit_ring_waits_for_the_media_thread():
    media, handle = opened(fresh())
    bus = media.bus_take()
    media.bus_open(bus, phase=1, key_relay_limit=0)
    for _ in range(3000):
        media.source_add(bus, handle)
        last = media.source_remove(bus, handle)
    while media.applied() < last:
        media.step(1_006_000)
    assert media.check() == []
