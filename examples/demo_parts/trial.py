"""A demo gets a fair trial: what fails while the machine was elsewhere is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from rich.console import Console

from demo_parts.machine import Machine
from demo_parts.verdict import Checks

TRIALS = 5
AWAY_S = 0.1  # a machine that left someone waiting so long may have cost audio


def fairly(
    title: str, demo: Callable[[Console], Coroutine[None, None, Checks]], errors: tuple[type[Exception], ...]
) -> int:
    """The exit code: 0 if every check of one trial held.  errors: with which a demo may give up."""
    console = Console()
    for _ in range(TRIALS):
        machine = Machine()
        held = _trial(title, demo(console), (RuntimeError, TimeoutError, *errors))
        away_s = machine.away_s()
        if held or away_s < AWAY_S:
            break
        print(f"The machine was away for {away_s:.1f} s of it: no fair trial.")
    return 0 if held else 1


def _trial(title: str, demo: Coroutine[None, None, Checks], errors: tuple[type[Exception], ...]) -> bool:
    try:
        checks = asyncio.run(demo)
    except errors as error:
        print(f"{title}: FAILED: {error or 'timed out'}")
        return False
    held = len(checks.results) - len(checks.failed)
    verdict = f"FAILED: {'; '.join(checks.failed)}" if checks.failed else "all checks held"
    print(f"{title}: {verdict} ({held} of {len(checks.results)})")
    return not checks.failed
