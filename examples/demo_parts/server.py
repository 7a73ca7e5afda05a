"""`roomtone serve` as a child process: free ports, a configuration and directories of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

READY_WAIT_S = 30.0
READY_POLL_S = 0.05
HTTP_WAIT_S = 5.0
STOP_WAIT_S = 15.0
FIRST_MEDIA_PORT = 20000  # below what the kernel gives to sockets of its own choice
LAST_MEDIA_PORT = 32000


def free_tcp_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def free_media_ports(pairs: int, host: str = "127.0.0.1") -> tuple[int, int]:
    """(first even port, last odd port) of a range nobody uses now; not all look at the same one first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ranges = range(FIRST_MEDIA_PORT, LAST_MEDIA_PORT, 2 * pairs)
    for place in range(len(ranges)):
        first = ranges[(os.getpid() + place) % len(ranges)]
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 2 * pairs):
                probe = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                probe.bind((host, port))
            return first, first + 2 * pairs - 1
    raise RuntimeError("no free range of UDP ports")


class Server:
    """Order of use: start, then url and metrics, then stop.

    pairs: of media ports per address.  keys: configuration besides addresses and folders; one in a table by
    its dotted name.  admin_key: a fresh one for each server.
    """

    def __init__(
        self, *, pairs: int = 16, media_ip: tuple[str, ...] = ("127.0.0.1",), **keys: object
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="roomtone-"))
        self.keys = keys
        self.admin_key = secrets.token_urlsafe()
        self.port = free_tcp_port()
        self.media_ports = free_media_ports(pairs)
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "media_ip": media_ip,
            "rtp_port_range": self.media_ports,
            "state_dir": f"{self.folder}/state",
            "runtime_dir": f"{self.folder}/run",
            "media_dir": f"{self.folder}/media",
            "recording_dir": f"{self.folder}/recordings",
            "shutdown_max_wait_secs": 1,
            **keys,
        }
        self._text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the supervisor, while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Until it is ready.  Raises RuntimeError with its log when it is not in time."""
        for name in ("state", "media", "recordings"):
            (self.folder / name).mkdir()
        config = self.folder / "roomtone.toml"
        config.write_text(self._text)
        roomtone = Path(sys.executable).with_name("roomtone")
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(roomtone), "serve", "-c", str(config)],
                stdout=log,
                stderr=log,
                env=os.environ | {"ADMIN_API_KEY": self.admin_key},
            )
        deadline = time.monotonic() + READY_WAIT_S
        while not self._ready():
            if self._process.poll() is not None:
                raise RuntimeError(f"roomtone ended with {self._process.returncode}:\n{self.log}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"roomtone was not ready within {READY_WAIT_S:.0f} s:\n{self.log}")
            time.sleep(READY_POLL_S)

    def _ready(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            self.get("/readyz")
            return True
        return False

    def get(self, path: str) -> str:
        """The body of an HTTP GET.  Raises urllib.error.HTTPError for anything but success."""
        with urllib.request.urlopen(f"{self.http_url}{path}", timeout=HTTP_WAIT_S) as reply:
            return str(reply.read().decode())

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels, as written there."""
        lines = self.get("/metrics").splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def stop(self) -> int:
        """End it the way an operator does; its exit code.  Its folder goes with it."""
        process = self._process
        try:
            if process is None:
                return 0
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                return process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
