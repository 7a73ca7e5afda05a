"""Sound as numpy arrays: int16[n], mono, 8,000 samples a second."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

RATE_HZ = 8000
FRAME_MS = 20
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000
FRAMES_A_SECOND = 1000 // FRAME_MS
FULL_SCALE = 32768.0
FLOOR_DBOV = -60.0  # what a level is shown as when there is nothing
ULAW_BIAS = 132  # G.711 table 2, in 16-bit steps
ALAW_STEP = 16  # G.711 table 1: the smallest step, in 16-bit steps


def _ulaw_levels() -> np.ndarray:
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 15) << 3) + ULAW_BIAS << (code >> 4 & 7)) - ULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude)


def _alaw_levels() -> np.ndarray:
    code = np.arange(256) ^ 0x55
    segment = code >> 4 & 7
    magnitude = (code & 15) * ALAW_STEP + ALAW_STEP // 2
    magnitude = np.where(segment > 0, magnitude + 16 * ALAW_STEP << np.maximum(segment - 1, 0), magnitude)
    return np.where(code & 0x80, magnitude, -magnitude)


class G711:
    """One law of G.711 as two tables: 256 levels, and the nearest code of every 16-bit sample."""

    def __init__(self, levels: np.ndarray) -> None:
        self._levels = levels.astype(np.int16)
        order = np.argsort(levels, kind="stable")
        middles = (levels[order][1:] + levels[order][:-1]) / 2
        self._codes = order[np.searchsorted(middles, np.arange(-32768, 32768))].astype(np.uint8)
        self.silence = bytes([self._codes[32768]])

    def encode(self, pcm: np.ndarray) -> bytes:
        return self._codes[pcm.astype(np.int32) + 32768].tobytes()

    def decode(self, payload: bytes) -> np.ndarray:
        return self._levels[np.frombuffer(payload, dtype=np.uint8)]


PCMU = G711(_ulaw_levels())
PCMA = G711(_alaw_levels())


def level_dbov(pcm: np.ndarray) -> float:
    """RMS of a frame in dB below full scale; FLOOR_DBOV for silence."""
    if len(pcm) == 0:
        return FLOOR_DBOV
    power = float(np.mean(np.square(pcm.astype(np.float64) / FULL_SCALE)))
    return max(FLOOR_DBOV, 10 * np.log10(power)) if power else FLOOR_DBOV


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """(int16[n], samples a second) of a 16-bit mono file."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"), file.getframerate()


def read_channels(path: Path) -> np.ndarray:
    """int16[n, channels] of a 16-bit file at RATE_HZ.  Raises ValueError for another rate."""
    with wave.open(str(path)) as file:
        if file.getframerate() != RATE_HZ:
            raise ValueError(f"{path.name} has {file.getframerate()} samples a second")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())


def write_wav(path: Path, pcm: np.ndarray) -> None:
    """pcm: int16[n], or int16[n, channels]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())


def resampled(pcm: np.ndarray, from_hz: int) -> np.ndarray:
    """To RATE_HZ by cutting the spectrum: exact for a whole utterance, and no filter to design."""
    if from_hz == RATE_HZ:
        return pcm
    count = len(pcm) * RATE_HZ // from_hz
    spectrum = np.fft.rfft(pcm.astype(np.float64))[: count // 2 + 1]
    return (np.fft.irfft(spectrum, count) * count / len(pcm)).clip(-32768, 32767).astype(np.int16)
