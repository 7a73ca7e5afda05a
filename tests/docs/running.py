"""Examples in documents are run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from demo_parts.server import Server

WAIT_S = 60


def first_python(page: str) -> str:
    """The page's first Python block."""
    return page.partition("```python\n")[2].partition("```")[0]


def run(text: str, server: Server, folder: Path) -> str:
    """What the example prints, given the server's address."""
    script = folder / "example.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, str(script), server.url],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
