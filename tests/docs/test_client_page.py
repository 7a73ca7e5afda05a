"""The page about the Python client: its example runs."""

from __future__ import annotations

from pathlib import Path

from demo_parts.server import Server
from running import first_python, run
from tables import ROOT

PAGE = (ROOT / "docs" / "guide" / "client.md").read_text()


def test_the_example_runs(server: Server, tmp_path: Path) -> None:
    printed = run(first_python(PAGE), server, tmp_path)
    finished, refused = printed.splitlines()
    assert finished.startswith("finished ")
    assert refused == "refused INVALID_PARAMS"
