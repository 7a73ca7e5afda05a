"""Parts of the supervisor that need no processes: patience with what dies, and the runtime directory."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from roomtone.control.child import Backoff, Child, inherited
from roomtone.control.runtime_dir import RuntimeDir, RuntimeDirError, candidates

YOUNG_US, OLD_US = 1_000_000, 10_000_000


def test_what_dies_is_restarted_at_once_then_with_growing_patience() -> None:
    backoff = Backoff()
    delays = [backoff.delay_us(YOUNG_US) // 1000 for _ in range(9)]
    assert delays == [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]
    assert backoff.delay_us(OLD_US) == 0
    assert backoff.delay_us(YOUNG_US) == 100_000
    for _ in range(1000):
        assert backoff.delay_us(YOUNG_US) <= 5_000_000


def test_a_child_inherits_what_it_is_given_and_nothing_else() -> None:
    given, given_writer = os.pipe()
    kept, kept_writer = os.pipe()
    program = f"import os, sys; os.fstat({given}); sys.exit(os.path.exists('/proc/self/fd/{kept}'))"
    child = Child([sys.executable, "-c", program], dict(os.environ), [given], 0)
    info = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    child.signal(signal.SIGTERM)  # it is gone: nothing happens
    child.close()
    assert info is not None and info.si_status == 0
    for fd in (given, given_writer, kept, kept_writer):
        os.close(fd)


ADOPTING = """
import ctypes, os
from roomtone.control.child import Child, reap
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans are ours, as they are PID 1's
Child(["/bin/sh", "-c", "/bin/sh -c 'exit 7' & exit 3"], dict(os.environ), [], 0)
seen = {}
while len(seen) < 2:
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    seen.update(reap())
print(sorted(seen.values()), reap())
"""


def test_orphans_are_reaped_too() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPTING], capture_output=True, text=True, check=True)
    assert done.stdout == "[3, 7] []\n"


def test_a_fresh_runtime_dir_is_private_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = RuntimeDir(None)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    assert candidates() == [made.path]
    made.close()
    assert candidates() == [] and not made.path.exists()


def test_a_configured_runtime_dir_is_made_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir(mode=0o755)
    made = RuntimeDir(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    made.close()
    assert list(path.iterdir()) == []


def test_a_runtime_dir_in_use_is_refused_and_a_stale_one_taken(tmp_path: Path) -> None:
    first = RuntimeDir(str(tmp_path))
    with pytest.raises(RuntimeDirError, match="is running"):
        RuntimeDir(str(tmp_path))
    first.listener.close()  # died without cleaning up
    RuntimeDir(str(tmp_path)).close()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeDirError, match="too long"):
        RuntimeDir(str(tmp_path / ("x" * 120)))


def test_the_administrators_key_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", "secret")
    monkeypatch.setenv("OTHER", "kept")
    assert "secret" not in inherited().values() and inherited()["OTHER"] == "kept"
