"""From what a bot says, as fast as it likes, to one packet's worth of audio a tick; and back.

No socket and no clock: ticks are numbered, 50 a second, and are an argument.

Theory of operation
-------------------
`Pace` is a line of bytes.  A talk-spurt begins when `START_MS` are there, or `START_TICKS` after its first
byte: a bot that speaks in real time over a network thus gets a cushion against jitter, one that sends whole
sentences is heard at once.  While the spurt lasts each tick takes one frame.  The frame that finds the line
short is filled up with silence and ends the spurt; nothing is ever thrown away but by `flush`.  A tick that
the process slept through takes nothing: what was not said then is said later.  At 48 kHz a spurt goes on
until the filter has given what it held back.

A *mark* stands in the line where it was put.  It is passed when the audio before it has been played, which is
`PLAYED_TICKS` after that was sent: its own 20 ms and the engine's playout delay.
"""

from __future__ import annotations

from collections import deque

from roomtone.ext.dsp.resample3 import TAPS, Decimator, Interpolator, swapped

TICK_MS = 20
START_MS = 60
START_TICKS = 2
PLAYED_TICKS = 3
QUEUE_SECONDS = 60  # more than that a bot cannot be ahead: its socket is not read
MARKS = 1000  # nor with more marks than that
SAMPLE_BYTES = 2
CHANGED_RATE = 48_000  # carried at 16 kHz
MS_A_SECOND = 1000


def bytes_of(ms: int, sample_rate: int) -> int:
    return ms * sample_rate * SAMPLE_BYTES // MS_A_SECOND


def ms_of(length: int, sample_rate: int) -> int:
    return length * MS_A_SECOND // (sample_rate * SAMPLE_BYTES)


class Pace:
    """What one bot has said and is not sent yet: s16le mono at `sample_rate`."""

    __slots__ = (
        "_begun", "_decimator", "_frame_bytes", "_frame_tick", "_line", "_marks", "_passing", "_put", "_rate",
        "_short_bytes", "_taken", "_waiting_since",
    )  # fmt: skip

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame_bytes = bytes_of(TICK_MS, sample_rate)
        self._decimator = Decimator() if sample_rate == CHANGED_RATE else None
        # A frame with no more audio than this has room for all that the filter still holds back.
        self._short_bytes = self._frame_bytes - SAMPLE_BYTES * (TAPS if self._decimator is not None else 1)
        self._line = bytearray()
        self._put = self._taken = 0  # bytes so far
        self._begun = False  # a talk-spurt goes on
        self._waiting_since: int | None = None  # the tick that saw the first bytes of the next one
        self._frame_tick = -PLAYED_TICKS  # of the newest frame
        self._marks: deque[tuple[int, str]] = deque()  # (bytes before it, name)
        self._passing: deque[tuple[int, str]] = deque()  # (tick at which it is passed, name)

    def put(self, data: bytes) -> None:
        """More audio; a sample may come in two pieces."""
        self._line += data
        self._put += len(data)

    def mark(self, name: str) -> None:
        self._marks.append((self._put // SAMPLE_BYTES * SAMPLE_BYTES, name))

    @property
    def full(self) -> bool:
        """Take no more before some of it has gone."""
        return (
            len(self._line) > bytes_of(QUEUE_SECONDS * MS_A_SECOND, self._rate)
            or len(self._marks) + len(self._passing) > MARKS
        )

    @property
    def busy(self) -> bool:
        """Ticks matter to it."""
        return self._begun or len(self._line) >= SAMPLE_BYTES or bool(self._marks or self._passing)

    def flush(self) -> tuple[int, list[str]]:
        """Throw away what is not sent yet: (milliseconds of it, the marks that stood in it)."""
        discarded_ms = ms_of(len(self._line), self._rate)
        names = [name for _, name in self._marks]
        self._marks.clear()
        self._line.clear()
        self._put = self._taken  # a sample of which only one half came goes too
        return discarded_ms, names

    def frame(self, tick: int) -> tuple[bytes, bool] | None:
        """The L16 payload of this tick, and whether a talk-spurt begins with it."""
        begins = not self._begun
        if begins and not self._ready(tick):
            return None
        take = min(self._frame_bytes, len(self._line) // SAMPLE_BYTES * SAMPLE_BYTES)
        data = bytes(self._line[:take])
        del self._line[:take]
        self._taken += take
        self._begun = take > self._short_bytes
        if take == 0 and self._decimator is None:
            return None
        self._frame_tick = tick
        return self._payload(data.ljust(self._frame_bytes, b"\0")), begins

    def passed(self, tick: int) -> list[str]:
        """The marks that have been passed by now."""
        while self._marks and self._marks[0][0] <= self._taken:
            self._passing.append((self._frame_tick + PLAYED_TICKS, self._marks.popleft()[1]))
        names = []
        while self._passing and self._passing[0][0] <= tick:
            names.append(self._passing.popleft()[1])
        return names

    def _ready(self, tick: int) -> bool:
        waiting = len(self._line)
        if waiting < SAMPLE_BYTES:
            return False
        if self._waiting_since is None:
            self._waiting_since = tick
        if waiting < bytes_of(START_MS, self._rate) and tick - self._waiting_since < START_TICKS:
            return False
        self._waiting_since = None
        return True

    def _payload(self, data: bytes) -> bytes:
        """L16 is big-endian (RFC 3551 section 4.5.11)."""
        if self._decimator is not None:
            data = self._decimator(data)
            if not self._begun:
                self._decimator = Decimator()
        return swapped(data)


class Gather:
    """What a bot is to hear: L16 payloads in, s16le at `sample_rate` out, `flush_ms` of it at a time."""

    __slots__ = ("_flush_bytes", "_interpolator", "_waiting")

    def __init__(self, sample_rate: int, flush_ms: int) -> None:
        self._interpolator = Interpolator() if sample_rate == CHANGED_RATE else None
        self._flush_bytes = bytes_of(flush_ms, sample_rate)
        self._waiting = b""

    def put(self, payload: bytes) -> bytes | None:
        """One packet's payload.  A frame for the bot, or None while there is too little for one."""
        data = swapped(payload)
        if self._interpolator is not None:
            data = self._interpolator(data)
        if len(self._waiting) + len(data) < self._flush_bytes:
            self._waiting += data
            return None
        data, self._waiting = self._waiting + data, b""
        return data

    def rest(self) -> bytes:
        """What waits for more, when no more comes."""
        data, self._waiting = self._waiting, b""
        return data
