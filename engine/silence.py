"""When `vad.speech_started` and `vad.silence` are told (websocket.md section 5).

Theory of operation
-------------------
A detector knows when an endpoint's latest utterance began, and when speech was last heard.  An utterance goes
on over pauses shorter than `HANGOVER_MS`.  All else follows from these times and the clock, so it is the same
whether packets come, stop, or are decoded late:

    last heard                   + 320 ms             + interval            + interval
        |---------- hang-over --------|--- interval ---> silence --- interval ---> silence ...

Nothing is told before the first speech.  Whoever looks late tells what is due now: of silences that were
missed only the latest, as ticks that were missed are not caught up.
"""

from __future__ import annotations

from typing import NamedTuple

HANGOVER_MS = 320
STARTED = 0  # in `Silence.look`; a silence is never so short
_US_A_MS = 1000


class Heard(NamedTuple):
    """What a detector knows of an endpoint's speech; times in microseconds of the shared clock, 0: none yet.

    serial: which request this answers.  began: of the latest utterance; last: speech was last heard;
    before: it was last heard in the utterance before.
    """

    serial: int
    began_us: int
    last_us: int
    before_us: int


class Silence:
    """The clock of one endpoint."""

    __slots__ = ("_began_us", "_interval_ms", "_last_us", "_spoken", "_told")

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._began_us = 0  # of the utterance known
        self._last_us = 0
        self._spoken = False  # it was told
        self._told = 0  # silences since it ended

    @property
    def due_us(self) -> int | None:
        """When the next silence is due; None: nothing was said yet."""
        if not self._spoken:
            return None
        return self._last_us + (HANGOVER_MS + (self._told + 1) * self._interval_ms) * _US_A_MS

    def look(self, heard: Heard, now_us: int) -> list[int]:
        """What is to be told now: STARTED, or a silence's length in milliseconds."""
        out: list[int] = []
        if heard.began_us != self._began_us:
            self._silences(heard.before_us, heard.began_us, out)
            self._began_us, self._last_us, self._told = heard.began_us, heard.began_us, 0
            self._spoken = True
            out.append(STARTED)
        self._silences(heard.last_us, now_us, out)
        return out

    def forget(self) -> None:
        """Begin anew: there was no speech so far."""
        self._spoken = False

    def _silences(self, last_us: int, until_us: int, out: list[int]) -> None:
        if last_us > self._last_us:
            self._last_us, self._told = last_us, 0
        number = ((until_us - self._last_us) // _US_A_MS - HANGOVER_MS) // self._interval_ms
        if self._spoken and number > self._told:
            self._told = number
            out.append(HANGOVER_MS + number * self._interval_ms)
