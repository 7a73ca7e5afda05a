"""Behaviour is tested in virtual time: tests/lab."""

import sys
from pathlib import Path

import pytest

for folder in ("lab", "tools"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from lab import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()
