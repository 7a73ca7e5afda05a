"""What is heard while a recording is paused is not in it, and what is in it has no hole there."""

import numpy as np
import pytest
from lab import level_at, tone
from recorded import Recorded, frames, sound

LOUD = 8000
SPOKEN_HZ, PAUSED_HZ, RESUMED_HZ = 440, 1000, 1500


def changing(*parts):
    """Tones one after the other: (until when in ms, Hz)."""

    def signal(first: int, count: int, rate: int) -> np.ndarray:
        at_ms = first * 1000 // rate
        hz = next(hz for until_ms, hz in parts if at_ms < until_ms)
        return tone(hz, LOUD)(first, count, rate)

    return signal


SIGNAL = changing((2000, SPOKEN_HZ), (5000, PAUSED_HZ), (1 << 30, RESUMED_HZ))


def paused_once(recorded: Recorded, name: str, rate_hz: int, *, mix: bool = False):
    """Two seconds, a pause of three, and two seconds; the recording, its counts, the packets of each part."""
    bus = recorded.lab.bus()
    anna = recorded.lab.peer(bus, signal=SIGNAL)
    recorded.lab.peer(bus, signal=tone(300, 0))
    recording = recorded.start(name, [anna], rate_hz=rate_hz, mix=mix)
    said = [0]
    for ms, then in ((2000, True), (3000, False), (2000, None)):
        recorded.run(ms)
        said.append(len(anna.spoken))
        if then is not None:
            recorded.pause(recording, then)
    counts = recorded.stop(recording)
    return recording, counts, list(np.diff(said))


@pytest.mark.parametrize("mix", [False, True])
def test_no_time_passes_in_a_wav(recorded: Recorded, mix: bool) -> None:
    recording, counts, said = paused_once(recorded, "call.wav", 8000, mix=mix)
    rate, (heard,) = sound(recording.path)
    assert len(heard) / rate == pytest.approx(4.0, abs=0.05)
    before, after = heard[rate // 2 : rate * 19 // 10], heard[rate * 21 // 10 : rate * 39 // 10]
    assert level_at(before, SPOKEN_HZ) == pytest.approx(LOUD, rel=0.02)
    assert level_at(after, RESUMED_HZ) == pytest.approx(LOUD, rel=0.02)
    assert level_at(heard, PAUSED_HZ) < 200  # 20 ms of it at most
    joint = np.abs(heard[rate * 19 // 10 : rate * 21 // 10].astype(int)).reshape(-1, 40).max(axis=1)
    assert joint.min() > LOUD / 4  # nothing is missing there
    assert counts["packets"] == pytest.approx(said[0] + said[2], abs=1)
    assert not any(counts["lost"].values())


def test_no_packet_of_a_pause_is_in_a_pcap(recorded: Recorded) -> None:
    recording, counts, said = paused_once(recorded, "call.pcap", 0)
    times = [packet.at_us for packet in frames(recording.path)]
    gaps = np.diff(times)
    assert gaps.max() == pytest.approx(3_000_000, abs=60_000)
    assert np.sort(gaps)[-2] < 60_000
    assert counts["packets"] == len(times) and not any(counts["lost"].values())
    assert said[1] > 100


def test_what_ends_in_a_pause_ends_where_that_began(recorded: Recorded) -> None:
    bus = recorded.lab.bus()
    anna = recorded.lab.peer(bus, signal=SIGNAL)
    recorded.lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(2000)
    recorded.pause(recording, True)
    recorded.run(4000)
    recorded.stop(recording)
    rate, (heard,) = sound(recording.path)
    assert len(heard) / rate == pytest.approx(2.0, abs=0.05)
    assert level_at(heard[rate // 2 : rate * 19 // 10], SPOKEN_HZ) == pytest.approx(LOUD, rel=0.02)


def test_pauses_add_up_and_who_joins_in_one_is_heard_after_it(recorded: Recorded) -> None:
    bus = recorded.lab.bus()
    anna = recorded.lab.peer(bus, signal=tone(440, LOUD))
    recorded.lab.peer(bus)
    recording = recorded.start("call.wav", [anna], rate_hz=8000)
    for _ in range(4):
        recorded.run(500)
        recorded.pause(recording, True)
        recorded.run(350)
        recorded.pause(recording, False)
    recorded.pause(recording, True)
    ben = recorded.lab.peer(bus, signal=tone(1000, LOUD))
    recorded.join(recording, ben.handle)
    recorded.run(2000)
    recorded.pause(recording, False)
    recorded.run(1000)
    counts = recorded.stop(recording)
    rate, (left, right) = sound(recording.path)
    assert len(left) / rate == pytest.approx(3.0, abs=0.1)
    assert not right[: 19 * rate // 10].any()
    assert level_at(right[22 * rate // 10 : 29 * rate // 10], 1000) == pytest.approx(LOUD, rel=0.02)
    assert level_at(left[22 * rate // 10 : 29 * rate // 10], 440) == pytest.approx(LOUD, rel=0.02)
    assert not any(counts["lost"].values())
