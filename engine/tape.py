"""A file that is or was played: its decoder, its track, and the places it is played from.

What is decoded when, and for how long it stays, is decided in tapes.py; here is what is known about one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from roomtone.engine.decoder import Decoder, FileError, Identity
from roomtone.ext.file.decoder import Growing
from roomtone.ext.flow.track import CHUNK_SAMPLES, Playback, Track

AHEAD = 8  # seconds decoded in front of a reader
HEAD = 2  # seconds there are of what another item of its list will lead to
REFILL = 4  # when so few are left there are more decoded
RUN = 4  # seconds decoded in one job

Then = Callable[["Tape | FileError"], None]


class Reader:
    """A place in a tape that one endpoint plays from, or several that share it: an item of a playback."""

    __slots__ = ("aim", "endpoints", "id", "item", "key", "playback", "tape")

    def __init__(self, tape: Tape, playback: Playback, *, key: str | None = None, item: int = 0) -> None:
        self.tape = tape
        self.playback = playback
        self.item = item
        self.key = key  # what the source is called; None: not shared
        self.id = str(uuid.uuid4()) if key is not None else None
        self.endpoints = 0
        self.aim: int | None = None  # the second it is about to jump to


class Wait:
    """Somebody who waits for a place in a tape.  `then` gets the tape, or why there will be none."""

    __slots__ = ("place", "position", "tape", "then")

    def __init__(self, place: Callable[[Tape], int], then: Then) -> None:
        self.place = place
        self.then: Then | None = then  # None: given up
        self.tape: Tape | None = None
        self.position = 0


class Tape:
    __slots__ = (
        "busy",
        "decoder",
        "error",
        "gone",
        "growing",
        "identity",
        "readers",
        "reserved",
        "served",
        "track",
        "waits",
        "whole",
    )

    def __init__(self, identity: Identity, growing: Growing) -> None:
        self.identity = identity
        self.growing = growing
        self.decoder: Decoder | None = None  # open as long as something may have to be decoded
        self.track: Track | None = None  # from when the file's header is known
        self.whole = False
        self.busy = True  # a side thread has the decoder
        self.gone = False
        self.error: FileError | None = None  # why it ends early
        self.reserved = 0
        self.readers: set[Reader] = set()
        self.waits: dict[Wait, None] = {}  # in the order they came
        self.served: dict[Wait, None] = {}  # their place is there; they are told in a moment

    @property
    def duration_ms(self) -> int | None:
        """As decoded, else as the file's header says; None: not known yet."""
        track = self.track
        if track is not None and track.samples is not None:
            return track.samples * 1000 // CHUNK_SAMPLES
        return self.decoder.duration_ms if self.decoder is not None else None

    @property
    def seconds(self) -> int:
        """How many there are, or may be."""
        assert self.track is not None
        samples = self.track.samples
        return len(self.track) if samples is None else -(-samples // CHUNK_SAMPLES)

    def has(self, position: int) -> bool:
        """What is there is decoded, or nothing is there: the end.  What grows has it whenever it comes."""
        assert self.track is not None
        if self.growing.grows:
            return True
        second, samples = position // CHUNK_SAMPLES, self.track.samples
        return second in self.track or second >= self.seconds or (samples is not None and position >= samples)

    def ends_before(self, position: int) -> bool:
        """As far as is known."""
        assert self.track is not None
        if self.track.samples is not None:
            return position > self.track.samples
        duration_ms = self.duration_ms
        if duration_ms is not None:
            return position > duration_ms * CHUNK_SAMPLES // 1000
        return position // CHUNK_SAMPLES >= self.seconds

    def complete(self) -> bool:
        assert self.track is not None
        return self.track.samples is not None and self.track.held >= self.seconds

    def decoded_from(self, position: int) -> int:
        """Samples at 8 kHz: so far it goes on from there without a gap."""
        assert self.track is not None
        second, samples = position // CHUNK_SAMPLES, self.track.samples
        while second in self.track:
            second += 1
        until = max(position, second * CHUNK_SAMPLES)
        return until if samples is None else min(until, samples)

    def window(self, reader: Reader) -> Iterator[int]:
        """The seconds a reader needs, the most urgent first."""
        assert self.track is not None
        playback, total = reader.playback, self.seconds
        if playback.item != reader.item:
            yield from range(min(HEAD, total))
            return
        second, alone = playback.position // CHUNK_SAMPLES, len(playback) == 1 and not playback.more
        for _ in range(min(AHEAD + 1, total)):
            if second >= total:
                if not (alone and playback.loops) or self.track.samples is None:
                    return
                second = 0
            yield second
            second += 1

    def wanted(self) -> set[int]:
        """Seconds of a tape that is not kept as a whole that have to stay or to be decoded."""
        out = {wait.position // CHUNK_SAMPLES for wait in (*self.waits, *self.served)}
        for reader in self.readers:
            out.update(self.window(reader))
            if reader.aim is not None:
                out.add(reader.aim)
        return out

    def next_run(self) -> range:
        """What to decode now; empty: nothing."""
        first, wanted = self._first_missing()
        if first is None:
            return range(0)
        end, track = first + 1, self.track
        assert track is not None
        last = min(first + (1 if self.growing.grows else RUN), self.seconds)
        while end < last and end not in track and (wanted is None or end in wanted):
            end += 1
        return range(first, end)

    def _first_missing(self) -> tuple[int | None, set[int] | None]:
        """(second, the seconds that may follow it; None: any)."""
        track, total = self.track, self.seconds
        assert track is not None
        for wait in self.waits:
            second = wait.position // CHUNK_SAMPLES
            if second < total and second not in track:
                return second, {second + 1}  # and no more: somebody waits for it
        if self.whole:
            return next((second for second in range(total) if second not in track), None), None
        for reader in self.readers:
            needed = list(self.window(reader))
            if any(second not in track for second in needed[:REFILL]):
                return next(second for second in needed if second not in track), set(needed)
        return None, None
