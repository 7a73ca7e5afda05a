"""Core in memory; see tests/tools/desk.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from desk import Client, Desk


@pytest.fixture
def desk() -> Desk:
    """One worker, default configuration."""
    return Desk()


@pytest.fixture
def client(desk: Desk) -> Client:
    """A connection with a session."""
    connected = desk.connect()
    connected.call("session.create")
    return connected
