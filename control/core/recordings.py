"""What the methods recording.* do, and how a recording ends.

Theory of operation
-------------------
A recording is *active* from the reply to recording.start on.  It ends once: with the reply to recording.stop
(*stopping* while the worker writes what is left), or with one recording.stopped, whose reason is that of the
worker that kept the file; of a worker that died only we can tell.  A recording whose session has ended waits,
*departed*, for its worker's last word, which goes to the connection the session had.

A whole session is recorded by the worker that is its home when it begins; that one keeps the file, whatever
becomes of the endpoints.  Every other worker on which the session has endpoints feeds it: `join` is a step of
whatever brings an endpoint to a worker, as `spreading.join` is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from roomtone.control.core import api, api_recording, places, spreading
from roomtone.control.core.problems import ENDPOINT_ERROR, RECORDING_ERROR, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.run import COMMAND_DEADLINE_US, Answer, Ask, Call, Procedure, expect, unanswered
from roomtone.control.core.session import Bus, Session
from roomtone.engine import messages
from roomtone.engine.codecs import Codec
from roomtone.engine.messages import (
    CloseSession,
    OpenFeed,
    PauseRecording,
    ResumeRecording,
    SnapshotRecording,
    StartFeed,
    StartRecording,
    StopRecording,
)
from roomtone.engine.recording_counts import Left

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.session import Endpoint

MIX, WAV = "?mix", ".wav"
STOPPED, WORKER_LOST = "stopped", "worker_lost"  # reasons: it was asked to end, its worker died
US_PER_S = 1_000_000
NOTHING = Left()  # is in its file, or it is not known


class RecordingFact(Enum):
    STOP_ASKED = "stop_asked"
    STOP_UNANSWERED = "stop_unanswered"
    ENDED = "ended"


RECORDING_TRANSITIONS: dict[str, dict[RecordingFact, str]] = {
    "active": {RecordingFact.STOP_ASKED: "stopping", RecordingFact.ENDED: "ended"},
    "stopping": {RecordingFact.STOP_UNANSWERED: "active", RecordingFact.ENDED: "ended"},
    "ended": {},
}


Then = Callable[[int, str], None]


class Recording(Struct, kw_only=True, eq=False):
    """One recording as control knows it.  endpoint_id None: of the whole session.

    worker: who keeps the file.  feeders: who else has a part in it.  then: called when it has ended, however
    that came about, with its duration in milliseconds and the reason.
    """

    id: str
    endpoint_id: str | None
    file_path: str
    worker: int
    started_us: int
    state: str = "active"
    feeders: list[int] = field(default_factory=list)
    then: Then | None = None
    paused: bool = False

    def over(self, duration_ms: int, reason: str) -> None:
        """It has ended; whoever waits for that learns it once."""
        then, self.then = self.then, None
        if then is not None:
            then(duration_ms, reason)

    def happened(self, fact: RecordingFact) -> None:
        self.state = RECORDING_TRANSITIONS[self.state][fact]

    @property
    def workers(self) -> tuple[int, ...]:
        return (self.worker, *self.feeders)


class Departed(Struct, frozen=True):
    """A recording whose session has ended; connection: who is told."""

    recording: Recording
    connection: int | None


# -- methods -------------------------------------------------------------------------------------------------


def start(core: Core, call: Call, params: api_recording.RecordingStart) -> Procedure:
    started, recording = yield from begin(core, call.session, params.file_path, params.endpoint_id)
    return api_recording.RecordingStarted(recording.id, started.started_at_epoch_ms)


def begin(
    core: Core, bus: Bus, file_path: str, endpoint_id: str | None = None, then: Then | None = None
) -> Generator[list[Ask], list[Answer], tuple[messages.RecordingStarted, Recording]]:
    """Record an endpoint, or (None) the whole bus.  Raises `Problem`."""
    limit = core.config.max_recordings_per_session
    if limit and len(bus.recordings) >= limit:
        raise Problem(RECORDING_ERROR, f"The session has its maximum of {limit} recordings")
    if in_use(core, file_path.removesuffix(MIX)):
        raise Problem(RECORDING_ERROR, "The file is being written", "file_path")
    worker = _worker_of(core, bus, endpoint_id)
    yield from spreading.join(core, bus)
    recorded = _recorded(bus, endpoint_id)
    recording_id = core.next_id()
    body = StartRecording(
        session=bus.id,
        recording=recording_id,
        endpoint=endpoint_id.lower() if endpoint_id is not None else None,
        file_path=file_path,
        app_id=bus.app_id,
        legs=[endpoint.id for endpoint in recorded],
        wide=any(map(_wide, recorded)),
    )
    undo = StopRecording(recording_id)
    answers = yield [Ask(worker, body, lambda _: core.tell(worker, undo))]
    started = expect(answers[0], messages.RecordingStarted)
    if bus.ended:
        core.tell(worker, undo)
        raise Problem(RECORDING_ERROR, "What was to be recorded has ended meanwhile")
    recording = bus.recordings[recording_id] = Recording(
        id=recording_id,
        endpoint_id=body.endpoint,
        file_path=started.file_path,
        worker=worker,
        started_us=core.now_us,
        then=then,
    )
    try:
        yield from _feed(core, bus, recording, body.legs)
    except Problem as refused:
        drop(core, bus, recording)
        raise Problem(RECORDING_ERROR, f"Not recorded: {refused.message}") from None
    core.log("info", "recording_started", session=bus.id, recording=recording_id, worker=worker)
    return started, recording


def _worker_of(core: Core, bus: Bus, endpoint_id: str | None) -> int:
    if endpoint_id is not None:
        endpoint = bus.endpoints.get(endpoint_id.lower())
        if endpoint is None:
            raise Problem(RECORDING_ERROR, f"Endpoint not found: {endpoint_id}", "endpoint_id")
        if endpoint.state == "buffering":
            raise Problem(RECORDING_ERROR, f"Endpoint {endpoint_id} is still buffering", "endpoint_id")
        return endpoint.worker
    places.settle(core, bus)
    if bus.home is None:
        raise Problem(SESSION_UNRESPONSIVE, "No media worker is running")
    return bus.home


def _recorded(bus: Bus, endpoint_id: str | None) -> list[Endpoint]:
    """Whom the recording begins with, in the order of their making."""
    if endpoint_id is not None:
        return [bus.endpoints[endpoint_id.lower()]]
    return [endpoint for endpoint in bus.heard() if endpoint.state != "buffering"]


def _wide(endpoint: Endpoint) -> bool:
    media = endpoint.media
    return media is not None and (
        media.send_codec == Codec.L16_16K or any(entry.codec == Codec.L16_16K for entry in media.receive)
    )


def stop(core: Core, call: Call, params: api_recording.RecordingStop) -> Procedure:
    session = call.session
    recording = session.recordings.get(params.recording_id.lower())
    if recording is None:
        raise Problem(RECORDING_ERROR, f"Recording not found: {params.recording_id}", "recording_id")
    done = yield from finish(core, session, recording)
    return api_recording.RecordingDone(
        file_path=done.file_path,
        duration_ms=done.duration_ms,
        packets=done.packets,
        dropped_packets=done.dropped_packets,
        stopped_at_epoch_ms=done.stopped_at_epoch_ms,
    )


def finish(
    core: Core, bus: Bus, recording: Recording, within_us: int | None = None
) -> Generator[list[Ask], list[Answer], messages.RecordingDone]:
    """End an active recording.  Raises `Problem`.

    within_us: for the worker to write what is left; None: as long as it may take.
    """
    recording.happened(RecordingFact.STOP_ASKED)
    within_us = within_us or COMMAND_DEADLINE_US + core.config.recording_flush_timeout_secs * US_PER_S
    body = StopRecording(recording.id)
    keeper = Ask(recording.worker, body, partial(_finished, core, bus, recording), within_us=within_us)
    answers = yield [keeper, *(Ask(worker, body, within_us=within_us) for worker in recording.feeders)]
    if unanswered(answers[0]) and recording.state == "stopping":
        recording.happened(RecordingFact.STOP_UNANSWERED)
    done = expect(answers[0], messages.RecordingDone)
    _finished(core, bus, recording, done)
    return done


def _finished(core: Core, bus: Bus, recording: Recording, done: object) -> None:
    assert isinstance(done, messages.RecordingDone)
    _forget(bus, recording)
    core.departed.pop(recording.id, None)  # where its session ended meanwhile
    recording.over(done.duration_ms, STOPPED)


def _forget(bus: Bus, recording: Recording) -> None:
    if bus.recordings.pop(recording.id, None) is not None:
        recording.happened(RecordingFact.ENDED)


def pause(core: Core, recording: Recording, on: bool) -> Generator[list[Ask], list[Answer], bool]:
    """Leave out what is heard from now on, or no longer.  False: it was so already.  Raises `Problem`."""
    if recording.paused is on:
        return False
    recording.paused = on
    try:
        for answer in (yield [Ask(worker, _paused(recording)) for worker in recording.workers]):
            expect(answer, messages.Done)
    except (Problem, GeneratorExit):
        recording.paused = not on
        for worker in recording.workers:
            core.tell(worker, _paused(recording))
        raise
    return True


def _paused(recording: Recording) -> PauseRecording | ResumeRecording:
    return PauseRecording(recording.id) if recording.paused else ResumeRecording(recording.id)


# -- several workers -----------------------------------------------------------------------------------------


def join(core: Core, bus: Bus) -> Generator[list[Ask], list[Answer], None]:
    """Let every worker that has endpoints of a session or room, or will have, feed its recordings.

    Raises `Problem` when one of them cannot, unless the recording has ended meanwhile.
    """
    for recording in list(bus.recordings.values()):
        if recording.endpoint_id is not None or recording.state != "active":
            continue
        try:
            yield from _feed(core, bus, recording, [])
        except Problem as refused:
            if recording.state != "active":
                continue
            code = refused.code if refused.code == SESSION_UNRESPONSIVE else ENDPOINT_ERROR
            raise Problem(code, f"The session's recording cannot go on there: {refused.message}") from None


def _feed(
    core: Core, bus: Bus, recording: Recording, legs: list[str]
) -> Generator[list[Ask], list[Answer], None]:
    if recording.endpoint_id is not None:
        return
    joining = [worker for worker in bus.counts if worker not in recording.workers]
    if not joining:
        return
    recording.feeders += joining
    try:
        paths = yield [Ask(recording.worker, OpenFeed(recording=recording.id, worker=w)) for w in joining]
        answers = yield [
            Ask(worker, _feed_by(bus, recording, expect(answer, messages.FeedOpened).path, legs))
            for worker, answer in zip(joining, paths, strict=True)
        ]
        for answer in answers:
            expect(answer, messages.Done)
        if recording.paused:
            yield [Ask(worker, _paused(recording)) for worker in joining]
    except (Problem, GeneratorExit):
        recording.feeders = [worker for worker in recording.feeders if worker not in joining]
        for worker in joining:
            core.tell(worker, StopRecording(recording.id))
        raise


def _feed_by(bus: Bus, recording: Recording, path: str, legs: list[str]) -> StartFeed:
    return StartFeed(
        session=bus.id,
        recording=recording.id,
        keeper=recording.worker,
        path=path,
        legs=legs,
        wav=recording.file_path.endswith(WAV),
    )


def drop(core: Core, bus: Bus, recording: Recording) -> None:
    """End one that nobody was told of."""
    _forget(bus, recording)
    _stop_all(core, recording)


def _stop_all(core: Core, recording: Recording) -> None:
    for worker in recording.workers:
        core.tell(worker, StopRecording(recording.id))


# -- endings -------------------------------------------------------------------------------------------------


def _bus(core: Core, owner: str) -> Bus | None:
    return core.sessions.get(owner) or core.rooms.get(owner)


def stopped(core: Core, event: messages.RecordingStopped) -> None:
    """A worker's last word about a recording that nobody asked to stop."""
    told = api.RecordingStopped(
        recording_id=event.recording,
        file_path=event.file_path,
        duration_ms=event.duration_ms,
        packets=event.packets,
        dropped_packets=event.dropped_packets,
        reason=event.reason,
    )
    bus = _bus(core, event.session)
    if bus is not None and event.recording in bus.recordings:
        recording = bus.recordings[event.recording]
        _forget(bus, recording)
        for feeder in recording.feeders:
            core.tell(feeder, StopRecording(recording.id))
        core.log("info", "recording_stopped", recording=event.recording, reason=event.reason)
        call = bus.run.call if isinstance(bus, Session) and bus.run is not None else None
        if call is not None:
            call.emit(told)  # what a command may have caused stands behind its reply
        elif isinstance(bus, Session):
            core.emit(bus, told)
        recording.over(event.duration_ms, event.reason)
        return
    departed = core.departed.pop(event.recording, None)
    if departed is not None:
        core.log("info", "recording_stopped", recording=event.recording, reason=event.reason)
        _tell(core, departed, told)
        departed.recording.over(event.duration_ms, event.reason)


def depart(core: Core, session: Session) -> None:
    """The session has ended: its workers still have a word to say about its recordings."""
    for recording in session.recordings.values():
        core.departed[recording.id] = Departed(recording, session.connection)
    session.recordings.clear()


def worker_lost(core: Core, worker: int, left: dict[str, Left]) -> None:
    """The last word for a dead worker about its recordings.  left: what had reached their files, by id."""
    lost = [departed for departed in core.departed.values() if departed.recording.worker == worker]
    for departed in lost:
        del core.departed[departed.recording.id]
        _tell(core, departed, _lost(core, departed.recording, left))
        _over(departed.recording, left)


def keeper_lost(core: Core, worker: int, left: dict[str, Left]) -> None:
    """A worker died that may have kept, or fed, recordings of buses with nothing else there."""
    for bus in (*core.sessions.values(), *core.rooms.values()):
        for recording in list(bus.recordings.values()):
            if recording.worker == worker:
                _forget(bus, recording)
                for feeder in recording.feeders:
                    core.tell(feeder, StopRecording(recording.id))
                told = _lost(core, recording, left)
                if isinstance(bus, Session):
                    core.emit(bus, told)
                _over(recording, left)
            elif worker in recording.feeders:
                recording.feeders.remove(worker)


def _lost(core: Core, recording: Recording, left: dict[str, Left]) -> api.RecordingStopped:
    there = left.get(recording.id, NOTHING)
    core.log("warning", "recording_stopped", recording=recording.id, reason=WORKER_LOST)
    return api.RecordingStopped(
        recording_id=recording.id,
        file_path=recording.file_path,
        duration_ms=there.duration_us // 1000,
        packets=there.packets,
        dropped_packets=there.dropped_packets,
        reason=WORKER_LOST,
    )


def _over(recording: Recording, left: dict[str, Left]) -> None:
    recording.over(left.get(recording.id, NOTHING).duration_us // 1000, WORKER_LOST)


def _tell(core: Core, departed: Departed, event: api.RecordingStopped) -> None:
    connection = core.connections.get(departed.connection) if departed.connection is not None else None
    if connection is not None:
        core.emit_to(connection, event)


# -- what others ask -----------------------------------------------------------------------------------------


def in_use(core: Core, file_path: str) -> bool:
    """The file is being written."""
    departed = (departed.recording for departed in core.departed.values())
    buses = (*core.sessions.values(), *core.rooms.values())
    running = (recording for bus in buses for recording in bus.recordings.values())
    return any(recording.file_path == file_path for recording in (*departed, *running))


def infos(session: Session) -> list[api.RecordingInfo]:
    return [
        api.RecordingInfo(
            recording_id=recording.id,
            endpoint_id=recording.endpoint_id,
            file_path=recording.file_path,
            state=recording.state,  # type: ignore[arg-type]
        )
        for recording in session.recordings.values()
    ]


def adopt(core: Core, worker: int, held: list[SnapshotRecording]) -> None:
    """Recordings that go on since before this process began.

    The session may have no endpoint on the worker that keeps the file: then the others are waited for.
    """
    core.strays += [(worker, entry) for entry in held]
    claim(core)


def claim(core: Core) -> None:
    """Give every stray recording to its bus; when all workers were heard, nobody else will claim it."""
    strays, core.strays = core.strays, []
    for worker, entry in strays:
        bus = _bus(core, entry.session)
        if bus is None and core.unheard:
            core.strays.append((worker, entry))
        elif bus is None:
            for each in (worker, *entry.feeders):
                core.tell(each, CloseSession(entry.session))
        elif entry.recording not in bus.recordings:
            bus.recordings[entry.recording] = Recording(
                id=entry.recording,
                endpoint_id=entry.endpoint,
                file_path=entry.file_path,
                worker=worker,
                started_us=entry.started_us,
                feeders=entry.feeders,
            )


METHODS: dict[str, tuple[Callable[..., Any], type[Struct], type[Struct]]] = {
    "recording.start": (start, api_recording.RecordingStart, api_recording.RecordingStarted),
    "recording.stop": (stop, api_recording.RecordingStop, api_recording.RecordingDone),
}
