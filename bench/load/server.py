"""What is measured, behind one face: the engine, started as a user starts it, and the floor."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from roomtone.bench.load import proc
from roomtone.bench.load.child import Child
from roomtone.bench.load.scenario import Scenario, spaced
from roomtone.bench.load.steer import Switchboard, offer

IP = "127.0.0.1"
CALLERS_NETWORK = "127.0.1."  # callers live on other addresses than servers,
CALLERS_EACH = 8192  # so many on each: a third of the ephemeral ports
READY_WAIT_S = 20.0
READY_POLL_S = 0.05
ASKED_SESSIONS = 16  # sessions whose playout delay is read
STOP_WAIT_S = 10.0
SPARE_SLOTS = 64  # arena slots beyond the callers
LEAST_SLOTS = 8192  # the engine's default
RTP_PORTS = (10000, 59999)
RECORDING_DROPPED = "roomtone_recording_dropped_packets_total"
COUNTERS = (
    "roomtone_tick_overruns_total",
    "roomtone_ticks_late_total",
    "roomtone_playout_concealed_frames_total",
    "roomtone_rtp_dropped_packets_total",
    "roomtone_rtp_packets_total",
    "roomtone_worker_rx_raw_packets_total",
    "roomtone_worker_rtcp_rx_packets_total",
    "roomtone_worker_relayed_packets_total",
    "roomtone_worker_mixed_packets_total",
    "roomtone_worker_encodings_total",
    "roomtone_worker_ticks_total",
    "roomtone_worker_partials_late_total",
    RECORDING_DROPPED,
)
KEY = re.compile(r"[A-Za-z0-9_.-]+")
LABEL = re.compile(r'(?:reason|direction)="([^"]*)"')
SCRAPE_CACHE_S = 1.1  # the engine answers from memory for a second after a scrape


@dataclass(frozen=True)
class Placement:
    """CPUs.  measured: worker i gets measured[i mod n]; others: callers, control, supervisor, this one."""

    measured: tuple[int, ...] = (1,)
    others: tuple[int, ...] = (0,)
    first: bool = True  # callers and floor run before ordinary threads, as the engine's media thread does


@dataclass
class Cost:
    """CPU of the parts of a server since it started."""

    measured: proc.Cpu
    beside: dict[str, proc.Cpu] = field(default_factory=dict)


class Server(ABC):
    """Order of use: start, open, (load), stop.  cost, rss_bytes and counters may be read in between."""

    name: str

    def served(self, scenario: Scenario) -> Scenario:
        """What this server is asked to do in a comparison about `scenario`."""
        return scenario

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def open(self, scenario: Scenario, callers: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Make room for callers on these (ip, port); returns where each of them sends to."""

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    def cost(self) -> Cost: ...

    @abstractmethod
    def rss_bytes(self) -> dict[str, int]:
        """Resident memory by role; "worker" is what is measured."""

    async def counters(self) -> dict[str, float]:
        """Counters of the server itself, by metric name (and reason), summed over workers."""
        return {}

    async def playout_delay_ms(self) -> float | None:
        """Mean playout delay in force, if the server has a playout buffer."""
        return None


class Floor(Server):
    name = "floor"

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.child: Child | None = None

    def served(self, scenario: Scenario) -> Scenario:
        """A relay of as many streams (one more when that is odd)."""
        return Scenario("relay", (scenario.count + 1) // 2, 2, scenario.codec, sample=scenario.sample)

    async def start(self) -> None:
        self.child = await Child.start("roomtone.bench.load.floor_process", {self.placement.measured[0]})

    async def open(self, scenario: Scenario, callers: list[tuple[str, int]]) -> list[tuple[str, int]]:
        assert self.child
        answer = await self.child.ask({"peers": callers, "ip": IP, "first": self.placement.first})
        return [(IP, port) for port in answer["ports"]]

    async def stop(self) -> None:
        if self.child:
            await self.child.end()

    def cost(self) -> Cost:
        assert self.child
        return Cost(proc.cpu(self.child.pid))

    def rss_bytes(self) -> dict[str, int]:
        assert self.child
        return {"worker": proc.rss_bytes(self.child.pid)}


class Engine(Server):
    """`roomtone serve` on a configuration of its own, in a temporary directory that goes with it."""

    name = "engine"
    telephone_events = True  # callers offer them

    def __init__(
        self,
        placement: Placement,
        *,
        workers: int = 1,
        endpoints: int = 0,
        command: str = "",
        together: bool = False,
        settings: Sequence[str] = (),
    ) -> None:
        """command: what to start instead of the installed `roomtone`; ` serve -c FILE` is added.

        together: control and supervisor share the measured CPUs instead of staying away from them.
        settings: "key=value" lines of the configuration; they win over what the bench would write.
        ValueError: one of them is not of that form.
        """
        self.placement = placement
        self.together = together
        self.workers = workers
        self.endpoints = endpoints
        self.settings = dict(setting(text) for text in settings)
        self.command = shlex.split(command) if command else default_command()
        self.folder = Path(tempfile.mkdtemp(prefix="roomtone-bench-"))
        self.process: asyncio.subprocess.Process | None = None
        self.board: Switchboard | None = None
        self.port = free_port()
        self.roles: dict[str, list[int]] = {}

    def configuration(self) -> str:
        slots = max(LEAST_SLOTS, self.endpoints + SPARE_SLOTS)
        cpus = [self.placement.measured[i % len(self.placement.measured)] for i in range(self.workers)]
        (self.folder / "state").mkdir()
        lines = {
            "listen": f'"{IP}:{self.port}"',
            "media_ip": f'"{IP}"',
            "rtp_port_range": f"[{RTP_PORTS[0]}, {RTP_PORTS[1]}]",
            "workers": f"{self.workers}",
            "cpu_affinity": f"{cpus}",
            "worker_endpoints": f"{slots}",
            "max_sessions": "0",
            "max_connections": "0",
            "max_endpoints_per_session": "0",
            "disconnect_timeout_secs": "1",
            "shutdown_max_wait_secs": "1",
            "state_dir": f'"{self.folder}/state"',
            "runtime_dir": f'"{self.folder}/run"',
            "log_level": '"warning"',
        }
        return "".join(f"{key} = {value}\n" for key, value in (lines | self.settings).items())

    async def start(self) -> None:
        file = self.folder / "bench.toml"
        file.write_text(self.configuration())
        log = (self.folder / "log").open("wb")
        self.process = await asyncio.create_subprocess_exec(
            *self.command, "serve", "-c", str(file), stdout=log, stderr=log, preexec_fn=proc.become_child
        )
        log.close()
        await self._ready()
        self.place()
        self.board = Switchboard(IP, self.port)

    async def _ready(self) -> None:
        assert self.process
        deadline = asyncio.get_running_loop().time() + READY_WAIT_S
        async with aiohttp.ClientSession() as http:
            while True:
                with suppress(aiohttp.ClientError):
                    async with http.get(f"http://{IP}:{self.port}/readyz") as reply:
                        if reply.status == 200:
                            return
                over = asyncio.get_running_loop().time() > deadline
                if over or self.process.returncode is not None:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"the engine did not become ready:\n{log[-4000:]}")
                await asyncio.sleep(READY_POLL_S)

    def place(self) -> None:
        """Find out who is who by process title, and bind everyone."""
        assert self.process
        self.roles = {"supervisor": [self.process.pid]}
        for pid in proc.children(self.process.pid):
            name = proc.title(pid)
            role = next((r for r in ("worker", "control", "dispatcher") if r in name), "other")
            self.roles.setdefault(role, []).append(pid)
        if not self.roles.get("worker"):
            raise RuntimeError(f"no process titled worker below {self.process.pid}: {self.roles}")
        for role, pids in self.roles.items():
            for i, pid in enumerate(pids):
                proc.pin(pid, self.cpus(role, i))

    def cpus(self, role: str, number: int) -> set[int]:
        if role == "worker":
            return {self.placement.measured[number % len(self.placement.measured)]}
        return set(self.placement.measured if self.together else self.placement.others)

    async def open(self, scenario: Scenario, callers: list[tuple[str, int]]) -> list[tuple[str, int]]:
        assert self.board
        offers = [
            offer(
                ip,
                port,
                scenario.format_of(i),
                "sendrecv" if scenario.sends(i) else "recvonly",
                self.telephone_events,
            )
            for i, (ip, port) in enumerate(callers)
        ]
        return await self.board.rooms(offers, scenario.size)

    async def stop(self) -> None:
        if self.board:
            await self.board.close()
        if self.process and self.process.returncode is None:
            everyone = [self.process.pid, *proc.children(self.process.pid)]
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_WAIT_S)
            except TimeoutError:
                for pid in everyone:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cost(self) -> Cost:
        parts = {role: proc.total(proc.cpu(pid) for pid in pids) for role, pids in self.roles.items()}
        return Cost(parts.pop("worker"), parts)

    def rss_bytes(self) -> dict[str, int]:
        return {role: sum(proc.rss_bytes(pid) for pid in pids) for role, pids in self.roles.items()}

    async def counters(self) -> dict[str, float]:
        assert self.board
        out: dict[str, float] = {}
        async with self.board.http.get(f"http://{IP}:{self.port}/metrics") as reply:
            for line in (await reply.text()).splitlines():
                name = line.partition("{")[0].partition(" ")[0]
                if name in COUNTERS:
                    label = LABEL.search(line)
                    key = f"{name}{{{label[1]}}}" if label else name
                    out[key] = out.get(key, 0.0) + float(line.rpartition(" ")[2])
        return out

    async def playout_delay_ms(self) -> float | None:
        assert self.board
        chosen = [self.board.sessions[i] for i in spaced(len(self.board.sessions), ASKED_SESSIONS)]
        answers = await asyncio.gather(*(s.call("stats.snapshot") for s in chosen))
        delays = [e["playout"]["delay_ms"] for a in answers for e in a["endpoints"] if e.get("playout")]
        playing = [delay for delay in delays if delay] or delays  # who only receives has nothing to play
        return sum(playing) / len(playing) if playing else None


def default_command() -> list[str]:
    """The `roomtone` beside this interpreter, else the module behind it."""
    installed = Path(sys.executable).parent / "roomtone"
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "from roomtone.control.cli import main; raise SystemExit(main())"]


def setting(text: str) -> tuple[str, str]:
    """Key and TOML value of "key=value"; what TOML cannot read as a value is taken as a string."""
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not KEY.fullmatch(key):
        raise ValueError(f"a setting is key=value, not {text!r}")
    try:
        tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        value = json.dumps(value)
    return key, value


def caller_ips(count: int) -> list[str]:
    """Addresses for so many callers; caller i lives on number i mod n of these."""
    return [f"{CALLERS_NETWORK}{n + 1}" for n in range((count - 1) // CALLERS_EACH + 1)]


def free_port() -> int:
    with socket.socket() as s:
        s.bind((IP, 0))
        port: int = s.getsockname()[1]
        return port
