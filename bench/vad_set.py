"""Labelled speech in noise, for judging and for training the voice activity detector.

Labels come from the clean signal, one a 10 ms: above 25 dB below the active level, gaps under 200 ms filled.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from roomtone.bench import signals

BLOCK = 80  # samples of a label
BELOW_ACTIVE_DB = 25
GAP_BLOCKS = 20
BURST_BLOCKS = 2
# Music on hold, in the order of its files.
TITLES = (
    "macroform-cold_day",
    "macroform-robot_dity",
    "macroform-the_simplicity",
    "manolo_camp-morning_coffee",
    "reno_project-system",
)
Noise = Callable[[int, np.random.Generator], np.ndarray]
NOISES: dict[str, Noise] = {
    "white": signals.white,
    "pink": signals.pink,
    "car": signals.car,
    "hum": signals.hum,
    "keys": signals.keyboard,
    "music": signals.chords,
}


def block_levels(signal: np.ndarray) -> np.ndarray:
    """dBm0 of each 10 ms."""
    blocks = signal[: len(signal) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return 10 * np.log10(np.mean(np.square(blocks), axis=1) / signals.DBM0_0**2 + 1e-12)


def active_level(signal: np.ndarray) -> float:
    """dBm0 of what is within 25 dB of the loudest blocks."""
    levels = block_levels(signal)
    loud = levels > np.percentile(levels, 95) - 25
    return float(10 * np.log10(np.mean(10 ** (levels[loud] / 10))))


def labels(clean: np.ndarray) -> np.ndarray:
    """bool, one a 10 ms."""
    speech = block_levels(clean) > active_level(clean) - BELOW_ACTIVE_DB
    speech = without_short(speech, BURST_BLOCKS, True)
    return without_short(speech, GAP_BLOCKS, False)


def without_short(speech: np.ndarray, blocks: int, value: bool) -> np.ndarray:
    """Runs of `value` shorter than this many blocks, not at the ends, turned into the other value."""
    edges = np.flatnonzero(np.diff(speech.astype(int))) + 1
    out = speech.copy()
    for first, last in pairwise(edges):
        if speech[first] == value and last - first < blocks:
            out[first:last] = not value
    return out


def talk(clips: Sequence[np.ndarray], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One talker: clips in random order with pauses between, all at one level, whole frames."""
    parts: list[np.ndarray] = [signals.silence(300)]
    length = 0
    while length < seconds * signals.RATE_HZ:
        clip = clips[rng.integers(len(clips))]
        parts += [signals.at(clip, -20), signals.silence(rng.uniform(200, 1000))]
        length = sum(map(len, parts))
    out = np.concatenate(parts)[: round(seconds * 50) * signals.FRAME]
    return np.pad(out, (0, -len(out) % signals.FRAME))


def babble(voices: Sequence[np.ndarray], talkers: int = 7) -> Noise:
    """Many voices at once, none above the others."""

    def noise(n: int, rng: np.random.Generator) -> np.ndarray:
        out = np.zeros(n)
        for _ in range(talkers):
            place = rng.integers(len(voices))
            voice = np.concatenate([voices[(place + i) % len(voices)] for i in range(1 + n // 20_000)])
            voice = np.tile(voice, 1 + n // len(voice))
            out += signals.at(np.roll(voice, rng.integers(len(voice)))[:n], -20)
        return out

    return noise


def piece_of(music: Sequence[np.ndarray]) -> Noise:
    def noise(n: int, rng: np.random.Generator) -> np.ndarray:
        tune = music[rng.integers(len(music))]
        start = rng.integers(max(1, len(tune) - n))
        return np.resize(tune[start:], n)

    return noise


def mixed(clean: np.ndarray, noise: np.ndarray, snr_db: float, dbm0: float) -> np.ndarray:
    """Speech at this active level, with noise that far below."""
    gain = 10 ** ((dbm0 - active_level(clean)) / 20)
    return clean * gain + signals.at(noise, dbm0 - snr_db)


def auc(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the curve: how often speech scores above what is none; ties count half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = int(truth.sum())
    negative = len(truth) - positive
    return float((rank[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def f1(said: np.ndarray, truth: np.ndarray) -> float:
    hits = np.sum(said & truth)
    return float(2 * hits / (np.sum(said) + np.sum(truth)))


def onset_delays(said: np.ndarray, truth: np.ndarray, quiet_blocks: int = 20) -> np.ndarray:
    """ms from each onset after 200 ms of silence to the first block called speech; inf without."""
    out = []
    for start in np.flatnonzero(np.diff(truth.astype(int)) == 1) + 1:
        if start < quiet_blocks or truth[start - quiet_blocks : start].any():
            continue
        end = start + int(np.argmin(truth[start:])) if not truth[start:].all() else len(truth)
        found = np.flatnonzero(said[start:end])
        out.append(10 * found[0] if len(found) else np.inf)
    return np.array(out, float)
