"""Who is captured for which recording, and how each of them ends; files are real, packets are not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_worker import BenchWorker

from roomtone.engine import messages as m
from roomtone.engine import recording_counts

TURNS = 2000  # a side thread is waited for so long, 5 ms each


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime_dir."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def make_recording(
    make_bench: Callable[..., BenchWorker], tmp_path: Path, run: Path
) -> Callable[[], BenchWorker]:
    """A worker at the time it really is: the recorder's threads go by that."""

    def make() -> BenchWorker:
        bench = make_bench(recording_dir=str(tmp_path), runtime_dir=str(run), recording_flush_timeout_ms=2000)
        bench.now_us = time.monotonic_ns() // 1000
        return bench

    return make


@pytest.fixture
def recording(make_recording: Callable[[], BenchWorker]) -> BenchWorker:
    return make_recording()


def settle(bench: BenchWorker, there: Callable[[], Any]) -> Any:
    """Turn until the side threads have brought it about."""
    for _ in range(TURNS):
        bench.turn()
        if found := there():
            return found
        threading.Event().wait(0.005)
    raise AssertionError("it did not come about")


def ask(bench: BenchWorker, body: Any) -> Any:
    n = bench.post(body)
    return settle(bench, lambda: bench.reply(n))


def start(bench: BenchWorker, path: Path, endpoint: str | None = None, id: str = "r") -> Any:
    return ask(
        bench,
        m.StartRecording(session="s", recording=id, endpoint=endpoint, file_path=str(path), app_id="acme"),
    )


def told(bench: BenchWorker) -> m.RecordingStopped:
    seen: list[m.RecordingStopped] = []

    def look() -> bool:
        seen.extend(event for event in bench.events() if isinstance(event, m.RecordingStopped))
        return bool(seen)

    settle(bench, look)
    (event,) = seen
    return event


def captured(bench: BenchWorker) -> list[tuple[int, bool]]:
    return [(edit["handle"], edit["on"]) for edit in bench.media.named("capture")]


def test_everybody_of_the_session_is_captured_and_those_who_join(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    one = bench.rtp(endpoint="a").handle
    begun = start(bench, tmp_path / "x" / "call.wav")
    assert isinstance(begun, m.RecordingStarted) and begun.file_path == f"{tmp_path}/x/call.wav"
    two = bench.rtp(endpoint="b").handle
    bench.rtp(session="other", endpoint="c")
    assert captured(bench) == [(one, True), (two, True)]
    done = ask(bench, m.StopRecording("r"))
    assert isinstance(done, m.RecordingDone) and done.dropped_packets == 0
    assert captured(bench)[2:] == [(one, False), (two, False)]
    assert (tmp_path / "x" / "call.wav").read_bytes()[:4] == b"RIFF"
    assert not [event for event in bench.events() if isinstance(event, m.RecordingStopped)]


def test_a_pause_is_not_in_its_duration_and_may_be_asked_for_twice(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    refused = ask(bench, m.PauseRecording("r"))
    assert isinstance(refused, m.Failed) and refused.code == "RECORDING_ERROR"
    start(bench, tmp_path / "call.wav")
    for bodies, ms in (([m.ResumeRecording("r")], 700), ([m.PauseRecording("r")] * 2, 5000)) * 2:
        for body in bodies:
            assert ask(bench, body) == m.Done()
        bench.now_us += ms * 1000
    assert ask(bench, m.ResumeRecording("r")) == m.Done()
    bench.now_us += 100_000
    assert ask(bench, m.PauseRecording("r")) == m.Done()
    bench.now_us += 9_000_000
    done = ask(bench, m.StopRecording("r"))
    assert isinstance(done, m.RecordingDone)
    assert done.duration_ms == 1500


def test_an_endpoint_is_captured_until_its_last_recording_has_ended(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    handle = bench.rtp(endpoint="a").handle
    start(bench, tmp_path / "1.pcap", "a", id="r1")
    start(bench, tmp_path / "2.pcap", id="r2")
    ask(bench, m.StopRecording("r1"))
    assert captured(bench) == [(handle, True)]
    ask(bench, m.StopRecording("r2"))
    assert captured(bench) == [(handle, True), (handle, False)]


def test_a_removed_endpoint_ends_its_own_recording_and_not_that_of_the_session(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    start(bench, tmp_path / "leg.pcap", "a", id="leg")
    start(bench, tmp_path / "all.pcap", id="all")
    assert ask(bench, m.RemoveEndpoint("a")) == m.Done()
    event = told(bench)
    assert (event.recording, event.reason, event.file_path) == (
        "leg",
        "endpoint_removed",
        f"{tmp_path}/leg.pcap",
    )
    assert isinstance(ask(bench, m.StopRecording("all")), m.RecordingDone)
    refused = ask(bench, m.StopRecording("leg"))
    assert isinstance(refused, m.Failed) and refused.code == "RECORDING_ERROR"


def test_a_transferred_endpoint_leaves_one_recording_and_joins_another(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    handle = bench.rtp(endpoint="a").handle
    bench.rtp(session="t", endpoint="b")
    start(bench, tmp_path / "leg.pcap", "a", id="leg")
    body = m.StartRecording(
        session="t", recording="there", endpoint=None, file_path=f"{tmp_path}/there.pcap", app_id=""
    )
    ask(bench, body)
    plan = bench.worker.plan
    plan.move(plan.find_rtp("a"), plan.sessions["t"])
    assert told(bench).reason == "endpoint_transferred"
    assert captured(bench)[-2:] == [(handle, False), (handle, True)]


def test_a_closed_session_is_answered_when_its_recordings_are_complete(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    start(bench, tmp_path / "call.wav")
    n = bench.post(m.CloseSession("s", "shutdown"))
    event = told(bench)
    assert event.reason == "shutdown"
    assert settle(bench, lambda: bench.reply(n)) == m.Done()
    assert bench.worker.recorder.gauges() == {"recordings": 0}


def test_what_cannot_be_recorded_is_refused_and_leaves_nothing(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    (tmp_path / "there.wav").write_bytes(b"")
    for path, endpoint in (("there.wav", None), ("../up.wav", None), ("x.mp3", None), ("x.wav", "nobody")):
        refused = start(bench, tmp_path / path, endpoint, id=path)
        assert isinstance(refused, m.Failed) and refused.code == "RECORDING_ERROR", path
    assert captured(bench) == []
    assert bench.do(m.TakeSnapshot()).recordings == []
    assert [path.name for path in tmp_path.iterdir()] == ["there.wav"]


def test_what_ends_while_its_file_is_opened_never_begins(recording: BenchWorker, tmp_path: Path) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    body = m.StartRecording(
        session="s", recording="r", endpoint="a", file_path=f"{tmp_path}/call.wav", app_id=""
    )
    begun, removed = bench.post(body), bench.post(m.RemoveEndpoint("a"))
    assert isinstance(settle(bench, lambda: bench.reply(begun)), m.Failed)
    assert settle(bench, lambda: bench.reply(removed)) == m.Done()
    settle(bench, lambda: not list(tmp_path.iterdir()))
    assert captured(bench) == []


def test_a_snapshot_names_what_is_being_recorded(recording: BenchWorker, tmp_path: Path) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    start(bench, tmp_path / "leg.wav", "a")
    (entry,) = bench.do(m.TakeSnapshot()).recordings
    assert (entry.session, entry.recording, entry.endpoint, entry.file_path) == (
        "s",
        "r",
        "a",
        f"{tmp_path}/leg.wav",
    )


def test_another_worker_sends_its_part_until_nobody_reads(
    make_recording: Callable[[], BenchWorker], tmp_path: Path, run: Path
) -> None:
    keeper, feeder = make_recording(), make_recording()
    keeper.rtp(endpoint="a")
    handle = feeder.rtp(endpoint="b").handle
    start(keeper, tmp_path / "call.pcap")
    opened = keeper.do(m.OpenFeed(recording="r", worker=1))
    assert isinstance(opened, m.FeedOpened)
    feed = m.StartFeed(session="s", recording="r", keeper=0, path=opened.path, legs=["a", "b"], wav=False)
    assert feeder.do(feed) == m.Done()
    assert captured(feeder) == [(handle, True)]
    assert not list(run.glob("feed-*")), "nobody else can come by that pipe"
    assert keeper.do(m.TakeSnapshot()).recordings[0].feeders == [1]
    assert feeder.do(m.TakeSnapshot()).recordings == []
    assert (keeper.worker.recorder.gauges(), feeder.worker.recorder.gauges()) == (
        {"recordings": 1},
        {"recordings": 0},
    )
    late = feeder.rtp(endpoint="c").handle
    assert captured(feeder)[1:] == [(late, True)]
    stopping = keeper.post(m.StopRecording("r"))
    assert isinstance(ask(feeder, m.StopRecording("r")), m.RecordingDone)
    assert isinstance(settle(keeper, lambda: keeper.reply(stopping)), m.RecordingDone)
    assert captured(feeder)[2:] == [(handle, False), (late, False)]
    assert not [event for event in feeder.events() if isinstance(event, m.RecordingStopped)]


def test_a_feed_for_which_nobody_waits_is_refused_and_a_pipe_nobody_opened_removed(
    recording: BenchWorker, tmp_path: Path, run: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    refused = bench.do(m.OpenFeed(recording="r", worker=1))
    assert isinstance(refused, m.Failed) and refused.code == "RECORDING_ERROR"
    feed = m.StartFeed(session="s", recording="r", keeper=0, path=f"{tmp_path}/none", legs=[], wav=False)
    refused = bench.do(feed)
    assert isinstance(refused, m.Failed) and refused.code == "RECORDING_ERROR"
    assert captured(bench) == []
    start(bench, tmp_path / "call.wav")
    bench.do(m.OpenFeed(recording="r", worker=1))
    assert len(list(run.glob("feed-*"))) == 1
    ask(bench, m.StopRecording("r"))
    assert not list(run.glob("feed-*"))


def test_a_session_that_goes_on_elsewhere_goes_on_being_recorded(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    start(bench, tmp_path / "call.wav")
    ask(bench, m.CloseSession("s", None))
    assert not [event for event in bench.events() if isinstance(event, m.RecordingStopped)]
    handle = bench.rtp(endpoint="b").handle
    assert captured(bench)[-1] == (handle, True)
    assert isinstance(ask(bench, m.StopRecording("r")), m.RecordingDone)


def test_what_reached_a_file_is_known_when_the_worker_is_gone(
    recording: BenchWorker, tmp_path: Path, run: Path
) -> None:
    bench = recording
    bench.rtp(endpoint="a")
    start(bench, tmp_path / "one.pcap", id="one")
    start(bench, tmp_path / "two.pcap", id="two")
    ask(bench, m.StopRecording("one"))
    start(bench, tmp_path / "three.wav", id="three")
    (run / "recordings-0-0").write_bytes(b"of a worker before it")
    (run / "recordings-1-1").write_bytes(b"of another")
    notes = run / "recordings-0-1"
    settle(bench, lambda: b"three" in notes.read_bytes())
    kept = recording_counts.take(str(run), 0, 1)
    assert sorted(kept) == ["three", "two"] and kept["two"].packets == 0
    assert [path.name for path in run.iterdir()] == ["recordings-1-1"]
    assert recording_counts.take(str(run), 0, 1) == {}


def test_a_worker_that_ends_well_leaves_no_notes(
    make_recording: Callable[[], BenchWorker], tmp_path: Path, run: Path
) -> None:
    bench = make_recording()
    bench.rtp(endpoint="a")
    start(bench, tmp_path / "one.pcap")
    assert len(list(run.iterdir())) == 1
    bench.worker.recorder.close()
    assert not list(run.iterdir())


# -- rooms -------------------------------------------------------------------------------------------------


def test_a_room_is_recorded_as_far_as_it_sits_there_and_a_session_wherever_it_sits(
    recording: BenchWorker, tmp_path: Path
) -> None:
    bench = recording
    a, b = bench.rtp("s", "a").handle, bench.rtp("t", "b").handle
    assert bench.do(m.OpenRoom(session="room", phase=3)) == m.Done()
    own = bench.rtp("room", "own").handle

    def sit(endpoint: str, move: int) -> None:
        bench.do(m.TakeSeat(endpoint=endpoint, move=move, room="room", seat=m.Seat()))

    sit("a", 1)
    body = m.StartRecording(
        session="room", recording="all", endpoint=None, file_path=f"{tmp_path}/all.pcap", app_id=""
    )
    assert isinstance(ask(bench, body), m.RecordingStarted)
    assert captured(bench) == [(own, True), (a, True)]
    start(bench, tmp_path / "session.pcap", id="session")  # of s
    sit("b", 1)
    sit("b", 2)  # another seat is no coming
    for owner in ("t", "room"):
        private = m.CreateTone(
            session=owner, endpoint=f"to {owner}", phase=3, tone="sine", room="room", seat=m.Seat(private="t")
        )
        assert bench.do(private) == m.Done()
    assert captured(bench)[2:] == [(b, True)]
    bench.do(m.LeaveSeat(endpoint="a", move=2))
    bench.do(m.LeaveSeat(endpoint="b", move=3))
    assert captured(bench)[3:] == [(b, False)]
    ask(bench, m.StopRecording("session"))
    assert captured(bench)[4:] == [(a, False)]
    assert isinstance(ask(bench, m.StopRecording("all")), m.RecordingDone)
    assert captured(bench)[5:] == [(own, False)]
