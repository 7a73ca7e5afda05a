"""The product, fresh for each test, for what the documents say of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).parent))

from demo_parts.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """media_timeout_secs 1, so that a silence is told within the test's patience."""
    with Server(workers=1, media_timeout_secs=1, recording_dir=str(tmp_path)) as running:
        yield running
        print(running.log)
