"""File endpoints: made when the first second is decoded, lengthened, moved, paused, ended.

What is played and how it is decoded is in tapes.py.  Commands that have to wait for a side thread are
answered `Later`; whatever happens meanwhile (the endpoint is removed, its session closed, the file turns out
to be none), each is answered once.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from roomtone.engine import messages as m
from roomtone.engine.decoder import BROKEN, FileError, Identity
from roomtone.engine.errors import CommandError
from roomtone.engine.plan import FileEndpoint
from roomtone.engine.replies import Later
from roomtone.engine.tape import Reader, Tape, Wait
from roomtone.engine.tapes import Tapes
from roomtone.ext.flow.track import CHUNK_SAMPLES, LIST_MAX, Playback

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

SAMPLES_A_MS = 8  # of a place in a track
MAX_GAIN_DB = 60.0
MAX_RAMP_MS = 10_000


class Making:
    """An endpoint that waits for its file."""

    __slots__ = ("body", "later", "wait")

    def __init__(self, body: m.CreateFile) -> None:
        self.body = body
        self.later = Later()
        self.wait: Wait | None = None


class Queuing:
    """What waits to be the next of a list."""

    __slots__ = ("body", "later", "wait")

    def __init__(self, body: m.QueueFile) -> None:
        self.body = body
        self.later = Later()
        self.wait: Wait | None = None


class Jump:
    """A seek that waits for what is there."""

    __slots__ = ("later", "position", "wait")

    def __init__(self, position: int) -> None:
        self.position = position
        self.later = Later()
        self.wait: Wait | None = None


class Files:
    """What the worker knows of file endpoints beside their tapes."""

    def __init__(self, worker: Worker, tapes: Tapes) -> None:
        self._worker = worker
        self._tapes = tapes
        self._making: dict[str, Making] = {}  # by endpoint id
        self._shared: dict[tuple[str, Identity], Reader] = {}

    # -- making ----------------------------------------------------------------------------------------------

    def create(self, body: m.CreateFile) -> Later:
        self._worker.plan.check_new(body.endpoint)
        if body.endpoint in self._making:
            raise CommandError("ENDPOINT_ERROR", f"endpoint {body.endpoint} is being made")
        if body.start_ms < 0 or (body.loop_count is not None and body.loop_count < 0):
            raise CommandError("INVALID_PARAMS", "start_ms and loop_count are not negative")
        if body.more and body.shared:
            raise CommandError("INVALID_PARAMS", "a list cannot be shared")
        _check_gain(body.gain_db)
        making = self._making[body.endpoint] = Making(body)
        place, then = partial(self._place, body), partial(self._made, making)
        making.wait = self._tapes.open(body.path, place, then)
        return making.later

    def cancel(self, endpoint: str) -> bool:
        """It is not wanted any more; its `CreateFile` fails.  False: no such endpoint is being made."""
        making = self._making.pop(endpoint, None)
        if making is None:
            return False
        assert making.wait is not None
        self._tapes.give_up(making.wait)
        making.later.refuse(CommandError("ENDPOINT_ERROR", "removed before the file was there"))
        return True

    def cancel_all(self, session: str | None) -> None:
        """Those of one session, or all there are."""
        for id, making in list(self._making.items()):
            if session is None or making.body.session == session:
                self.cancel(id)

    def _place(self, body: m.CreateFile, tape: Tape) -> int:
        reader = self._shared_reader(body, tape)
        return reader.playback.position if reader is not None else body.start_ms * SAMPLES_A_MS

    def _shared_reader(self, body: m.CreateFile, tape: Tape) -> Reader | None:
        reader = self._shared.get((body.key, tape.identity)) if body.shared else None
        return None if reader is None or reader.playback.ended else reader

    def _made(self, making: Making, tape: Tape | FileError) -> None:
        """What it waited for is there, or will never be."""
        del self._making[making.body.endpoint]
        try:
            if isinstance(tape, FileError):
                raise _refusal(tape)
            endpoint = self._open(making.body, tape)
        except Exception as error:
            making.later.refuse(error)
        else:
            making.later.answer(self.entry(endpoint))

    def _open(self, body: m.CreateFile, tape: Tape) -> FileEndpoint:
        plan, media = self._worker.plan, self._worker.media
        assert tape.track is not None
        reader = self._shared_reader(body, tape)
        if reader is None:
            position = body.start_ms * SAMPLES_A_MS
            check(tape, position)
            playback = Playback(
                tape.track, position=position, loops=body.loop_count, shared=body.shared, more=body.more
            )
            reader = Reader(tape, playback, key=body.key if body.shared else None)
        self._attach(reader)
        try:
            room = plan.room_for(body.session, body.room)
            handle, session = plan.take_place(body.session, body.phase)
        except CommandError:
            self._tapes.detach(reader)
            raise
        if reader.key is not None:
            self._shared[reader.key, tape.identity] = reader
        media.file_open(handle, reader.playback, gain_db=body.gain_db)
        endpoint = FileEndpoint(body.endpoint, session, handle, plan.next_serial(), reader)
        endpoint.note = body.note
        plan.add(endpoint, room, body.seat)
        self.pause(endpoint, body.paused)
        media.source_add(endpoint.bus, handle)
        return endpoint

    def entry(self, endpoint: FileEndpoint) -> m.FileCreated:
        """What its making is, or was, answered with."""
        reader = endpoint.readers[0]
        return m.FileCreated(duration_ms=reader.tape.duration_ms, shared_id=reader.id)

    def _attach(self, reader: Reader) -> None:
        try:
            self._tapes.attach(reader)
        except FileError as error:
            raise _refusal(error) from None

    # -- lists -----------------------------------------------------------------------------------------------

    def queue(self, endpoint: FileEndpoint, body: m.QueueFile) -> Later:
        """The next of its list."""
        playback = endpoint.reader.playback
        if not playback.more:
            raise CommandError("ENDPOINT_ERROR", f"file {endpoint.id} announced no more")
        if endpoint.queuing is not None:
            raise CommandError("ENDPOINT_ERROR", f"file {endpoint.id} waits for another one")
        if len(playback) == LIST_MAX:
            raise CommandError("ENDPOINT_ERROR", f"a list has no more than {LIST_MAX} files")
        queuing = endpoint.queuing = Queuing(body)
        then = partial(self._queued, endpoint)
        queuing.wait = self._tapes.open(body.path, lambda _: 0, then)
        return queuing.later

    def _queued(self, endpoint: FileEndpoint, tape: Tape | FileError) -> None:
        queuing, endpoint.queuing = endpoint.queuing, None
        assert queuing is not None
        try:
            if isinstance(tape, FileError):
                raise _refusal(tape)
            self._append(endpoint, tape, queuing.body.more)
        except Exception as error:
            queuing.later.refuse(error)
        else:
            queuing.later.answer(m.FileCreated(duration_ms=tape.duration_ms))

    def _append(self, endpoint: FileEndpoint, tape: Tape, more: bool) -> None:
        check(tape, 0)
        assert tape.track is not None
        playback = endpoint.reader.playback
        reader = Reader(tape, playback, item=len(playback))
        self._attach(reader)
        endpoint.readers.append(reader)
        playback.append(tape.track, more=more)

    def end_list(self, endpoint: FileEndpoint) -> None:
        """What is listed is all there is."""
        self._forget_queuing(endpoint, "the list was ended")
        endpoint.reader.playback.close()

    def _forget_queuing(self, endpoint: FileEndpoint, why: str) -> None:
        queuing, endpoint.queuing = endpoint.queuing, None
        if queuing is not None:
            assert queuing.wait is not None
            self._tapes.give_up(queuing.wait)
            queuing.later.refuse(CommandError("ENDPOINT_ERROR", why))

    # -- moving ----------------------------------------------------------------------------------------------

    def seek(self, endpoint: FileEndpoint, position_ms: int) -> m.Done | Later:
        position, reader = position_ms * SAMPLES_A_MS, endpoint.reader
        if reader.key is not None:
            raise CommandError("ENDPOINT_ERROR", "a shared playback cannot be moved")
        check(reader.tape, position)
        self._forget_jump(endpoint, "another seek came")
        if reader.tape.has(position):
            self._jump(endpoint, reader, position)
            return m.Done()
        jump = endpoint.jump = Jump(position)
        jump.wait = self._tapes.reach(reader.tape, position, partial(self._reached, endpoint, reader))
        return jump.later

    def pause(self, endpoint: FileEndpoint, paused: bool) -> None:
        if endpoint.paused != paused:
            endpoint.paused = paused
            self._worker.media.file_pause(endpoint.handle, paused=paused)

    def set_gain(self, endpoint: FileEndpoint, body: m.SetFileGain) -> None:
        if body.gain_db is not None:
            _check_gain(body.gain_db)
        if not 0 <= body.ramp_ms <= MAX_RAMP_MS:
            raise CommandError("INVALID_PARAMS", f"ramp_ms is 0 to {MAX_RAMP_MS}")
        self._worker.media.file_gain(endpoint.handle, gain_db=body.gain_db, ramp_ms=body.ramp_ms)

    def position(self, endpoint: FileEndpoint) -> m.FilePosition:
        """Where it is; read while the media thread plays on."""
        reader = endpoint.reader
        position = reader.playback.position
        return m.FilePosition(
            item=reader.item,
            position_ms=position // SAMPLES_A_MS,
            decoded_ms=reader.tape.decoded_from(position) // SAMPLES_A_MS,
            duration_ms=reader.tape.duration_ms,
            paused=endpoint.paused,
            underruns=self._worker.media.file_underruns(endpoint.handle),
        )

    def _reached(self, endpoint: FileEndpoint, reader: Reader, tape: Tape | FileError) -> None:
        jump, endpoint.jump = endpoint.jump, None
        assert jump is not None
        try:
            if isinstance(tape, FileError):
                raise _refusal(tape)
            check(tape, jump.position)
            self._jump(endpoint, reader, jump.position)
        except Exception as error:
            jump.later.refuse(error)
        else:
            jump.later.answer(m.Done())

    def _jump(self, endpoint: FileEndpoint, reader: Reader, position: int) -> None:
        second = reader.aim = position // CHUNK_SAMPLES
        number = self._worker.media.file_seek(endpoint.handle, position=position, item=reader.item)
        self._worker.retirement.after(number, _arrived, (reader, second))

    def _forget_jump(self, endpoint: FileEndpoint, why: str) -> None:
        jump, endpoint.jump = endpoint.jump, None
        if jump is not None:
            assert jump.wait is not None
            self._tapes.give_up(jump.wait)
            jump.later.refuse(CommandError("ENDPOINT_ERROR", why))

    # -- ending ----------------------------------------------------------------------------------------------

    def started(self, endpoint: FileEndpoint, at_us: int) -> None:
        """Its first frame was played."""
        if not endpoint.started:
            endpoint.started = True
            self._worker.outbox.put(
                m.FileStarted(session=endpoint.session.id, endpoint=endpoint.id, started_at_us=at_us)
            )

    def went_on(self, endpoint: FileEndpoint, item: int) -> None:
        """To that item of its list; told once, also when it was lost and read again."""
        if endpoint.told_item != item:
            endpoint.told_item = item
            self._leave_behind(endpoint)
            self._worker.outbox.put(m.FileNext(session=endpoint.session.id, endpoint=endpoint.id, item=item))

    def _leave_behind(self, endpoint: FileEndpoint) -> None:
        """What was played and will not come again needs no room any more."""
        playing = endpoint.reader
        if not playing.playback.loops:
            for reader in endpoint.readers[: playing.item]:
                if reader.endpoints and reader.aim is None:
                    self._tapes.detach(reader)

    def ended(self, endpoint: FileEndpoint, failed: bool, item: int) -> None:
        """Its last frame was played."""
        if endpoint.finished:
            return
        self._worker.plan.finish(endpoint)
        self._forget_waits(endpoint, f"file {endpoint.id} has ended")
        error = endpoint.readers[item].tape.error if failed else None
        self._worker.outbox.put(
            m.FileFinished(
                session=endpoint.session.id,
                endpoint=endpoint.id,
                reason="error" if failed else "completed",
                error=str(error) if error is not None else None,
                code=error.code if error is not None else None,
                item=item,
            )
        )
        self._detach(endpoint)

    def removed(self, endpoint: FileEndpoint, number: int) -> None:
        """It was closed by edit `number`; one that has ended has left its tape already."""
        self._forget_waits(endpoint, f"file {endpoint.id} was removed")
        if not endpoint.finished:
            self._worker.retirement.after(number, self._detach, endpoint)

    def _detach(self, endpoint: FileEndpoint) -> None:
        for reader in endpoint.readers:
            if not reader.endpoints:
                continue
            shared = (reader.key or "", reader.tape.identity)
            # Not one that began after its end.
            if self._tapes.detach(reader) and self._shared.get(shared) is reader:
                del self._shared[shared]

    def _forget_waits(self, endpoint: FileEndpoint, why: str) -> None:
        self._forget_jump(endpoint, why)
        self._forget_queuing(endpoint, why)


def _check_gain(gain_db: float) -> None:
    if not math.isfinite(gain_db) or abs(gain_db) > MAX_GAIN_DB:
        raise CommandError("INVALID_PARAMS", f"gain_db is within {MAX_GAIN_DB:.0f} dB of 0")


def _refusal(error: FileError) -> CommandError:
    return CommandError("ENDPOINT_ERROR", str(error), error.code)


def check(tape: Tape, position: int) -> None:
    """CommandError: nothing can be played from there."""
    assert tape.track is not None
    if tape.track.samples == 0:
        raise _refusal(tape.error or FileError("the file holds no audio", BROKEN))
    if tape.ends_before(position):
        known = tape.duration_ms
        raise CommandError(
            "INVALID_PARAMS", "no file is that long" if known is None else f"the file is {known} ms long"
        )


def _arrived(jump: tuple[Reader, int]) -> None:
    reader, second = jump
    if reader.aim == second:
        reader.aim = None
