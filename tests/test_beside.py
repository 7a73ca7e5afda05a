"""`pytest --beside`: two processes, one summary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import beside
pytest_addoption, pytest_configure = beside.options, beside.configure
"""
HEARD = """
import os, pytest
@pytest.mark.real_time
def test_heard(): assert os.getpid() == int(os.environ["HERE"])
"""
BESIDE = """
import os
def test_beside(): assert os.getppid() == int(os.environ["HERE"])
"""
HERE = (
    "import os, runpy; os.environ['HERE'] = str(os.getpid()); runpy.run_module('pytest', run_name='__main__')"
)


def said(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_all.py").write_text(HEARD + tests)
    command = [sys.executable, "-c", HERE, "-q", "-p", "no:cacheprovider", "--beside"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_what_is_heard_runs_here_and_the_rest_beside_it(tmp_path: Path) -> None:
    done = said(tmp_path, BESIDE)
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "2 passed" in done.stdout


def test_a_failure_beside_is_told_here(tmp_path: Path) -> None:
    done = said(tmp_path, BESIDE + "def test_wrong(): assert 1 == 2, 'so it is'\n")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "so it is" in done.stdout and "1 failed, 2 passed" in done.stdout


def test_what_a_process_that_died_did_not_run_is_missed(tmp_path: Path) -> None:
    done = said(tmp_path, BESIDE + "def test_dies(): os._exit(0)\n")
    assert done.returncode == pytest.ExitCode.INTERNAL_ERROR
    assert "test_all.py::test_dies" in done.stdout + done.stderr
