"""Puts tests/tools and the examples' receiver on the path; runs a test's coroutine on uvloop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
sys.path.insert(0, str(ROOT / "examples"))

LIMIT_S = 60.0  # a test that hangs fails here


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine as the dispatcher runs, for at most LIMIT_S."""

    def runner(body: Coroutine[Any, Any, None]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(LIMIT_S):
                await body

        uvloop.run(limited())

    return runner
