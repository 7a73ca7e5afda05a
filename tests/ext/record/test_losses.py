"""What a recording cannot keep is counted under its reason, and harms nobody else."""

import os
import resource
import shutil
from pathlib import Path

import pytest
from lab import tone
from recorded import Recorded, frames, sound


def test_while_the_disk_stands_still_so_many_packets_wait_and_the_rest_is_counted(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus, send_at_once=True)
    recording = recorded.start("call.pcap", [anna], limit=60)
    recorded.run(1000)
    recorded.writing = False
    heard = len(ben.heard)
    recorded.run(4000)
    assert len(ben.heard) - heard == pytest.approx(200, abs=2), "the call goes on"
    recorded.writing = True
    recorded.turn()
    recorded.run(1000)
    counts = recorded.stop(recording)
    assert counts["packets"] == len(frames(recording.path))
    assert counts["lost"]["channel_full"] == pytest.approx(140, abs=15)
    assert counts["packets"] + counts["lost"]["channel_full"] == len(anna.spoken) + len(anna.reports)


def test_a_wav_is_silent_where_the_disk_stood_still(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000, limit=50)
    recorded.run(1000)
    recorded.writing = False
    recorded.run(5000)
    recorded.writing = True
    recorded.turn()
    recorded.run(1000)
    counts = recorded.stop(recording)
    _, (heard,) = sound(recording.path)
    assert len(heard) == pytest.approx(56000, abs=400)
    assert counts["packets"] + counts["lost"]["channel_full"] == len(anna.spoken)
    assert heard[-6000:-400].any() and not heard[32000:44000].any()


def test_a_drain_that_gets_no_cpu_loses_what_the_ring_cannot_hold_and_tells_how_much(
    recorded: Recorded,
) -> None:
    lab = recorded.lab
    bus = lab.bus()
    peers = [lab.peer(bus, signal=tone(440)) for _ in range(2)]
    recording = recorded.start("call.pcap", peers, limit=1_000_000)
    recorded.run(500)
    recorded.draining = False
    packet = bytes([0x80, 0]) + bytes(1400)
    lost = 0
    for number in range(12_500):
        data = packet[:2] + (peers[0].seq + number & 0xFFFF).to_bytes(2, "big") + bytes(4)
        data += peers[0].ssrc.to_bytes(4, "big") + packet[12:]
        lab.media.feed(peers[0].handle, data, peers[0].address, lab.now_us)
        lab.media.sent()
    lost = lab.media.capture_lost(peers[0].handle)[0]
    assert lost > 0
    recorded.draining = True
    counts = recorded.stop(recording)
    assert counts["packets"] == len(frames(recording.path))
    assert counts["lost"]["ring_full"] == lost + lab.media.capture_lost(peers[1].handle)[0]


def test_a_file_that_cannot_grow_ends_its_recording_and_no_other(recorded: Recorded, tmp_path: Path) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.peer(bus)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    small = recorded.start("small.pcap", [anna])
    recorded.run(1000)
    kept = frames(small.path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (small.path.stat().st_size + 100, limits[1]))
        recorded.run(1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (small.id, True) in recorded.news
    assert [told for told in recorded.news if told == (small.id, True)] == [(small.id, True)]
    counts = recorded.stop(small)
    assert frames(small.path)[: len(kept)] == kept
    assert counts["packets"] == len(frames(small.path))
    assert counts["error"] != 0
    assert counts["packets"] + sum(counts["lost"].values()) == len(anna.spoken)


@pytest.mark.parametrize("name", ["sub/call.pcap", "sub/call.wav"])
def test_a_directory_that_is_removed_ends_what_is_recorded_there(recorded: Recorded, name: str) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.peer(bus)
    gone = recorded.start(name, [anna], rate_hz=8000 if name.endswith("wav") else 0)
    stays = recorded.start("stays.pcap", [anna])
    recorded.run(1000)
    shutil.rmtree(gone.path.parent)
    recorded.run(1500)
    assert [told for told in recorded.news if told[0] == gone.id] == [(gone.id, True)]
    counts = recorded.stop(gone)
    assert counts["error"] == 2 and counts["lost"]["file"] > 0
    assert recorded.stop(stays)["packets"] == len(anna.spoken)


def test_what_is_abandoned_ends_without_the_disk_having_taken_the_rest(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(2000)
    recorded.writing = False
    recorded.run(2000)
    recorded.drain.abandon(recording.id)
    before = recorded.drain.counts(recording.id)
    recorded.writing = True
    counts = recorded.stop(recording)
    assert counts["packets"] == before["packets"]
    assert counts["packets"] + sum(counts["lost"].values()) == len(anna.spoken)
    _, (heard,) = sound(recording.path)
    assert 8000 < len(heard) < 24000


def test_descriptors_are_closed_with_the_recording(recorded: Recorded) -> None:
    before = len(os.listdir("/proc/self/fd"))
    lab = recorded.lab
    anna = lab.peer(lab.bus(), signal=tone(440))
    for number in range(5):
        recording = recorded.start(f"{number}.wav", [anna], rate_hz=8000)
        recorded.run(200)
        recorded.stop(recording)
    assert len(os.listdir("/proc/self/fd")) == before
