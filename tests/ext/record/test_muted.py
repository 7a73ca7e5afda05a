"""Who is muted in a room is heard in no recording of it."""

import numpy as np
import pytest
from lab import L16_8K, level_at, tone
from recorded import Recorded, frames, sound

RATE = 8000


@pytest.mark.parametrize("roles", [False, True])
def test_a_muted_voice_is_silence_in_recordings_and_is_back_afterwards(
    recorded: Recorded, roles: bool
) -> None:
    lab = recorded.lab
    room = lab.room(roles=roles)
    anna = lab.member(room, signal=tone(400, 6000), seat={"role": 1})
    ben = lab.member(room, signal=tone(700, 6000), seat={"role": 2, "hears": 0b100})
    recorded.run(200)
    wav = recorded.start("room.wav", [anna, ben], rate_hz=RATE)
    pcap = recorded.start("room.pcap", [anna, ben])
    recorded.run(1000)
    lab.media.seat(room, anna.handle, role=1, speaks=False)
    recorded.run(1000)
    lab.media.seat(room, anna.handle, role=1)
    recorded.run(1000)
    recorded.stop(pcap)
    recorded.stop(wav)
    _, (said, other) = sound(wav.path)
    second = [slice(RATE * i + 1000, RATE * (i + 1) - 1000) for i in range(3)]
    assert [round(level_at(said[part], 400) / 6000, 1) for part in second] == [1, 0, 1]
    assert not np.any(said[second[1]])
    assert level_at(other, 700) == pytest.approx(6000, rel=0.05)
    packets = [frame.payload[12:] for frame in frames(pcap.path) if frame.source == anna.address]
    silent = sum(not any(payload) for payload in packets)
    assert anna.codec == L16_8K and silent == pytest.approx(50, abs=2) and len(packets) >= 148
