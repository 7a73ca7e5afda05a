"""Recordings of this worker: files are opened, endpoints are captured, counts are told; the bytes pass it by.

    start -> opened (side thread) -> running -> ended (for one reason) -> closed (told once) -> forgotten

A session on several workers is recorded by one of them.  The others feed it: for the drain that is a
recording too, whose file is a named pipe to the worker that keeps the real one, and of which nothing is told.

The drain and the writers (ext/record) have threads of their own, made with the first recording: one writer a
file system, so that a disk that hangs holds up nobody else's recordings.  Opening a file may wait for the
disk as well and is side work.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from roomtone.engine import messages as m
from roomtone.engine import recording_path
from roomtone.engine.errors import CommandError
from roomtone.engine.plan import Endpoint, Session
from roomtone.engine.process_messages import HIDDEN_SLOTS
from roomtone.engine.recording import Recording
from roomtone.engine.recording_counts import Counts
from roomtone.engine.replies import Later
from roomtone.ext.record.drain import LOSS_NAMES, Drain
from roomtone.ext.record.writer import Writer

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

RECORDING_ERROR = "RECORDING_ERROR"
STOPPED = "stopped"  # by recording.stop; all other reasons are told by an event
WIDE_HZ, NARROW_HZ = 16000, 8000
MADE_HERE = frozenset({"tone", "file"})  # endpoints whose channel the next such one may take over
FEED = "{runtime_dir}/feed-{recording}-{worker}"  # the pipe by which that worker feeds it
HELLO = bytes(64)  # a record that says nothing: from then on the end of the pipe is waited for
NEXT_CHANNEL = -1
CLOSE_POLL_S = 0.01
JOIN_S = 1.0
_US_A_MS = 1000


class Recorder:
    """Belongs to the Python thread.  `turn` takes what the writers have to tell."""

    def __init__(self, worker: Worker, wake_fd: int) -> None:
        self._worker = worker
        self._wake_fd = wake_fd
        self._config = worker.config
        self._drain: Drain | None = None
        self._counts: Counts | None = None
        self._writers: dict[tuple[str, int], Writer] = {}  # of a disk by device, of a worker by index
        self._recordings: dict[str, Recording] = {}  # opening, running or ending, by id
        self._numbers: dict[int, Recording] = {}
        self._by_handle: dict[int, list[Recording]] = {}
        self._waiting: dict[str, list[tuple[Later, Any]]] = {}  # for the last recording of a session
        self._threads: list[threading.Thread] = []
        self._owner_warned = False
        self._past = {
            "packets": 0,
            "bytes": 0,
            **dict.fromkeys(LOSS_NAMES, 0),
        }  # of recordings that are closed

    # -- commands --------------------------------------------------------------------------------------------

    def admit(self, body: m.StartRecording) -> Recording:
        """Check a recording and enter it.  CommandError."""
        if body.recording in self._recordings:
            raise CommandError(RECORDING_ERROR, f"recording {body.recording} exists")
        try:
            target = recording_path.target(body.file_path, self._config.recording_dir)
        except recording_path.PathError as error:
            raise CommandError(RECORDING_ERROR, str(error)) from None
        endpoint = None
        if body.endpoint is not None:
            endpoint = self._worker.plan.endpoints.get(body.endpoint)
            if endpoint is None or endpoint.session.id != body.session:
                raise CommandError(RECORDING_ERROR, f"Endpoint not found: {body.endpoint}")
        legs = [endpoint.id] if endpoint is not None else body.legs
        recording = Recording(body.recording, body.session, endpoint, target, legs, wide=body.wide)
        self._recordings[recording.id] = recording
        return recording

    def start(self, recording: Recording, app_id: str) -> Later:
        """Begin an admitted recording once its file is open; the capture ring is ready."""
        folder, later = self._config.recording_dir, Later()
        assert folder is not None and recording.target is not None
        create = partial(recording_path.create, folder, recording.target.parts, app_id)
        self._worker.side.put(create, partial(self._opened, recording, later))
        return later

    def open_feed(self, body: m.OpenFeed) -> m.FeedOpened:
        """Let another worker send its part of a recording that runs here.  CommandError."""
        recording = self._running(body.recording)
        assert self._drain is not None
        path = FEED.format(runtime_dir=self._config.runtime_dir, recording=recording.id, worker=body.worker)
        try:
            fd = recording_path.open_feed(path)
        except OSError as error:
            raise CommandError(RECORDING_ERROR, f"No way to the other worker: {error.strerror}") from None
        self._drain.feed(recording.number, fd, position=self._worker.media.capture_position())
        recording.feeders[body.worker] = path
        return m.FeedOpened(path)

    def start_feed(self, body: m.StartFeed) -> None:
        """Send what the session's endpoints here say and hear to another worker.  CommandError."""
        if body.recording in self._recordings:
            raise CommandError(RECORDING_ERROR, f"recording {body.recording} exists")
        try:
            fd = recording_path.join_feed(body.path, HELLO)
        except OSError as error:
            raise CommandError(RECORDING_ERROR, f"No way to the other worker: {error.strerror}") from None
        recording = Recording(body.recording, body.session, None, None, body.legs)
        self._recordings[recording.id] = recording
        self._begin(recording, ("worker", body.keeper), fd, wav=body.wav)

    def stop(self, body: m.StopRecording) -> Later:
        """End a recording; answered when its file is complete, or after recording_flush_timeout_secs."""
        recording = self._recordings.get(body.recording)
        if recording is None or recording.reason:
            raise CommandError(RECORDING_ERROR, f"Recording not found: {body.recording}")
        recording.answer = Later()
        self._end(recording, STOPPED)
        return recording.answer

    def pause(self, id: str) -> None:
        """Leave out what is heard from now on.  CommandError."""
        recording = self._running(id)
        if recording.paused_us is None:
            assert self._drain is not None
            now_us = recording.paused_us = self._worker.now_us()
            position = self._worker.media.capture_position()
            self._drain.pause(recording.number, position=position, at_us=now_us)

    def resume(self, id: str) -> None:
        """CommandError."""
        recording = self._running(id)
        if recording.paused_us is not None:
            assert self._drain is not None
            now_us = self._worker.now_us()
            recording.pauses_us += now_us - recording.paused_us
            recording.paused_us = None
            position = self._worker.media.capture_position()
            self._drain.resume(recording.number, position=position, at_us=now_us)

    def _running(self, id: str) -> Recording:
        recording = self._recordings.get(id)
        if recording is None or recording.reason or not recording.number:
            raise CommandError(RECORDING_ERROR, f"Recording not found: {id}")
        return recording

    def snapshot(self) -> list[m.SnapshotRecording]:
        """What is being recorded."""
        return [
            m.SnapshotRecording(
                session=recording.session,
                recording=recording.id,
                endpoint=recording.endpoint.id if recording.endpoint is not None else None,
                file_path=recording.target.file_path,
                started_us=recording.started_us,
                feeders=list(recording.feeders),
            )
            for recording in self._recordings.values()
            if recording.target is not None and recording.number and not recording.reason
        ]

    # -- what happens to endpoints and sessions --------------------------------------------------------------

    def joined(self, endpoint: Endpoint, session: Session) -> None:
        """An endpoint came to its session, or to a room: recordings of the whole go on with it."""
        for recording in self._recordings.values():
            if (
                recording.session == session.id
                and recording.endpoint is None
                and _is_heard(endpoint, session)
                and recording.number
                and not recording.reason
            ):
                self._begin_leg(recording, endpoint)

    def leaving(self, endpoint: Endpoint, reason: str, session: Session | None) -> None:
        """An endpoint is about to leave a room, or (None) all it is in."""
        for recording in list(self._by_handle.get(endpoint.handle, ())):
            if session is not None and recording.session != session.id:
                continue
            if recording.endpoint is endpoint:
                self._end(recording, reason)
            else:
                self._end_leg(recording, endpoint)

    def session_ended(self, session: str, reason: str) -> None:
        for recording in list(self._recordings.values()):
            if recording.session == session and not recording.reason:
                self._end(recording, reason)

    def after(self, session: str, result: Any) -> Any:
        """The result of a command that is not to be answered before recordings it has ended are complete."""
        if not self._ending(session):
            return result
        later = Later()
        self._waiting.setdefault(session, []).append((later, result))
        return later

    # -- beginning -------------------------------------------------------------------------------------------

    def _opened(self, recording: Recording, later: Later, opened: recording_path.Opened | Exception) -> None:
        target = recording.target
        assert target is not None
        if isinstance(opened, Exception):
            self.dismiss(recording)
            reason = opened.strerror if isinstance(opened, OSError) else str(opened)
            later.refuse(CommandError(RECORDING_ERROR, f"The file cannot be made: {reason}"))
        elif recording.reason or (recording.endpoint is not None and recording.endpoint.gone):
            discard = partial(recording_path.discard, opened, target.parts)
            self._worker.side.put(discard, lambda _: None)
            self.dismiss(recording)
            over = CommandError(RECORDING_ERROR, "What was to be recorded has ended meanwhile")
            later.refuse(over)
            if recording.answer is not None:
                recording.answer.refuse(over)
        else:
            self._begin(
                recording,
                ("disk", opened.device),
                opened.fd,
                folder_fd=opened.folder_fd,
                name=target.parts[-1].encode(),
                wav=target.wav,
                mix=target.mix,
            )
            started_us = recording.started_us + recording.wall_offset_us
            later.answer(
                m.RecordingStarted(file_path=target.file_path, started_at_epoch_ms=started_us // _US_A_MS)
            )
            if not opened.owned and not self._owner_warned:
                self._owner_warned = True
                self._worker.log.warning("recording_without_owner", path=self._config.recording_dir)

    def _begin(
        self,
        recording: Recording,
        writer: tuple[str, int],
        fd: int,
        *,
        folder_fd: int = -1,
        name: bytes = b"",
        wav: bool = False,
        mix: bool = False,
    ) -> None:
        worker = self._worker
        if self._drain is None:
            slots = self._config.endpoints + HIDDEN_SLOTS
            self._drain = Drain(worker.media.capture_ring_address(), slots)
            self._threads.append(worker.side.own("record-drain", self._drain.run))
        if self._counts is None:
            self._counts = Counts(self._config.runtime_dir, self._config.index, self._config.epoch)
        recording.slot = self._counts.take()
        now_us = recording.started_us = worker.now_us()
        recording.wall_offset_us = time.time_ns() // 1000 - now_us
        recording.number = self._drain.begin(
            self._writer(writer),
            fd=fd,
            folder_fd=folder_fd,
            name=name,
            rate_hz=(WIDE_HZ if recording.wide else NARROW_HZ) if wav else 0,
            channels=len(recording.channels),
            mix=mix,
            started_us=now_us,
            wall_offset_us=recording.wall_offset_us,
            limit=self._config.recording_channel_size,
            position=worker.media.capture_position(),
            feeding=recording.target is None,
            counts_fd=self._counts.fd,
            slot=recording.slot,
            public_id=recording.id.encode(),
        )
        self._numbers[recording.number] = recording
        for endpoint in self._members(recording):
            self._begin_leg(recording, endpoint)
        worker.log.info("recording_started", recording=recording.id, session=recording.session)

    def _members(self, recording: Recording) -> list[Endpoint]:
        if recording.endpoint is not None:
            return [recording.endpoint]
        session = self._worker.plan.sessions.get(recording.session)
        if session is None:
            return []
        there = [*session.members.values(), *session.seated.values()]
        return [endpoint for endpoint in there if _is_heard(endpoint, session)]

    def _writer(self, whose: tuple[str, int]) -> Writer:
        writer = self._writers.get(whose)
        if writer is None:
            writer = self._writers[whose] = Writer(self._wake_fd)
            self._threads.append(self._worker.side.own("record-write", writer.run))
        return writer

    def _begin_leg(self, recording: Recording, endpoint: Endpoint) -> None:
        assert self._drain is not None
        media, handle = self._worker.media, endpoint.handle
        recording.legs[handle] = endpoint
        self._drain.leg(
            recording.number,
            handle,
            position=media.capture_position(),
            at_us=self._worker.now_us(),
            lost=media.capture_lost(handle),
            made_here=endpoint.kind in MADE_HERE,
            channel=recording.channels.pop(endpoint.id, NEXT_CHANNEL),
        )
        others = self._by_handle.setdefault(handle, [])
        if not others:
            media.capture(handle, True)
        others.append(recording)

    # -- ending ----------------------------------------------------------------------------------------------

    def _end_leg(self, recording: Recording, endpoint: Endpoint) -> None:
        assert self._drain is not None
        media, handle = self._worker.media, endpoint.handle
        del recording.legs[handle]
        self._drain.leg_end(
            recording.number, handle, position=media.capture_position(), lost=media.capture_lost(handle)
        )
        others = self._by_handle[handle]
        others.remove(recording)
        if not others:
            del self._by_handle[handle]
            media.capture(handle, False)

    def _end(self, recording: Recording, reason: str) -> None:
        recording.reason = reason
        now_us = recording.stopped_us = self._worker.now_us()
        if not recording.number:
            return  # its file is not open yet: `_opened` finds the reason
        assert self._drain is not None
        for endpoint in list(recording.legs.values()):
            self._end_leg(recording, endpoint)
        position = self._worker.media.capture_position()
        self._drain.end(recording.number, position=position, stopped_us=now_us)
        patience_us = self._config.recording_flush_timeout_ms * _US_A_MS
        self._worker.timers.at(now_us + patience_us, self._overdue, recording)

    def _overdue(self, recording: Recording, now_us: int) -> None:
        """The disk did not take the rest in time: give it up."""
        if not recording.told:
            assert self._drain is not None
            self._drain.abandon(recording.number)
            self._worker.log.warning("recording_abandoned", recording=recording.id)
            self._tell(recording)

    def _tell(self, recording: Recording) -> None:
        """The end of a recording: to who asked for it, else as an event; once."""
        assert self._drain is not None
        recording.told = True
        counts = self._drain.counts(recording.number)
        packets, dropped = counts["packets"], counts["waiting"] + sum(counts["lost"].values())
        duration_ms = recording.duration_us(recording.stopped_us) // _US_A_MS
        path = recording.target.file_path if recording.target is not None else ""
        self._worker.log.info(
            "recording_ended",
            recording=recording.id,
            session=recording.session,
            reason=recording.reason,
            packets=packets,
            dropped_packets=dropped,
            error=os.strerror(counts["error"]) if counts["error"] else None,
        )
        if recording.answer is not None:
            stopped_us = recording.stopped_us + recording.wall_offset_us
            recording.answer.answer(
                m.RecordingDone(
                    file_path=path,
                    duration_ms=duration_ms,
                    packets=packets,
                    dropped_packets=dropped,
                    stopped_at_epoch_ms=stopped_us // _US_A_MS,
                )
            )
        elif recording.target is not None:
            self._worker.outbox.put(
                m.RecordingStopped(
                    session=recording.session,
                    recording=recording.id,
                    file_path=path,
                    duration_ms=duration_ms,
                    packets=packets,
                    dropped_packets=dropped,
                    reason=recording.reason,
                )
            )
        self._release(recording.session)

    def _release(self, session: str) -> None:
        """What waited for the session's last recording."""
        if session in self._waiting and not self._ending(session):
            for later, result in self._waiting.pop(session):
                later.answer(result)

    def _ending(self, session: str) -> bool:
        return any(
            recording.reason and not recording.told
            for recording in self._recordings.values()
            if recording.session == session
        )

    def dismiss(self, recording: Recording) -> None:
        """Nothing of it is left, or it never began."""
        del self._recordings[recording.id]
        recording.told = True
        self._release(recording.session)

    # -- the turn --------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Take what the writers have to tell."""
        for writer in self._writers.values():
            for number, failed in writer.take_news():
                recording = self._numbers[number]
                if not failed:
                    self._closed(recording)
                elif not recording.reason:
                    self._end(recording, "write_error")

    def _closed(self, recording: Recording) -> None:
        """The writer is through with it."""
        assert self._drain is not None
        if not recording.reason:  # closing itself is what failed
            recording.reason = "write_error"
        if not recording.told:
            self._tell(recording)
        for path in recording.feeders.values():
            recording_path.unlink(path)  # of a worker that never came
        if recording.target is not None:
            _add(self._past, self._drain.counts(recording.number))
        assert self._counts is not None
        self._counts.give_back(recording.slot)
        self._drain.forget(recording.number)
        del self._numbers[recording.number]
        self.dismiss(recording)

    # -- the end of the worker -------------------------------------------------------------------------------

    def close(self) -> None:
        """End what still runs, and wait for it as long as for any other."""
        for recording in list(self._recordings.values()):
            if not recording.reason:
                self._end(recording, "shutdown")
        deadline = time.monotonic() + self._config.recording_flush_timeout_ms / 1000
        while self._numbers and time.monotonic() < deadline:
            self.turn()
            time.sleep(CLOSE_POLL_S)
        if self._drain is not None:
            self._drain.stop()
        for writer in self._writers.values():
            writer.stop()
        for thread in self._threads:
            thread.join(JOIN_S)
        if self._counts is not None and not self._numbers:
            self._counts.close()

    # -- counting --------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Totals since the start; drops by reason."""
        total = dict(self._past)
        for number, recording in self._numbers.items():
            assert self._drain is not None
            if recording.target is not None:  # what is fed is counted where it is kept
                _add(total, self._drain.counts(number))
        lost = {f"recording_dropped_{name}": total[name] for name in LOSS_NAMES}
        return {"recording_packets": total["packets"], "recording_bytes": total["bytes"], **lost}

    def gauges(self) -> dict[str, float]:
        return {"recordings": sum(each.target is not None for each in self._numbers.values())}


def _is_heard(endpoint: Endpoint, session: Session) -> bool:
    """By a recording of the whole session; of a room, what is played to one session alone is no part."""
    private = endpoint.seat is not None and endpoint.seat.private is not None
    return not (session.is_room and private and endpoint.kind in MADE_HERE)


def _add(total: dict[str, int], counts: dict[str, Any]) -> None:
    total["packets"] += counts["packets"]
    total["bytes"] += counts["bytes"]
    for name, value in counts["lost"].items():
        total[name] += value
