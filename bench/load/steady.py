"""Two questions beside media: what set-up and commands cost, and what doing nothing costs."""

import asyncio
import time
from typing import Any

import numpy as np

from roomtone.bench.load import proc
from roomtone.bench.load.child import Child
from roomtone.bench.load.figures import percentile
from roomtone.bench.load.measure import (
    CALLERS_MODULE,
    LEAD_NS,
    NS_PER_S,
    TAIL_NS,
    Plan,
    cpu_figures,
    sleep_until,
)
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import IP, Engine
from roomtone.bench.load.steer import Steering, offer

COMMAND_GAP_S = 0.01  # between two commands of the probing client
HALF = 0.5  # the worker load commands are timed at
NEAR = 0.03  # how far from it will do
DISCARD_PORT = 9  # of endpoints nobody is behind: nothing comes from there, so nothing is sent


async def set_up(engine: Engine, sessions: int, size: int, plan: Plan) -> dict[str, Any]:
    """Create sessions over WebSocket, as fast as answers come; engine on one core, client on another."""
    try:
        await engine.start()
        assert engine.board
        ports = [DISCARD_PORT] * (sessions * size)
        before, rss_before, began = engine.cost(), engine.rss_bytes(), time.monotonic()
        own_before = time.process_time()
        await engine.board.rooms(IP, ports, size, FORMATS["PCMU"])
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
            ports = (await callers.ask({"open": {"count": scenario.count, "ip": IP}}))["ports"]
            await callers.ask({"connect": await engine.open(scenario, ports)})
            await callers.ask({"speak": scenario.as_dict()})
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
    out = cpu_figures(before, after, figures["received"], end_ns - start_ns, at_end - at_start)
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
    sdp = offer(IP, DISCARD_PORT, FORMATS["PCMU"])
    while time.time_ns() < end_ns:
        made = await timed("endpoint.create_from_offer", sdp=sdp)
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
            await engine.board.rooms(IP, [DISCARD_PORT] * endpoints, 2, FORMATS["PCMU"])
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
