"""The product as a user starts it, once a module, and what every peer needs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).parent))

from demo_parts.server import Server
from peers import loopbacks

LIMIT_S = 90.0  # a peer that never ends fails here


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Two workers, both families; its log is shown when a test fails."""
    with Server(workers=2, media_ip=loopbacks()) as running:
        yield running
        print(running.log)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    def runner(body: Coroutine[Any, Any, None]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(LIMIT_S):
                await body

        asyncio.run(limited())

    return runner
