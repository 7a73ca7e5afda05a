"""`make demo` and `make demo-rooms`, at the same time: they mostly wait for what is said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_parts.sound import RATE_HZ, read_wav
from tables import ROOT

DEMO_WAIT_S = 420

pytestmark = [pytest.mark.process, pytest.mark.demo, pytest.mark.timeout(DEMO_WAIT_S + 20)]


class Demo:
    """A running demo; folder: where it leaves what was heard."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / "demo-out"
        self._told = folder / "told"
        with self._told.open("w") as told:
            command = [sys.executable, str(ROOT / "examples" / name)]
            self.process = subprocess.Popen(command, cwd=folder, stdout=told, stderr=told)

    def ends_with(self, verdict: str) -> None:
        code = self.process.wait(DEMO_WAIT_S)
        told = self._told.read_text()
        assert code == 0, told[-8000:]
        assert told.splitlines()[-1].startswith(verdict)

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Demo]]:
    started = {name: Demo(name, tmp_path_factory.mktemp("demo")) for name in ("demo.py", "rooms.py")}
    yield started
    for demo in started.values():
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait()


def test_every_check_of_the_demo_holds(demos: dict[str, Demo]) -> None:
    demo = demos["demo.py"]
    demo.ends_with("roomtone demo: all checks held")
    people = ("anna", "ben", "cleo", "dirk", "eve", "finn")
    assert demo.left == ["conference.wav", *(f"heard-by-{name}.wav" for name in people)]
    pcm, rate_hz = read_wav(demo.folder / "heard-by-anna.wav")
    assert rate_hz == RATE_HZ
    assert len(pcm) > 20 * RATE_HZ
    assert pcm.any()


def test_every_check_of_the_demo_of_rooms_holds(demos: dict[str, Demo]) -> None:
    demo = demos["rooms.py"]
    demo.ends_with("roomtone demo-rooms: all checks held")
    assert demo.left == [f"rooms-heard-by-{name}.wav" for name in ("anna", "ben", "cleo", "dirk")]
