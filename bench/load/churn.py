"""Hours of coming and going in minutes: does anything grow?

Half of the joins are visitors of sessions that stay, half are calls: a connection, a session, two endpoints
that speak, and all of it away again.  Every second memory and descriptors of each process and gauges of the
engine are read.  An hour of 10 joins a second is 36,000 joins: --rate 300 --seconds 120.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.measure import Plan
from roomtone.bench.load.options import Args, engine_maker, to_the_limit
from roomtone.bench.load.payload import FORMATS, Format
from roomtone.bench.load.server import Engine
from roomtone.bench.load.steer import SteerError, answered_address, offer
from roomtone.bench.load.visitors import Sinks, Visits, speak, visit

SECONDS = 120.0
RATE = 50.0  # joins a second, and as many leaves
CALL_MEMBERS = 2
CALL_S = 1.0  # a call lasts
ROOMS = 2  # sessions that are visited: each has one command at a time
LOOK_EVERY_S = 1.0
SETTLED = 0.5  # slopes are taken over the looks after this share of the time
REST_S = 4.0  # after the last leave: slots and ports rest 2 s, sessions are orphans for 1 s
GAUGES = (
    "roomtone_sessions",
    "roomtone_endpoints",
    "roomtone_websocket_connections",
    "roomtone_worker_endpoints",
    "roomtone_worker_sessions",
    "roomtone_worker_ports_used",
    "roomtone_worker_ports_resting",
    "roomtone_worker_outbox_waiting",
    "roomtone_worker_arena_resident_bytes",
    "roomtone_worker_private_resident_bytes",
)
POOLS = GAUGES[8:]
GROWING = ("control_rss_bytes", "supervisor_rss_bytes", "workers_less_pools_rss_bytes")
LEFT_OVER = GAUGES[:6]  # must be nothing in the end
GROWTH_LIMIT = 200_000  # bytes that a settled process may still grow in 1,000 joins: 0.2 KB a join


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--rate", type=float, default=RATE, help=f"joins a second, and as many leaves ({RATE:.0f})")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    parser.set_defaults(seconds=SECONDS, workers=2, measured_cpus="0,1", other_cpus="0,1")


async def run(args: Args, plan: Plan, console: Console) -> int:
    to_the_limit(args)
    with proc.alone():
        result = await measure(engine_maker(args, plan, 0), FORMATS[args.codec], args.rate, args.seconds)
    console.print({"churn": report.clean({k: v for k, v in result.items() if k != "looks"})})
    if args.json:
        report.write_json(args.json, plan, [{"churn": result}])
    for fault in result["faults"]:
        console.print(fault)
    return int(bool(result["faults"]))


async def measure(engine: Engine, fmt: Format, rate: float, seconds: float) -> dict[str, Any]:
    """The whole story; stops the engine in the end."""
    sinks = Sinks()
    looks: list[dict[str, float]] = []
    try:
        await engine.start()
        assert engine.board
        empty = await look(engine)
        began = time.monotonic()
        until = began + seconds
        visits, calls = Visits(), Visits()
        coming = [
            *(visited_room(engine, sinks, fmt, rate / 2 / ROOMS, until, visits) for _ in range(ROOMS)),
            calling(engine, sinks, fmt, rate / 2 / CALL_MEMBERS, until, calls),
        ]
        crowd = asyncio.gather(*coming)
        while not crowd.done():
            looks.append(await look(engine) | {"joins": visits.joins + calls.joins})
            await asyncio.wait({crowd}, timeout=LOOK_EVERY_S)
        await crowd
        lasted = time.monotonic() - began
        await asyncio.sleep(REST_S)
        left = await look(engine)
    finally:
        await engine.stop()
        sinks.close()
    joins = visits.joins + calls.joins
    out: dict[str, Any] = {
        "seconds": lasted,
        "joins": joins,
        "joins_per_s": joins / lasted,
        "rooms": visits.figures(lasted),
        "calls": calls.figures(lasted),
        "growth_bytes_per_1000_joins": growth(looks),
        "empty": empty,
        "settled": looks[int(len(looks) * SETTLED)],
        "last": looks[-1],
        "left": left,
        "looks": looks,
    }
    return out | {"faults": faults(out)}


async def look(engine: Engine) -> dict[str, float]:
    """Resident bytes and descriptors of every process, and the engine's gauges, summed over workers."""
    out: dict[str, float] = {}
    for role, pids in engine.roles.items():
        for number, pid in enumerate(pids):
            name = f"{role}_{number}" if len(pids) > 1 else role
            out[f"{name}_rss_bytes"] = proc.rss_bytes(pid)
            out[f"{name}_descriptors"] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    assert engine.board
    async with engine.board.http.get(f"http://127.0.0.1:{engine.port}/metrics") as reply:
        for line in (await reply.text()).splitlines():
            name = line.partition("{")[0].partition(" ")[0]
            if name in GAUGES:
                out[name] = out.get(name, 0.0) + float(line.rpartition(" ")[2])
    # Pools follow the most endpoints at once, which a hiccup of the machine raises; the rest must not grow.
    workers = sum(proc.rss_bytes(pid) for pid in engine.roles["worker"])
    out["workers_less_pools_rss_bytes"] = workers - sum(out.get(name, 0.0) for name in POOLS)
    return out


async def visited_room(
    engine: Engine, sinks: Sinks, fmt: Format, rate: float, until: float, visits: Visits
) -> None:
    assert engine.board
    steering = await engine.board.connect()
    await steering.call("session.create")
    await visit(steering, sinks, fmt, rate, until, visits, speaks=True)
    await steering.call("session.destroy")
    await steering.close()


async def calling(
    engine: Engine, sinks: Sinks, fmt: Format, rate: float, until: float, calls: Visits
) -> None:
    """Calls begin at this rate; each lasts CALL_S."""
    under_way: set[asyncio.Task[None]] = set()
    due = time.monotonic()
    while time.monotonic() < until:
        one = asyncio.create_task(call(engine, sinks, fmt, calls))
        under_way.add(one)
        one.add_done_callback(under_way.discard)
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*under_way)


async def call(engine: Engine, sinks: Sinks, fmt: Format, calls: Visits) -> None:
    """Two endpoints in a session of their own; every other time nobody says goodbye."""
    assert engine.board
    steering = await engine.board.connect()
    made = 0
    try:
        await steering.call("session.create")
        for _ in range(CALL_MEMBERS):
            sink = sinks.next()
            ip, port = sink.getsockname()
            answer = await steering.call("endpoint.create_from_offer", sdp=offer(ip, port, fmt))
            made += 1
            speak(sink, answered_address(answer["sdp_answer"]), fmt, calls.joins + made)
        await asyncio.sleep(CALL_S)
        if calls.joins // CALL_MEMBERS % 2:
            await steering.call("session.destroy")
    except SteerError:
        calls.refused += 1
    finally:
        await steering.close()
    calls.joins += made
    calls.leaves += made


def growth(looks: list[dict[str, float]]) -> dict[str, float]:
    """Slope of memory over joins, by least squares, after the settling time; nothing: nobody joined then."""
    settled = looks[int(len(looks) * SETTLED) :]
    joins = np.array([each["joins"] for each in settled])
    if joins[-1] <= joins[0]:
        return {}
    return {name: float(np.polyfit(joins, [each[name] for each in settled], 1)[0]) * 1000 for name in GROWING}


def faults(result: dict[str, Any]) -> list[str]:
    """What grows, and what is left of people who have gone."""
    out = [
        f"{name} grows by {slope:.0f} bytes in 1,000 joins"
        for name, slope in result["growth_bytes_per_1000_joins"].items()
        if slope > GROWTH_LIMIT
    ]
    refused = result["rooms"]["refused"] + result["calls"]["refused"]
    if refused:
        out.append(f"{refused} refused")
    return out + left_over(result["empty"], result["left"])


def left_over(empty: dict[str, float], left: dict[str, float]) -> list[str]:
    """What is there when everybody has gone and was not there before anybody came."""
    out = [f"{left[name]:.0f} left: {name}" for name in LEFT_OVER if left.get(name, 0) > empty.get(name, 0)]
    # One descriptor may be the connection over which the metrics are read.
    out += [
        f"{name}: {left[name]:.0f}, {empty[name]:.0f} before"
        for name in left
        if name.endswith("_descriptors") and left[name] > empty[name] + 1
    ]
    return out
