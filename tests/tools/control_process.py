"""The control process on a free port, in this process, with fake workers over real ZeroMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from fake_zmq_worker import FakeWorker

from roomtone.client import Client, connect
from roomtone.control.app import App
from roomtone.control.core.config import load
from roomtone.engine.log import Log
from roomtone.engine.messages import Probe, Snapshot


class Control:
    """A running control process with its fake workers."""

    def __init__(self, app: App, runtime_dir: str) -> None:
        self.app = app
        self.runtime_dir = runtime_dir
        self.workers: list[FakeWorker] = []
        self._clients: list[Client] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.app.port}/"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.app.port}"

    async def client(self, **options: Any) -> Client:
        client = await connect(self.url, **options)
        self._clients.append(client)
        return client

    async def worker(self, index: int = 0, epoch: int = 1) -> FakeWorker:
        """A worker that control has taken into service."""
        worker = FakeWorker(self.runtime_dir, index=index, epoch=epoch)
        self.workers.append(worker)
        worker.up()
        await until(
            lambda: self.app.workers.states[index].up and self.app.workers.states[index].epoch == epoch
        )
        return worker

    async def worker_from_before(self, snapshot: Snapshot, *first: Any) -> FakeWorker:
        """A worker that was running before this control process: its numbers do not begin at one.

        first: what it tells first.
        """
        worker = FakeWorker(self.runtime_dir, epoch=3, number=500)
        self.workers.append(worker)
        worker.snapshot = snapshot
        worker.emit(*(first or (Probe(ok=True),)))
        await until(lambda: self.app.workers.states[0].up)
        return worker

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for worker in self.workers:
            worker.die()
        await self.app.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the test's own limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def running(
    tmp_path: Path, *, workers: int = 1, start: bool = True, **options: Any
) -> AsyncIterator[Control]:
    """options: configuration keys, and `waits`: (pong wait, stall wait) in microseconds."""
    waits = options.pop("waits", None)
    config = load("", {"listen": "127.0.0.1:0", **options})
    extra = {"pong_wait_us": waits[0], "stall_wait_us": waits[1]} if waits else {}
    with (tmp_path / "control.log").open("wb") as log_file:
        log = Log("debug", fd=log_file.fileno(), process="control")
        control = Control(
            App(config, runtime_dir=str(tmp_path), workers=workers, log=log, **extra), str(tmp_path)
        )
        await control.app.start()
        try:
            for index in range(workers if start else 0):
                await control.worker(index)
            yield control
        finally:
            await control.close()


def log_lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (tmp_path / "control.log").read_bytes().splitlines()]
