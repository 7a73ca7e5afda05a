"""A child process that answers JSON lines."""

import asyncio
import json
import os
import sys
from typing import Any, Self

LINE_LIMIT_BYTES = 1 << 26  # one answer
END_WAIT_S = 5.0


class ChildError(RuntimeError):
    """The child ended, or its answer did not come in time."""


class Child:
    """`async with await Child.start(module, cpus) as child: await child.ask({...})`; killed at the end."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name

    @classmethod
    async def start(cls, module: str, cpus: set[int]) -> "Child":
        """Run `python -m module`, bound to `cpus`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
        )
        os.sched_setaffinity(process.pid, cpus)
        return cls(process, module)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ask(self, request: dict[str, Any], *, timeout_s: float = 60.0) -> Any:
        """Send one request and wait for its answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        try:
            await self.process.stdin.drain()
            line = await asyncio.wait_for(self.process.stdout.readline(), timeout_s)
        except (TimeoutError, ConnectionError) as error:
            raise ChildError(f"{self.name}: no answer to {next(iter(request))}") from error
        if not line:
            raise ChildError(f"{self.name} ended with status {await self.process.wait()}")
        return json.loads(line)

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await asyncio.wait_for(self.process.wait(), END_WAIT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()
