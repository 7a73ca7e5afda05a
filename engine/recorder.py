"""Recordings of this worker: files are opened, endpoints are captured, counts are told; the bytes pass it by.

    start -> opened (side thread) -> running -> ended (for one reason) -> closed (told once) -> forgotten

The drain and the writers (ext/record) have threads of their own, made with the first recording: one writer a
file system, so that a disk that hangs holds up nobody else's recordings.  Opening a file may wait for the
disk as well and is side work.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from roomtone.engine import messages as m
from roomtone.engine import recording_path
from roomtone.engine.codecs import Codec
from roomtone.engine.errors import CommandError
from roomtone.engine.plan import Endpoint, RtpEndpoint
from roomtone.engine.process_messages import HIDDEN_SLOTS
from roomtone.engine.replies import Later
from roomtone.ext.record.drain import LOSS_NAMES, Drain
from roomtone.ext.record.writer import Writer

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

RECORDING_ERROR = "RECORDING_ERROR"
STOPPED = "stopped"  # by recording.stop; all other reasons are told by an event
WIDE_HZ, NARROW_HZ = 16000, 8000
MADE_HERE = frozenset({"tone", "file"})  # endpoints whose channel the next such one may take over
CLOSE_POLL_S = 0.01
JOIN_S = 1.0
_US_A_MS = 1000


class Recording:
    """One recording.  id: public; number: the drain's.  endpoint None: of the whole session."""

    __slots__ = (
        "answer",
        "endpoint",
        "id",
        "legs",
        "number",
        "reason",
        "session",
        "started_us",
        "stopped_us",
        "target",
        "told",
        "wall_offset_us",
    )

    def __init__(
        self, id: str, session: str, endpoint: Endpoint | None, target: recording_path.Target
    ) -> None:
        self.id = id
        self.session = session
        self.endpoint = endpoint
        self.target = target
        self.number = 0
        self.legs: dict[int, Endpoint] = {}  # by handle
        self.reason = ""  # why it ended
        self.answer: Later | None = None  # of the recording.stop that waits
        self.told = False
        self.started_us = self.stopped_us = self.wall_offset_us = 0


class Recorder:
    """Belongs to the Python thread.  `turn` takes what the writers have to tell."""

    def __init__(self, worker: Worker, wake_fd: int) -> None:
        self._worker = worker
        self._wake_fd = wake_fd
        self._config = worker.config
        self._drain: Drain | None = None
        self._writers: dict[int, Writer] = {}  # by device
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
        recording = Recording(body.recording, body.session, endpoint, target)
        self._recordings[recording.id] = recording
        return recording

    def start(self, recording: Recording, app_id: str) -> Later:
        """Begin an admitted recording once its file is open; the capture ring is ready."""
        folder, later = self._config.recording_dir, Later()
        assert folder is not None
        create = partial(recording_path.create, folder, recording.target.parts, app_id)
        self._worker.side.put(create, partial(self._opened, recording, later))
        return later

    def stop(self, body: m.StopRecording) -> Later:
        """End a recording; answered when its file is complete, or after recording_flush_timeout_secs."""
        recording = self._recordings.get(body.recording)
        if recording is None or recording.reason:
            raise CommandError(RECORDING_ERROR, f"Recording not found: {body.recording}")
        recording.answer = Later()
        self._end(recording, STOPPED)
        return recording.answer

    def snapshot(self) -> list[m.SnapshotRecording]:
        """What is being recorded."""
        return [
            m.SnapshotRecording(
                session=recording.session,
                recording=recording.id,
                endpoint=recording.endpoint.id if recording.endpoint is not None else None,
                file_path=recording.target.file_path,
                started_us=recording.started_us,
            )
            for recording in self._recordings.values()
            if recording.number and not recording.reason
        ]

    # -- what happens to endpoints and sessions --------------------------------------------------------------

    def joined(self, endpoint: Endpoint) -> None:
        """An endpoint came to its session: recordings of the whole session go on with it."""
        for recording in self._recordings.values():
            if (
                recording.session == endpoint.session.id
                and recording.endpoint is None
                and recording.number
                and not recording.reason
            ):
                self._begin_leg(recording, endpoint)

    def leaving(self, endpoint: Endpoint, reason: str) -> None:
        """An endpoint is about to leave its session."""
        for recording in list(self._by_handle.get(endpoint.handle, ())):
            if recording.endpoint is endpoint:
                self._end(recording, reason)
            else:
                self._end_leg(recording, endpoint)

    def session_ended(self, session: str, reason: str) -> None:
        for recording in list(self._recordings.values()):
            if recording.session == session and not recording.reason:
                self._end(recording, reason)

    def after(self, session: str, result: Any) -> Any:
        """The result of a command that is not to be answered before the session's recordings are complete."""
        if all(recording.told for recording in self._recordings.values() if recording.session == session):
            return result
        later = Later()
        self._waiting.setdefault(session, []).append((later, result))
        return later

    # -- beginning -------------------------------------------------------------------------------------------

    def _opened(self, recording: Recording, later: Later, opened: recording_path.Opened | Exception) -> None:
        if isinstance(opened, Exception):
            self._forget(recording)
            reason = opened.strerror if isinstance(opened, OSError) else str(opened)
            later.refuse(CommandError(RECORDING_ERROR, f"The file cannot be made: {reason}"))
        elif recording.reason or (recording.endpoint is not None and recording.endpoint.gone):
            discard = partial(recording_path.discard, opened, recording.target.parts)
            self._worker.side.put(discard, lambda _: None)
            self._forget(recording)
            over = CommandError(RECORDING_ERROR, "What was to be recorded has ended meanwhile")
            later.refuse(over)
            if recording.answer is not None:
                recording.answer.refuse(over)
        else:
            self._begin(recording, opened)
            started_us = recording.started_us + recording.wall_offset_us
            path = recording.target.file_path
            later.answer(m.RecordingStarted(file_path=path, started_at_epoch_ms=started_us // _US_A_MS))
            if not opened.owned and not self._owner_warned:
                self._owner_warned = True
                self._worker.log.warning("recording_without_owner", path=self._config.recording_dir)

    def _begin(self, recording: Recording, opened: recording_path.Opened) -> None:
        worker, target = self._worker, recording.target
        if self._drain is None:
            slots = self._config.endpoints + HIDDEN_SLOTS
            self._drain = Drain(worker.media.capture_ring_address(), slots)
            self._threads.append(worker.side.own("record-drain", self._drain.run))
        members = self._members(recording)
        now_us = recording.started_us = worker.now_us()
        recording.wall_offset_us = time.time_ns() // 1000 - now_us
        recording.number = self._drain.begin(
            self._writer(opened.device),
            fd=opened.fd,
            folder_fd=opened.folder_fd,
            name=target.parts[-1].encode(),
            rate_hz=_rate(members) if target.wav else 0,
            channels=len(members),
            mix=target.mix,
            started_us=now_us,
            wall_offset_us=recording.wall_offset_us,
            limit=self._config.recording_channel_size,
            position=worker.media.capture_position(),
        )
        self._numbers[recording.number] = recording
        for endpoint in members:
            self._begin_leg(recording, endpoint)
        worker.log.info("recording_started", recording=recording.id, session=recording.session)

    def _members(self, recording: Recording) -> list[Endpoint]:
        if recording.endpoint is not None:
            return [recording.endpoint]
        session = self._worker.plan.sessions.get(recording.session)
        return list(session.members.values()) if session is not None else []

    def _writer(self, device: int) -> Writer:
        writer = self._writers.get(device)
        if writer is None:
            writer = self._writers[device] = Writer(self._wake_fd)
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
        packets, dropped = counts["packets"], sum(counts["lost"].values())
        duration_ms = (recording.stopped_us - recording.started_us) // _US_A_MS
        path = recording.target.file_path
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
        else:
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
        if session in self._waiting and all(
            recording.told for recording in self._recordings.values() if recording.session == session
        ):
            for later, result in self._waiting.pop(session):
                later.answer(result)

    def _forget(self, recording: Recording) -> None:
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
        _add(self._past, self._drain.counts(recording.number))
        self._drain.forget(recording.number)
        del self._numbers[recording.number]
        self._forget(recording)

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

    # -- counting --------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Totals since the start; drops by reason."""
        total = dict(self._past)
        for number in self._numbers:
            assert self._drain is not None
            _add(total, self._drain.counts(number))
        lost = {f"recording_dropped_{name}": total[name] for name in LOSS_NAMES}
        return {"recording_packets": total["packets"], "recording_bytes": total["bytes"], **lost}

    def gauges(self) -> dict[str, float]:
        return {"recordings": len(self._numbers)}


def _rate(members: Iterable[Endpoint]) -> int:
    """Of a WAV: wide when somebody is."""
    wide = any(
        endpoint.profile.send_codec == Codec.L16_16K
        or any(codec == Codec.L16_16K for _, codec in endpoint.profile.receive)
        for endpoint in members
        if isinstance(endpoint, RtpEndpoint) and endpoint.profile is not None
    )
    return WIDE_HZ if wide else NARROW_HZ


def _add(total: dict[str, int], counts: dict[str, Any]) -> None:
    total["packets"] += counts["packets"]
    total["bytes"] += counts["bytes"]
    for name, value in counts["lost"].items():
        total[name] += value
