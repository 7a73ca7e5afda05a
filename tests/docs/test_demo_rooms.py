"""`make demo-rooms` and the numbers it judges by."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demo_parts.minutes import check_announcements
from demo_parts.sound import RATE_HZ
from demo_parts.verdict import Checks
from tables import ROOT

DEMO_WAIT_S = 300


@pytest.mark.process
@pytest.mark.timeout(DEMO_WAIT_S + 20)
def test_the_demo_ends_with_every_check_held(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "rooms.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEMO_WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("roomtone demo-rooms: all checks held")
    heard = sorted(path.name for path in (tmp_path / "demo-out").iterdir())
    assert heard == [f"rooms-heard-by-{name}.wav" for name in ("anna", "ben", "cleo", "dirk")]


# -- the judge ----------------------------------------------------------------------------------------------


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
