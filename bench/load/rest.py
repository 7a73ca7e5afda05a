"""REST beside media: rooms made, shown, listed and ended while a worker mixes, and callers who join a room.

    roomtone bench rest
    roomtone bench rest --rooms 250 --size 10 --rate 500 --joins 10

A request's time runs from when it was due, so one that had to wait for others is not flattered.  A join's
time runs from the request for `conference/join` to the first RTP packet of the room's mix at the caller, who
is alone in his call before and hears nothing.
"""

import argparse
import asyncio
import json
import os
import secrets
import socket
import time
from collections import defaultdict, deque
from typing import Any

import numpy as np
from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.child import Child
from roomtone.bench.load.figures import percentile
from roomtone.bench.load.http_client import HttpPool
from roomtone.bench.load.measure import CALLERS_MODULE, LEAD_NS, NS_PER_S, TAIL_NS, Plan, seat, window
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS, Format
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import IP, Engine
from roomtone.bench.load.steer import answered_address, offer
from roomtone.bench.load.visitors import VISITOR_IP, speak

ROOMS, SIZE, TALKERS = 250, 10, 3  # about half of a worker
RATE = 500.0  # requests a second
JOINS = 10.0  # callers a second who join a room
KEPT = 200  # rooms there are at a time
CONNECTIONS = 16
STAY_S = 1.0
HEARD_WAIT_S = 3.0
APP = "bench"
API = "/api/v1"


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--rooms", type=int, default=ROOMS, help="mixed beside it, over WebSocket")
    out("--size", type=int, default=SIZE)
    out("--rate", type=float, default=RATE, help="requests a second")
    out("--joins", type=float, default=JOINS, help="of them: callers a second who join")
    out("--codec", choices=tuple(FORMATS), default="PCMU")


async def run(args: Args, plan: Plan, console: Console) -> int:
    os.environ.setdefault("ADMIN_API_KEY", secrets.token_hex(16))
    scenario = Scenario("mix", args.rooms, args.size, args.codec, TALKERS, sample=args.sample)
    with proc.alone():
        found = await measure(
            engine_maker(args, plan, scenario.count + 256), scenario, plan, args.rate, args.joins
        )
    console.print({"rest": report.clean(found)})
    if args.json:
        report.write_json(args.json, plan, [{"rest": found}])
    return int(bool(found["void"] or found["refused"]))


async def measure(
    engine: Engine, scenario: Scenario, plan: Plan, rate: float, joins: float
) -> dict[str, Any]:
    """One window.  Stops the engine in the end."""
    try:
        await engine.start()
        async with await Child.start(CALLERS_MODULE, set(plan.placement.others)) as callers:
            await seat(engine, callers, scenario)
            traffic = Traffic(await HttpPool.open(IP, engine.port, CONNECTIONS), scenario.format)
            await traffic.begin()
            lasting_s = (LEAD_NS + TAIL_NS) / NS_PER_S + plan.warm_up_s + plan.window_s
            asking = asyncio.create_task(traffic.ask_on(rate, time.monotonic() + lasting_s))
            joining = asyncio.create_task(traffic.join_on(joins, time.monotonic() + lasting_s))
            figures = await window(engine, callers, scenario, plan)
            await asyncio.gather(asking, joining)
            traffic.pool.close()
    finally:
        await engine.stop()
    figures["void"] = [reason for reason in figures["void"] if reason.startswith("steal")]
    keys = ("void", "steal", "load", "control_load", "lost", "pacing_p99_9_us", "voices_missing")
    return {key: figures[key] for key in keys if key in figures} | traffic.figures(lasting_s)


class Traffic:
    """Requests and callers.  times: ns by what was asked; refused: answers other than expected."""

    def __init__(self, pool: HttpPool, fmt: Format) -> None:
        self.pool = pool
        self.fmt = fmt
        self.key = secrets.token_hex(16)
        self.headers = b"X-App-ID: %s\r\nX-API-Key: %s\r\nContent-Type: application/json\r\n" % (
            APP.encode(),
            self.key.encode(),
        )
        self.rooms: deque[str] = deque()
        self.hall = ""
        self.times: defaultdict[str, list[int]] = defaultdict(list)
        self.refused: defaultdict[str, int] = defaultdict(int)
        self.made = 0

    async def begin(self) -> None:
        """The app, the rooms, and the one that callers join."""
        admin = b"X-Admin-API-Key: %s\r\nContent-Type: application/json\r\n" % (
            os.environ["ADMIN_API_KEY"].encode()
        )
        body = json.dumps({"api_key": self.key}).encode()
        status, answer, _ = await self.pool.ask("POST", f"/admin/apps/{APP}", admin, body)
        if status >= 300:
            raise RuntimeError(f"the app was not made: {status} {answer.decode()}")
        for _ in range(KEPT):
            await self._make()
        self.hall = await self._make()

    async def _ask(self, what: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        due = time.monotonic_ns()
        text = b"" if body is None else json.dumps(body).encode()
        status, answer, _ = await self.pool.ask(method, API + path, self.headers, text)
        self.times[what].append(time.monotonic_ns() - due)
        decoded: dict[str, Any] = json.loads(answer) if answer else {}
        if status >= 300:
            self.refused[f"{what}: {status} {decoded.get('code')}"] += 1
            return {}
        return decoded

    async def _make(self) -> str:
        self.made += 1
        made = await self._ask("make a room", "POST", "/conferences", {"name": f"room {self.made}"})
        room = str(made.get("room_id", ""))
        if self.hall or self.made <= KEPT:
            self.rooms.append(room)
        return room

    async def ask_on(self, rate: float, until: float) -> None:
        """Requests at that rate, each begun when it is due whether the others are answered or not."""
        open_: set[asyncio.Task[Any]] = set()
        due, number = time.monotonic(), 0
        while due < until:
            task = asyncio.create_task(self._one(number))
            open_.add(task)
            task.add_done_callback(open_.discard)
            number += 1
            due += 1 / rate
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
        await asyncio.gather(*open_)

    async def _one(self, number: int) -> None:
        match number % 5:
            case 0:
                await self._make()
            case 1 | 3:
                await self._ask("show a room", "GET", f"/conferences/{self.hall}")
            case 2:
                await self._ask("list rooms", "GET", "/conferences?limit=50")
            case 4:
                if self.rooms:  # none: those who make them wait
                    await self._ask("end a room", "DELETE", f"/conferences/{self.rooms.popleft()}")

    async def join_on(self, rate: float, until: float) -> None:
        open_: set[asyncio.Task[Any]] = set()
        due = time.monotonic()
        while rate and due < until:
            task = asyncio.create_task(self._caller())
            open_.add(task)
            task.add_done_callback(open_.discard)
            due += 1 / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
        await asyncio.gather(*open_)

    async def _caller(self) -> None:
        """Call, join, hear, hang up."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.setblocking(False)
            own.bind((VISITOR_IP, 0))
            ip, port = own.getsockname()
            made = await self._ask(
                "make a call", "POST", "/sessions", {"caller_id": "", "sdp": offer(ip, port, self.fmt)}
            )
            if not made:
                return
            call = f"/sessions/{made['session_uuid']}/commands"
            await self._ask("answer", "POST", f"{call}/answer")
            speak(own, answered_address(made["sdp_answer"]), self.fmt, port)
            await asyncio.sleep(0.1)
            began = time.monotonic_ns()
            heard = asyncio.create_task(asyncio.wait_for(loop.sock_recv(own, 2048), HEARD_WAIT_S))
            await self._ask("join", "POST", f"{call}/conference/join", {"room_id": self.hall})
            try:
                await heard
                self.times["join to first mixed packet"].append(time.monotonic_ns() - began)
            except TimeoutError:
                self.refused["joined and heard nothing"] += 1
            await asyncio.sleep(STAY_S)
            await self._ask("hang up", "POST", f"{call}/hangup")

    def figures(self, seconds: float) -> dict[str, Any]:
        requests = {what: times for what, times in self.times.items() if "first" not in what}
        everything = np.array([ns for times in requests.values() for ns in times])
        out: dict[str, Any] = {
            "requests_per_s": len(everything) / seconds,
            "all_p50_ms": percentile(everything, 50.0) / 1e6,
            "all_p99_ms": percentile(everything, 99.0) / 1e6,
            "refused": dict(self.refused),
        }
        for what, times in self.times.items():
            taken = np.array(times)
            out[what] = {
                "count": len(taken),
                "p50_ms": percentile(taken, 50.0) / 1e6,
                "p99_ms": percentile(taken, 99.0) / 1e6,
            }
        return out
