"""48 kHz to 16 kHz and back for audio WebSockets: one linear-phase filter, cut into three phases.

A windowed sinc at 48 kHz (Kaiser window; Oppenheim and Schafer, Discrete-Time Signal Processing, 7.6), flat
to 6.8 kHz, 75 dB down from 8.2 kHz on.  What lies between those and 8 kHz folds into the top 0.2 kHz of
the band and no lower.  It holds the audio back for `DELAY_MS`; ready-made streaming resamplers hold it back
for 20 ms and more.

Shapes: float32[n] in and out, the scale is the caller's; n a multiple of three at 48 kHz.  State: the
samples the filter still looks back on.
"""

from __future__ import annotations

import numpy as np

RATIO = 3
RATE_HZ = 48_000
PASS_HZ, STOP_HZ = 6_800, 8_200
STOP_DB = 75.0
TAPS_A_PHASE = 54
TAPS = RATIO * TAPS_A_PHASE
DELAY_MS = (TAPS - 1) / 2 * 1000 / RATE_HZ  # 1.7
KAISER_BETA = 0.1102 * (STOP_DB - 8.7)


def _phases() -> list[np.ndarray]:
    """The filter's taps 0, 3, 6 …; 1, 4, 7 …; 2, 5, 8 …; together they sum up to one."""
    at = np.arange(TAPS) - (TAPS - 1) / 2
    cutoff = (PASS_HZ + STOP_HZ) / RATE_HZ
    taps = cutoff * np.sinc(cutoff * at) * np.kaiser(TAPS, KAISER_BETA)
    return [phase.astype(np.float32) for phase in (taps / taps.sum()).reshape(TAPS_A_PHASE, RATIO).T]


_PHASES = _phases()
_RAISED = [phase * RATIO for phase in _PHASES]  # two of three samples that go in are zero


class Decimator:
    """48 kHz in, 16 kHz out."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past = np.zeros(TAPS - RATIO, np.float32)

    def __call__(self, pcm: np.ndarray) -> np.ndarray:
        line = np.concatenate((self._past, pcm)).reshape(-1, RATIO)
        self._past = line[len(line) - TAPS_A_PHASE + 1 :].reshape(-1)
        # The newest sample of a group of three meets phase 0.
        out = np.convolve(line[:, 2], _PHASES[0], "valid")
        out += np.convolve(line[:, 1], _PHASES[1], "valid")
        out += np.convolve(line[:, 0], _PHASES[2], "valid")
        return out


class Interpolator:
    """16 kHz in, 48 kHz out."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past = np.zeros(TAPS_A_PHASE - 1, np.float32)

    def __call__(self, pcm: np.ndarray) -> np.ndarray:
        line = np.concatenate((self._past, pcm))
        self._past = line[len(line) - TAPS_A_PHASE + 1 :]
        out = np.empty((len(pcm), RATIO), np.float32)
        for phase in range(RATIO):
            out[:, phase] = np.convolve(line, _RAISED[phase], "valid")
        return out.reshape(-1)
