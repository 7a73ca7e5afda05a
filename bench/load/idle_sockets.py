"""What control costs with many connections that only listen to one event a second.

Each connection holds a session with one silent RTP endpoint and is subscribed to `stats`, one event a
second; the server pings each every 30 s, as configured by default.  Control has the measured CPU to itself;
worker and clients share the others.  One set-up, then --runs windows of --seconds.  A window of 30 s holds
exactly one ping a connection.
"""

import argparse
import asyncio
import statistics
import time
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.child import Child
from roomtone.bench.load.measure import NS_PER_S, STEAL_LIMIT, WAIT_LIMIT, Plan
from roomtone.bench.load.options import Args
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.server import IP, Engine, Placement
from roomtone.bench.load.steer import offer

HOLDER_MODULE = "roomtone.bench.load.socket_holder"
CONNECTIONS = 10_000
WINDOW_S = 30.0
INTERVAL_MS = 1000
DISCARD_PORT = 9  # nobody is behind it: nothing comes, so nothing is sent
SETUP_WAIT_S = 300.0
FIRST_PINGS_S = 32.0  # from the first connection on: the server pings every 30 s, which is part of the cost
SETTLE_S = 6.0  # from the last one on: each endpoint's silence is reported once, after 5 s
NS_PER_US = 1000
MEDIANS = ("control_load", "control_us_per_event", "events_per_s", "worker_python_load")


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--connections", type=int, default=CONNECTIONS)
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    parser.set_defaults(seconds=WINDOW_S)


async def run(args: Args, plan: Plan, console: Console) -> int:
    with proc.alone():
        found = await measure(args, plan, console)
    if args.json:
        report.write_json(args.json, plan, [{"sockets": found}])
    return int(all(one["void"] for one in found["runs"]))


async def measure(args: Args, plan: Plan, console: Console) -> dict[str, Any]:
    """Set up, measure, stop; returns every window's figures and medians."""
    rest = plan.placement.others
    swapped = Placement(rest, plan.placement.measured, plan.placement.first)
    count = args.connections
    engine = Engine(swapped, workers=args.workers, endpoints=count, command=args.command, settings=args.set)
    try:
        await engine.start()
        async with await Child.start(HOLDER_MODULE, set(rest)) as holder:
            before, rss_before, began = engine.cost(), engine.rss_bytes(), time.monotonic()
            await open_all(engine, holder, count, args.codec)
            made = engine.cost().beside["control"] - before.beside["control"]
            settled_s = FIRST_PINGS_S - (time.monotonic() - began)
            await asyncio.sleep(max(settled_s, SETTLE_S, plan.warm_up_s))
            runs = []
            for number in range(plan.runs):
                runs.append(await window(engine, holder, plan.window_s))
                console.print({f"run {number + 1}": report.clean(runs[-1])})
            rss = engine.rss_bytes()
    finally:
        await engine.stop()
    valid = [one for one in runs if not one["void"]]
    out = {
        "connections": count,
        "control_cpu_s_for_set_up": made.run_ns / NS_PER_S,
        "control_rss_bytes_per_connection": (rss["control"] - rss_before["control"]) / count,
        "valid_runs": len(valid),
        **{key: statistics.median(one[key] for one in valid or runs) for key in MEDIANS},
    }
    console.print({"sockets": report.clean(out)})
    return out | {"runs": runs}


async def open_all(engine: Engine, holder: Child, count: int, codec: str) -> None:
    order = {
        "count": count,
        "ip": IP,
        "port": engine.port,
        "offers": [offer(IP, DISCARD_PORT, FORMATS[codec])],
        "interval_ms": INTERVAL_MS,
    }
    await holder.ask({"open": order}, timeout_s=SETUP_WAIT_S)


async def window(engine: Engine, holder: Child, seconds: float) -> dict[str, Any]:
    """One measured window.  Loads are shares of a core."""
    began = await holder.ask({"count": {}})
    before, steal_before = engine.cost(), proc.steal(proc.EVERY_CPU)
    await asyncio.sleep(seconds)
    after, steal_after = engine.cost(), proc.steal(proc.EVERY_CPU)
    found = await holder.ask({"count": {}})
    took_ns = found["at_ns"] - began["at_ns"]
    control = after.beside["control"] - before.beside["control"]
    worker = after.measured - before.measured
    events = max(found["events"], 1)
    stolen, ticks = (later - earlier for later, earlier in zip(steal_after, steal_before, strict=True))
    steal = stolen / max(ticks, 1)
    waiting = control.busiest().wait_ns / took_ns
    void = [f"{steal:.1%} stolen"] if steal > STEAL_LIMIT else []
    if waiting > WAIT_LIMIT:
        void.append(f"control stood ready without a CPU for {waiting:.1%}")
    return {
        "control_load": control.run_ns / took_ns,
        "control_user_share": control.user_share(),
        "control_us_per_event": control.run_ns / NS_PER_US / events,
        "control_waiting": waiting,
        "steal": steal,
        "control_event_loop_load": control.busiest().run_ns / took_ns,
        "events_per_s": found["events"] * NS_PER_S / took_ns,
        "bytes_per_event": found["bytes"] / events,
        "pings_per_s": found["pings"] * NS_PER_S / took_ns,
        "worst_gap_ms": found["worst_gap_ms"],
        "worker_load": worker.run_ns / took_ns,
        "worker_python_load": worker.busiest().run_ns / took_ns,
        "void": void,
    }
