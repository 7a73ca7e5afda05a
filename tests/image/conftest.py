"""The stages of the Dockerfile as deploy/replay_dockerfile.py reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))

import replay_dockerfile
from replay_dockerfile import Stage


@pytest.fixture(scope="session")
def stages() -> dict[str, Stage]:
    return replay_dockerfile.read()
