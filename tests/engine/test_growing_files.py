"""Files that are played while they come: what is there is heard, what is not is waited for."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_worker import RATE, LabWorker, create, listener, noise, opened

from roomtone.engine import messages as m
from roomtone.engine.decoder import Decoder, FileError, open_file
from roomtone.ext.file.decoder import SECOND_BYTES

COMES, WHOLE, BROKEN = 0o1600, 0o1400, 0o1000  # modes (control/io/fetch.py)
LIMIT_S = 20.0
SECONDS = 10


class Coming:
    """A file of which a test gives more and more."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data, self.given = str(path), data, 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT, COMES)

    def more(self, count: int) -> None:
        part = self.data[self.given : self.given + count]
        os.pwrite(self._fd, part, self.given)
        self.given += len(part)

    def end(self, mode: int = WHOLE) -> None:
        if mode == WHOLE:
            self.more(len(self.data))
        os.fchmod(self._fd, mode)
        os.close(self._fd)


class PatientLab(LabWorker):
    """Takes what side threads have done, and does not wait for those that wait."""

    def take_facts(self) -> None:
        self.bench.now_us = self.now_us
        self.bench.turn(2)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < deadline, "it did not come to that"
            self.take_facts()
            time.sleep(0.002)

    def ask(self, endpoint: str = "f") -> m.FilePosition:
        place = self.do(m.AskFile(endpoint))
        assert isinstance(place, m.FilePosition)
        return place

    def created(self, body: m.CreateFile | m.QueueFile) -> m.FileCreated:
        n = self.bench.post(body)
        self.until(lambda: self.bench.reply(n) is not None)
        reply = self.bench.reply(n)
        assert isinstance(reply, m.FileCreated), reply
        return reply


@pytest.fixture
def lab() -> Iterator[PatientLab]:
    made = PatientLab()
    yield made
    made.close()


PCM = noise(SECONDS)


def encoded(pcm: np.ndarray, format: str, subtype: str, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, rate, format=format, subtype=subtype)
    return file.getvalue()


WAV = encoded(PCM, "WAV", "PCM_16")
HEADER = len(WAV) - 2 * len(PCM)


@pytest.fixture
def coming(tmp_path: Path) -> Coming:
    return Coming(tmp_path / "copy.wav", WAV)


# -- heard while it comes ----------------------------------------------------------------------------------


def test_what_is_there_is_heard_and_the_rest_when_it_comes(lab: PatientLab, coming: Coming) -> None:
    ear = listener(lab)
    coming.more(HEADER + 2 * 3 * RATE + RATE)  # filters look ahead
    assert lab.created(create(coming.path)) == m.FileCreated(duration_ms=1000 * SECONDS)
    lab.until(lambda: lab.ask().decoded_ms == 3000)
    lab.run(5000)
    stalled = lab.ask()
    assert (stalled.position_ms, stalled.decoded_ms) == (3000, 3000)
    assert stalled.underruns > 80
    silent = len(ear.audio())
    coming.end()
    lab.until(lambda: lab.ask().decoded_ms == 1000 * SECONDS)
    lab.run(8000)
    audio = ear.audio()
    begun = int(np.flatnonzero(audio)[0]) // 160 * 160
    assert np.array_equal(audio[begun:][: 3 * RATE], PCM[: 3 * RATE])
    assert not audio[begun + 3 * RATE : silent].any()
    rest = silent + int(np.flatnonzero(audio[silent:])[0]) // 160 * 160
    assert np.array_equal(audio[rest:][: 7 * RATE], PCM[3 * RATE :])
    assert [type(event).__name__ for event in lab.bench.events()] == ["FileStarted", "FileFinished"]


def test_one_that_breaks_off_is_heard_as_far_as_it_came_and_says_so(lab: PatientLab, coming: Coming) -> None:
    listener(lab)
    coming.more(HEADER + 2 * 2 * RATE)
    lab.created(create(coming.path))
    lab.run(1000)
    coming.end(BROKEN)
    lab.until(lambda: lab.ask().duration_ms == 2000)
    lab.run(3000)
    finished = lab.bench.events()[-1]
    assert isinstance(finished, m.FileFinished)
    assert (finished.reason, finished.code) == ("error", "incomplete")


def test_a_file_that_waits_holds_up_no_other_and_ends_with_who_plays_it(
    lab: PatientLab, tmp_path: Path, wav: Callable[..., str]
) -> None:
    threads = threading.active_count()
    stalled = [Coming(tmp_path / f"{n}.wav", WAV) for n in range(6)]
    for n, file in enumerate(stalled):
        file.more(HEADER + RATE)
        lab.created(create(file.path, f"f{n}"))
    other = wav(3.0, "other.wav")
    assert lab.created(create(other)) == m.FileCreated(duration_ms=3000)
    lab.until(lambda: lab.ask().decoded_ms == 3000)
    for n in range(6):
        lab.do(m.RemoveEndpoint(f"f{n}"))
    lab.until(lambda: threading.active_count() - threads <= 4)
    lab.until(lambda: len(opened(lab)) <= len(stalled) + 1)  # that this test writes
    for file in stalled:
        file.end(BROKEN)


def test_all_who_play_a_copy_share_what_is_decoded_of_it_before_and_after_it_is_whole(
    lab: PatientLab, coming: Coming
) -> None:
    coming.more(HEADER + 2 * RATE)
    first = lab.created(create(coming.path, "a", shared=True))
    coming.end()
    lab.until(lambda: lab.ask("a").decoded_ms == 1000 * SECONDS)
    assert lab.created(create(coming.path, "b", shared=True)) == first
    assert lab.do(m.GetMetrics()).gauges["file_tracks"] == 1


def test_one_that_cannot_be_played_without_its_end_begins_then(lab: PatientLab, tmp_path: Path) -> None:
    data = encoded(PCM.repeat(2), "OGG", "OPUS", 16_000)
    file = Coming(tmp_path / "copy.opus", data)
    file.more(len(data) // 2)
    n = lab.bench.post(create(file.path))
    lab.run(500)
    assert lab.bench.reply(n) is None
    file.end()
    lab.until(lambda: lab.bench.reply(n) is not None)
    assert lab.bench.reply(n) == m.FileCreated(duration_ms=1000 * SECONDS)


@pytest.mark.parametrize(
    ("data", "code"), [(b"<!doctype html>" * 5000, "unsupported_media"), (WAV[:30], "incomplete")]
)
def test_what_cannot_be_played_is_refused(lab: PatientLab, tmp_path: Path, data: bytes, code: str) -> None:
    file = Coming(tmp_path / "copy.wav", data)
    file.more(len(data))
    n = lab.bench.post(create(file.path))
    lab.run(100)
    file.end(BROKEN)
    lab.until(lambda: lab.bench.reply(n) is not None)
    refused = lab.bench.reply(n)
    assert isinstance(refused, m.Failed)
    assert (refused.code, refused.detail) == ("ENDPOINT_ERROR", code)


# -- the same as if it had been whole ------------------------------------------------------------------------


SHORT = PCM[: 5 * RATE // 2]
FORMATS = {
    "wav": encoded(SHORT, "WAV", "PCM_16"),
    "float": encoded(SHORT / 32768, "WAV", "FLOAT", 44_100),
    "flac": encoded(SHORT, "FLAC", "PCM_16", 16_000),
    "ogg": encoded(SHORT, "OGG", "VORBIS"),
    "opus": encoded(SHORT, "OGG", "OPUS", 16_000),
    "mp3": encoded(SHORT, "MP3", "MPEG_LAYER_III", 16_000),
}


def decoded(path: str) -> tuple[bytes, FileError | None]:
    decoder, out = Decoder(open_file(path)), b""
    for second in range(60):
        room = bytearray(SECOND_BYTES)
        [made], error = decoder.run(second, [memoryview(room)])
        out += bytes(room[: 2 * made])
        if made < RATE:
            break
    decoder.close()
    return out, error


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=8)
@given(pieces=st.lists(st.integers(1, 20_000), min_size=1, max_size=6), whole=st.booleans())
def test_however_a_file_comes_it_is_decoded_as_if_it_had_been_there(
    tmp_path_factory: pytest.TempPathFactory, format: str, pieces: list[int], whole: bool
) -> None:
    data = FORMATS[format]
    folder = tmp_path_factory.mktemp("coming")
    (folder / "there").write_bytes(data)
    file = Coming(folder / "comes", data)

    def come() -> None:
        for piece in pieces:
            file.more(piece)
            time.sleep(0.001)
        file.end(WHOLE if whole else BROKEN)

    writer = threading.Thread(target=come)
    writer.start()
    there, _ = decoded(str(folder / "there"))
    try:
        came, error = decoded(file.path)
    except FileError as refused:
        came, error = b"", refused
    writer.join()
    if whole:
        assert (came, error) == (there, None)
    elif error is not None:
        assert error.code in ("incomplete", "unsupported_media")
        assert len(came) <= len(there)
