"""Every fuzz target in this folder, for a bounded number of seeded runs, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WIRE = HERE.parent.parent / "ext" / "wire"
TARGETS = sorted(HERE.glob("fuzz_*.py"))
RUNS = 5_000
SEED = 1
DEADLINE_S = 150  # well above the few seconds a target takes; a parser that hangs ends here


def fuzz(target: Path, workdir: Path, runs: int = RUNS) -> subprocess.CompletedProcess[str]:
    """Run one target; crash inputs land in ``workdir``."""
    command = [sys.executable, str(target), f"-runs={runs}", f"-seed={SEED}", "-artifact_prefix=./"]
    return subprocess.run(
        command, cwd=workdir, capture_output=True, text=True, errors="replace", timeout=DEADLINE_S
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_target_survives(target: Path, tmp_path: Path) -> None:
    done = fuzz(target, tmp_path)
    crashes = {path.name: path.read_bytes().hex() for path in tmp_path.iterdir()}
    report = f"{target.name} ended with {done.returncode}\n{crashes}\n{(done.stdout + done.stderr)[-4000:]}"
    assert done.returncode == 0, report
    assert not crashes, report
    assert f"Done {RUNS} runs" in done.stderr, report


def test_every_wire_parser_has_a_target() -> None:
    parsers = {path.stem for path in WIRE.glob("*.pyx")}
    assert len(parsers) >= 3
    assert parsers <= {target.stem.removeprefix("fuzz_") for target in TARGETS}


@pytest.mark.parametrize(
    "fault",
    [
        "assert len(data) < 3",
        "GUARD.at_end(data); ctypes.string_at(address(GUARD) + PAGE + GUARD.capacity, 1)",
        "GUARD.at_start(data); ctypes.string_at(address(GUARD) + PAGE - 1, 1)",
    ],
    ids=["assertion", "read_behind_the_end", "read_before_the_start"],
)
def test_a_planted_fault_is_noticed(fault: str, tmp_path: Path) -> None:
    target = tmp_path / "fuzz_planted.py"
    target.write_text(
        "import ctypes, sys\n"
        "import atheris\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "from guard import PAGE, Guarded\n"
        "GUARD = Guarded(100)\n"
        "def address(guard): return ctypes.addressof(ctypes.c_char.from_buffer(guard.map))\n"
        "@atheris.instrument_func\n"
        f"def test_one_input(data):\n    data = data[:100]\n    {fault}\n"
        "atheris.Setup(sys.argv, test_one_input)\n"
        "atheris.Fuzz()\n"
    )
    done = fuzz(target, tmp_path, runs=1000)
    assert done.returncode != 0
    assert "Done 1000 runs" not in done.stderr
