"""The whole product as a user starts it: `roomtone serve` on free ports, and phones that speak RTP to it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rest import ADMIN_KEY, Api

from roomtone.client import Client

START_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0
FRAME_S = 0.02
PCMU_SILENCE = b"\xff" * 160


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(condition: Any, limit_s: float = 10.0, what: str = "the condition") -> Any:
    """Poll until condition() is true; its value."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true")
        select.select([], [], [], 0.02)


class Product:
    """A running `roomtone serve`.  Keyword arguments are configuration keys.

    launcher: a command that does something and then becomes what stands behind it.
    """

    def __init__(self, *, launcher: tuple[str, ...] = (), **config: Any) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="roomtone-test-")
        self.port = free_port()
        defaults = {
            "listen": f"127.0.0.1:{self.port}",
            "media_ip": "127.0.0.1",
            "workers": 2,
            "rtp_port_range": [10000, 19999],
            "runtime_dir": f"{self.folder.name}/run",
            "state_dir": f"{self.folder.name}/state",
            "shutdown_max_wait_secs": 0,
        }
        path = Path(self.folder.name) / "roomtone.toml"
        path.write_text("".join(f"{k} = {toml(v)}\n" for k, v in (defaults | config).items()))
        self.log_path = Path(self.folder.name) / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*launcher, str(Path(sys.executable).parent / "roomtone"), "serve", "-c", str(path)],
                stdout=log,
                stderr=log,
                env=os.environ | {"ADMIN_API_KEY": ADMIN_KEY},
            )
        self.url = f"ws://127.0.0.1:{self.port}/"
        try:
            wait_for(self.ready, START_LIMIT_S, "readiness")
        except AssertionError:
            self.stop()
            raise AssertionError(f"the product did not start:\n{self.log}") from None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def api(self, app_id: str = "app", **settings: Any) -> Api:
        """An app to speak REST for.  settings: webhook_url and so on."""
        return Api(f"http://127.0.0.1:{self.port}", app_id, **settings)

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log}")
        with contextlib.suppress(OSError):
            return self.get("/readyz")[0] == 200
        return False

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels; as the page prints it."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line and line[0] != "#"]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def total(self, name: str) -> float:
        return sum(value for key, value in self.metrics().items() if key.split("{")[0] == name)

    def children(self) -> dict[str, int]:
        """Process title -> pid of what the supervisor started."""
        out = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                out[title] = int(pid)
        return out

    def kill(self, title: str) -> int:
        """kill -9 one of our own children; its pid."""
        pid = wait_for(lambda: self.children().get(title), what=f"a process titled {title!r}")
        os.kill(pid, signal.SIGKILL)
        return int(pid)

    def wait_for_another(self, title: str, old: int) -> None:
        """Until a new process stands in for one that was killed, and the product is ready."""
        wait_for(lambda: self.children().get(title, old) != old, what=f"a new {title}")
        wait_for(self.ready, what="readiness")

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                for pid in (*self.children().values(), self.process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.process.wait()
        return int(self.process.returncode)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value) if isinstance(value, tuple) else value)


class Phone:
    """A UDP socket that sends one packet every 20 ms from a thread of its own and keeps what it hears."""

    def __init__(self, payload: bytes = PCMU_SILENCE, payload_type: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self.payload = payload
        self.payload_type = payload_type
        self.to: tuple[str, int] | None = None
        self.sent = 0
        self.every = 1  # packets per 20 ms
        self.heard: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def offer(self, direction: str = "sendrecv") -> str:
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.port} RTP/AVP {self.payload_type} 101\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a=rtcp-mux\r\na={direction}\r\n"
        )

    def answered(self, sdp: str) -> None:
        self.to = ("127.0.0.1", int(sdp.split("m=audio ")[1].split()[0]))

    def packet(self) -> bytes:
        header = struct.pack(
            "!BBHII", 0x80, self.payload_type, self.sent & 0xFFFF, self.sent * 160 & 0xFFFFFFFF, self.port
        )
        return header + self.payload

    def call(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            for _ in range(self.every):
                if self.to:
                    with contextlib.suppress(OSError):
                        self.socket.sendto(self.packet(), self.to)
                    self.sent += 1
            due += FRAME_S
            while (left := due - time.monotonic()) > 0:
                if select.select([self.socket], [], [], left)[0]:
                    self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.socket.recv(2048)
                if data[1] & 0x7F < 64 or data[1] & 0x7F > 95:  # not RTCP, RFC 5761
                    self.heard.append(data)

    def hang_up(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.socket.close()

    def sequence_numbers(self) -> list[int]:
        return [int.from_bytes(data[2:4], "big") for data in self.heard]


async def call(client: Client, phones: Sequence[Phone]) -> list[str]:
    """All phones into the client's session, sending; their endpoints."""
    ids = []
    for one in phones:
        made = await client.call("endpoint.create_from_offer", sdp=one.offer())
        one.answered(made["sdp_answer"])
        ids.append(made["endpoint_id"])
        one.call()
    return ids


def gaps(numbers: list[int]) -> int:
    """How many steps of a sequence are not +1 (mod 2^16)."""
    return sum((b - a) & 0xFFFF != 1 for a, b in pairwise(numbers))
