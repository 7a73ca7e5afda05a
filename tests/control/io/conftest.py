"""Puts tests/tools on the path and runs a test's coroutine as the product runs: on uvloop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

LIMIT_S = 30.0  # a test that hangs fails here


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on uvloop, as the product does, for at most LIMIT_S."""

    def runner(body: Coroutine[Any, Any, None]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(LIMIT_S):
                await body

        uvloop.run(limited())

    return runner
