"""Sensitive keys of peers without telephone-events sound in what they say: no recording has a tone."""

from pathlib import Path

import numpy as np
import pytest
from lab import L16_16K, PCMA, PCMU, Lab, Peer, decode, level_at, silence, tone
from recorded import Recorded, frames, sound
from workers import Workers, bridged

KEY_HZ = (697, 1209)  # of key 1
LOUD = 6000
QUIET = 20  # amplitude of a tone that nobody finds
NO_EVENTS = {"events": (), "event_send": None}


def key(first: int, count: int, rate: int) -> np.ndarray:
    low, high = (tone(hz, LOUD)(first, count, rate) for hz in KEY_HZ)
    return low + high


def presser(lab: Lab, bus: int, codec: int = PCMU) -> Peer:
    """Plays key 1 all the time."""
    return lab.peer(bus, codec=codec, signal=key, **NO_EVENTS)


def levels(pcm: np.ndarray, rate: int = 8000) -> list[float]:
    return [level_at(pcm, hz, rate) for hz in KEY_HZ]


def in_pcap(path: Path, *, source: Peer | None = None, to: Peer | None = None) -> np.ndarray:
    """What was sent by a peer, or to one, as a pcap has it."""
    peer = source or to
    assert peer is not None
    found = [
        decode(peer.codec, frame.payload[12:])
        for frame in frames(path)
        if (frame.source if source else frame.destination) == peer.address
    ]
    return np.concatenate(found)


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_a_relayed_call_has_no_tone_of_a_sensitive_key_in_its_recordings(
    recorded: Recorded, codec: int
) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = presser(lab, bus, codec)
    ben = lab.peer(bus, codec=codec, signal=tone(400, LOUD))
    recorded.run(200)
    lab.media.sensitive(anna.handle, True)
    wav = recorded.start("call.wav", [anna, ben], rate_hz=8000)
    pcap = recorded.start("call.pcap", [anna, ben])
    recorded.run(2000)
    recorded.stop(pcap)
    recorded.stop(wav)
    _, (said, other) = sound(wav.path)
    assert np.abs(said).max() <= 8, "A-law has no zero"
    assert level_at(other[1600:14400], 400) == pytest.approx(LOUD, rel=0.05)
    for pcm in (in_pcap(pcap.path, source=anna), in_pcap(pcap.path, to=ben)):
        assert len(pcm) > 15000 and np.abs(pcm).max() <= 8, "silence in the place of the sound"
    assert level_at(in_pcap(pcap.path, source=ben), 400) == pytest.approx(LOUD, rel=0.05)
    assert level_at(in_pcap(pcap.path, to=anna), 400) == pytest.approx(LOUD, rel=0.05)
    assert min(levels(ben.audio(last_ms=1000))) > LOUD / 2, "who is in the call hears it"


def test_a_mixed_call_has_none_either_and_what_the_others_say_is_there(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = presser(lab, bus)
    ben = lab.peer(bus, signal=tone(400, LOUD))
    carl = lab.peer(bus, codec=L16_16K, signal=silence)
    recorded.run(200)
    lab.media.sensitive(anna.handle, True)
    wav = recorded.start("call.wav", [anna, ben, carl], rate_hz=16000, mix=True)
    pcap = recorded.start("call.pcap", [anna, ben, carl])
    recorded.run(2000)
    recorded.stop(pcap)
    recorded.stop(wav)
    rate, (mixed,) = sound(wav.path)
    assert max(levels(mixed[3200:28800], rate)) < QUIET
    assert level_at(mixed[3200:28800], 400, rate) == pytest.approx(LOUD, rel=0.05)
    for pcm in (in_pcap(pcap.path, source=anna), in_pcap(pcap.path, to=ben), in_pcap(pcap.path, to=carl)):
        assert len(pcm) > 15000 and np.abs(pcm).max() <= 8
    assert min(levels(carl.audio(last_ms=1000), 16000)) > LOUD / 2


def test_what_was_said_before_and_is_said_after_is_recorded(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna, ben = presser(lab, bus), lab.peer(bus, signal=silence)
    wav = recorded.start("call.wav", [anna], rate_hz=8000)
    pcap = recorded.start("call.pcap", [anna, ben])
    for enabled in (False, True, False):
        lab.media.sensitive(anna.handle, enabled)
        recorded.run(1000)
    recorded.stop(pcap)
    recorded.stop(wav)
    _, (said,) = sound(wav.path)
    parts = [said, in_pcap(pcap.path, source=anna), in_pcap(pcap.path, to=ben)]
    for pcm in parts:
        assert min(levels(pcm[1600:7000])) > LOUD / 2
        assert max(levels(pcm[8800:15200])) < QUIET
        assert min(levels(pcm[17000:22000])) > LOUD / 2


def test_a_peer_whose_keys_are_events_goes_on_being_recorded(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(400, LOUD))
    lab.peer(bus)
    lab.media.sensitive(anna.handle, True)
    wav = recorded.start("call.wav", [anna], rate_hz=8000)
    recorded.run(1000)
    recorded.stop(wav)
    _, (said,) = sound(wav.path)
    assert level_at(said[1600:7000], 400) == pytest.approx(LOUD, rel=0.05)


@pytest.mark.parametrize("on", [(0,), (0, 1)])
def test_beyond_a_bridge_and_on_another_worker_it_is_kept_out(tmp_path: Path, on: tuple[int, ...]) -> None:
    workers = Workers(2)
    far, near = workers.session(on=(1,)), workers.session(on=on, phase=7)
    here, _ = bridged(near, far)
    anna = far.peer(signal=key, **NO_EVENTS)
    ben = near.peer(0, signal=tone(400, LOUD))
    carl = near.peer(on[-1], signal=silence)
    workers.labs[1].media.sensitive(anna.handle, True)
    recorded = Recorded(tmp_path, workers)
    recorded.run(200)
    wav = recorded.start("call.wav", [ben], rate_hz=8000, mix=True)
    recorded.join(wav, here)
    pcap = recorded.start("call.pcap", [ben])
    recorded.run(2000)
    recorded.stop(pcap)
    recorded.stop(wav)
    recorded.close()
    _, (mixed,) = sound(wav.path)
    assert max(levels(mixed[1600:14400])) < QUIET
    assert level_at(mixed[1600:14400], 400) == pytest.approx(LOUD, rel=0.05)
    assert not in_pcap(pcap.path, to=ben).any()
    assert min(levels(ben.audio(last_ms=1000))) > LOUD / 2
    assert min(levels(carl.audio(last_ms=1000))) > LOUD / 2
    workers.labs[1].media.sensitive(anna.handle, False)
    again = recorded_bridge(tmp_path, workers, here)
    assert min(levels(again)) > LOUD / 2


def recorded_bridge(folder: Path, workers: Workers, bridge: int) -> np.ndarray:
    recorded = Recorded(folder, workers)
    wav = recorded.start("again.wav", [], rate_hz=8000)
    recorded.join(wav, bridge)
    recorded.run(1500)
    recorded.stop(wav)
    recorded.close()
    return sound(wav.path)[1][0][1600:9000]
