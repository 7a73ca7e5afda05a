"""What events for webhooks cost, and whether they keep their order.

Accepted: as many turns of control as go, each with a room's record and an event for one endpoint, written
with synced storage by the store as the server has it; --depth turns wait for the disk at a time.  Everything
is on one core.  Delivered: --rate events a second of --rooms rooms, through the store and the dispatcher
process, to a receiver that takes 0 to --delay-ms for each.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.child import Child
from roomtone.bench.load.measure import NS_PER_S, Plan, disturbed
from roomtone.bench.load.options import Args
from roomtone.control.core import naming, webhooks
from roomtone.control.core.committing import Published
from roomtone.control.core.config import load
from roomtone.control.core.effects import Committed, Input, Persist, Row
from roomtone.control.core.rooms.events import Created
from roomtone.control.core.webhooks import Secret, Webhook
from roomtone.control.io.dispatcher_link import DispatcherLink
from roomtone.control.io.store import Store
from roomtone.engine.log import Log
from roomtone.engine.process_messages import DispatcherStart

RECEIVER = "roomtone.bench.load.webhook_receiver"
APP = "bench"
SECRET = Secret("whsec_" + "QUJD" * 8)
STATE = b"x" * 300  # as long as a room's record
PENDING_GOAL_S = 2.0
END_WAIT_S = 60.0
US_PER_S, NS_PER_US = 1_000_000, 1000
TICK_S = 0.01


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--depth", type=int, default=256, help="turns that wait for the disk at a time")
    out("--rooms", type=int, default=10_000)
    out("--rate", type=int, default=500, help="events a second")
    out("--delay-ms", type=float, default=100.0)
    out("--store", type=Path, default=None, help="where the store is made; default: the temporary directory")


async def run(args: Args, plan: Plan, console: Console) -> int:
    """1: an event was lost, out of order, or waited for too long."""
    accepted = await accept(args, plan)
    console.print({"accepted": report.clean(accepted)})
    delivered = await deliver(args, plan)
    console.print({"delivered": report.clean(delivered)})
    if args.json:
        report.write_json(args.json, plan, [{"webhooks": {"accepted": accepted, "delivered": delivered}}])
    return int(bool(delivered["faults"]))


class Source:
    """Stands for core: turns with events, and when they are on disk."""

    def __init__(self, folder: str, node: str) -> None:
        self.log = Log("error")
        self.waiting: dict[int, int] = {}  # turn -> when it was handed over
        self.news = asyncio.Event()
        self.turns = 0
        self.taken_us: deque[int] = deque()
        self.store = Store(
            os.path.join(folder, "state"),
            node=node,
            max_events=10**8,
            max_bytes=10**12,
            retention_s=86400,
            submit=self._told,
            broken=lambda: os._exit(1),
            log=self.log,
        )

    def begin(self, url: str) -> None:
        self.store.open()
        webhook = Webhook(id="bench", app_id=APP, url=url, secrets=(SECRET,))
        self.turn([Row(webhooks.KIND, webhook.key, msgspec.msgpack.encode(webhook))], [])

    def turn(self, rows: list[Row], events: list[Published]) -> None:
        self.turns += 1
        self.waiting[self.turns] = time.monotonic_ns()
        self.store.persist(Persist(self.turns, rows, events))

    def event(self, room: str) -> Published:
        data = Created(APP, room, str(time.monotonic_ns()))
        return Published(data.NAME, APP, data, time.time_ns() // NS_PER_US, room)

    def _told(self, given: Input) -> None:
        if isinstance(given, Committed):
            self.taken_us.append((time.monotonic_ns() - self.waiting.pop(given.n)) // NS_PER_US)
            self.news.set()


@contextmanager
def folder_of(args: Args) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-", dir=args.store) as folder:
        yield folder


async def accept(args: Args, plan: Plan) -> dict[str, Any]:
    with folder_of(args) as folder:
        source = Source(folder, naming.node_hash("bench"))
        source.begin("https://127.0.0.1/")
        rooms = [naming.room_id("bench", str(n)) for n in range(args.rooms)]
        stolen, cpu_s, began = proc.steal(proc.EVERY_CPU), time.process_time(), time.monotonic()
        commits, sent = sum(source.store.totals.commits.counts), 0
        while time.monotonic() < began + plan.window_s:
            while len(source.waiting) < args.depth:
                room = rooms[sent % len(rooms)]
                source.turn([Row("room", room, STATE)], [source.event(room)])
                sent += 1
            source.news.clear()
            await source.news.wait()
        while source.waiting:
            source.news.clear()
            await source.news.wait()
        took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
        commits = sum(source.store.totals.commits.counts) - commits
        steal, ticks = (b - a for a, b in zip(stolen, proc.steal(proc.EVERY_CPU), strict=True))
        source.store.close()
    waited = sorted(source.taken_us)
    return {
        "events_per_s": sent / took_s,
        "events_per_cpu_s": sent / cpu_s,
        "events_per_commit": sent / max(commits, 1),
        "commit_ms_p50": waited[len(waited) // 2] / 1000,
        "commit_ms_p99": waited[len(waited) * 99 // 100] / 1000,
        "steal": steal / max(ticks, 1),
    }


async def deliver(args: Args, plan: Plan) -> dict[str, Any]:
    measured, others = {plan.placement.measured[0]}, set(plan.placement.others)
    with folder_of(args) as folder:
        async with await Child.start(RECEIVER, others) as receiver:
            port = (await receiver.ask({"listen": {"delay_ms": args.delay_ms}}))["port"]
            source = Source(folder, naming.node_hash("bench"))
            source.begin(f"http://127.0.0.1:{port}/")
            link = DispatcherLink(source.store, submit=source._told, log=source.log)
            link.open(asyncio.get_running_loop(), folder)
            dispatcher = start_dispatcher(folder, measured)
            try:
                return await measured_run(args, plan, source, link, dispatcher.pid, receiver)
            finally:
                dispatcher.kill()
                dispatcher.wait()
                link.close()
                source.store.close()


def start_dispatcher(folder: str, cpus: set[int]) -> subprocess.Popen[bytes]:
    config = load(
        "",
        {"node_id": "bench", "log_level": "error", "webhooks": {"allow_http": True, "allow_localhost": True}},
    )
    start = DispatcherStart(config=msgspec.Raw(msgspec.json.encode(config)), runtime_dir=folder)
    env = os.environ | {"ROOMTONE_DISPATCHER": msgspec.json.encode(start).decode()}
    process = subprocess.Popen([sys.executable, "-m", "roomtone.control.dispatcher"], env=env)
    proc.pin(process.pid, cpus)
    return process


async def measured_run(
    args: Args, plan: Plan, source: Source, link: DispatcherLink, pid: int, receiver: Child
) -> dict[str, Any]:
    rooms = [naming.room_id("bench", str(n)) for n in range(args.rooms)]
    while link.figures is None:
        await asyncio.sleep(TICK_S)
    stolen, before, before_there = proc.steal(proc.EVERY_CPU), proc.cpu(pid), proc.cpu(receiver.pid)
    began = time.monotonic()
    sent, oldest_s = 0, 0.0
    rss: list[int] = []
    while (elapsed_s := time.monotonic() - began) < plan.window_s:
        while sent < elapsed_s * args.rate:
            source.turn([], [source.event(rooms[sent % len(rooms)])])
            sent += 1
        for each in link.webhooks.values():
            oldest_s = max(oldest_s, each.oldest_age_us / US_PER_S)
        if elapsed_s > len(rss):
            rss.append(proc.rss_bytes(pid))
        await asyncio.sleep(TICK_S)
    used, took_s = proc.cpu(pid) - before, time.monotonic() - began
    took_there = proc.cpu(receiver.pid) - before_there
    found: dict[str, Any] = {"events": 0}
    with suppress(TimeoutError):
        async with asyncio.timeout(END_WAIT_S):
            while found["events"] < sent:
                found = await receiver.ask({"count": {}})
                await asyncio.sleep(TICK_S)
    steal, ticks = (b - a for a, b in zip(stolen, proc.steal(proc.EVERY_CPU), strict=True))
    waited_ns = max(used.busiest().wait_ns, took_there.busiest().wait_ns)
    machine = {"steal": steal / max(ticks, 1), "waited": waited_ns / NS_PER_S / took_s}
    faults = [f"{sent - found['events']} never came"] * (found["events"] < sent)
    faults += [f"{found['out_of_order']} out of order"] * bool(found["out_of_order"])
    faults += [f"one waited {oldest_s:.1f} s"] * (oldest_s > PENDING_GOAL_S)
    return {
        **found,
        "sent": sent,
        "oldest_pending_s": oldest_s,
        "dispatcher_load": used.run_ns / NS_PER_S / took_s,
        "dispatcher_us_per_event": used.run_ns / NS_PER_US / max(sent, 1),
        "dispatcher_rss_mb": [rss[len(rss) // 4] / 1e6, rss[len(rss) // 2] / 1e6, rss[-1] / 1e6],
        **machine,
        "void": disturbed(machine),
        "faults": faults,
    }
