"""The import rule, file sizes, and what a session costs in memory."""

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

from desk import OFFER, Desk

ROOT = Path(__file__).parents[3]
LINT = Path(sys.executable).with_name("lint-imports")
MAX_LINES = 500
SESSION_BUDGET_BYTES = 24 * 1024


def lint(root: Path, contract: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--config", str(contract), "--contract", "sans-io", "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_core_imports_nothing_that_does_io_or_knows_the_time() -> None:
    done = lint(ROOT, ROOT / ".importlinter")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_the_import_rule_can_fail(tmp_path: Path) -> None:
    text = (ROOT / ".importlinter").read_text().replace("    asyncio\n", "    asyncio\n    msgspec\n")
    strict = tmp_path / "strict"
    strict.write_text(text)
    done = lint(ROOT, strict)
    assert done.returncode != 0
    assert "roomtone.control.core.core -> msgspec" in done.stdout


def test_core_files_can_be_read_over_coffee() -> None:
    for path in (ROOT / "control" / "core").glob("*.py"):
        assert len(path.read_text().splitlines()) <= MAX_LINES, path.name


def test_a_session_with_two_endpoints_stays_within_its_budget() -> None:
    desk = Desk(config="max_sessions = 0\nmax_connections = 0")

    def add(count: int) -> None:
        for _ in range(count):
            client = desk.connect()
            client.call("session.create")
            client.call("endpoint.create_from_offer", sdp=OFFER)
            client.call("endpoint.create_from_offer", sdp=OFFER)
            client.call("stats.subscribe")
            client.log.clear()
        desk.workers[0].commands.clear()
        desk.logs.clear()
        gc.collect()

    add(50)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    add(200)
    each = (tracemalloc.get_traced_memory()[0] - before) / 200
    tracemalloc.stop()
    assert each < SESSION_BUDGET_BYTES, each
    assert each > 1024, each  # the measurement sees the session


def test_ended_sessions_leave_nothing_behind() -> None:
    desk = Desk()
    keeper = desk.connect()
    for _ in range(20):
        client = desk.connect()
        client.call("session.create")
        client.call("endpoint.create_from_offer", sdp=OFFER)
        client.call("stats.subscribe")
        client.call("session.destroy")
        client.close()
    core = desk.core
    assert not core.sessions and not desk.timers
    assert list(core.connections) == [keeper.id]
    assert not core._open and not core._late
    assert core.workers.loads() == {0: 0}
