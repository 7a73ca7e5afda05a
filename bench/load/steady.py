"""Two questions beside media: what set-up and commands cost, and what doing nothing costs."""

import argparse
import asyncio
import time
from typing import Any

import numpy as np
from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.child import Child
from roomtone.bench.load.figures import percentile
from roomtone.bench.load.measure import (
    CALLERS_MODULE,
    LEAD_NS,
    NS_PER_S,
    TAIL_NS,
    Plan,
    cpu_figures,
    seat,
    sleep_until,
)
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import IP, Engine
from roomtone.bench.load.steer import Steering, offer

COMMAND_GAP_S = 0.01  # between two commands of the probing client
HALF = 0.5  # the worker load commands are timed at
NEAR = 0.03  # how far from it will do
CALIBRATION_STREAMS = 1500
LOAD_TRIES = 5  # set-ups until the worker is half busy; the first is without load
SESSIONS = 1000  # of two endpoints, set up
SILENT_ENDPOINTS = 1000
DISCARD_PORT = 9  # of endpoints nobody is behind: nothing comes from there, so nothing is sent
SILENT_OFFER = offer(IP, DISCARD_PORT, FORMATS["PCMU"])


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--sessions", type=int, default=SESSIONS, help="setup: sessions of two endpoints")
    out("--endpoints", type=int, default=SILENT_ENDPOINTS, help="idle: silent ones")
    out("--codec", choices=tuple(FORMATS), default="PCMU")


async def run(args: Args, plan: Plan, console: Console) -> int:
    with proc.alone():
        if args.what == "setup":
            results = await measure_setup(args, plan, console)
        else:
            results = await measure_idle(args, plan, console)
    if args.json:
        report.write_json(args.json, plan, results)
    return 0


async def measure_setup(args: Args, plan: Plan, console: Console) -> list[dict[str, Any]]:
    engine = engine_maker(args, plan, 2 * args.sessions, together=True)
    made = await set_up(engine, args.sessions, 2, plan)
    console.print({"set-up": report.clean(made)})
    results = [{"set_up": made}]
    streams = 2
    for _ in range(LOAD_TRIES):
        scenario = Scenario("relay", streams // 2, 2, args.codec)
        trips = await round_trips(engine_maker(args, plan, scenario.count), scenario, plan)
        console.print({f"round trips at {trips['load']:.0%}": report.clean(trips)})
        results.append({"round_trips": trips})
        if abs(trips["load"] - HALF) < NEAR:
            break
        streams = CALIBRATION_STREAMS if streams == 2 else half_load(streams, trips["load"])
    return results


async def measure_idle(args: Args, plan: Plan, console: Console) -> list[dict[str, Any]]:
    found = await idle(engine_maker(args, plan, args.endpoints), args.endpoints, args.seconds, plan)
    console.print({"idle": report.clean(found)})
    return [{"idle": found}]


async def set_up(engine: Engine, sessions: int, size: int, plan: Plan) -> dict[str, Any]:
    """Create sessions over WebSocket, as fast as answers come; engine on one core, client on another."""
    try:
        await engine.start()
        assert engine.board
        offers = [SILENT_OFFER] * (sessions * size)
        before, rss_before, began = engine.cost(), engine.rss_bytes(), time.monotonic()
        own_before = time.process_time()
        await engine.board.rooms(offers, size)
        wall_s, own_s = time.monotonic() - began, time.process_time() - own_before
        after, rss_after = engine.cost(), engine.rss_bytes()
    finally:
        await engine.stop()
    out: dict[str, Any] = {
        "sessions": sessions,
        "endpoints": sessions * size,
        "wall_s": wall_s,
        "sessions_per_s": sessions / wall_s,
        "client_cpu_s": own_s,
        "worker_cpu_s": (after.measured - before.measured).run_ns / NS_PER_S,
    }
    for role in before.beside:
        out[f"{role}_cpu_s"] = (after.beside[role] - before.beside[role]).run_ns / NS_PER_S
    for role, rss in rss_after.items():
        out[f"{role}_rss_bytes_per_session"] = (rss - rss_before[role]) / sessions
    return out


async def round_trips(engine: Engine, scenario: Scenario, plan: Plan) -> dict[str, Any]:
    """Command round trips of one client while the callers of `scenario` talk."""
    try:
        await engine.start()
        assert engine.board
        async with await Child.start(CALLERS_MODULE, set(plan.placement.others)) as callers:
            await seat(engine, callers, scenario)
            start_ns = time.time_ns() + LEAD_NS + int(plan.warm_up_s * NS_PER_S)
            end_ns = start_ns + int(plan.window_s * NS_PER_S)
            request = {
                "start_ns": start_ns,
                "end_ns": end_ns,
                "until_ns": end_ns + TAIL_NS,
                "capture_frames": 0,
                "first": plan.placement.first,
            }
            answer = asyncio.create_task(callers.ask({"run": request}, timeout_s=plan.window_s + 120))
            steering = await engine.board.connect()
            await sleep_until(start_ns)
            before, at_start = engine.cost(), time.time_ns()
            times = await command_loop(steering, end_ns)
            after, at_end = engine.cost(), time.time_ns()
            await steering.close()
            figures = (await answer)["figures"]
    finally:
        await engine.stop()
    out = cpu_figures(before, after, figures["packets"], end_ns - start_ns, at_end - at_start)
    out |= {"loss": figures["loss"], "streams": scenario.count, "callers_load": figures["callers_load"]}
    for method, values in times.items():
        taken = np.array(values)
        out[method] = {
            "count": len(values),
            "p50_us": percentile(taken, 50.0) / 1000,
            "p99_us": percentile(taken, 99.0) / 1000,
        }
    return out


async def command_loop(steering: Steering, end_ns: int) -> dict[str, list[int]]:
    """Make, read and remove an endpoint over and over; ns of every round trip, by method."""
    times: dict[str, list[int]] = {}

    async def timed(method: str, **params: Any) -> dict[str, Any]:
        began = time.monotonic_ns()
        result = await steering.call(method, **params)
        times.setdefault(method, []).append(time.monotonic_ns() - began)
        return result

    await steering.call("session.create")
    while time.time_ns() < end_ns:
        made = await timed("endpoint.create_from_offer", sdp=SILENT_OFFER)
        await asyncio.sleep(COMMAND_GAP_S)
        await timed("stats.snapshot")
        await asyncio.sleep(COMMAND_GAP_S)
        await timed("endpoint.remove", endpoint_id=made["endpoint_id"])
        await asyncio.sleep(COMMAND_GAP_S)
    return times


def half_load(streams: int, load: float) -> int:
    """Streams (even) at which the worker is half busy, from one measurement."""
    return max(2, int(streams * HALF / load) // 2 * 2)


async def idle(engine: Engine, endpoints: int, seconds: float, plan: Plan) -> dict[str, Any]:
    """CPU per second of an engine nobody talks to: first without a session, then with silent endpoints."""
    out: dict[str, Any] = {}
    try:
        await engine.start()
        assert engine.board
        await asyncio.sleep(plan.warm_up_s)
        out["empty"] = await resting(engine, seconds)
        if endpoints:
            await engine.board.rooms([SILENT_OFFER] * endpoints, 2)
            await asyncio.sleep(plan.warm_up_s)
            out[f"{endpoints} silent endpoints"] = await resting(engine, seconds)
    finally:
        await engine.stop()
    return out


async def resting(engine: Engine, seconds: float) -> dict[str, float]:
    """CPU milliseconds a second, by role."""
    before, began = engine.cost(), time.monotonic()
    await asyncio.sleep(seconds)
    after, took = engine.cost(), time.monotonic() - began

    def rate(later: proc.Cpu, earlier: proc.Cpu) -> float:
        return (later - earlier).run_ns / 1e6 / took

    out = {"worker_ms_per_s": rate(after.measured, before.measured)}
    return out | {f"{r}_ms_per_s": rate(after.beside[r], before.beside[r]) for r in after.beside}
