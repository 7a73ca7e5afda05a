"""An endpoint that goes from one bus to another: what its peer and both sessions hear of it."""

import itertools

import numpy as np
import pytest
from lab import L16_8K, PCMU, Lab, gap_free, level_at, silence, timestamp_steps, tone
from network import Network
from workers import Workers

LONGEST_GAP_MS = 60
PHASES = [(0, 0), (0, 19), (19, 0), (3, 13), (13, 3), (3, 14), (14, 3), (9, 10)]


def move(lab, peer, bus):
    lab.media.endpoint_move(peer.handle, bus)


def longest_gap_ms(packets):
    return max(b.at_us - a.at_us for a, b in itertools.pairwise(packets)) / 1000


def longest_silence_ms(pcm, rate=8000, frame=40):
    """Longest run of frames (5 ms) without the signal."""
    loud = np.abs(pcm[: len(pcm) // frame * frame].reshape(-1, frame)).max(axis=1) > 500
    runs = [len(list(group)) for is_loud, group in itertools.groupby(loud) if not is_loud]
    return max(runs, default=0) * frame * 1000 / rate


def talkers(lab, bus, first_hz, count=2):
    return [lab.peer(bus, codec=L16_8K, signal=tone(first_hz + 100 * k, 4000)) for k in range(count)]


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("at_ms", [0, 7, 13])
def test_from_one_conference_to_another_the_peer_hears_no_more_than_a_change_of_voices(phases, at_ms):
    lab = Lab()
    old, new = lab.bus(phase=phases[0]), lab.bus(phase=phases[1])
    mover = lab.peer(old, codec=L16_8K, signal=tone(440, 4000))
    left, met = talkers(lab, old, 600), talkers(lab, new, 1000)
    lab.run(500 + at_ms)
    move(lab, mover, new)
    assert lab.media.check() == []
    lab.run(700)
    assert gap_free(mover.heard)
    assert longest_gap_ms(mover.heard) <= 40
    # Real time: what the timestamps say went by is what went by.
    took_ms = (mover.heard[-1].at_us - mover.heard[0].at_us) / 1000
    assert sum(timestamp_steps(mover.heard)) / 8 == pytest.approx(took_ms, abs=20)
    now = mover.audio(last_ms=500)
    assert [round(level_at(now, f) / 4000, 1) for f in (440, 600, 700, 1000, 1100)] == [0, 0, 0, 1, 1]
    for one in met:
        assert level_at(one.audio(last_ms=500), 440) == pytest.approx(4000, rel=0.03)
    for one in left:
        assert level_at(one.audio(last_ms=500), 440) < 20
        assert gap_free(one.heard)
    assert lab.media.check() == []


@pytest.mark.parametrize("phases", PHASES)
def test_what_the_peer_says_meanwhile_is_heard_here_or_there(phases):
    """Both sessions together miss no more of it than the longest gap, whenever it goes."""
    for at_ms in range(0, 40, 3):
        lab = Lab()
        old, new = lab.bus(phase=phases[0]), lab.bus(phase=phases[1])
        mover = lab.peer(old, codec=L16_8K, signal=tone(1000, 8000))
        listeners = [lab.peer(bus, codec=L16_8K, signal=silence) for bus in (old, old, new, new)]
        lab.run(400 + at_ms)
        delay_ms = mover.stats["playout_delay_ms"]
        for one in listeners:
            one.clear()
        move(lab, mover, new)
        lab.run(400)
        before, after = listeners[0].audio(), listeners[2].audio()
        until = next((i for i in range(0, len(before), 40) if np.abs(before[i : i + 40]).max() < 500), 0)
        since = int(np.argmax(np.abs(after) > 500))
        at = [listeners[k].heard[0].at_us / 1000 for k in (0, 2)]
        missed_ms = (at[1] + since / 8) - (at[0] + until / 8)
        assert -25 <= missed_ms <= LONGEST_GAP_MS
        assert longest_silence_ms(after[since:]) <= 20
        assert abs(mover.stats["playout_delay_ms"] - delay_ms) <= 21
        assert lab.counters["playout_resyncs"] == 0


def test_twenty_moves_in_two_seconds_leave_playout_where_it_was():
    lab = Lab()
    buses = [lab.bus(phase=phase) for phase in (0, 7, 13, 19)]
    mover = lab.peer(buses[0], codec=L16_8K, signal=tone(440, 4000))
    for bus in buses:
        talkers(lab, bus, 1000)
    lab.run(500)
    for turn in range(20):
        move(lab, mover, buses[(turn + 1) % 4])
        lab.run(101)
    assert 20 <= mover.stats["playout_delay_ms"] <= 85
    lab.run(3000)
    assert 20 <= mover.stats["playout_delay_ms"] <= 75
    assert gap_free(mover.heard) and longest_gap_ms(mover.heard) <= LONGEST_GAP_MS
    assert lab.media.check() == []


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_a_bus_that_ticks_sooner_still_waits_for_what_the_network_delays(seed):
    lab = Lab()
    old, new = lab.bus(phase=19), lab.bus(phase=0)
    network = Network(seed=seed, jitter_ms=26)
    mover = lab.peer(old, codec=L16_8K, signal=tone(1000, 8000), network=network)
    talkers(lab, old, 600)
    lab.peer(new, codec=L16_8K, signal=silence)
    met = lab.peer(new, codec=L16_8K, signal=silence)
    lab.run(500)
    move(lab, mover, new)
    lab.run(200)
    met.clear()
    lab.run(3000)
    assert longest_silence_ms(met.audio()) == 0
    assert mover.stats["rx_late"] == 0 and lab.counters["playout_resyncs"] == 0


@pytest.mark.parametrize("codec", [PCMU, L16_8K])
def test_from_one_call_to_another_both_stay_relays(codec):
    lab = Lab()
    old, new = lab.bus(phase=2), lab.bus(phase=15)
    anna, ben = (lab.peer(old, codec=codec, signal=tone(f)) for f in (440, 550))
    carl = lab.peer(new, codec=codec, signal=tone(660))
    lab.run(400)
    move(lab, anna, new)
    lab.run(600)
    assert lab.counters["mixed_packets"] == 0
    assert level_at(anna.audio(last_ms=400), 660) == pytest.approx(8000, rel=0.03)
    assert level_at(carl.audio(last_ms=400), 440) == pytest.approx(8000, rel=0.03)
    assert gap_free(anna.heard) and longest_gap_ms(anna.heard) <= LONGEST_GAP_MS
    assert lab.media.check() == []
    assert ben.heard[-1].at_us < 1_000_000 + 420_000, "he is alone and gets nothing"


@pytest.mark.parametrize("from_mix", [True, False])
def test_between_a_call_and_a_conference_the_gap_is_short(from_mix):
    lab = Lab()
    call, conference = lab.bus(phase=4), lab.bus(phase=11)
    friend = lab.peer(call, codec=PCMU, signal=tone(700))
    others = [lab.peer(conference, codec=PCMU, signal=tone(f, 4000)) for f in (1000, 1100)]
    mover = lab.peer(conference if from_mix else call, codec=PCMU, signal=tone(440))
    lab.run(500)
    move(lab, mover, call if from_mix else conference)
    lab.run(700)
    assert gap_free(mover.heard) and longest_gap_ms(mover.heard) <= LONGEST_GAP_MS
    for one in [friend] if from_mix else others:
        assert level_at(one.audio(last_ms=300), 440) == pytest.approx(8000, rel=0.05)
    assert lab.media.check() == []


def test_a_key_that_is_held_while_its_endpoint_goes_is_one_key():
    lab = Lab()
    old, new = lab.bus(), lab.bus(phase=12)
    anna = lab.peer(old, signal=silence)
    lab.peer(old, signal=silence)
    met = lab.peer(new, signal=silence)
    lab.run(200)
    anna.talk(None)
    anna.press(7, ms=200)
    lab.run(90)
    move(lab, anna, new)
    lab.run(500)
    assert lab.counters["keys"] == 1
    assert met.presses(), "the rest of it is relayed there"


def test_one_that_is_on_no_bus_stays_on_none():
    lab = Lab()
    bus = lab.bus()
    peer = lab.peer(None, signal=tone(440))
    move(lab, peer, bus)
    lab.run(100)
    assert peer.heard == [] and lab.media.check() == []


def test_into_a_session_at_home_elsewhere_all_hear_each_other():
    workers = Workers(2)
    here, there = workers.session(on=[0], phase=3), workers.session(on=[1], phase=8)
    mover = here.peer(signal=tone(440, 4000))
    here.peer(signal=silence)
    met = there.peer(signal=tone(900, 4000))
    workers.run(400)
    # The target gets a bus on the mover's worker first, then both publish, then it goes.
    there.buses[0] = workers.labs[0].bus(phase=there.phase)
    there.publish()
    move(workers.labs[0], mover, there.buses[0])
    workers.run(800)
    assert level_at(mover.audio(last_ms=400), 900) == pytest.approx(4000, rel=0.03)
    assert level_at(met.audio(last_ms=400), 440) == pytest.approx(4000, rel=0.03)
    assert gap_free(mover.heard) and longest_gap_ms(mover.heard) <= LONGEST_GAP_MS
    assert workers.faults() == []
