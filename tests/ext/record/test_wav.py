"""What is heard in a recorded call stands in the WAV: who said it, when, how loud."""

from pathlib import Path

import numpy as np
import pytest
from lab import L16_16K, PCMA, PCMU, level_at, snr_db, tone
from network import Network
from recorded import Recorded, sound
from workers import Workers, bridged

from roomtone.ext.dsp import tone as tones

LOUD = 8000


def settled(pcm: np.ndarray, rate: int, from_ms: int, to_ms: int) -> np.ndarray:
    return pcm[from_ms * rate // 1000 : to_ms * rate // 1000]


def test_each_leg_has_its_own_channel(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    ben = lab.peer(bus, signal=tone(1000, LOUD), codec=PCMA)
    recording = recorded.start("call.wav", [anna, ben], rate_hz=8000)
    recorded.run(2000)
    counts = recorded.stop(recording)
    rate, (left, right) = sound(recording.path)
    assert rate == 8000
    for channel, own, other in ((left, 440, 1000), (right, 1000, 440)):
        said = settled(channel, rate, 200, 1800)
        assert level_at(said, own) == pytest.approx(LOUD, rel=0.02)
        assert level_at(said, other) < 30
    assert counts["packets"] == len(anna.spoken) + len(ben.spoken) and not any(counts["lost"].values())
    assert len(left) / rate == pytest.approx(2.0, abs=0.05)


def test_what_is_said_is_kept_sample_for_sample_in_spite_of_jitter_and_reordering(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    noise = np.random.default_rng(1).normal(0, 3000, 80000).astype(np.int16)
    network = Network(seed=3, delay_ms=20, jitter_ms=60, reorder=0.05, reorder_ms=90)
    anna = lab.peer(bus, signal=lambda first, count, rate: noise[first : first + count], network=network)
    lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(3000)
    counts = recorded.stop(recording)
    _, (heard,) = sound(recording.path)
    spoken = np.concatenate(anna.spoken)
    begin = int(np.argmax(heard != 0))
    first = int(np.argmax(spoken != 0))
    kept = heard[begin : begin + 20000]
    assert np.array_equal(kept, spoken[first : first + len(kept)])
    assert counts["lost"]["late"] == 0


def test_a_packet_lost_on_the_way_is_silence_of_its_length(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(1000)
    anna.talk(None)
    anna.pause(200)
    recorded.run(200)
    anna.talk(tone(440, LOUD))
    recorded.run(1000)
    recorded.stop(recording)
    _, (heard,) = sound(recording.path)
    quiet = heard == 0
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], quiet, [0])))))[::2]
    assert max(runs[1:]) == pytest.approx(1600, abs=4)


def test_who_joins_later_begins_with_silence_in_a_channel_of_its_own(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(1500)
    ben = lab.peer(bus, signal=tone(1000, LOUD))
    recorded.join(recording, ben.handle)
    recorded.run(1500)
    recorded.stop(recording)
    rate, (first, second) = sound(recording.path)
    assert level_at(settled(first, rate, 200, 2800), 440) == pytest.approx(LOUD, rel=0.02)
    assert not settled(second, rate, 0, 1490).any()
    assert level_at(settled(second, rate, 1700, 2800), 1000) == pytest.approx(LOUD, rel=0.02)
    assert sorted(p.name for p in recording.path.parent.iterdir()) == ["call.wav"]


def test_who_leaves_is_silent_from_then_on(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440, LOUD)), lab.peer(bus, signal=tone(1000, LOUD))
    recording = recorded.start("call.wav", [anna, ben], rate_hz=8000)
    recorded.run(1000)
    recorded.leave(recording, ben.handle)
    recorded.run(1000)
    recorded.stop(recording)
    rate, (first, second) = sound(recording.path)
    assert level_at(settled(second, rate, 200, 900), 1000) == pytest.approx(LOUD, rel=0.02)
    assert not settled(second, rate, 1050, 2000).any()
    assert level_at(settled(first, rate, 1100, 1900), 440) == pytest.approx(LOUD, rel=0.02)


def test_a_mono_mix_has_everybody_and_is_limited_not_clipped(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    peers = [lab.peer(bus, signal=tone(hz, 20000)) for hz in (440, 1000, 1700)]
    recording = recorded.start("call.wav", peers, rate_hz=8000, mix=True)
    recorded.run(2000)
    recorded.stop(recording)
    rate, channels = sound(recording.path)
    assert len(channels) == 1
    said = settled(channels[0], rate, 500, 1800)
    levels = [level_at(said, hz) for hz in (440, 1000, 1700)]
    assert min(levels) > 8000 and max(levels) / min(levels) < 1.05
    assert level_at(said, 880) < 200


def test_a_wide_recording_holds_both_rates(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    wide = lab.peer(bus, codec=L16_16K, signal=tone(6000, LOUD))
    narrow = lab.peer(bus, codec=PCMU, signal=tone(1000, LOUD))
    recording = recorded.start("call.wav", [wide, narrow], rate_hz=16000)
    recorded.run(2000)
    recorded.stop(recording)
    rate, (first, second) = sound(recording.path)
    assert rate == 16000
    assert level_at(settled(first, rate, 200, 1800), 6000, rate) == pytest.approx(LOUD, rel=0.02)
    said = settled(second, rate, 200, 1800)
    assert level_at(said, 1000, rate) == pytest.approx(LOUD, rel=0.03)
    assert level_at(said, 7000, rate) < 30


def test_a_tone_is_recorded_as_it_is_played_and_the_next_one_takes_its_channel(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(300, LOUD))
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    for hz in (700.0, 1300.0):
        handle = lab.media.endpoint_take()
        lab.media.tone_open(handle, kind=tones.SINE, frequency_hz=hz, duration_ms=-1)
        recorded.join(recording, handle, made_here=True)
        lab.media.source_add(bus, handle)
        recorded.run(1000)
        recorded.leave(recording, handle)
        lab.media.endpoint_close(handle)
        recorded.run(200)
    recorded.stop(recording)
    rate, (said, played) = sound(recording.path)
    assert level_at(settled(said, rate, 200, 2000), 300) == pytest.approx(LOUD, rel=0.02)
    loud = level_at(settled(played, rate, 200, 900), 700)
    assert loud > 1000
    assert level_at(settled(played, rate, 1400, 2100), 1300) == pytest.approx(loud, rel=0.02)
    steps = np.abs(np.diff(settled(played, rate, 200, 900).astype(int)))
    assert steps.max() < 2 * np.pi * 700 / 8000 * loud * 1.1, "frames join without a click"


def test_what_was_heard_is_in_the_file_within_a_second(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(3000)
    file = np.frombuffer(recording.path.read_bytes()[44:], "<i2")
    assert len(file) >= 2 * 8000
    assert level_at(file[1600:16000], 440) == pytest.approx(LOUD, rel=0.02)
    recorded.stop(recording)


def test_whenever_it_is_cut_off_the_file_plays_all_but_the_last_seconds(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    for turn in range(1, 50):
        recorded.run(100)
        _, (heard,) = sound(recording.path)
        assert len(heard) / 8000 > turn * 0.1 - 2.0
    recorded.stop(recording)


def test_a_silent_call_is_a_silent_file_of_its_length(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    recording = recorded.start("call.wav", [lab.peer(bus), lab.peer(bus)], rate_hz=8000)
    recorded.run(5000)
    counts = recorded.stop(recording)
    _, channels = sound(recording.path)
    assert len(channels) == 2 and not channels.any()
    assert channels.shape[1] == pytest.approx(40000, abs=320)
    assert counts["packets"] == 0


def test_a_caller_whose_time_line_jumps_is_put_where_he_is_heard(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(1000)
    anna.timestamp += 8000 * 3600
    recorded.run(1000)
    counts = recorded.stop(recording)
    rate, (heard,) = sound(recording.path)
    assert level_at(settled(heard, rate, 1100, 1900), 440) == pytest.approx(LOUD, rel=0.02)
    assert not any(counts["lost"].values())
    assert len(heard) == pytest.approx(16000, abs=400)


def test_packets_of_any_length_fit_together(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440, LOUD))
    anna.ptime_ms = 60.0
    lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(2000)
    recorded.stop(recording)
    rate, (heard,) = sound(recording.path)
    said = settled(heard, rate, 300, 1700)
    t = np.arange(len(said)) / rate
    fit = np.column_stack([np.sin(2 * np.pi * 440 * t), np.cos(2 * np.pi * 440 * t)])
    best = fit @ np.linalg.lstsq(fit, said.astype(float), rcond=None)[0]
    assert snr_db(said, best) > 30


@pytest.mark.parametrize("far_worker", [0, 1])
def test_what_a_bridge_brings_has_a_channel_of_its_own(tmp_path: Path, far_worker: int) -> None:
    workers = Workers(2)
    near, far = workers.session(on=(0,)), workers.session(on=(far_worker,), phase=7)
    here, _ = bridged(near, far)
    ben = near.peer(signal=tone(440, LOUD))
    for hz in (700, 1300):
        far.peer(signal=tone(hz, LOUD // 2))
    recorded = Recorded(tmp_path, workers)
    recording = recorded.start("call.wav", [ben], rate_hz=8000)
    recorded.join(recording, here)
    recorded.run(2000)
    recorded.stop(recording)
    recorded.close()
    rate, (said, brought) = sound(recording.path)
    said, brought = settled(said, rate, 300, 1800), settled(brought, rate, 300, 1800)
    assert level_at(said, 440) == pytest.approx(LOUD, rel=0.02) and level_at(said, 700) < 30
    for hz in (700, 1300):
        assert level_at(brought, hz) == pytest.approx(LOUD // 2, rel=0.03)
    assert level_at(brought, 440) < 30, "the session's own voice does not come back over the bridge"
