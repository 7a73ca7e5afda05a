"""Who heard whom, in numbers.

What a caller said is cut into windows.  For each window, find it in what another one received: the lag at
which both agree best, and there the share of it that arrived (1.0: at full level, 0.0: not at all).  The lag
may differ from window to window, because a playout buffer changes its delay.  Both signals are pre-emphasised
first, because the low, even part of voices looks alike in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo_parts.sound import RATE_HZ

LAG_MAX_MS = 400  # engine, loopback and playout together are far below this
PRE_EMPHASIS = 0.95
WINDOW_MS = 500


@dataclass(frozen=True)
class Utterance:
    """Something said: speaker, first sample, int16[n]."""

    speaker: str
    start: int
    pcm: np.ndarray


@dataclass(frozen=True)
class Match:
    share: float
    lag_ms: float


def emphasised(pcm: np.ndarray) -> np.ndarray:
    samples = pcm.astype(np.float64)
    return np.concatenate([samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]])


def find(said: Utterance, heard: np.ndarray) -> Match:
    """The utterance in a received line that begins when the speaker's does; windows count by their energy."""
    lags = LAG_MAX_MS * RATE_HZ // 1000
    window = WINDOW_MS * RATE_HZ // 1000
    reference = emphasised(said.pcm)
    line = emphasised(np.pad(heard[said.start : said.start + len(said.pcm) + lags], (0, lags)))
    size = 1 << (2 * window + lags - 1).bit_length()
    agreed = energy = delayed = 0.0
    for start in range(0, len(reference), window):
        part = reference[start : start + window]
        product = np.fft.rfft(line[start : start + window + lags], size) * np.conj(np.fft.rfft(part, size))
        agreement = np.fft.irfft(product, size)[:lags]
        best = int(np.argmax(agreement))
        here = float(np.sum(np.square(part)))
        agreed += float(agreement[best])
        energy += here
        delayed += here * best
    return Match(agreed / energy, delayed / energy * 1000 / RATE_HZ)


def matrix(heard: dict[str, np.ndarray], said: list[Utterance]) -> dict[tuple[str, str], Match]:
    """(listener, speaker) -> the mean of the speaker's utterances, each weighted by its length."""
    out = {}
    for listener, line in heard.items():
        for speaker in dict.fromkeys(u.speaker for u in said):
            mine = [u for u in said if u.speaker == speaker]
            found = [find(u, line) for u in mine]
            weights = [len(u.pcm) for u in mine]
            share = float(np.average([m.share for m in found], weights=weights))
            lag_ms = float(np.average([m.lag_ms for m in found], weights=weights))
            out[listener, speaker] = Match(share, lag_ms)
    return out
