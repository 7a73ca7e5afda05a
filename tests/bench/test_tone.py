"""Who is heard: the right voices pass, a missing one, an echo and a stranger are found."""

import numpy as np
import pytest

from roomtone.bench.load import tone
from roomtone.bench.load.payload import FORMATS, decode, encode

PCMU = FORMATS["PCMU"]
LOOPS = 4  # of 500 ms


def voice(fmt, talkers, talker, room=0, frames_late=0):
    """What a talker's packets decode to, `frames_late` frames behind the others."""
    pcm = np.tile(tone.speech(fmt, talkers, talker, room), LOOPS)
    return np.roll(decode(fmt, encode(fmt, pcm)).astype(np.int64), frames_late * fmt.samples)


def mix(fmt, talkers, voices, room=0, late=lambda talker: 0):
    """The sum as it comes out of a codec."""
    total = sum(voice(fmt, talkers, t, room, late(t)) for t in voices)
    assert np.abs(total).max() < 32767, "the mix clips"
    return decode(fmt, encode(fmt, total.astype(np.int16)))


def heard(fmt, talkers, voices, member, room=0, **kinds):
    found = tone.faults(
        tone.spectrum(mix(fmt, talkers, voices, room, **kinds), fmt.rate_hz), talkers, room, member
    )
    return [(f.kind, f.hz) for f in found]


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize("talkers", [2, 3, 10, 50])
def test_everybody_but_oneself_is_right(codec, talkers):
    fmt = FORMATS[codec]
    for member in (0, talkers - 1):
        assert heard(fmt, talkers, set(range(talkers)) - {member}, member) == []


def test_a_room_of_200_talkers_is_right_though_they_are_frames_apart():
    offsets = np.random.default_rng(5).integers(0, 3, 200)
    assert heard(PCMU, 200, set(range(200)) - {7}, 7, late=lambda t: int(offsets[t])) == []


@pytest.mark.parametrize("talkers", [2, 3, 10, 50, 200])
def test_a_missing_talker_is_found(talkers):
    gone = talkers - 1
    voices = set(range(talkers)) - {gone, 0}
    assert heard(PCMU, talkers, voices | {0}, -1) == [("missing", int(tone.frequencies(talkers)[gone]))]


@pytest.mark.parametrize("talkers", [2, 3, 10, 50, 200])
def test_the_own_voice_is_found(talkers):
    assert heard(PCMU, talkers, set(range(talkers)), 1) == [("echo", int(tone.frequencies(talkers)[1]))]


def test_a_faint_echo_is_found():
    fmt = PCMU
    total = sum(voice(fmt, 3, t) for t in (0, 2)) + voice(fmt, 3, 1) // 5
    pcm = decode(fmt, encode(fmt, total.astype(np.int16)))
    found = tone.faults(tone.spectrum(pcm, fmt.rate_hz), 3, 0, 1)
    assert [f.kind for f in found] == ["echo"]


def test_a_voice_from_the_next_room_is_found():
    pcm = (voice(PCMU, 3, 1, room=0) + voice(PCMU, 3, 2, room=1)).astype(np.int16)
    kinds = {f.kind for f in tone.faults(tone.spectrum(pcm, 8000), 3, 0, 0)}
    assert kinds == {"missing", "stranger"}


def test_silence_misses_everybody():
    found = tone.faults(tone.spectrum(np.zeros(8000, dtype=np.int16), 8000), 3, 0, 5)
    assert [f.kind for f in found] == ["missing"] * 3


@pytest.mark.parametrize("talkers", [1, 3, 10, 50, 200, 310])
def test_tones_of_a_room_differ_and_fit_the_telephone_band(talkers):
    for room in range(tone.ROOM_SHIFTS):
        hz = tone.frequencies(talkers, room)
        assert len(set(hz.tolist())) == talkers
        assert hz.min() >= tone.LOWEST_HZ
        assert hz.max() <= tone.HIGHEST_HZ
        assert not (hz % tone.GRID_HZ).any()


def test_more_talkers_than_tones_are_refused():
    with pytest.raises(ValueError, match="told apart"):
        tone.frequencies(311)


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize("talkers", [1, 3, 50])
def test_markers_are_found_where_they_are(codec, talkers):
    fmt = FORMATS[codec]
    shift = 37
    pcm = np.roll(mix(fmt, talkers, range(talkers)), shift)
    period = tone.MARKER_FRAMES * fmt.samples
    found = tone.find_markers(pcm, fmt)
    assert [at - shift for at in found] == [i * period for i in range(LOOPS)]


def test_without_talker_0_there_is_no_marker():
    assert tone.find_markers(mix(PCMU, 3, (1, 2)), PCMU) == []


def test_a_spectrum_needs_100_ms():
    with pytest.raises(ValueError, match="100 ms"):
        tone.spectrum(np.zeros(700, dtype=np.int16), 8000)
