"""A peer is a process of its own, started for one run and ended after it, bound to the measured CPU."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from roomtone.bench.load import proc
from roomtone.bench.load.server import Cost, Placement, Server

READY_WAIT_S = 15.0
READY_POLL_S = 0.05
STOP_WAIT_S = 10.0
PACKAGES = "deploy/apt-bench.txt"


class PeerError(RuntimeError):
    """A peer did not start, or refused."""


class NotInstalledError(ValueError):
    """A peer's package is missing."""


class Peer(Server):
    """Order of use as Server.  Subclasses say what is started and when it is ready.

    fifo: run it before ordinary threads, as the engine's media thread does (default: as Debian starts it).
    """

    program: str  # found on PATH
    version_option = "--version"

    def __init__(self, placement: Placement, *, fifo: bool = False) -> None:
        self.placement = placement
        self.fifo = fifo
        self.process: asyncio.subprocess.Process | None = None
        self.folder: Path | None = None

    @classmethod
    def version(cls) -> str:
        """The first line of what the program says of itself that has a digit in it."""
        said = subprocess.run(
            [cls.installed(), cls.version_option], capture_output=True, text=True, check=False
        )
        lines = (said.stdout + said.stderr).splitlines()
        return next((line.strip() for line in lines if any(c.isdigit() for c in line)), "unknown")

    @classmethod
    def installed(cls) -> str:
        found = shutil.which(cls.program)
        if not found:
            raise NotInstalledError(f"{cls.program} is not installed: deploy/apt-install {PACKAGES}")
        return found

    @abstractmethod
    def arguments(self, folder: Path) -> list[str]:
        """What follows the program's name; files it needs are written to `folder`."""

    @abstractmethod
    async def answers(self) -> bool:
        """Whether it can be asked already; errors of connecting mean no."""

    async def start(self) -> None:
        command = self.installed()
        self.folder = Path(tempfile.mkdtemp(prefix=f"roomtone-bench-{self.name}-"))
        with (self.folder / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                command, *self.arguments(self.folder), stdout=log, stderr=log, preexec_fn=self.become_peer
            )
        await until(self.answers, self.ended)

    def become_peer(self) -> None:
        """In the child: ends with its parent, keeps to the measured CPUs, all its threads to come as well."""
        proc.end_with_parent()
        os.sched_setaffinity(0, set(self.placement.measured))
        if self.fifo:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(proc.FIFO_PRIORITY))

    def ended(self) -> None:
        """PeerError with the end of its log, when the process is gone."""
        if self.process and self.process.returncode is not None:
            log = (self.folder / "log").read_text(errors="replace")[-1000:] if self.folder else ""
            raise PeerError(f"{self.name} ended with status {self.process.returncode}: {log}")

    async def stop(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_WAIT_S)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        if self.process is None:
            raise PeerError(f"{self.name} is not started")
        return self.process.pid

    def cost(self) -> Cost:
        """All threads as one, without the time they were ready and not running.

        Several threads on one CPU wait for each other; that is no sign of a disturbed run.
        """
        spent = proc.cpu(self.pid)
        spent.threads = {f"{self.name}/{self.pid}": proc.Thread(spent.run_ns)}
        return Cost(spent)

    def rss_bytes(self) -> dict[str, int]:
        return {"worker": proc.rss_bytes(self.pid)}


async def until(answers: Callable[[], Awaitable[bool]], ended: Callable[[], None]) -> None:
    """Wait until somebody answers; `ended` raises when nobody ever will."""
    deadline = time.monotonic() + READY_WAIT_S
    while not await answers():
        ended()
        if time.monotonic() > deadline:
            raise PeerError(f"no answer within {READY_WAIT_S:.0f} s")
        await asyncio.sleep(READY_POLL_S)
