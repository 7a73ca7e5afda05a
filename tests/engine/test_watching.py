"""What a worker's Python thread makes of the detectors: events, pauses under load, the neural model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from bench_worker import BenchWorker
from sounds import rest, voice

from roomtone.engine import messages as m
from roomtone.engine.codecs import Codec
from roomtone.engine.neural import WINDOW, Stream, loader
from roomtone.engine.overload import Level
from roomtone.ext.flow.media import FACT_HEARD, FACT_INBAND_KEY, FACT_RESYNC

E = {"session": "s", "endpoint": "e"}


def vad(**changes: object) -> m.StartVad:
    return m.StartVad(endpoint="e", vad=m.Vad(**changes))


def speak(bench: BenchWorker, handle: int) -> None:
    """An utterance of one frame begins now."""
    last = bench.media.speech_of.get(handle, (0, 0, 0))[1]
    bench.media.speech_of[handle] = (bench.now_us, bench.now_us, last)
    bench.media.tell(FACT_HEARD, handle)
    bench.turn()


def detection(bench: BenchWorker) -> list[object]:
    kinds = (m.SpeechStarted, m.Silent, m.VadFailed, m.FaxTone, m.FaxFailed, m.KeyPressed)
    return [event for event in bench.events() if isinstance(event, kinds)]


def load(bench: BenchWorker, busy: float, seconds: float) -> None:
    bench.busy = busy
    for _ in range(int(seconds * 4)):
        bench.advance(250)


# -- speech and silence --------------------------------------------------------------------------------------


def test_speech_and_the_silences_after_it_are_told_by_the_clock(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    assert bench.do(vad(silence_interval_ms=500)) == m.Done()
    speak(bench, handle)
    assert detection(bench) == [m.SpeechStarted(**E)]
    bench.advance(819)
    assert detection(bench) == []
    bench.advance(1)
    assert detection(bench) == [m.Silent(**E, duration_ms=820)]
    bench.advance(500)
    assert detection(bench) == [m.Silent(**E, duration_ms=1320)]
    speak(bench, handle)
    assert detection(bench) == [m.SpeechStarted(**E)]


def test_a_second_start_replaces_the_first_and_begins_anew(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(vad(silence_interval_ms=100))
    speak(bench, handle)
    bench.do(vad(silence_interval_ms=1000, speech_threshold=0.25))
    bench.media.speech_of.clear()
    bench.events()
    bench.advance(5000)
    assert detection(bench) == []
    first, second = bench.media.named("watch")
    assert (first["threshold"], second["threshold"]) == (0.5, 0.25)
    assert first["serial"] != second["serial"]


def test_what_the_media_thread_knew_before_a_new_start_is_not_told(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(vad())
    speak(bench, handle)
    bench.events()
    bench.do(vad())
    stale = bench.media.speech
    bench.media.speech = lambda handle: (1, *stale(handle)[1:])  # the edit is still on its way
    bench.media.tell(FACT_HEARD, handle)
    bench.turn()
    assert detection(bench) == []


def test_a_stopped_or_removed_watch_says_nothing_more(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(vad())
    speak(bench, handle)
    bench.events()
    assert bench.do(m.StopVad("e")) == m.Done()
    bench.advance(10_000)
    bench.do(vad())
    speak(bench, handle)
    bench.events()
    bench.do(m.RemoveEndpoint("e"))
    bench.media.tell(FACT_HEARD, handle)
    bench.advance(10_000)
    assert detection(bench) == []


def test_silence_of_one_who_was_transferred_is_told_to_the_other_session(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(vad(silence_interval_ms=500))
    speak(bench, handle)
    assert bench.do(m.MoveEndpoint(endpoint="e", move=1, session="t", phase=7)) == m.Done()
    bench.events()
    bench.advance(820)
    assert detection(bench) == [m.Silent(session="t", endpoint="e", duration_ms=820)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (m.StopVad("e"), "VAD_ERROR"),
        (m.DetectFax(endpoint="e", enabled=False), "FAX_DETECT_ERROR"),
        (vad(neural=True), "VAD_ERROR"),
        (m.StopVad("nobody"), "VAD_ERROR"),
        (m.DetectFax(endpoint="nobody", enabled=True), "FAX_DETECT_ERROR"),
        (m.SetSensitive(endpoint="nobody", enabled=True), "ENDPOINT_ERROR"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    make_bench: Callable[..., BenchWorker], body: object, code: str
) -> None:
    bench = make_bench(neural_vad_streams=0)
    bench.rtp()
    assert bench.do(body).code == code
    assert bench.media.named("watch") == []


def test_speech_whose_fact_was_lost_is_told_after_the_resync(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(vad())
    bench.do(m.DetectFax(endpoint="e", enabled=True))
    bench.media.speech_of[handle] = (bench.now_us, bench.now_us, 0)
    bench.media.tones_of[handle] = (1, 0)
    bench.media.tell(FACT_RESYNC, 0)
    bench.turn(3)
    assert detection(bench) == [m.SpeechStarted(**E), m.FaxTone(**E, tone="cng")]


# -- keys and fax tones --------------------------------------------------------------------------------------


def test_a_key_within_the_audio_says_so(bench: BenchWorker) -> None:
    bench.media.tell(FACT_INBAND_KEY, bench.rtp().handle, 11, 90)
    bench.turn()
    assert detection(bench) == [m.KeyPressed(**E, digit="#", duration_ms=90, source="inband")]


def test_fax_tones_are_told_as_often_as_they_begin(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.media.tones_of[handle] = (3, 1)  # of an earlier watch
    bench.do(m.DetectFax(endpoint="e", enabled=True))
    for tones in ((4, 1), (5, 1), (5, 2)):
        bench.media.tones_of[handle] = tones
        bench.media.tell(FACT_HEARD, handle)
        bench.turn()
    assert [event.tone for event in detection(bench)] == ["cng", "cng", "ced"]
    bench.do(m.DetectFax(endpoint="e", enabled=False))
    bench.media.tones_of[handle] = (9, 9)
    bench.media.tell(FACT_HEARD, handle)
    bench.turn()
    assert detection(bench) == []


def test_speech_and_fax_tones_are_watched_beside_each_other(bench: BenchWorker) -> None:
    bench.rtp()
    bench.do(vad())
    bench.do(m.DetectFax(endpoint="e", enabled=True))
    bench.do(m.StopVad("e"))
    seen = [(edit["speech"], edit["fax"]) for edit in bench.media.named("watch")]
    assert seen == [(True, False), (True, True), (False, True)]


# -- what survives control -----------------------------------------------------------------------------------


def test_a_snapshot_says_what_is_watched(bench: BenchWorker) -> None:
    bench.rtp()
    asked = m.Vad(silence_interval_ms=700, speech_threshold=0.75)
    bench.do(m.StartVad(endpoint="e", vad=asked))
    bench.do(m.DetectFax(endpoint="e", enabled=True))
    bench.do(m.SetSensitive(endpoint="e", enabled=True))
    (entry,) = bench.do(m.TakeSnapshot()).endpoints
    assert (entry.vad, entry.fax, entry.sensitive) == (asked, True, True)
    bench.do(m.StopVad("e"))
    bench.do(m.DetectFax(endpoint="e", enabled=False))
    bench.do(m.SetSensitive(endpoint="e", enabled=False))
    (entry,) = bench.do(m.TakeSnapshot()).endpoints
    assert (entry.vad, entry.fax, entry.sensitive) == (None, False, False)


# -- overload ------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(make_bench: Callable[..., BenchWorker]) -> BenchWorker:
    bench = make_bench(measured=True, overload_shed_at=0.85, overload_refuse_at=0.92)
    bench.worker.start(1, "none")
    return bench


def test_under_load_detectors_pause_speech_first_and_whoever_asked_is_told_once(busy: BenchWorker) -> None:
    handle = busy.rtp().handle
    busy.rtp(endpoint="unwatched")
    busy.do(vad(silence_interval_ms=100))
    busy.do(m.DetectFax(endpoint="e", enabled=True))
    speak(busy, handle)
    busy.events()
    load(busy, 0.88, 8)
    told = detection(busy)
    assert told[-1] == m.VadFailed(**E, error="overload")
    assert told.count(told[-1]) == 1 and all(isinstance(event, m.Silent) for event in told[:-1])
    assert busy.media.named("watch_kinds") == [{"speech": False, "keys": True}]
    load(busy, 0.91, 8)
    assert detection(busy) == [m.FaxFailed(**E, error="overload")]
    assert busy.media.named("watch_kinds")[-1] == {"speech": False, "keys": False}
    assert busy.worker.gauges()["speech_paused"] and busy.worker.gauges()["keys_paused"]


def test_when_the_load_has_fallen_speech_is_told_anew(busy: BenchWorker) -> None:
    handle = busy.rtp().handle
    busy.do(vad(silence_interval_ms=100))
    speak(busy, handle)
    load(busy, 0.88, 8)
    busy.events()
    load(busy, 0.1, 20)
    assert busy.media.named("watch_kinds")[-1] == {"speech": True, "keys": True}
    assert detection(busy) == []
    speak(busy, handle)
    busy.advance(420)
    assert detection(busy) == [m.SpeechStarted(**E), m.Silent(**E, duration_ms=420)]


def test_what_is_asked_during_a_pause_is_taken_and_told_of_the_pause(busy: BenchWorker) -> None:
    busy.rtp()
    load(busy, 0.91, 8)
    assert busy.worker.overload.level == Level.INBAND_KEYS
    busy.events()
    assert busy.do(vad()) == m.Done()
    assert busy.do(m.DetectFax(endpoint="e", enabled=True)) == m.Done()
    assert detection(busy) == [m.VadFailed(**E, error="overload"), m.FaxFailed(**E, error="overload")]


def test_gauges_tell_what_is_watched(bench: BenchWorker) -> None:
    bench.rtp()
    plain = m.Media(receive=[m.PayloadType(0, Codec.PCMU)], send_payload_type=0, send_codec=Codec.PCMU)
    bench.rtp(endpoint="plain", media=plain)
    bench.do(vad())
    gauges = bench.worker.gauges()
    assert (gauges["watched_speech"], gauges["watched_keys"], gauges["watched_fax"]) == (1, 1, 0)


# -- the neural model ----------------------------------------------------------------------------------------


class Loud:
    """A network that takes anything loud for speech."""

    def __init__(self) -> None:
        self.resets = 0

    def process(self, data: memoryview) -> float:
        samples = np.frombuffer(data, np.float32)
        assert len(samples) == WINDOW and np.abs(samples).max() <= 1.0
        return float(np.abs(samples).max())

    def reset(self) -> None:
        self.resets += 1


def frames(first_us: int, count: int, level: int) -> Iterator[tuple[int, bytes]]:
    for number in range(count):
        yield first_us + number * 20_000, np.full(160, level, np.int16).tobytes()


def test_windows_of_32_ms_are_cut_from_frames_of_20() -> None:
    stream = Stream(1, 0.5, 0)
    stream.network = network = Loud()
    began = [stream.take(at_us, pcm) for at_us, pcm in frames(1_000_000, 16, 20_000)]
    assert began == [False, True] + [False] * 14  # the second frame completes the first window
    assert (stream.heard.began_us, stream.heard.last_us) == (1_020_000, 1_300_000)
    assert not any(stream.take(at_us, pcm) for at_us, pcm in frames(1_320_000, 20, 0))
    assert stream.heard.last_us == 1_300_000
    assert network.resets == 1
    began = [stream.take(at_us, pcm) for at_us, pcm in frames(3_000_000, 2, 20_000)]
    assert network.resets == 2 and any(began)
    assert stream.heard.before_us == 1_300_000


@pytest.fixture
def neural(make_bench: Callable[..., BenchWorker]) -> BenchWorker:
    return make_bench(neural_vad_streams=2, network=Loud)


def settle(bench: BenchWorker, done: Callable[[], bool]) -> None:
    """Turn until the side thread has come so far."""
    while not done():
        os.sched_yield()
        bench.turn()


def test_the_neural_model_gives_the_same_events(neural: BenchWorker) -> None:
    neural.rtp()
    assert neural.do(vad(neural=True, silence_interval_ms=500)) == m.Done()
    (edit,) = neural.media.named("watch")
    assert edit["frames"] in neural.media.frames_of and not edit["speech"]
    neural.media.frames_of[edit["frames"]].extend(frames(neural.now_us, 4, 20_000))
    seen: list[object] = []
    settle(neural, lambda: bool(seen.extend(detection(neural)) or seen))
    neural.now_us += 80_000
    neural.advance(840)
    assert [*seen, *detection(neural)] == [m.SpeechStarted(**E), m.Silent(**E, duration_ms=820)]


def test_over_the_limit_the_neural_model_is_refused_and_a_place_is_free_after_a_stop(
    neural: BenchWorker,
) -> None:
    for endpoint in ("e", "f", "g"):
        neural.rtp(endpoint=endpoint)
    with_model = m.Vad(neural=True)
    for endpoint in ("e", "f", "e"):  # the last one replaces the first
        assert neural.do(m.StartVad(endpoint=endpoint, vad=with_model)) == m.Done()
    refused = neural.do(m.StartVad(endpoint="g", vad=with_model))
    assert (refused.code, "2 endpoints" in refused.message) == ("VAD_ERROR", True)
    assert neural.do(m.StopVad("e")) == m.Done()
    assert neural.do(m.StartVad(endpoint="g", vad=with_model)) == m.Done()
    settle(neural, lambda: len(neural.media.frames_of) == 2)
    neural.do(m.RemoveEndpoint("f"))
    neural.do(m.StopVad("g"))
    settle(neural, lambda: not neural.media.frames_of)


@pytest.mark.parametrize("busy_share", [0.0, 0.88], ids=["idle", "paused"])
def test_a_model_that_cannot_be_loaded_is_an_error_of_the_endpoint(
    make_bench: Callable[..., BenchWorker], busy_share: float
) -> None:
    def broken() -> Loud:
        raise OSError("no such library")

    bench = make_bench(network=broken, measured=True, overload_shed_at=0.85, overload_refuse_at=0.92)
    bench.worker.start(1, "none")
    bench.rtp()
    load(bench, busy_share, 8)
    bench.events()
    bench.do(vad(neural=True))
    expected = 2 if busy_share else 1  # of the pause, too
    seen: list[m.VadFailed] = []
    settle(bench, lambda: len(seen.extend(detection(bench)) or seen) == expected)
    assert any(event.error.endswith("no such library") for event in seen)


def test_a_model_that_fails_is_an_error_of_that_endpoint_and_others_are_heard_on(
    make_bench: Callable[..., BenchWorker],
) -> None:
    class Fragile(Loud):
        def process(self, data: memoryview) -> float:
            if super().process(data) > 0.9:
                raise ValueError("too loud")
            return 1.0

    bench = make_bench(neural_vad_streams=2, network=Fragile)
    for endpoint in ("e", "f"):
        bench.rtp(endpoint=endpoint)
        bench.do(m.StartVad(endpoint=endpoint, vad=m.Vad(neural=True)))
    first, second = (edit["frames"] for edit in bench.media.named("watch"))
    bench.media.frames_of[first].extend(frames(bench.now_us, 4, 32_000))
    seen: list[object] = []
    settle(bench, lambda: bool(seen.extend(detection(bench)) or seen))
    bench.media.frames_of[second].extend(frames(bench.now_us, 4, 20_000))
    settle(bench, lambda: len(seen.extend(detection(bench)) or seen) == 2)
    assert seen == [
        m.VadFailed(**E, error="the neural model failed: too loud"),
        m.SpeechStarted(session=E["session"], endpoint="f"),
    ]
    for endpoint in ("e", "f"):
        bench.do(m.StopVad(endpoint))
    settle(bench, lambda: not bench.media.frames_of)


def test_a_model_that_is_not_installed_is_refused(bench: BenchWorker) -> None:
    bench.rtp()
    refused = bench.do(vad(neural=True))
    assert (refused.code, "not installed" in refused.message) == ("VAD_ERROR", True)


if loader() is not None:  # there are wheels for some platforms only (pyproject.toml)

    def test_the_model_itself_tells_a_voice_from_silence() -> None:
        load = loader()
        assert load is not None
        stream = Stream(1, 0.5, 0)
        stream.network = load()
        pcm = np.concatenate((rest(1000), voice(2.0), rest(1000)))
        at_us = range(1_000_000, 5_000_000, 20_000)
        began = [
            now
            for now, first in zip(at_us, range(0, len(pcm), 160), strict=True)
            if stream.take(now, pcm[first : first + 160].tobytes())
        ]
        assert len(began) >= 1 and 1_980_000 <= began[0] <= 2_500_000
        assert stream.heard.last_us < 4_300_000
