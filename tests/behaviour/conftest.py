"""Behaviour is tested in virtual time: tests/lab."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from lab import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()
