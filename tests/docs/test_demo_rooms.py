"""The numbers that `make demo-rooms` judges by."""

from __future__ import annotations

import numpy as np
import pytest
from demo_parts.minutes import check_announcements
from demo_parts.sound import RATE_HZ
from demo_parts.verdict import Checks


def speech(seed: int) -> np.ndarray:
    """Two seconds of noise in bursts."""
    random = np.random.default_rng(seed)
    bursts = np.repeat(random.random(20) < 0.7, RATE_HZ // 10)
    return (random.normal(0, 2000, 2 * RATE_HZ) * np.maximum(bursts, 0.05)).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def judged(*parts: np.ndarray) -> list[bool]:
    """Of two announcements of two seconds, heard as these parts."""
    checks = Checks()
    check_announcements(checks, [speech(1), speech(2)], {"Anna": np.concatenate(parts)}, -6)
    return [held for held, _ in checks.results]


ONE, TWO = speech(1), speech(2)
HALF = (TWO * 0.501).astype(np.int16)


def test_announcements_with_a_pause_in_the_first_and_the_second_lowered_hold() -> None:
    assert judged(silence(0.7), ONE[:9000], silence(1.2), ONE[9000:], HALF, silence(1.0)) == [True, True]


@pytest.mark.parametrize(
    ("parts", "held"),
    [
        ((ONE[:9000], silence(1.2), ONE[9000:], TWO), [True, False]),
        ((ONE[:9000] * 0.9, silence(1.2), ONE[9000:], HALF), [True, False]),
        ((ONE, HALF), [False]),
        ((ONE[:9000], silence(1.2), ONE[9000:], silence(0.02), HALF), [False]),
        ((ONE[:9000], silence(1.2), ONE[9000:]), [False]),
        ((silence(4.0),), [False]),
    ],
    ids=["not lowered", "too low before", "no pause", "a gap between them", "no second", "nothing"],
)
def test_other_announcements_fail(parts: tuple[np.ndarray, ...], held: list[bool]) -> None:
    padded = [part.astype(np.int16) for part in parts]
    assert judged(silence(0.5), *padded, silence(1.0)) == held
