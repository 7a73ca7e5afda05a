"""The page about the Python client: its example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from demo_parts.server import Server
from tables import ROOT

PAGE = (ROOT / "docs" / "guide" / "client.md").read_text()
RUN_WAIT_S = 60


def test_the_example_runs(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(PAGE.partition("```python\n")[2].partition("```")[0])
    done = subprocess.run(
        [sys.executable, str(script), server.url],
        capture_output=True,
        text=True,
        timeout=RUN_WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    finished, refused = done.stdout.splitlines()
    assert finished.startswith("finished ")
    assert refused == "refused INVALID_PARAMS"
