"""File endpoints as control asks for them and listeners hear them; decoded for real, in virtual time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_worker import BenchWorker
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
from roomtone.ext.flow.media import FACT_FILE_ENDED, FACT_FILE_STARTED, FACT_RESYNC

Make = Callable[..., str]


# -- playing ---------------------------------------------------------------------------------------------


def test_a_file_is_answered_when_it_can_be_heard_and_its_beginning_and_end_are_told(
    lab: LabWorker, wav: Make
) -> None:
    pcm = noise(1.5)
    ear = listener(lab)
    assert lab.do(create(wav(pcm))) == m.FileCreated(duration_ms=1500, shared_id=None)
    lab.run(3000)
    assert heard(ear, pcm)
    started, finished = lab.bench.events()
    first = next(packet for packet in ear.heard if any(packet.payload))
    assert started == m.FileStarted(session="s", endpoint="f", started_at_us=first.at_us)
    assert finished == m.FileFinished(session="s", endpoint="f", reason="completed", error=None)
    assert counters(lab)["file_underruns"] == 0


def test_it_starts_where_it_was_told_and_repeats_as_often_as_it_was_told(lab: LabWorker, wav: Make) -> None:
    pcm = noise(1.0)
    ear = listener(lab)
    lab.do(create(wav(pcm), start_ms=400, loop_count=2, gain_db=0.0))
    lab.run(4000)
    assert heard(ear, np.concatenate([pcm[3200:], pcm, pcm]))


def test_a_thousand_sessions_that_play_one_prompt_decode_it_once(
    make_lab: Callable[..., LabWorker], wav: Make
) -> None:
    lab = make_lab(endpoints=1100)
    path = wav(2.5)
    numbers = [lab.bench.post(create(path, f"f{i}", session=f"s{i}", phase=i % 20)) for i in range(1000)]
    lab.take_facts()
    lab.run(100)
    assert [lab.bench.reply(n) for n in numbers] == [m.FileCreated(duration_ms=2500)] * 1000
    assert counters(lab)["file_decoded_seconds"] == 3
    assert (gauges(lab)["file_tracks"], gauges(lab)["file_bytes"]) == (1, 3 * 49_152)
    lab.run(3000)
    kinds = [type(event) for event in lab.bench.events()]
    assert kinds.count(m.FileStarted) == kinds.count(m.FileFinished) == 1000


def test_a_prompt_that_was_played_is_there_for_the_next_and_a_replaced_one_is_another(
    lab: LabWorker, wav: Make
) -> None:
    path, pcm = wav(1.0), noise(0.5)
    for endpoint in ("one", "two"):
        lab.do(create(path, endpoint))
        lab.do(m.RemoveEndpoint(endpoint))
        lab.run(100)
    assert counters(lab)["file_decoded_seconds"] <= 2  # a second, and that there is no other
    ear = listener(lab)
    os.replace(wav(pcm, "other.wav"), path)
    lab.do(create(path, "three"))
    lab.run(1000)
    assert heard(ear, pcm)


def test_pausing_and_resuming_may_be_repeated(lab: LabWorker, wav: Make) -> None:
    pcm = noise(2.0)
    ear = listener(lab)
    lab.do(create(wav(pcm)))
    lab.run(500)
    for _ in range(2):
        assert lab.do(m.PauseFile("f")) == m.Done()
        lab.run(500)
    silent = ear.audio()
    for _ in range(2):
        assert lab.do(m.ResumeFile("f")) == m.Done()
    lab.run(2500)
    played = int(np.flatnonzero(silent)[-1]) // 160 * 160 + 160
    audio = ear.audio()
    assert not audio[played : len(silent)].any()
    rest = np.flatnonzero(audio[len(silent) :])[0] // 160 * 160 + len(silent)
    begun = int(np.flatnonzero(audio)[0]) // 160 * 160
    faded = slice(played - 160, played), slice(rest, rest + 80)
    place = played - begun
    assert np.array_equal(audio[begun : faded[0].start], pcm[: place - 160])
    assert not audio[faded[0]][80:].any()
    for part, whole in zip(faded, (pcm[place - 160 : place], pcm[place : place + 80]), strict=True):
        assert audio[part][:80].any() and (np.abs(audio[part][:80]) <= np.abs(whole[:80])).all()
    assert np.array_equal(audio[rest + 80 :][: len(pcm) - place - 80], pcm[place + 80 :])


def test_seeking_goes_on_with_what_is_there(lab: LabWorker, wav: Make) -> None:
    pcm = noise(5.0)
    ear = listener(lab)
    lab.do(create(wav(pcm)))
    lab.run(200)
    assert lab.do(m.SeekFile(endpoint="f", position_ms=4500)) == m.Done()
    lab.run(1000)
    audio = ear.audio()
    end = int(np.flatnonzero(audio)[-1]) + 1
    assert np.array_equal(audio[end - 4000 : end], pcm[-4000:])
    assert [type(event) for event in lab.bench.events()] == [m.FileStarted, m.FileFinished]


# -- sharing ---------------------------------------------------------------------------------------------


def test_who_shares_a_source_is_where_the_others_are(lab: LabWorker, wav: Make) -> None:
    pcm = noise(3.0)
    path = wav(pcm)
    ears = [listener(lab, session) for session in ("s", "t")]
    first = lab.do(create(path, "f", shared=True, loop_count=1))
    lab.run(1000)
    second = lab.do(create(path, "g", session="t", shared=True, start_ms=2500))
    other = lab.do(create(path, "h", session="u", key="other", shared=True))
    alone = lab.do(create(path, "i", session="v"))
    assert first.shared_id == second.shared_id and first.shared_id is not None
    assert other.shared_id not in (None, first.shared_id) and alone.shared_id is None
    assert counters(lab)["file_decoded_seconds"] <= 4
    lab.run(6000)
    early, late = (ear.audio() for ear in ears)
    assert heard(ears[0], np.tile(pcm, 2))
    late = late[int(np.flatnonzero(late)[0]) // 160 * 160 :]
    assert np.array_equal(late, early[len(early) - len(late) :])
    finished = sorted(e.endpoint for e in lab.bench.events() if isinstance(e, m.FileFinished))
    assert finished == ["f", "g", "h", "i"]
    again = lab.do(create(path, "j", shared=True))
    assert again.shared_id not in (None, first.shared_id)


def test_one_who_shares_pauses_for_himself_and_moves_nobody(lab: LabWorker, wav: Make) -> None:
    path = wav(2.0)
    ears = [listener(lab, session) for session in ("s", "t")]
    lab.do(create(path, "f", shared=True))
    lab.do(create(path, "g", session="t", shared=True))
    assert lab.do(m.PauseFile("g")) == m.Done()
    assert lab.do(m.SeekFile(endpoint="f", position_ms=0)).code == "ENDPOINT_ERROR"
    lab.run(1000)
    assert ears[0].audio()[-800:].any() and not ears[1].audio()[-800:].any()


def test_a_shared_place_goes_with_its_last_endpoint(lab: LabWorker, wav: Make) -> None:
    path = wav(2.0)
    first = lab.do(create(path, "f", shared=True))
    lab.run(1000)
    lab.do(m.RemoveEndpoint("f"))
    lab.run(40)
    ear = listener(lab)
    second = lab.do(create(path, "g", shared=True))
    lab.run(3000)
    assert second.shared_id != first.shared_id
    assert heard(ear, noise(2.0))


# -- what fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (m.SeekFile(endpoint="f", position_ms=1001), "INVALID_PARAMS", "1000 ms"),
        (m.SeekFile(endpoint="x", position_ms=0), "ENDPOINT_ERROR", "no endpoint x"),
        (m.SeekFile(endpoint="t", position_ms=0), "ENDPOINT_ERROR", "not a file"),
        (m.PauseFile("t"), "ENDPOINT_ERROR", "not a file"),
        (m.ResumeFile("x"), "ENDPOINT_ERROR", "no endpoint x"),
    ],
)
def test_what_cannot_be_done_is_refused(
    lab: LabWorker, wav: Make, command: Any, code: str, message: str
) -> None:
    lab.do(create(wav(1.0)))
    lab.do(m.CreateTone(session="s", endpoint="t", phase=0, tone="beep"))
    reply = lab.do(command)
    assert (reply.code, message in reply.message) == (code, True)


@pytest.mark.parametrize(
    "command", [m.PauseFile("f"), m.ResumeFile("f"), m.SeekFile(endpoint="f", position_ms=0)]
)
def test_a_file_that_has_ended_stays_and_can_only_be_removed(lab: LabWorker, wav: Make, command: Any) -> None:
    lab.do(create(wav(0.2)))
    lab.run(1000)
    assert lab.do(command).code == "ENDPOINT_ERROR"
    assert [entry.finished for entry in lab.do(m.TakeSnapshot()).endpoints] == [True]
    assert lab.do(m.RemoveEndpoint("f")) == m.Done()
    assert lab.do(m.TakeSnapshot()).endpoints == []


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        ({"start_ms": 1001}, "INVALID_PARAMS", "1000 ms"),
        ({"start_ms": -1}, "INVALID_PARAMS", "negative"),
        ({"loop_count": -1}, "INVALID_PARAMS", "negative"),
        ({"gain_db": 61.0}, "INVALID_PARAMS", "60 dB"),
        ({"gain_db": float("nan")}, "INVALID_PARAMS", "60 dB"),
        ({"path": "/nowhere.wav"}, "ENDPOINT_ERROR", "No such file"),
        ({"path": "/dev/zero"}, "ENDPOINT_ERROR", "not a regular file"),
        ({"path": __file__}, "ENDPOINT_ERROR", "not a WAV"),
        ({"endpoint": "there"}, "ENDPOINT_ERROR", "exists"),
    ],
)
def test_an_endpoint_that_cannot_be_made_leaves_nothing(
    lab: LabWorker, wav: Make, values: dict[str, Any], code: str, message: str
) -> None:
    path = wav(1.0)
    lab.do(m.CreateTone(session="s", endpoint="there", phase=0, tone="beep"))
    reply = lab.do(create(**{"path": path, **values}))
    assert (reply.code, message in reply.message) == (code, True), reply
    assert len(lab.do(m.TakeSnapshot()).endpoints) == 1
    assert nothing_is_held(lab)


def test_a_file_without_a_sample_is_refused(lab: LabWorker, wav: Make) -> None:
    reply = lab.do(create(wav(np.zeros(0, np.int16))))
    assert (reply.code, reply.message) == ("ENDPOINT_ERROR", "the file holds no audio")


def test_a_broken_file_is_played_as_far_as_it_goes_and_then_its_fault_is_told(
    lab: LabWorker, wav: Make
) -> None:
    pcm = noise(10.0)
    path = Path(wav(pcm, "a.flac"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    ear = listener(lab)
    lab.do(create(str(path), loop_count=None))
    lab.run(10_000)
    audio = ear.audio()
    begin = int(np.flatnonzero(audio)[0]) // 160 * 160
    played = int(np.flatnonzero(audio)[-1]) + 1 - begin
    assert 5 * RATE < played < 6.5 * RATE
    assert np.array_equal(audio[begin : begin + played], pcm[:played])
    finished = lab.bench.events()[-1]
    assert (finished.reason, "cannot be decoded" in finished.error) == ("error", True)
    lab.do(m.RemoveEndpoint("f"))
    assert nothing_is_held(lab)


def test_a_worker_without_room_refuses_and_has_room_again(
    make_lab: Callable[..., LabWorker], wav: Make
) -> None:
    lab = make_lab(file_chunks=30)
    paths = [wav(20.0, f"{name}.wav") for name in "abc"]
    assert isinstance(lab.do(create(paths[0], "a")), m.FileCreated)
    refused = lab.do(create(paths[1], "b"))
    assert (refused.code, "room" in refused.message) == ("ENDPOINT_ERROR", True)
    lab.do(m.RemoveEndpoint("a"))
    lab.run(200)
    assert isinstance(lab.do(create(paths[2], "c")), m.FileCreated)  # the one nobody plays has gone for it
    lab.run(200)
    assert gauges(lab)["file_tracks"] == 1


def test_only_so_many_files_that_nobody_plays_are_kept(make_lab: Callable[..., LabWorker], wav: Make) -> None:
    lab = make_lab(cached_tracks=2)
    for name in "abcd":
        lab.do(create(wav(0.5, f"{name}.wav"), name))
        lab.run(100)
    assert gauges(lab)["file_tracks"] == 4
    for name in "abcd":
        lab.do(m.RemoveEndpoint(name))
    lab.run(100)
    assert (gauges(lab)["file_tracks"], gauges(lab)["file_bytes"]) == (2, 2 * 49_152)


# -- leaving ---------------------------------------------------------------------------------------------


def test_a_file_that_is_still_being_opened_can_be_removed(lab: LabWorker, wav: Make) -> None:
    numbers = [
        lab.bench.post(body) for body in (create(wav(1.0)), m.RemoveEndpoint("f"), m.RemoveEndpoint("f"))
    ]
    lab.take_facts()
    assert [reply_kind(lab, n) for n in numbers] == ["ENDPOINT_ERROR", "Done", "ENDPOINT_ERROR"]
    assert nothing_is_held(lab)


@pytest.mark.parametrize(
    "last", [m.CloseSession("s"), m.TakeSnapshot()], ids=["session_closed", "new_control"]
)
def test_files_that_are_still_being_opened_are_given_up(lab: LabWorker, wav: Make, last: Any) -> None:
    numbers = [lab.bench.post(create(wav(1.0), name)) for name in "abc"]
    lab.bench.post(last)
    lab.take_facts()
    lab.run(40)
    assert [reply_kind(lab, n) for n in numbers] == ["ENDPOINT_ERROR"] * 3
    assert lab.do(m.TakeSnapshot()).endpoints == []
    assert nothing_is_held(lab)


@pytest.mark.parametrize("turns", range(7))
def test_whenever_a_session_closes_nothing_of_its_files_is_left(
    lab: LabWorker, wav: Make, turns: int
) -> None:
    """Long and short, at each step of their making."""
    threads = threading.active_count()
    long, short = wav(200.0, "long.wav"), wav(3.0, "short.wav")
    for round in range(5):
        for name, path in (("l", long), ("k", short), ("m", long)):
            lab.bench.post(create(path, f"{name}{round}"))
        lab.bench.turn(turns)
        if turns > 4:
            lab.run(30)
        lab.bench.post(m.CloseSession("s"))
        lab.take_facts()
        lab.run(60)
    assert nothing_is_held(lab, tracks=int(gauges(lab)["file_tracks"] > 0))
    assert gauges(lab)["file_bytes"] in (0, 3 * 49_152)  # the short one may be kept
    assert threading.active_count() - threads <= 4
    assert gauges(lab)["endpoints"] == 0


# -- telling ---------------------------------------------------------------------------------------------


def test_a_snapshot_says_what_a_new_control_has_to_know(lab: LabWorker, wav: Make) -> None:
    created = lab.do(create(wav(2.0), shared=True, note=b"mine"))
    lab.run(100)
    lab.do(m.PauseFile("f"))
    [entry] = lab.do(m.TakeSnapshot()).endpoints
    assert entry == m.SnapshotEndpoint(
        session="s", endpoint="f", kind="file", note=b"mine", file=created, started=True, paused=True
    )
    [stats] = lab.do(m.GetStats("s")).endpoints
    assert (stats.endpoint, stats.kind, stats.codec) == ("f", "file", "")


def test_after_lost_facts_beginnings_and_ends_are_read_again(bench: BenchWorker, wav: Make) -> None:
    for endpoint in ("ended", "broken", "begun", "waits"):
        n = bench.post(create(wav(1.0), endpoint))
        bench.settle()
        assert isinstance(bench.reply(n), m.FileCreated)
    handles = [edit["handle"] for edit in bench.media.named("file_open")]
    bench.media.tell(FACT_FILE_STARTED, handles[0], 7)
    bench.turn()
    bench.media.file_states = {
        handles[0]: (7, 0, True, False),
        handles[1]: (8, 0, True, True),
        handles[2]: (9, 1, False, False),
    }
    bench.media.tell(FACT_RESYNC, 0)
    bench.settle()
    told = [(type(event).__name__, event.endpoint) for event in bench.events()]
    assert told == [
        ("FileStarted", "ended"), ("FileFinished", "ended"), ("FileStarted", "broken"),
        ("FileFinished", "broken"), ("FileStarted", "begun"), ("FileNext", "begun"),
    ]  # fmt: skip
    bench.media.tell(FACT_FILE_ENDED, handles[0], 0, 0)
    bench.media.tell(FACT_RESYNC, 0)
    bench.settle()
    assert bench.events() == []
