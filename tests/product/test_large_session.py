"""One session of many endpoints over all workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.real_time]


@pytest.mark.parametrize(("members", "workers"), [(240, 2)])
def test_members_on_both_workers_hear_the_three_talkers_and_nobody_hears_himself(
    tmp_path: Path, members: int, workers: int
) -> None:
    """The load tool listens to a sample of members and compares what they hear with who talks."""
    file = tmp_path / "result.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "roomtone.bench.load.main", "mix", "--only", "engine", "--rooms", "1",
            "--size", str(members), "--talkers", "3", "--workers", str(workers), "--measured-cpus", "0,1",
            "--runs", "1", "--retries", "0", "--seconds", "2", "--normal", "--json", str(file),
        ],
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert file.exists(), done.stdout + done.stderr
    run = json.loads(file.read_text())["results"][0]["servers"]["engine"]
    run = run["runs"][0] if isinstance(run, dict) else run[0]
    assert run["voices_missing"] == run["voices_echoed"] == run["voices_strange"] == run["deaf"] == 0
    assert run["listened"] >= 3
