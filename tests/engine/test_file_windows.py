"""Files that are not kept in memory as a whole: a window moves over them, and nobody hears it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lab_worker import (
    RATE,
    LabWorker,
    counters,
    create,
    gauges,
    heard,
    listener,
    noise,
    nothing_is_held,
    reply_kind,
)

from roomtone.engine import messages as m

Make = Callable[..., str]


def test_of_a_long_file_only_a_window_is_held_and_no_sample_is_missing(lab: LabWorker, wav: Make) -> None:
    pcm = noise(300)
    path = wav(pcm)
    ears = [listener(lab, session) for session in ("s", "t")]
    assert lab.do(create(path)) == m.FileCreated(duration_ms=300_000)
    lab.do(create(path, "g", session="t", start_ms=200_000))
    most = 0.0
    for _ in range(10):
        lab.run(3000)
        most = max(most, gauges(lab)["file_bytes"])
    assert most <= 2 * 12 * 49_152
    assert counters(lab)["file_underruns"] == 0
    for ear, start in zip(ears, (0, 200 * RATE), strict=True):
        audio = ear.audio()
        begin = int(np.flatnonzero(audio)[0]) // 160 * 160
        assert len(audio) - begin > 29 * RATE
        assert np.array_equal(audio[begin:], pcm[start : start + len(audio) - begin])
    for endpoint in "fg":
        lab.do(m.RemoveEndpoint(endpoint))
    assert nothing_is_held(lab)


def test_a_long_file_begins_again_without_a_gap(lab: LabWorker, wav: Make) -> None:
    pcm = noise(130.3)
    ear = listener(lab)
    lab.do(create(wav(pcm), start_ms=126_000, loop_count=None))
    lab.run(10_000)
    audio = ear.audio()
    begin = int(np.flatnonzero(audio)[0]) // 160 * 160
    expected = np.concatenate([pcm[126 * RATE :], pcm])[: len(audio) - begin]
    assert np.array_equal(audio[begin:], expected) and len(expected) > 9 * RATE
    assert counters(lab)["file_underruns"] == 0


@pytest.mark.parametrize(("seconds", "tracks"), [(20.0, 1), (200.0, 0)])
def test_a_file_that_does_not_tell_its_length_is_kept_unless_it_proves_long(
    lab: LabWorker, wav: Make, seconds: float, tracks: int
) -> None:
    pcm = noise(seconds)
    path = Path(wav(pcm, "a.flac"))
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO: no number of samples, as in a FLAC that was made as a stream
    data[22:26] = bytes(4)
    path.write_bytes(data)
    ear = listener(lab)
    start_ms = int(seconds * 1000) - 8000
    assert lab.do(create(str(path), start_ms=start_ms)) == m.FileCreated(duration_ms=None)
    lab.run(12_000)
    assert heard(ear, pcm[start_ms * 8 :])
    assert counters(lab)["file_underruns"] == 0
    lab.do(m.RemoveEndpoint("f"))
    assert nothing_is_held(lab, tracks=tracks)


def test_a_seek_in_a_long_file_is_answered_when_what_is_there_is_decoded(lab: LabWorker, wav: Make) -> None:
    pcm = noise(200)
    ear = listener(lab)
    lab.do(create(wav(pcm)))
    lab.run(500)
    n = lab.bench.post(m.SeekFile(endpoint="f", position_ms=150_000))
    lab.bench.turn()
    assert lab.bench.reply(n) is None
    lab.run(1000)
    assert lab.bench.reply(n) == m.Done()
    audio = ear.audio()
    there = pcm[150 * RATE :][:160]
    jump = next(at for at in range(0, len(audio), 160) if np.array_equal(audio[at : at + 160], there))
    assert np.array_equal(audio[jump:], pcm[150 * RATE : 150 * RATE + len(audio) - jump])
    begin = int(np.flatnonzero(audio)[0]) // 160 * 160
    assert np.array_equal(audio[begin:jump], pcm[: jump - begin])
    assert counters(lab)["file_underruns"] == 0


def test_a_second_seek_and_an_end_settle_one_that_waits(lab: LabWorker, wav: Make) -> None:
    lab.do(create(wav(200.0)))
    first = lab.bench.post(m.SeekFile(endpoint="f", position_ms=100_000))
    second = lab.bench.post(m.SeekFile(endpoint="f", position_ms=150_000))
    third = lab.bench.post(m.RemoveEndpoint("f"))
    lab.take_facts()
    lab.run(40)
    assert [reply_kind(lab, n) for n in (first, second, third)] == [
        "ENDPOINT_ERROR",
        "ENDPOINT_ERROR",
        "Done",
    ]
    assert nothing_is_held(lab)
