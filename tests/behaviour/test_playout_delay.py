"""What a mixed listener hears of a source behind a bad network: when, how much of it, and for how long."""

import numpy as np
import pytest
from lab import L16_8K, PCMA, PCMU, Lab, gap_free, level_at, silence, tone
from network import Network

RAMP_PERIOD = 4000  # samples: half a second, longer than any delay here


def ramp(first, count, rate):
    """Every sample says when it was spoken (modulo RAMP_PERIOD); never silent."""
    return ((np.arange(first, first + count) % RAMP_PERIOD) * 4 + 4000).astype(np.int16)


def listen(lab, signal=ramp, network=None, codec=L16_8K):
    """A talker behind `network`, a mute second source that makes it a mix, and one who only listens."""
    bus = lab.bus()
    anna = lab.peer(bus, codec=codec, signal=signal, network=network)
    lab.peer(bus, codec=codec, signal=silence)
    carl = lab.peer(bus, codec=codec, source=False, send_at_once=True)
    return anna, carl


def delays_ms(lab, listener, talker, last_ms=None):
    """Per heard packet: time from the speaking of its first sample to its sending; silence is left out.

    The lab's telephones send a packet at the time of its first sample: that is the origin here.
    """
    out = []
    for p in listener.heard:
        if last_ms is not None and p.at_us < lab.now_us - last_ms * 1000:
            continue
        pcm = np.frombuffer(p.payload, ">i2")
        if pcm[0] == 0 or pcm[-1] == 0:
            continue
        spoken_ms = (int(pcm[0]) - 4000) // 4 / 8
        now_ms = (p.at_us - talker.since_us) / 1000
        out.append((now_ms - spoken_ms) % (RAMP_PERIOD / 8))
    return np.array(out)


def gaps(listener, last_ms=1000):
    """Heard frames of silence."""
    pcm = listener.audio(codec=L16_8K, last_ms=last_ms // 20 * 20).reshape(-1, 160)
    return int((np.abs(pcm).max(axis=1) == 0).sum())


@pytest.mark.parametrize("phase", range(0, 20, 3))
def test_on_a_clean_network_the_delay_is_40_ms_give_or_take_half_a_packet(phase):
    lab = Lab()
    bus = lab.bus(phase=phase)
    anna = lab.peer(bus, codec=L16_8K, signal=ramp)
    lab.peer(bus, codec=L16_8K, signal=silence)
    carl = lab.peer(bus, codec=L16_8K, source=False, send_at_once=True)
    lab.run(1000)
    found = delays_ms(lab, carl, anna)
    assert len(found) > 40 and found.min() >= 30 and found.max() <= 50
    assert 30 <= anna.stats["playout_delay_ms"] <= 50
    assert anna.stats["playout_target_ms"] == 40
    assert anna.stats["concealed_ms"] == 0


def test_jitter_within_the_delay_is_not_heard(lab):
    anna, carl = listen(lab, network=Network(3, jitter_ms=30))
    lab.run(3000)
    assert gaps(carl, 2500) == 0 and anna.stats["rx_late"] == 0
    assert len(set(delays_ms(lab, carl, anna))) == 1


def test_a_lost_packet_is_20_ms_of_silence_and_is_counted(lab):
    anna, carl = listen(lab, network=Network(3, loss=0.05))
    lab.run(4000)
    lost = anna.stats["rx_lost"]
    assert lost > 4
    assert abs(gaps(carl, 3800) - lost) <= 3
    assert abs(anna.stats["concealed_ms"] // 20 - lost) <= 1
    assert len(set(delays_ms(lab, carl, anna))) == 1


def test_a_burst_of_losses_leaves_the_delay_as_it_was(lab):
    anna, carl = listen(lab, network=Network(3, loss=0.1, burst=4))
    lab.run(5000)
    assert anna.stats["rx_lost"] > 10 and len(set(delays_ms(lab, carl, anna))) == 1


def test_packets_overtaken_by_up_to_40_ms_are_played_in_their_place(lab):
    anna, carl = listen(lab, network=Network(3, reorder=0.1, reorder_ms=35))
    lab.run(4000)
    assert anna.stats["rx_reordered"] > 5 and anna.stats["rx_lost"] == 0
    assert gaps(carl, 3800) == 0
    pcm = carl.audio(codec=L16_8K, last_ms=3800)
    assert set(np.diff(pcm.astype(int))) == {4, 4 - 4 * RAMP_PERIOD}


def test_duplicates_are_heard_once(lab):
    anna, carl = listen(lab, network=Network(3, duplicate=0.3))
    lab.run(2000)
    assert anna.stats["rx_duplicate"] > 20 and gaps(carl) == 0
    assert set(np.diff(carl.audio(codec=L16_8K, last_ms=1500).astype(int))) == {4, 4 - 4 * RAMP_PERIOD}


def test_a_packet_whose_time_is_over_is_counted_late_and_not_heard(lab):
    anna, carl = listen(lab, network=Network(3, reorder=0.04, reorder_ms=150))
    lab.run(4000)
    assert anna.stats["rx_late"] == lab.drops["playout_late"] > 3
    assert gaps(carl, 3700) == pytest.approx(anna.stats["rx_late"], abs=2)
    assert len(set(delays_ms(lab, carl, anna))) == 1


def test_a_step_of_80_ms_is_followed_within_a_fifth_of_a_second(lab):
    anna, carl = listen(lab)
    lab.run(1000)
    anna.network.delay_ms = 80
    lab.run(1000)
    assert gaps(carl, 750) == 0
    found = delays_ms(lab, carl, anna, last_ms=500)
    assert found.min() >= 120 and found.max() <= 160


def test_a_step_back_is_followed_within_three_seconds(lab):
    anna, carl = listen(lab)
    lab.run(500)
    anna.network.delay_ms = 80
    lab.run(1000)
    anna.network.delay_ms = 0
    anna.network.newest_us = 0
    lab.run(3000)
    assert delays_ms(lab, carl, anna, last_ms=500).max() <= 100
    assert gaps(carl, 500) == 0


def test_a_stall_with_its_burst_is_forgotten_within_two_seconds(lab):
    anna, carl = listen(lab)
    lab.run(1000)
    anna.network.newest_us = lab.now_us + 400_000  # a stall: what is sent now arrives in one burst
    lab.run(3000)
    assert delays_ms(lab, carl, anna, last_ms=500).max() <= 100
    assert gaps(carl, 500) == 0


@pytest.mark.parametrize("jump", [2400, 100_000, 2**31 + 5, -2400, -100_000])
def test_a_jump_of_the_timestamp_is_followed_within_a_second(lab, jump):
    anna, carl = listen(lab)
    lab.run(1000)
    anna.timestamp += jump
    lab.run(2000)
    assert delays_ms(lab, carl, anna, last_ms=500).max() <= 100
    assert gaps(carl, 900) == 0


def test_a_wrap_of_the_timestamp_is_not_heard(lab):
    bus = lab.bus()
    anna = lab.peer(bus, codec=L16_8K)
    anna.timestamp = 2**32 - 4000
    anna.talk(ramp)
    lab.peer(bus, codec=L16_8K, signal=silence)
    carl = lab.peer(bus, codec=L16_8K, source=False, send_at_once=True)
    lab.run(1500)
    assert gaps(carl, 1300) == 0


@pytest.mark.parametrize("advance", [True, False], ids=["timestamp runs on", "timestamp stands still"])
@pytest.mark.parametrize("pause_ms", [60, 180, 400, 2000, 60_000])
def test_a_pause_in_sending_costs_no_more_than_its_first_packets(lab, pause_ms, advance):
    anna, carl = listen(lab)
    lab.run(600)
    anna.talk(None)
    lab.run(pause_ms)
    if advance:
        anna.pause(pause_ms)
    anna.marker = True
    carl.clear()
    anna.position = 0
    anna.talk(ramp)
    lab.run(1000)
    assert gaps(carl, 850) == 0
    assert delays_ms(lab, carl, anna, last_ms=500).max() <= 100


@pytest.mark.parametrize("seed", range(5))
def test_a_delay_that_grew_to_the_brink_is_raised_before_many_words_are_lost(lab, seed):
    anna, carl = listen(lab)
    lab.run(500)
    anna.network = Network(seed, delay_ms=33, jitter_ms=12)  # some arrive in time, some do not
    lab.run(10_000)
    assert gaps(carl, 2000) == 0
    assert 0 < anna.stats["rx_late"] < 15
    assert delays_ms(lab, carl, anna, last_ms=500).max() <= 130


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
def test_any_packet_time_is_played_without_a_gap(lab, ptime_ms):
    bus = lab.bus()
    anna = lab.peer(bus, codec=L16_8K)
    anna.ptime_ms = ptime_ms
    anna.talk(ramp)
    lab.peer(bus, codec=L16_8K, signal=silence)
    carl = lab.peer(bus, codec=L16_8K, source=False, send_at_once=True)
    lab.run(1500)
    assert gaps(carl, 1000) == 0
    assert set(np.diff(carl.audio(codec=L16_8K, last_ms=1000).astype(int))) == {4, 4 - 4 * RAMP_PERIOD}


def test_packets_shorter_than_the_lines_grain_leave_nothing_behind(lab):
    bus = lab.bus()
    anna = lab.peer(bus, codec=L16_8K)
    anna.ptime_ms = 1
    anna.talk(ramp)
    lab.peer(bus, codec=L16_8K, signal=silence)
    carl = lab.peer(bus, codec=L16_8K, source=False, send_at_once=True)
    lab.run(600)
    assert gaps(carl, 300) == 0
    anna.talk(None)
    lab.run(2000)
    assert gaps(carl, 1500) == 75


def test_a_codec_change_in_the_middle_of_a_call_is_played_on(lab):
    bus = lab.bus()
    anna = lab.peer(bus, codec=PCMU, signal=tone(440), receive=(PCMU, PCMA))
    lab.peer(bus, signal=silence)
    carl = lab.peer(bus, codec=L16_8K, source=False, send_at_once=True)
    for codec in (PCMA, PCMU, PCMA):
        lab.run(500)
        anna.codec = codec
    lab.run(500)
    assert gap_free(carl.heard)
    assert level_at(carl.audio(last_ms=300), 440) == pytest.approx(8000, rel=0.03)
    assert gaps(carl, 1700) <= 9


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_sender_clock_that_is_off_for_an_hour_neither_grows_the_delay_nor_loses_words(ppm):
    from lab import rtp

    lab = Lab(endpoints=8)
    bus = lab.bus(phase=7)
    anna = lab.peer(bus, codec=L16_8K)
    lab.peer(bus, codec=L16_8K)
    lab.peer(bus, codec=L16_8K, source=False, send_at_once=True)
    media = lab.media
    payload = ramp(0, 160, 8000).astype(">i2").tobytes()
    interval_us = 20_000 * (1 - ppm * 1e-6)
    start_us = lab.now_us
    worst_ms, n, tick_us = 0.0, 0, start_us // 20_000 * 20_000 + 27_000
    end_us = start_us + 3600 * 1_000_000
    minute = 0
    while tick_us < end_us:
        while (at := start_us + int(n * interval_us)) <= tick_us:
            media.feed(anna.handle, rtp(96, n, n * 160, 7, payload), anna.address, at)
            n += 1
        media.step(tick_us)
        if tick_us // 60_000_000 != minute:
            minute = tick_us // 60_000_000
            media.sent()
            if n > 500:
                worst_ms = max(worst_ms, media.stats(anna.handle)["playout_delay_ms"])
        tick_us += 20_000
    stats = media.stats(anna.handle)
    assert stats["rx_packets"] == n and lab.counters["ticks"] > 179_000
    assert worst_ms <= 100
    drift_frames = 3600 * 200e-6 / 0.02  # what a perfect listener must leave out or add: 36
    assert stats["rx_late"] + stats["concealed_ms"] / 20 <= 4 * drift_frames
    assert lab.counters["playout_resyncs"] <= 2 * drift_frames
