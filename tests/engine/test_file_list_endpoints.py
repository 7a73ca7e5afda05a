"""Lists of files, their loudness and their place, as control asks for them and listeners hear them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lab_worker import RATE, LabWorker, counters, create, heard, listener, noise, nothing_is_held, reply_kind

from roomtone.engine import messages as m

Make = Callable[..., str]


def queue(path: str, endpoint: str = "f", **values: Any) -> m.QueueFile:
    return m.QueueFile(endpoint=endpoint, path=path, key=path, **values)


def sine(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    return np.round(8000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


# -- lists -----------------------------------------------------------------------------------------------


def test_the_parts_of_a_file_are_heard_as_the_whole_and_told_as_one(lab: LabWorker, wav: Make) -> None:
    pcm = noise(4.0)
    parts = [wav(part, f"{n}.wav") for n, part in enumerate(np.split(pcm, [10_001, 10_100, 25_000]))]
    ear = listener(lab)
    assert lab.do(create(parts[0], more=True)) == m.FileCreated(duration_ms=1250)
    for path, ms, more in zip(parts[1:], (12, 1862, 875), (True, True, False), strict=True):
        assert lab.do(queue(path, more=more)) == m.FileCreated(duration_ms=ms)
    lab.run(5000)
    assert heard(ear, pcm)
    started, *others = lab.bench.events()
    assert isinstance(started, m.FileStarted)
    assert others == [
        *(m.FileNext(session="s", endpoint="f", item=item) for item in (1, 2, 3)),
        m.FileFinished(session="s", endpoint="f", reason="completed", item=3),
    ]
    assert counters(lab)["file_underruns"] == 0


def test_a_list_of_several_rates_goes_on_without_a_gap(lab: LabWorker, wav: Make) -> None:
    ear = listener(lab)
    lab.do(create(wav(sine(1.0, 8000), "a.wav"), more=True))
    lab.do(queue(wav(sine(1.0, 44_100), "b.wav", rate=44_100), more=True))
    lab.do(queue(wav(sine(1.0, 16_000), "c.wav", rate=16_000)))
    lab.run(4000)
    audio = ear.audio()[: 3 * RATE].astype(float)
    expected = np.tile(sine(1.0, RATE), 3)  # 440 whole periods a second
    assert np.abs(audio - expected).max() < 500  # at the joints filters see an edge
    assert np.sqrt(np.mean((audio - expected) ** 2)) < 10


def test_long_files_of_a_list_are_there_in_time_and_only_a_window_of_them(
    make_lab: Callable[..., LabWorker], wav: Make
) -> None:
    lab = make_lab(file_chunks=60)
    pcm = [noise(130.0), noise(131.0)]
    ear = listener(lab)
    lab.do(create(wav(pcm[0], "a.wav"), more=True, loop_count=1))
    lab.do(m.SeekFile(endpoint="f", position_ms=128_000))
    lab.do(queue(wav(pcm[1], "b.wav")))
    lab.run(5000)
    played = np.concatenate([pcm[0][128 * RATE :], pcm[1]])
    audio = ear.audio()
    begun = int(np.flatnonzero(audio == played[0])[0])
    assert np.array_equal(audio[begun + RATE :], played[RATE:][: len(audio) - begun - RATE])
    assert counters(lab)["file_underruns"] == 0
    lab.do(m.SeekFile(endpoint="f", position_ms=130_000))
    ear.clear()
    lab.run(3000)
    again = np.concatenate([pcm[1][130 * RATE :], pcm[0]])
    assert np.array_equal(ear.audio()[160:][: 2 * RATE], again[160:][: 2 * RATE])
    assert counters(lab)["file_underruns"] == 0
    lab.do(m.RemoveEndpoint("f"))
    assert nothing_is_held(lab)


def test_a_list_needs_no_more_room_than_what_is_played_and_what_comes_next(
    make_lab: Callable[..., LabWorker], wav: Make
) -> None:
    lab = make_lab(file_chunks=30)
    pcm = np.split(noise(50.0), 5)
    paths = [wav(part, f"{n}.wav") for n, part in enumerate(pcm)]
    ear = listener(lab)
    lab.do(create(paths[0], more=True))
    for path in paths[1:]:
        assert lab.do(queue(path, more=path != paths[-1])) == m.FileCreated(duration_ms=10_000)
        while not any(isinstance(event, m.FileNext) for event in lab.bench.events()):
            lab.run(500)
    lab.run(11_000)
    assert heard(ear, np.concatenate(pcm))
    lab.do(m.RemoveEndpoint("f"))
    assert nothing_is_held(lab, tracks=2)


def test_what_comes_late_is_waited_for_in_silence(lab: LabWorker, wav: Make) -> None:
    first, second = noise(0.5), noise(0.7)[::-1].copy()
    ear = listener(lab)
    lab.do(create(wav(first, "a.wav"), more=True))
    lab.run(1500)
    place = lab.do(m.AskFile("f"))
    assert (place.item, place.position_ms, place.decoded_ms) == (0, 500, 500)
    assert place.underruns > 40
    silent = len(ear.audio())
    lab.do(queue(wav(second, "b.wav")))
    lab.run(1500)
    assert heard(
        ear, np.concatenate([first, np.zeros(_silence(ear.audio(), first, silent), np.int16), second])
    )
    assert [type(event).__name__ for event in lab.bench.events()] == [
        "FileStarted",
        "FileNext",
        "FileFinished",
    ]


def test_a_list_that_was_to_go_on_can_be_ended(lab: LabWorker, wav: Make) -> None:
    pcm = noise(0.5)
    ear = listener(lab)
    lab.do(create(wav(pcm, "a.wav"), more=True, loop_count=1))
    lab.run(1000)
    assert lab.do(m.EndList("f")) == lab.do(m.EndList("f")) == m.Done()
    assert lab.do(queue(wav(pcm, "b.wav"))).code == "ENDPOINT_ERROR"
    lab.run(1000)
    assert len(np.flatnonzero(ear.audio())) == 2 * len(np.flatnonzero(pcm))
    assert lab.bench.events()[-1] == m.FileFinished(session="s", endpoint="f", reason="completed")


def test_a_file_that_is_made_paused_begins_with_its_first_sample_when_it_is_resumed(
    lab: LabWorker, wav: Make
) -> None:
    pcm = noise(1.0)
    ear = listener(lab)
    lab.do(create(wav(pcm, "a.wav"), paused=True))
    lab.run(500)
    assert not ear.audio().any()
    assert lab.bench.events() == []
    lab.do(m.ResumeFile("f"))
    lab.run(1500)
    assert heard(ear, pcm)
    assert [type(event).__name__ for event in lab.bench.events()] == ["FileStarted", "FileFinished"]


def _silence(audio: np.ndarray, first: np.ndarray, silent: int) -> int:
    """Samples between the end of the first and the beginning of the second."""
    return (
        int(silent + np.flatnonzero(audio[silent:])[0] - np.flatnonzero(audio)[0] - len(first)) // 160 * 160
    )


def test_what_cannot_follow_is_refused_and_the_list_stays_as_it_was(lab: LabWorker, wav: Make) -> None:
    good, bad = wav(1.0), wav(0.1, "bad.wav")
    with open(bad, "wb") as file:
        file.write(b"<!doctype html>")
    lab.do(create(good, "alone"))
    assert lab.do(queue(good, "alone")).code == "ENDPOINT_ERROR"
    assert lab.do(create(good, "shared", more=True, shared=True)).code == "INVALID_PARAMS"
    pcm = noise(1.0)
    listener(lab)
    lab.do(create(good, more=True))
    refused = lab.do(queue(bad, more=True))
    assert (refused.code, refused.detail) == ("ENDPOINT_ERROR", "unsupported_media")
    numbers = [lab.bench.post(queue(good)) for _ in range(2)]
    lab.take_facts()
    lab.run(40)
    assert [reply_kind(lab, n) for n in numbers] == ["FileCreated", "ENDPOINT_ERROR"]
    lab.run(3000)
    last = [event for event in lab.bench.events() if event.endpoint == "f"][-1]
    assert last == m.FileFinished(session="s", endpoint="f", reason="completed", item=1)
    assert len(pcm) == RATE


def test_a_file_that_waits_for_its_next_can_be_removed(lab: LabWorker, wav: Make) -> None:
    lab.do(create(wav(1.0), more=True))
    numbers = [lab.bench.post(body) for body in (queue(wav(1.0, "b.wav")), m.RemoveEndpoint("f"))]
    lab.take_facts()
    lab.run(60)
    assert [reply_kind(lab, n) for n in numbers] == ["ENDPOINT_ERROR", "Done"]
    assert nothing_is_held(lab, tracks=1)


def test_where_a_list_breaks_is_told(lab: LabWorker, wav: Make) -> None:
    broken = wav(5.0, "b.flac")
    os.truncate(broken, os.path.getsize(broken) * 3 // 5)
    lab.do(create(wav(0.3), more=True, loop_count=None))
    assert lab.do(queue(broken, more=True)) == m.FileCreated(duration_ms=5000)
    lab.run(5000)
    last = lab.bench.events()[-1]
    assert isinstance(last, m.FileFinished)
    assert (last.reason, last.code, last.item) == ("error", "decode_error", 1)


# -- loudness and place ----------------------------------------------------------------------------------


def test_a_gain_is_heard_at_once_and_without_a_click(lab: LabWorker, wav: Make) -> None:
    ear = listener(lab)
    lab.do(create(wav(sine(5.0, 8000))))
    for gain_db, peak in ((-20.0, 800), (None, 0), (-6.0, 4010), (0.0, 8000)):
        assert lab.do(m.SetFileGain(endpoint="f", gain_db=gain_db)) == m.Done()
        lab.run(400)
        assert np.abs(ear.audio(last_ms=200)).max() == pytest.approx(peak, rel=0.02)
    bends = np.abs(np.diff(ear.audio()[1000:].astype(int), 2))
    assert bends.max() < 2 * np.abs(np.diff(sine(1.0, 8000).astype(int), 2)).max()


@pytest.mark.parametrize(
    "body",
    [
        m.SetFileGain(endpoint="f", gain_db=60.5),
        m.SetFileGain(endpoint="f", gain_db=float("nan")),
        m.SetFileGain(endpoint="f", gain_db=0.0, ramp_ms=-1),
        m.SetFileGain(endpoint="f", gain_db=0.0, ramp_ms=10_001),
    ],
)
def test_a_gain_that_is_none_is_refused(lab: LabWorker, wav: Make, body: m.SetFileGain) -> None:
    lab.do(create(wav(1.0)))
    assert lab.do(body).code == "INVALID_PARAMS"


def test_its_place_is_told_while_it_plays_pauses_and_waits(lab: LabWorker, wav: Make) -> None:
    lab.do(create(wav(150.0)))
    listener(lab)
    lab.run(3000)
    place = lab.do(m.AskFile("f"))
    assert 2900 <= place.position_ms <= 3020
    assert place.position_ms + 2000 <= place.decoded_ms <= place.position_ms + 10_000
    assert (place.item, place.duration_ms, place.paused, place.underruns) == (0, 150_000, False, 0)
    lab.do(m.PauseFile("f"))
    lab.run(500)
    paused = lab.do(m.AskFile("f"))
    lab.run(500)
    assert lab.do(m.AskFile("f")) == paused
    assert paused.paused and 0 <= paused.position_ms - place.position_ms <= 60
    lab.do(m.ResumeFile("f"))
    lab.do(m.SeekFile(endpoint="f", position_ms=150_000))
    lab.run(100)
    assert lab.do(m.AskFile("f")).code == "ENDPOINT_ERROR"
