"""Signals for detectors: a voice, key tones, fax tones, put on a time line."""

from __future__ import annotations

import os
import subprocess
import tempfile
import wave
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

RATE_HZ = 8000
LOW_HZ, HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"  # row by row of the keypad
CODES = "0123456789*#ABCD"  # RFC 4733 section 3.2

Signal = Callable[[int, int, int], np.ndarray]


def spoken(text: str, *, rate: int = RATE_HZ) -> np.ndarray:
    """espeak-ng's voice, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        alone = os.environ | {"LD_PRELOAD": ""}  # under the sanitizers' library (make asan) it hangs
        subprocess.run(["espeak-ng", "-w", str(path), "-s", "150", text], check=True, env=alone)
        with wave.open(str(path)) as file:
            from_hz = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)
    pcm = np.convolve(pcm, np.ones(3) / 3, "same")  # against the images of what lies above
    at = np.arange(0, len(pcm) * rate // from_hz) * from_hz / rate
    said = np.interp(at, np.arange(len(pcm)), pcm).astype(np.int16)
    loud = np.flatnonzero(np.abs(said) > 300)
    return said[loud[0] : loud[-1]]


@cache
def _sentence(rate: int) -> np.ndarray:
    return spoken("we were away a year ago and now we are all alone again in our yellow car", rate=rate)


def voice(seconds: float, *, rate: int = RATE_HZ) -> np.ndarray:
    """Somebody who does not pause."""
    sentence = _sentence(rate)
    count = int(seconds * rate)
    return np.tile(sentence, count // len(sentence) + 1)[:count]


def key(digit: str, ms: int, *, rate: int = RATE_HZ, amplitude: float = 3500) -> np.ndarray:
    t = np.arange(ms * rate // 1000) / rate
    place = KEYS.index(digit)
    pair = (LOW_HZ[place // 4], HIGH_HZ[place % 4])
    return np.round(amplitude * sum(np.sin(2 * np.pi * f * t) for f in pair)).astype(np.int16)


def sine(frequency_hz: float, ms: int, *, rate: int = RATE_HZ, amplitude: float = 6000) -> np.ndarray:
    t = np.arange(ms * rate // 1000) / rate
    return np.round(amplitude * np.sin(2 * np.pi * frequency_hz * t)).astype(np.int16)


def rest(ms: int, *, rate: int = RATE_HZ) -> np.ndarray:
    return np.zeros(ms * rate // 1000, np.int16)


def tape(*parts: np.ndarray) -> Signal:
    """Plays the parts one after the other from its first sample on, then silence."""
    recorded = np.concatenate(parts)

    def signal(first: int, count: int, rate: int) -> np.ndarray:
        out = np.zeros(count, np.int16)
        piece = recorded[first : first + count]
        out[: len(piece)] = piece
        return out

    return signal
