"""Decoded files of this worker: each is opened once and decoded once, however many play it.

A *tape* is one file: its decoder, its track (ext/flow/track.pyi), and the places it is played from
(*readers*). A tape of up to WHOLE_SECONDS stays in memory as a whole, also when nobody plays it any
more, as long as there is room. Of a longer one only a window in front of each reader is kept.

Theory of operation
-------------------
The Python thread owns all of it. A decoder, and room for some seconds, go to a side thread and come
back filled; one job a tape at a time, a few seconds a job, so that tapes take turns. What comes back is
published at once. A second that no reader needs is withdrawn, and its room is given back after a fence:
the media thread reads it no more. Room is reserved before it is needed (a whole tape's, a window for
each reader), so that two never wait for each other's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from roomtone.engine.decoder import MAX_SECONDS, Decoder, FileError, Identity, Opened, open_file
from roomtone.engine.tape import AHEAD, Reader, Tape, Then, Wait
from roomtone.ext.flow.track import CHUNK_BYTES, CHUNK_SAMPLES, ChunkPool, Track

if TYPE_CHECKING:
    from roomtone.engine.retirement import Retirement
    from roomtone.engine.side_threads import SideThreads
    from roomtone.engine.timers import Timers
    from roomtone.ext.flow.media import Media

WHOLE_SECONDS = 120  # a longer file is not kept as a whole
WINDOW_CHUNKS = AHEAD + 4  # reserved a reader: the window, where it seeks to, what waits for a fence
LOOK_US = 100_000  # how often readers' places are looked at
TAPES_A_LOOK = 64  # some 10 us each
RESULTS_A_TURN = 16  # side threads' results, some 50 us each
ANSWERS_A_TURN = 32  # who waited for a second, some 30 us each


class Tapes:
    """Opens, decodes, keeps and forgets."""

    def __init__(
        self,
        media: Media,
        retirement: Retirement,
        timers: Timers,
        side: SideThreads,
        clock: Callable[[], int],
        *,
        cached: int,
        chunks: int,
    ) -> None:
        self._media = media
        self._retirement = retirement
        self._timers = timers
        self._side = side
        self._clock = clock
        self._cached = cached
        self._pool = ChunkPool(chunks)
        self._tapes: dict[Identity, Tape] = {}
        self._unused: dict[Identity, Tape] = {}  # complete and played by nobody, the longest unused first
        self._open: deque[Tape] = deque()  # with a decoder
        self._answers: deque[Wait] = deque()  # what they waited for is there
        self._reserved = 0
        self._looking = False
        self.decoded_seconds = 0

    # -- for those who play ----------------------------------------------------------------------------------

    def open(self, path: str, place: Callable[[Tape], int], then: Then) -> Wait:
        """Find or open the file, decode what is at `place` (samples at 8 kHz), then call `then`.

        Not before this has returned.  Of a file that grows nothing but the header is waited for.
        """
        wait = Wait(place, then)
        self._side.put(partial(open_file, path), partial(self._opened, wait))
        return wait

    def reach(self, tape: Tape, position: int, then: Then) -> Wait:
        """Decode what is there, then call `then`; not before return."""
        wait = Wait(lambda _: position, then)
        self._enter(tape, wait)
        return wait

    def give_up(self, wait: Wait) -> None:
        """`then` will not be called."""
        wait.then = None
        tape = wait.tape
        if tape is not None:
            tape.waits.pop(wait, None)
            tape.served.pop(wait, None)
            self._rest(tape)

    def attach(self, reader: Reader) -> None:
        """One more endpoint plays from there.  FileError: there is no room."""
        tape = reader.tape
        if reader not in tape.readers:
            if not tape.whole:
                self._reserve(tape, WINDOW_CHUNKS)
            tape.readers.add(reader)
            self._unused.pop(tape.identity, None)
        reader.endpoints += 1
        self._begin(tape)

    def detach(self, reader: Reader) -> bool:
        """One fewer.  True: that was the last of this reader."""
        tape = reader.tape
        reader.endpoints -= 1
        if reader.endpoints:
            return False
        tape.readers.remove(reader)
        if not tape.whole:
            self._unreserve(tape, WINDOW_CHUNKS)
        self._rest(tape)
        return True

    # -- the worker's turn -----------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Take what side threads have done, answer who waited; a bounded amount.  True: more waits."""
        more = self._side.take(RESULTS_A_TURN)
        for _ in range(min(ANSWERS_A_TURN, len(self._answers))):
            wait = self._answers.popleft()
            tape = wait.tape
            if wait.then is None or tape is None:
                continue
            wait.then(tape)
            tape.served.pop(wait, None)
            self._rest(tape)
        return more or bool(self._answers)

    def give_up_all(self) -> None:
        """No side thread waits for a file any more."""
        for tape in self._tapes.values():
            tape.growing.give_up()

    def close(self) -> None:
        """After the media thread and the side threads have ended."""
        for tape in self._tapes.values():
            if tape.decoder is not None and not tape.busy:
                tape.decoder.close()

    @property
    def held(self) -> int:
        return len(self._tapes)

    @property
    def held_bytes(self) -> int:
        return self._pool.used * CHUNK_BYTES

    # -- opening ---------------------------------------------------------------------------------------------

    def _opened(self, wait: Wait, result: Opened | Exception) -> None:
        if isinstance(result, Exception):
            _refuse(wait, result)
            return
        tape = self._tapes.get(result.identity)
        if wait.then is not None and tape is None:
            tape = self._tapes[result.identity] = Tape(result.identity, result.file)
            self._work(tape, partial(Decoder, result), partial(self._parsed, tape))
        else:
            self._side.put(partial(os.close, result.fd), _nothing)
        if wait.then is not None:
            assert tape is not None
            self._enter(tape, wait)

    def _enter(self, tape: Tape, wait: Wait) -> None:
        wait.tape = tape
        tape.waits[wait] = None
        self._unused.pop(tape.identity, None)
        if tape.track is not None:
            wait.position = wait.place(tape)
            self._serve(tape, [wait])

    def _parsed(self, tape: Tape, result: Decoder | Exception) -> None:
        tape.busy = False
        if isinstance(result, Exception):
            self._lose(tape, result)
            return
        tape.decoder = result
        tape.whole = (
            result.duration_ms is None or result.seconds <= WHOLE_SECONDS + 1
        )  # till it proves longer
        try:
            self._reserve(tape, min(result.seconds, WHOLE_SECONDS + 1) if tape.whole else WINDOW_CHUNKS)
        except FileError as error:
            self._lose(tape, error)
            return
        tape.track = Track(self._pool, result.seconds)
        self._open.append(tape)
        if not self._looking:
            self._looking = True
            self._timers.at(self._clock() + LOOK_US, self._look)
        for wait in tape.waits:
            wait.position = wait.place(tape)
        self._serve(tape, list(tape.waits))
        self._rest(tape)  # all may have given up

    def _lose(self, tape: Tape, error: Exception) -> None:
        """It cannot be played: tell who waits."""
        waits, tape.waits = tape.waits, {}
        self._drop(tape)
        for wait in waits:
            _refuse(wait, error)

    # -- decoding --------------------------------------------------------------------------------------------

    def _serve(self, tape: Tape, waits: list[Wait]) -> None:
        """Those of them whose place is there will be told; decode on."""
        for wait in waits:
            if tape.has(wait.position):
                del tape.waits[wait]
                tape.served[wait] = None
                self._answers.append(wait)
        self._begin(tape)

    def _begin(self, tape: Tape) -> None:
        """Begin a job if one is due and there is room; else the next look does."""
        if tape.busy or tape.decoder is None:
            return
        slots = []
        run = tape.next_run()
        for _ in run:
            slot = self._pool.take()
            if slot < 0:
                break
            slots.append(slot)
        if slots:
            tape.busy = True
            rooms = [self._pool.room(slot) for slot in slots]
            self._work(
                tape,
                partial(tape.decoder.run, run.start, rooms),
                partial(self._decoded, tape, run.start, slots),
            )

    def _work(self, tape: Tape, work: Callable[[], object], done: Callable[[Any], None]) -> None:
        """What may have to wait for a file to grow keeps nobody else waiting."""
        (self._side.put_patient if tape.growing.grows else self._side.put)(work, done)

    def _decoded(
        self,
        tape: Tape,
        first: int,
        slots: list[int],
        result: tuple[list[int], FileError | None] | Exception,
    ) -> None:
        tape.busy = False
        made, error = ([], FileError(repr(result))) if isinstance(result, Exception) else result
        track = tape.track
        if tape.gone or track is None:
            self._give_back(slots)
            self._close(tape)
            return
        ends_at = self._ends_at(first, made, error, len(track))
        if ends_at is not None and track.samples is None:
            too_long = ends_at >= MAX_SECONDS * CHUNK_SAMPLES
            tape.error = error or (FileError("the file is longer than 24 hours") if too_long else None)
            track.end(ends_at, tape.error is not None)
        filled = len(made) - (1 if made and made[-1] == 0 else 0)
        for number in range(filled):
            track.publish(first + number, slots[number])
        self._give_back(slots[filled:])
        self.decoded_seconds += len(made)
        if tape.whole:
            self._measure(tape)
        if tape.whole and tape.complete():
            self._close(tape)
        self._serve(tape, list(tape.waits))

    @staticmethod
    def _ends_at(first: int, made: list[int], error: FileError | None, room: int) -> int | None:
        """In samples at 8 kHz; None: it goes on."""
        samples = sum(made)
        over = error is not None or first + len(made) >= room or any(n < CHUNK_SAMPLES for n in made)
        return first * CHUNK_SAMPLES + samples if over else None

    def _measure(self, tape: Tape) -> None:
        """Reserve no more than the tape turns out to need; one that proves long is not kept as a whole."""
        assert tape.track is not None
        known = tape.track.samples is not None
        if (tape.seconds > WHOLE_SECONDS + 1) if known else (tape.track.held > WHOLE_SECONDS):
            tape.whole = False
            needed = WINDOW_CHUNKS * (1 + len(tape.readers))  # it is being played: whoever comes next may not
        else:
            needed = tape.seconds if known else tape.reserved
        self._reserved += needed - tape.reserved
        tape.reserved = needed

    # -- keeping and forgetting ------------------------------------------------------------------------------

    def _look(self, _: None, now_us: int) -> None:
        """Readers have moved on: let go of what is behind them, decode what is in front."""
        for _n in range(min(TAPES_A_LOOK, len(self._open))):
            tape = self._open.popleft()
            if tape.decoder is None:
                continue
            self._open.append(tape)
            if tape.track is not None:
                if not tape.whole:
                    wanted = tape.wanted()
                    self._withdraw(tape.track, [second for second in tape.track if second not in wanted])
                self._begin(tape)
        self._looking = bool(self._open)
        if self._looking:
            self._timers.at(now_us + LOOK_US, self._look)

    def _rest(self, tape: Tape) -> None:
        """Nobody plays it?  A whole one is kept for the next, another goes."""
        if tape.gone or tape.readers or tape.waits or tape.served or tape.track is None:
            return
        if not tape.whole or not tape.complete() or tape.error is not None:
            self._drop(tape)
            return
        self._unused[tape.identity] = tape
        while len(self._unused) > self._cached:
            self._evict()

    def _evict(self) -> None:
        self._drop(self._unused.pop(next(iter(self._unused))))

    def _drop(self, tape: Tape) -> None:
        tape.gone = True
        tape.growing.give_up()
        del self._tapes[tape.identity]
        self._unreserve(tape, tape.reserved)
        if tape.track is not None:
            self._withdraw(tape.track, list(tape.track))
        if not tape.busy:
            self._close(tape)

    def _withdraw(self, track: Track, seconds: list[int]) -> None:
        if seconds:
            slots = [track.withdraw(second) for second in seconds]
            self._retirement.after(self._media.fence(), self._give_back, slots)

    def _give_back(self, slots: list[int]) -> None:
        for slot in slots:
            self._pool.give_back(slot)

    def _close(self, tape: Tape) -> None:
        decoder, tape.decoder = tape.decoder, None
        if decoder is not None:
            self._side.put(decoder.close, _nothing)

    def _reserve(self, tape: Tape, chunks: int) -> None:
        while self._reserved + chunks > self._pool.count and self._unused:
            self._evict()
        if self._reserved + chunks > self._pool.count:
            raise FileError("the worker holds as many files as it has room for")
        self._reserved += chunks
        tape.reserved += chunks

    def _unreserve(self, tape: Tape, chunks: int) -> None:
        self._reserved -= chunks
        tape.reserved -= chunks


def _refuse(wait: Wait, error: Exception) -> None:
    if wait.then is not None:
        wait.then(error if isinstance(error, FileError) else FileError(f"the file cannot be read: {error!r}"))


def _nothing(_: object) -> None:
    """Nobody waits for this."""
