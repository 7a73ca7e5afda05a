"""Signals for detectors: something like a voice, key tones, fax tones, put on a time line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE_HZ = 8000
LOW_HZ, HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"  # row by row of the keypad
CODES = "0123456789*#ABCD"  # RFC 4733 section 3.2

Signal = Callable[[int, int, int], np.ndarray]


def voice(seconds: float, *, rate: int = RATE_HZ, seed: int = 1) -> np.ndarray:
    """Vowels, five a second, each of its own pitch and formants, with a short breath between."""
    chance = np.random.default_rng(seed)
    out = []
    while sum(map(len, out)) < seconds * rate:
        t = np.arange(int(0.2 * rate)) / rate
        pitch = chance.uniform(100, 220) * (1 + 0.1 * np.sin(2 * np.pi * 3 * t))
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        formants = (chance.uniform(300, 800), chance.uniform(900, 2200), 2600)
        tone = sum(
            np.sin(h * phase)
            * sum(np.exp(-(((h * pitch - f) / 150) ** 2)) / (1 + i) for i, f in enumerate(formants))
            for h in range(1, 20)
        )
        envelope = np.minimum(1, np.minimum(t / 0.02, (0.2 - t) / 0.04)).clip(0.05)
        out.append(tone * envelope)
    said = np.concatenate(out)[: int(seconds * rate)]
    return np.round(said / np.abs(said).max() * 9000).astype(np.int16)


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
