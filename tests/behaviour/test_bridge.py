"""Sessions that hear each other: who hears whom, how exactly, how late."""

import numpy as np
import pytest
from lab import L16_8K, L16_16K, PCMU, gap_free, level_at, silence, timestamp_steps, tone
from workers import Workers, bridged

PLACES = [(0, 0, 0), (0, 1, 0), (0, 1, 2)]  # workers of three sessions


def noise(seed, amplitude=3000):
    """White, and the same for the same samples however they are asked for."""
    table = np.random.default_rng(seed).integers(-amplitude, amplitude, 1 << 16).astype(np.int16)
    return lambda first, count, rate: table[np.arange(first, first + count) % len(table)]


def shift_of(heard, spoken):
    """At which sample of what was spoken the heard part begins."""
    size = 1 << 17
    correlation = np.fft.irfft(np.fft.rfft(spoken.astype(float), size) * np.conj(np.fft.rfft(heard, size)))
    return int(np.argmax(correlation[: len(spoken) - len(heard)]))


def voice(peer):
    return np.concatenate(peer.spoken)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("codec", [PCMU, L16_16K])
def test_two_bridged_calls_are_one_conversation(places, codec):
    workers = Workers(3)
    a, b = workers.session(on=[places[0]], phase=4), workers.session(on=[places[1]], phase=17)
    anna, ben = a.peer(codec=codec, signal=tone(440)), b.peer(codec=codec, signal=tone(700))
    bridged(a, b)
    workers.run(1500)
    rate = 16000 if codec == L16_16K else 8000
    for me, mine, theirs in ((anna, 440, 700), (ben, 700, 440)):
        heard = me.audio(last_ms=1000)
        assert level_at(heard, theirs, rate) == pytest.approx(8000, rel=0.03)
        assert level_at(heard, mine, rate) < 20
        assert gap_free(me.heard) and set(timestamp_steps(me.heard)) == {rate // 50}
    assert workers.faults() == []


@pytest.mark.parametrize("places", PLACES)
def test_nothing_goes_on_from_bridge_to_bridge(places):
    workers = Workers(3)
    sessions = [workers.session(on=[place], phase=7 * i) for i, place in enumerate(places)]
    peers = [s.peer(signal=tone(500 + 200 * i, 4000)) for i, s in enumerate(sessions)]
    bridged(sessions[0], sessions[1])
    bridged(sessions[1], sessions[2])
    workers.run(1500)
    hears = {(0, 1), (1, 0), (1, 2), (2, 1)}
    for i, me in enumerate(peers):
        heard = me.audio(last_ms=1000)
        for k in range(3):
            level = level_at(heard, 500 + 200 * k)
            assert level == pytest.approx(4000, rel=0.02) if (i, k) in hears else level < 4


@pytest.mark.parametrize("places", PLACES)
def test_in_a_triangle_of_bridges_each_hears_each_once(places):
    workers = Workers(3)
    sessions = [workers.session(on=[place], phase=9 * i % 20) for i, place in enumerate(places)]
    peers = [s.peer(signal=tone(500 + 200 * i, 4000)) for i, s in enumerate(sessions)]
    for i in range(3):
        bridged(sessions[i], sessions[i - 1])
    workers.run(1500)
    for i, me in enumerate(peers):
        heard = me.audio(last_ms=1000)
        for k in range(3):
            level = level_at(heard, 500 + 200 * k)
            assert level == pytest.approx(4000, rel=0.02) if i != k else level < 4


def test_a_one_way_bridge_carries_one_way():
    workers = Workers(2)
    a, b = workers.session(on=[0]), workers.session(on=[1])
    anna, ben = a.peer(signal=tone(440)), b.peer(signal=tone(700))
    b.hears(a)
    workers.run(1000)
    assert level_at(ben.audio(last_ms=500), 440) == pytest.approx(8000, rel=0.02)
    assert anna.heard == [], "she has nobody to hear"


@pytest.mark.parametrize("far_on", [0, 1])
def test_a_bridge_is_silent_while_its_direction_forbids_and_the_call_goes_on(far_on):
    workers = Workers(2)
    a, b = workers.session(on=[0]), workers.session(on=[far_on], phase=7)
    anna, ann = a.peer(signal=tone(440, 4000)), a.peer(signal=tone(500, 4000))
    ben = b.peer(signal=tone(700, 4000))
    near, _ = bridged(a, b)
    workers.run(1000)
    for is_source in (False, True):
        a.turn(near, is_source)
        workers.run(100)
        for peer in (anna, ann, ben):
            peer.clear()
        workers.run(1000)
        for me, other in ((anna, 500), (ann, 440)):
            assert level_at(me.audio(last_ms=500), other) == pytest.approx(4000, rel=0.03)
            assert (level_at(me.audio(last_ms=500), 700) > 3800) == is_source
            assert gap_free(me.heard)
        assert level_at(ben.audio(last_ms=500), 440) == pytest.approx(4000, rel=0.03), (
            "he hears them all along"
        )
    assert workers.faults() == []


@pytest.mark.parametrize("far_on", [0, 1])
def test_every_member_hears_the_exact_sum_of_all_others(far_on):
    workers = Workers(2)
    a, b = workers.session(on=[0], phase=11), workers.session(on=[far_on], phase=2)
    peers = [s.peer(signal=noise(10 * i + k)) for i, s in enumerate((a, b)) for k in range(2)]
    bridged(a, b)
    workers.run(1500)
    for me in peers:
        heard = me.audio(last_ms=500).astype(int)
        for other in peers:
            if other is not me:
                spoken = voice(other)
                at = shift_of(heard, spoken)
                heard -= spoken[at : at + len(heard)]
        assert not heard.any(), "bit by bit, and nothing of himself"


@pytest.mark.parametrize(("here", "there"), [(0, 0), (0, 19), (19, 0), (4, 0), (3, 0), (0, 16), (0, 17)])
def test_a_bridge_is_at_most_a_tick_and_a_little_later_than_ones_own_session(here, there):
    """Two who say the same in step, one beside the listener, one behind a bridge."""
    workers = Workers(2)
    a, b = workers.session(on=[0], phase=here), workers.session(on=[1], phase=there)
    listener = a.peer(signal=silence)
    near, far = a.peer(signal=noise(1)), b.peer(signal=noise(2))
    a.hears(b)
    workers.run(1500)
    heard = listener.audio(last_ms=500)
    behind_ms = (shift_of(heard, voice(near)) - shift_of(heard, voice(far))) / 8
    own_ms = (near.stats["playout_delay_ms"], far.stats["playout_delay_ms"])
    added = behind_ms - (own_ms[1] - own_ms[0])
    assert 3 <= added <= 25
    assert workers.counter("bridge_sums_late") <= 2, "only before the far session published"


def test_a_small_bridged_session_waits_for_nobody():
    workers = Workers(2)
    a, b = workers.session(on=[0], phase=5), workers.session(on=[1], phase=5)
    anna = a.peer(signal=tone(440))
    b.peer(signal=tone(700))
    bridged(a, b)
    workers.run(500)
    assert {p.at_us // 1000 % 20 for p in anna.heard[-10:]} == {5}


def test_without_the_far_worker_there_is_silence_and_it_is_counted():
    workers = Workers(2)
    a, b = workers.session(on=[0]), workers.session(on=[1])
    anna, ben = a.peer(signal=silence), b.peer(signal=tone(900, 4000))
    bridged(a, b)
    workers.run(500)
    before = workers.labs[0].counters["bridge_sums_late"]
    anna.clear()
    workers.run(500, held={1})
    assert workers.labs[0].counters["bridge_sums_late"] - before == pytest.approx(25, abs=2)
    assert not anna.audio(last_ms=400).any()
    workers.labs[1].media.step(workers.labs[1].now_us)
    ben.frames = (workers.labs[1].now_us - ben.since_us) // 20_000 + 1
    ben.pause(500)
    workers.run(1000)
    assert level_at(anna.audio(last_ms=500), 900) == pytest.approx(4000, rel=0.02)
    assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {160}


def test_a_spread_session_bridged_to_a_spread_one_all_hear_all():
    workers = Workers(3)
    a, b = workers.session(on=[0, 1], phase=2), workers.session(on=[1, 2], phase=12)
    peers = [a.peer(0), a.peer(1), b.peer(1), b.peer(2), b.peer(2)]
    for i, peer in enumerate(peers):
        peer.talk(tone(400 + 150 * i, 3000))
    bridged(a, b)
    workers.run(1500)
    for i, me in enumerate(peers):
        heard = me.audio(last_ms=1000)
        for k in range(len(peers)):
            level = level_at(heard, 400 + 150 * k)
            assert level == pytest.approx(3000, rel=0.02) if i != k else level < 4
        assert gap_free(me.heard) and set(timestamp_steps(me.heard)) == {160}
    assert workers.faults() == []


def test_what_is_too_loud_behind_a_bridge_is_turned_down_not_cut_off():
    workers = Workers(1)
    a, b = workers.session(phase=1), workers.session(phase=9)
    anna = a.peer(signal=silence)
    for frequency in (400, 500, 600):
        b.peer(signal=tone(frequency, 20000))
    a.hears(b)
    workers.run(2000)
    heard = anna.audio(last_ms=1000)
    assert np.mean(np.abs(heard) > 32000) < 0.01
    levels = [level_at(heard, f) for f in (400, 500, 600)]
    assert min(levels) > 9000 and max(levels) < 1.1 * min(levels)
    assert level_at(heard, 300) < 300, "what clipping would add between them"


def test_a_bridge_neither_drifts_nor_drops():
    workers = Workers(2)
    a, b = workers.session(on=[0], phase=19), workers.session(on=[1], phase=0)
    anna, ben = a.peer(signal=silence), b.peer(signal=tone(900, 4000))
    bridged(a, b)
    workers.run(300)
    anna.clear()
    late = workers.counter("bridge_sums_late")
    workers.run(20_000)
    heard = anna.audio()
    frames = heard[: len(heard) // 160 * 160].reshape(-1, 160).astype(float)
    rms = np.sqrt(np.mean(frames**2, axis=1))
    assert rms.min() > 0.95 * np.median(rms) > 2500
    assert workers.counter("bridge_sums_late") == late
    assert ben.heard


def test_the_end_of_a_bridge_leaves_two_calls_that_are_relays_again():
    workers = Workers(2)
    a, b = workers.session(on=[0]), workers.session(on=[1])
    peers = [s.peer(signal=tone(400 + 100 * k), codec=PCMU) for s in (a, b) for k in range(2)]
    ends = bridged(a, b)
    workers.run(500)
    a.stops_hearing(ends[0])
    b.stops_hearing(ends[1])
    a.unpublish()
    b.unpublish()
    workers.run(100)
    mixed, relayed = workers.counter("mixed_packets"), workers.counter("relayed_packets")
    workers.run(500)
    assert workers.counter("mixed_packets") == mixed
    assert workers.counter("relayed_packets") - relayed == pytest.approx(100, abs=4)
    assert all(gap_free(peer.heard) for peer in peers)
    assert workers.faults() == []


def test_keys_stay_in_their_session_and_are_told_there():
    workers = Workers(1)
    a, b = workers.session(phase=1), workers.session(phase=9)
    anna, ann, ben = a.peer(signal=silence), a.peer(signal=silence), b.peer(signal=silence)
    bridged(a, b)
    workers.run(100)
    anna.talk(None)
    anna.press(4)
    workers.run(400)
    assert workers.counter("keys") == 1
    assert len(ann.presses()) == 7 and ben.presses() == []


def test_a_session_with_nobody_in_it_is_silent_behind_a_bridge():
    workers = Workers(1)
    a, b = workers.session(phase=1), workers.session(phase=9)
    anna = a.peer(signal=tone(440), codec=L16_8K)
    bridged(a, b)
    workers.run(500)
    assert len(anna.heard) >= 20 and not anna.audio().any()
