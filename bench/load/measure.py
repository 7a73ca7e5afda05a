"""One run, and runs of floor and engine in turn.

A run: start the server, open the callers' endpoints, send for the warm-up, then for the window; the server's
CPU is read at both ends of the window.  A run that the machine or the load tool itself spoiled is void and is
repeated.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from roomtone.bench.load import proc
from roomtone.bench.load.account import account, losses
from roomtone.bench.load.child import Child
from roomtone.bench.load.figures import FRAME_NS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import SCRAPE_CACHE_S, Cost, Floor, Placement, Server, caller_ips

NS_PER_S = 1_000_000_000
LEAD_NS = 300_000_000  # from the request to run to the first send at the latest: buffers are touched before
COUNTERS_LEAD_NS = 500_000_000  # counters are read so long before the window
TAIL_NS = 100_000_000  # sending goes on for so long after the window
JUDGING_S = 120.0
STEAL_LIMIT = 0.005
WAKE_LIMIT_US = 1000.0
CALLERS_LIMIT = 0.9
WAIT_LIMIT = 0.05  # of the window that the busiest measured thread stood ready without a CPU
SENT_LEAST = 0.995  # of what was due in the window
READ_LATE_LIMIT = 0.1  # of the window, both ends together
CALLERS_MODULE = "roomtone.bench.load.caller_process"


@dataclass(frozen=True)
class Plan:
    """How a comparison is made."""

    runs: int = 3
    warm_up_s: float = 2.0
    window_s: float = 4.0
    retries: int = 3  # void runs that are repeated, for each run wanted
    placement: Placement = field(default_factory=Placement)

    @property
    def patience_s(self) -> float:
        """How long a run's answer may take: media, and judging what came."""
        return self.warm_up_s + self.window_s + JUDGING_S


async def run_once(server: Server, scenario: Scenario, plan: Plan) -> dict[str, Any]:
    """One run against a server that is not started yet; it is stopped in the end.  Returns the figures."""
    scenario = server.served(scenario)
    try:
        await server.start()
        before = server.rss_bytes()
        async with await Child.start(CALLERS_MODULE, set(plan.placement.others)) as callers:
            set_up_s = await seat(server, callers, scenario)
            figures = await window(server, callers, scenario, plan)
        after = server.rss_bytes()
        figures["set_up_s"] = set_up_s
        figures["rss_bytes_per_endpoint"] = (after["worker"] - before["worker"]) / scenario.count
        for role in after.keys() - {"worker"}:
            figures[f"{role}_rss_bytes_per_endpoint"] = (after[role] - before.get(role, 0)) / scenario.count
    finally:
        await server.stop()
    return figures


async def seat(server: Server, callers: Child, scenario: Scenario) -> float:
    """Callers take their seats and know what to say; returns how long the server took to make room, s."""
    seats = {"count": scenario.count, "ips": caller_ips(scenario.count)}
    own = (await callers.ask({"open": seats}))["addresses"]
    began = time.monotonic()
    addresses = await server.open(scenario, [(ip, port) for ip, port in own])
    took = time.monotonic() - began
    await callers.ask({"connect": addresses})
    await callers.ask({"speak": scenario.as_dict()})
    return took


async def window(server: Server, callers: Child, scenario: Scenario, plan: Plan) -> dict[str, Any]:
    """Warm up, then measure."""
    start_ns = time.time_ns() + LEAD_NS + int(plan.warm_up_s * NS_PER_S)
    start_ns -= start_ns % FRAME_NS
    end_ns = start_ns + int(plan.window_s * NS_PER_S)
    request = {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "until_ns": end_ns + TAIL_NS,
        "capture_frames": (end_ns - start_ns) // FRAME_NS,
        "first": plan.placement.first,
    }
    counters_first = await server.counters()
    answer = asyncio.create_task(callers.ask({"run": request}, timeout_s=plan.patience_s))
    cpus = (*plan.placement.measured, *plan.placement.others)
    await sleep_until(start_ns - COUNTERS_LEAD_NS)
    counters_before = await server.counters()
    await sleep_until(start_ns)
    cost_before, steal_before, at_start = server.cost(), proc.steal(cpus), time.time_ns()
    await sleep_until(end_ns)
    cost_after, steal_after, at_end = server.cost(), proc.steal(cpus), time.time_ns()
    late_ns = at_start - start_ns + at_end - end_ns
    counters_after = await server.counters()
    playout = await server.playout_delay_ms()
    figures: dict[str, Any] = (await answer)["figures"]
    figures |= cpu_figures(cost_before, cost_after, figures["packets"], end_ns - start_ns, at_end - at_start)
    stolen, ticks = (after - before for after, before in zip(steal_after, steal_before, strict=True))
    figures["media_scheduling"] = proc.scheduling(cost_after.measured - cost_before.measured)
    figures["read_late"] = late_ns / (end_ns - start_ns)
    figures["steal"] = stolen / max(ticks, 1)
    grown = {k: v - counters_before.get(k, 0.0) for k, v in counters_after.items()}
    figures["counters"] = {k: v for k, v in grown.items() if v}
    await sleep_until(at_end + int(SCRAPE_CACHE_S * NS_PER_S))
    ended = {k: v - counters_first.get(k, 0.0) for k, v in (await server.counters()).items()}
    figures |= account(scenario, figures["total_sent"], ended, grown)
    figures["playout_delay_ms"] = playout
    if playout is not None:
        for key in ("p50", "p99"):
            if f"mixing_delay_{key}_us" in figures:
                figures[f"mixing_delay_less_playout_{key}_us"] = (
                    figures[f"mixing_delay_{key}_us"] - playout * 1000
                )
    figures["void"] = why_void(figures)
    return figures


def cpu_figures(before: Cost, after: Cost, packets: float, window_ns: int, sampled_ns: int) -> dict[str, Any]:
    """CPU per packet, brought from the sampled time (a little off the window's ends) to the window."""
    spent = after.measured - before.measured
    scale = window_ns / sampled_ns
    us_per_packet = spent.run_ns * scale / 1000 / max(packets, 1)
    user = spent.user_share()
    out: dict[str, Any] = {
        "us_per_packet": us_per_packet,
        "user_us_per_packet": us_per_packet * user,
        "system_us_per_packet": us_per_packet * (1 - user),
        "load": spent.run_ns / sampled_ns,
        "waited": spent.busiest().wait_ns / sampled_ns,
        "threads": {name: t.run_ns / sampled_ns for name, t in spent.threads.items() if t.run_ns},
    }
    for role, cpu in after.beside.items():
        out[f"{role}_load"] = (cpu - before.beside[role]).run_ns / sampled_ns
    return out


def why_void(figures: dict[str, Any]) -> list[str]:
    """Reasons not to believe a run; none: valid."""
    return disturbed(figures) + weak(figures)


def disturbed(figures: dict[str, Any]) -> list[str]:
    """Signs that others wanted the CPUs too: the server may be better than this run says."""
    out = []
    if figures["steal"] > STEAL_LIMIT:
        out.append(f"steal {figures['steal']:.1%}")
    if figures.get("callers_wake_p99_9_us", 0.0) > WAKE_LIMIT_US:
        out.append(f"callers woke {figures['callers_wake_p99_9_us'] / 1000:.1f} ms late at p99.9")
    if figures["waited"] > WAIT_LIMIT:
        out.append(f"the measured thread waited {figures['waited']:.0%} of the time for its CPU")
    return out


def weak(figures: dict[str, Any]) -> list[str]:
    """Signs that the load tool was at its own limit: the server may not have had the load."""
    out = []
    if figures["callers_load"] > CALLERS_LIMIT:
        out.append(f"callers used {figures['callers_load']:.0%} of their core")
    if figures["sent"] < SENT_LEAST * figures["due"]:
        out.append(f"callers sent {figures['sent'] / figures['due']:.1%} of what was due")
    if figures["read_late"] > READ_LATE_LIMIT:
        out.append(f"counters were read {figures['read_late']:.0%} of the window late")
    if figures["overflow"] or figures["send_errors"]:
        out.append(f"{figures['send_errors']} sends failed, {figures['overflow']} arrivals had no room")
    return out


async def sleep_until(wall_ns: int) -> None:
    while (left := wall_ns - time.time_ns()) > 0:
        await asyncio.sleep(left / NS_PER_S)


async def compare(
    scenario: Scenario,
    plan: Plan,
    makers: list[Callable[[], Server]],
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Runs of every server in turn: {"scenario", "servers": {name: [figures]}, "void": {name: count}}.

    When the retries are used up, void runs are taken as they are and stay marked.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    void: dict[str, int] = {}
    for number in range(plan.runs):
        for maker in makers:
            for attempt in range(plan.retries + 1):
                server = maker()
                figures = await run_once(server, scenario, plan)
                tell(line(server.name, number, figures))
                if not figures["void"]:
                    break
                void[server.name] = void.get(server.name, 0) + 1
                if attempt == plan.retries:
                    tell(f"{server.name}: taken although void")
            runs.setdefault(server.name, []).append(figures)
    return {"scenario": scenario.as_dict() | {"name": scenario.name}, "servers": runs, "void": void}


def line(name: str, number: int, f: dict[str, Any]) -> str:
    notes = f"  LOST: {'; '.join(losses(f))}" if losses(f) else ""
    notes += f"  VOID: {'; '.join(f['void'])}" if f["void"] else ""
    return (
        f"{name} run {number + 1}: {f['us_per_packet']:.2f} us/packet, load {f['load']:.1%},"
        f" loss {f['loss']:.3%}, callers {f['callers_us_per_packet']:.2f} us/packet"
        f" at {f['callers_load']:.0%}{notes}"
    )


def floor_maker(plan: Plan) -> Callable[[], Server]:
    return lambda: Floor(plan.placement)
