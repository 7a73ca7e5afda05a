"""One room of thousands over several workers: who listens costs one send, and joining disturbs nobody.

The others than the talkers are `recvonly`.  The room is filled member by member, then measured twice: at
rest, and while visitors join and leave.  Workers, callers and control share the CPUs.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.account import DROPPED, MIXED, TICKS
from roomtone.bench.load.child import Child
from roomtone.bench.load.measure import CALLERS_MODULE, LEAD_NS, NS_PER_S, TAIL_NS, Plan, window
from roomtone.bench.load.options import Args, engine_maker, to_the_limit
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Engine, caller_ips
from roomtone.bench.load.steer import Steering, answered_address, offer
from roomtone.bench.load.visitors import Sinks, Visits, visit

MEMBERS = 10_000
TALKERS = 3
WORKERS = 2
RATE = 100.0  # joins a second, and as many leaves
LOOKED_AT = 200  # joins over which their cost is taken, at the beginning and at the end
OVERRUNS = "roomtone_tick_overruns_total"
LATE = "roomtone_ticks_late_total"
PARTIALS = "roomtone_worker_partials_late_total"
CONCEALED = "roomtone_playout_concealed_frames_total"
ENCODINGS = "roomtone_worker_encodings_total"
REFUSED = (f"{DROPPED}{{send}}", f"{DROPPED}{{refused}}")
STEADY = 0.9  # the quietest frame over the median one: a voice missing in one frame of three is 0.82


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--members", type=int, default=MEMBERS)
    out("--talkers", type=int, default=TALKERS)
    out("--rate", type=float, default=RATE, help=f"joins a second, and as many leaves ({RATE:.0f}; 0: none)")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    parser.set_defaults(workers=WORKERS, measured_cpus="0,1", other_cpus="0,1", sample="tenth")


async def run(args: Args, plan: Plan, console: Console) -> int:
    scenario = Scenario("mix", 1, args.members, args.codec, args.talkers, True, args.sample)
    to_the_limit(args)
    slots = args.members + int(2 * args.rate) + 1
    with proc.alone():
        result = await measure(engine_maker(args, plan, slots), scenario, plan, args.rate)
    console.print({"large": report.clean(shown(result))})
    if args.json:
        report.write_json(args.json, plan, [{"large": result}])
    for name in ("at_rest", "visited"):
        for fault in result.get(name, {}).get("faults", ()):
            console.print(f"{name}: {fault}")
    return int(any(result.get(name, {}).get("faults") for name in ("at_rest", "visited")))


async def measure(engine: Engine, scenario: Scenario, plan: Plan, rate: float) -> dict[str, Any]:
    """Fill the room, then two windows.  Stops the engine in the end."""
    out: dict[str, Any] = {"scenario": scenario.as_dict()}
    sinks = Sinks()
    try:
        await engine.start()
        before = engine.rss_bytes()
        async with await Child.start(CALLERS_MODULE, set(plan.placement.others)) as callers:
            steering, out["filling"] = await fill(engine, callers, scenario)
            after = engine.rss_bytes()
            out["rss_bytes_per_member"] = {
                role: (after[role] - before.get(role, 0)) / scenario.count for role in after
            }
            looks = {"at_rest": partial(look, engine, callers, scenario, plan)}
            if rate:
                looks["visited"] = partial(
                    look_while_visited, engine, callers, scenario, plan, steering, sinks, rate
                )
            for name, one in looks.items():
                out[name] = await until_valid(one, plan.retries)
            await steering.close()
    finally:
        await engine.stop()
        sinks.close()
    return out


async def fill(engine: Engine, callers: Child, scenario: Scenario) -> tuple[Steering, dict[str, Any]]:
    """Everybody joins, one after another; what a join cost at the beginning and at the end."""
    assert engine.board
    seats = {"count": scenario.count, "ips": caller_ips(scenario.count)}
    own = (await callers.ask({"open": seats}))["addresses"]
    # Not one of the board's sessions: statistics of so many endpoints would hold up those who join.
    steering = await engine.board.connect()
    await steering.call("session.create")
    costs: dict[str, Any] = {}
    addresses = []
    began = mark = time.monotonic()
    spent = control_cost(engine)
    for number, (ip, port) in enumerate(own):
        direction = "sendrecv" if scenario.sends(number) else "recvonly"
        sdp = offer(ip, port, scenario.format_of(number), direction)
        made = await steering.call("endpoint.create_from_offer", sdp=sdp)
        addresses.append(answered_address(made["sdp_answer"]))
        if number + 1 in (LOOKED_AT, scenario.count - LOOKED_AT, scenario.count):
            now, then = time.monotonic(), control_cost(engine)
            joins = LOOKED_AT if number + 1 != scenario.count - LOOKED_AT else scenario.count - 2 * LOOKED_AT
            costs[f"join_us_until_{number + 1}"] = {
                role: (then[role] - spent[role]) / 1000 / joins for role in then
            } | {"round_trip": (now - mark) * 1e6 / joins}
            mark, spent = now, then
    costs["seconds"] = time.monotonic() - began
    await callers.ask({"connect": addresses})
    await callers.ask({"speak": scenario.as_dict()})
    return steering, costs


def control_cost(engine: Engine) -> dict[str, int]:
    """CPU ns of everybody who has to do with a join; of a worker all threads but the media thread."""
    out = {role: sum(proc.cpu(pid).run_ns for pid in pids) for role, pids in engine.roles.items()}
    out["worker"] = 0
    for pid in engine.roles["worker"]:
        threads = proc.cpu(pid).threads
        media = max((t for t in threads if not t.endswith(f"/{pid}")), key=lambda t: threads[t].run_ns)
        out["worker"] += sum(t.run_ns for name, t in threads.items() if name != media)
    return out


async def until_valid(one: Callable[[], Awaitable[dict[str, Any]]], retries: int) -> dict[str, Any]:
    """A look that is not void, or the last one; void_looks counts the others."""
    for number in range(retries + 1):
        figures = await one()
        figures["void_looks"] = number
        if not figures["void"]:
            break
    return figures


async def look(engine: Engine, callers: Child, scenario: Scenario, plan: Plan) -> dict[str, Any]:
    """One window, and what was wrong in it.  void: the machine took away more CPU than a run may lose."""
    figures = await window(engine, callers, scenario, plan)
    figures["void"] = [reason for reason in figures["void"] if reason.startswith("steal")]
    counters = figures["counters"]
    ticks = counters.get(TICKS, 0.0)
    figures["sends_per_member_tick"] = counters.get(MIXED, 0.0) / max(
        ticks / engine.workers * scenario.count, 1
    )
    figures["encodings_per_tick"] = counters.get(ENCODINGS, 0.0) * engine.workers / max(ticks, 1)
    figures["faults"] = faults(figures, scenario, engine.workers)
    return figures


async def look_while_visited(
    engine: Engine,
    callers: Child,
    scenario: Scenario,
    plan: Plan,
    steering: Steering,
    sinks: Sinks,
    rate: float,
) -> dict[str, Any]:
    visits = Visits()
    lasting_s = (LEAD_NS + TAIL_NS) / NS_PER_S + plan.warm_up_s + plan.window_s
    until = time.monotonic() + lasting_s
    visiting = asyncio.create_task(
        visit(steering, sinks, scenario.format, rate, until, visits, stay_s=min(1.0, plan.window_s / 4))
    )
    figures = await look(engine, callers, scenario, plan)
    await visiting
    if visits.refused:
        figures["faults"].append(f"{visits.refused} visitors refused")
    return figures | visits.figures(lasting_s)


def faults(figures: dict[str, Any], scenario: Scenario, workers: int) -> list[str]:
    """What a large room must not show; none: all is well."""
    counters = figures["counters"]
    out = [
        f"{int(counters[name])} {what}"
        for name, what in (
            (OVERRUNS, "ticks overrun"),
            (PARTIALS, "partial sums late"),
            (CONCEALED, "frames concealed"),
            *((name, "sends refused by the kernel") for name in REFUSED),
        )
        if counters.get(name)
    ]
    out += [
        f"{figures[key]} {key}" for key in ("seq_missing", "seq_duplicate", "silent_callers") if figures[key]
    ]
    if figures["deaf"] or not figures["listened"]:
        out.append(f"{figures['deaf']} of {figures['listened']} listeners heard nothing")
    for kind in ("missing", "echoed", "strange"):
        if figures[f"voices_{kind}"]:
            out.append(f"{figures[f'voices_{kind}']} voices {kind}")
    if figures["level_dip"] < STEADY:
        out.append(f"the quietest frame was at {figures['level_dip']:.2f} of the median")
    if figures["encodings_per_tick"] > scenario.talkers + workers + 0.5:
        out.append(f"{figures['encodings_per_tick']:.1f} encodings a tick")
    return out


KEYS = (
    "void", "void_looks", "us_per_packet", "system_us_per_packet", "load", "waited", "threads",
    "supervisor_load", "callers_load",
    "control_load", "callers_wake_p99_9_us", "steal", "read", "received", "lost", "seq_missing",
    "seq_duplicate", "pacing_p50_us", "pacing_p99_us", "pacing_p99_9_us", "pacing_max_us", "listened",
    "voices_missing", "voices_echoed", "voices_strange", "level_dip", "mixing_delay_p50_us",
    "mixing_delay_p99_us", "sends_per_member_tick", "encodings_per_tick", "counters", "joins", "leaves",
    "refused", "joins_per_s", "join_p50_us", "join_p99_us", "leave_p50_us", "leave_p99_us", "faults",
)  # fmt: skip


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """The figures for the terminal; --json has them all."""
    out = dict(result)
    for name in ("at_rest", "visited"):
        if name in result:
            out[name] = {key: result[name][key] for key in KEYS if key in result[name]}
    return out
