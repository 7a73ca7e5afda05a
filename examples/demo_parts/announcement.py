"""Where something known stands in what was heard: its places tell of pauses, its shares of the level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from demo_parts.hearing import emphasised
from demo_parts.sound import RATE_HZ

PIECE_MS = 400
QUIET = 0.001  # of the mean energy: what is below is silence
SPOKEN = 0.1  # of the mean energy: a piece with less is a pause between words


@dataclass(frozen=True)
class Piece:
    """start: first sample in the original.  shift: samples by which it was heard later.  share: its level."""

    start: int
    shift: int
    share: float


def pieces(original: np.ndarray, heard: np.ndarray) -> list[Piece]:
    """Every piece of the original that is more than a pause, where it fits best in all that was heard."""
    size = PIECE_MS * RATE_HZ // 1000
    reference, line = emphasised(original), emphasised(heard)
    length = 1 << (len(line) + size - 1).bit_length()
    spectrum = np.fft.rfft(line, length)
    mean = float(np.mean(np.square(reference))) * size
    until = np.concatenate([[0.0], np.cumsum(np.square(np.pad(line, (0, size))))])
    loudness = np.sqrt(until[size : len(line) + size] - until[: len(line)] + QUIET * mean)
    out = []
    for start in range(0, len(reference) - size + 1, size):
        part = reference[start : start + size]
        energy = float(np.sum(np.square(part)))
        if energy < SPOKEN * mean:
            continue
        agreement = np.fft.irfft(spectrum * np.conj(np.fft.rfft(part, length)), length)[: len(line)]
        best = int(np.argmax(agreement / loudness))  # where it fits, and not where somebody is loud
        out.append(Piece(start, best - start, float(agreement[best]) / energy))
    return out


def spells(found: Iterable[Piece]) -> list[list[Piece]]:
    """Pieces that follow each other as in the original, each spell later than the one before.

    A piece that stands alone - it was cut by a pause, or found by chance - belongs to none.
    """
    out: list[list[Piece]] = []
    for piece in found:
        if out and out[-1][-1].shift == piece.shift:
            out[-1].append(piece)
        else:
            out.append([piece])
    return [spell for spell in out if len(spell) > 1]
