"""A media thread that was held up: what was missed is skipped, never caught up in a burst."""

import pytest
from lab import gap_free, level_at, silence, timestamp_steps, tone


def mix(lab, phase=3):
    bus = lab.bus(phase=phase)
    return [lab.peer(bus, signal=tone(400 + 100 * i, 4000)) for i in range(3)]


@pytest.mark.parametrize("held_ms", [45, 400, 5000, 60_000])
def test_after_being_held_up_each_bus_ticks_once_and_goes_on(lab, held_ms):
    peers = mix(lab)
    lab.run(500)
    ticks, heard = lab.counters["ticks"], [len(p.heard) for p in peers]
    lab.skip(held_ms)
    assert lab.counters["ticks"] - ticks <= 2
    assert all(len(p.heard) - n <= 2 for p, n in zip(peers, heard, strict=True))
    for peer in peers:
        peer.pause(held_ms)
    lab.run(1000)
    for peer in peers:
        assert gap_free(peer.heard)
        steps = timestamp_steps(peer.heard)
        assert max(steps) == pytest.approx(held_ms * 8, abs=320) and min(steps) == 160
        first, last = peer.heard[0], peer.heard[-1]
        real = (last.at_us - first.at_us) * 8 // 1000
        assert ((last.timestamp - first.timestamp) & 0xFFFFFFFF) == pytest.approx(real, abs=170)
        assert peer.heard[steps.index(max(steps)) + 1].marker
    assert level_at(peers[0].audio(last_ms=400), 500) == pytest.approx(4000, rel=0.05)
    assert lab.media.check() == []


def test_missed_ticks_are_counted_as_overruns_and_late_ones_as_late(lab):
    mix(lab)
    lab.run(500)
    assert lab.counters["tick_overruns"] == lab.counters["ticks_late"] == 0
    lab.skip(5000)
    assert lab.counters["tick_overruns"] == pytest.approx(249, abs=1)
    lab.run(100)
    late = lab.counters["ticks_late"]
    lab.skip(15)
    lab.skip(15)
    assert 1 <= lab.counters["ticks_late"] - late <= 2
    assert sum(n for _, n in lab.media.metrics()["tick_late_us"]) == lab.counters["ticks"]


def test_an_idle_thread_misses_nothing(lab):
    lab.skip(10_000)
    peers = mix(lab)
    lab.run(100)
    for peer in peers:
        lab.close(peer)
    lab.run(10)
    lab.skip(7000)
    bus = lab.bus(phase=11)
    for _ in range(3):
        lab.peer(bus, signal=silence)
    lab.run(100)
    assert lab.counters["tick_overruns"] == 0


def test_a_relay_that_becomes_a_mix_after_idle_time_misses_nothing(lab):
    from lab import PCMA, PCMU

    bus = lab.bus()
    anna = lab.peer(bus, signal=silence, receive=(PCMU, PCMA))
    lab.peer(bus, signal=silence)
    lab.run(200)
    lab.now_us += 900_000  # nothing is due: the thread sleeps
    for peer in lab.peers.values():
        peer.frames += 45
    anna.codec = PCMA  # its next packet makes this bus transcode
    anna.feed(
        bytes([0x80, 8])
        + (anna.seq).to_bytes(2, "big")
        + bytes(4)
        + anna.ssrc.to_bytes(4, "big")
        + bytes(160)
    )
    lab.run(100)
    assert lab.counters["tick_overruns"] == 0 and lab.counters["ticks"] > 3


def test_relayed_packets_are_not_held_back_by_missed_ticks(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=silence)
    mix(lab, phase=9)
    lab.run(100)
    lab.skip(2000)
    ben.clear()
    anna.pause(2000)
    lab.run(200)
    assert len(ben.heard) >= 9 and gap_free(ben.heard)
