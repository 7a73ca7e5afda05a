"""`roomtone serve` as a child process: free ports, a configuration and directories of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import aiohttp

READY_WAIT_S = 20.0
READY_POLL_S = 0.05
STOP_WAIT_S = 15.0
FIRST_MEDIA_PORT = 20000  # below what the kernel gives to sockets of its own choice
LAST_MEDIA_PORT = 32000


def free_tcp_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def free_media_ports(pairs: int, host: str = "127.0.0.1") -> tuple[int, int]:
    """(first even port, last odd port) of a range that nobody uses now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for first in range(FIRST_MEDIA_PORT, LAST_MEDIA_PORT, 2 * pairs):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 2 * pairs):
                probe = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                probe.bind((host, port))
            return first, first + 2 * pairs - 1
    raise RuntimeError("no free range of UDP ports")


class Server:
    """Order of use: start, then url and metrics, then stop.

    pairs: of media ports per address.  keys: configuration besides addresses and folders.
    """

    def __init__(
        self, *, pairs: int = 16, media_ip: tuple[str, ...] = ("127.0.0.1",), **keys: object
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="roomtone-"))
        self.port = free_tcp_port()
        self.media_ports = free_media_ports(pairs)
        ips = ", ".join(f'"{ip}"' for ip in media_ip)
        self._lines = [
            f'listen = "127.0.0.1:{self.port}"',
            f"media_ip = [{ips}]",
            f"rtp_port_range = [{self.media_ports[0]}, {self.media_ports[1]}]",
            f'state_dir = "{self.folder}/state"',
            f'runtime_dir = "{self.folder}/run"',
            *(f"{key} = {json.dumps(value)}" for key, value in {"shutdown_max_wait_secs": 1, **keys}.items()),
        ]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Until it is ready.  Raises RuntimeError with its log when it is not in time."""
        (self.folder / "state").mkdir()
        config = self.folder / "roomtone.toml"
        config.write_text("\n".join([*self._lines, ""]))
        roomtone = Path(sys.executable).with_name("roomtone")
        with (self.folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(roomtone), "serve", "-c", str(config), stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(READY_WAIT_S), aiohttp.ClientSession() as http:
                while self._process.returncode is None and not await self._ready(http):
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError:
            raise RuntimeError(f"roomtone was not ready within {READY_WAIT_S:.0f} s:\n{self.log}") from None
        if self._process.returncode is not None:
            raise RuntimeError(f"roomtone ended with {self._process.returncode}:\n{self.log}")

    async def _ready(self, http: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(f"{self.http}/readyz") as reply:
                return reply.status == 200
        return False

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels, as written there."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.http}/metrics") as reply:
            lines = (await reply.text()).splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    async def stop(self) -> int:
        """End it the way an operator does; its exit code.  Its folder goes with it."""
        process = self._process
        try:
            if process is None:
                return 0
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), STOP_WAIT_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
            return int(process.returncode or 0)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
