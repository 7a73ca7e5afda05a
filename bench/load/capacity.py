"""Find the highest load one engine carries, and what it costs on the way there.

A load holds when nothing is lost (account.py) and packets keep their time: p99.9 of the pacing error, or of
a relay's delay, is at most 5 ms.  The search doubles, then bisects; what it found is confirmed by a longer
run, and then measured at shares of it.  Results are kept in bench/results/; table and pictures are made of
all of them.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc, rating, report
from roomtone.bench.load.account import losses
from roomtone.bench.load.measure import Plan, disturbed, line, run_once, weak
from roomtone.bench.load.options import RESULTS, Args, engine_maker, to_the_limit
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.search import RESOLUTION, Search
from roomtone.bench.load.workload import TALKERS, talkers_of

FIRST_STREAMS = 1000  # where every search begins, so that workloads can be compared there
MOST_STREAMS = 24000  # of the 25,000 port pairs of the range
PACING_LIMIT_US = 5000.0  # p99.9
SHARES = (0.7, 0.9)
PROBE_WARM_UP_S = 1.5
PROBE_WINDOW_S = 3.0
REST_S = 5.0  # after a disturbed run: neighbours come in spells
CONFIRMATIONS = 4  # tries, each a step below the last

Probe = Callable[[int], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Workload:
    """What is multiplied until it no longer holds: rooms of one size, or calls."""

    kind: str
    size: int
    codec: str
    talkers: int
    listen_only: bool
    sample: str

    def scenario(self, rooms: int) -> Scenario:
        return Scenario(self.kind, rooms, **{k: v for k, v in asdict(self).items() if k != "kind"})

    @property
    def name(self) -> str:
        """The scenario's, without a number of rooms."""
        if self.kind != "mix":
            return f"{self.kind} {self.codec}"
        return f"rooms of {self.size} {self.codec}, {self.scenario(1).name.partition(', ')[2]}"


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--rooms", type=int, nargs="+", default=[], metavar="SIZE", help="rooms of these sizes")
    out("--relay", action="store_true", help="calls of two, forwarded")
    out("--transcode", action="store_true", help="calls of two between codecs")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    out("--talkers", type=int, help=f"who talks in each room ({TALKERS}; 0: nobody, -1: all)")
    out("--listen-only", action="store_true", help="who does not talk sends nothing (recvonly)")
    out("--first", type=int, default=FIRST_STREAMS, help="streams the search begins with")
    out("--at", type=float, action="append", help=f"measure at this share of the capacity ({SHARES})")
    out("--rated", type=int, help="do not search: take so many streams for the capacity")


def workloads(args: Args) -> list[Workload]:
    """ValueError: nothing was asked for."""
    out = [
        Workload("mix", size, args.codec, talkers_of(args.talkers, size), args.listen_only, args.sample)
        for size in args.rooms
    ]
    kinds = [kind for kind in ("relay", "transcode") if getattr(args, kind)]
    out += [Workload(kind, 2, args.codec, 2, False, args.sample) for kind in kinds]
    if not out:
        raise ValueError("capacity of what? --rooms SIZE, --relay or --transcode")
    return out


def unfit(figures: dict[str, Any], late_us: float | None = None) -> list[str]:
    """Why a load does not hold; nothing: it does.  late_us: judge by this instead of the window's p99.9."""
    out = losses(figures)
    if late_us is None:
        late_us = rating.lateness_us(figures)
    if not late_us <= PACING_LIMIT_US:
        out.append(f"p99.9 of the pacing {late_us / 1000:.1f} ms")
    return out


def settled(figures: dict[str, Any]) -> bool:
    """Whether another probe would say no more.

    What a neighbour disturbed can only be worse than the truth; callers at their own limit stay there.
    """
    return not disturbed(figures) or not (unfit(figures) or weak(figures))


async def settled_probe(probe: Probe, load: int, retries: int) -> dict[str, Any]:
    """One probe, repeated while it is void; of void ones the one least was stolen from.

    Adds "unfit" and "repeated".
    """
    tries: list[dict[str, Any]] = []
    while len(tries) <= retries:
        tries.append(await probe(load))
        if settled(tries[-1]):
            break
    best = tries[-1] if settled(tries[-1]) else min(tries, key=lambda f: f["steal"])
    return best | {"unfit": unfit(best), "repeated": len(tries) - 1}


async def find(probe: Probe, search: Search, retries: int) -> tuple[list[dict[str, Any]], str]:
    """All probes of a search, each with its "rooms", and why it went no further up.

    While neighbours give no rest, a load is judged by the calmest second of its best probe; the run that
    confirms the capacity has no such excuse.
    """
    probes = []
    reason = "the ports end there"
    while (load := search.load()) is not None:
        figures = await settled_probe(probe, load, retries)
        if disturbed(figures):
            figures["unfit"] = unfit(figures, figures["calmest_p99_9_us"])
        probes.append(figures | {"rooms": load})
        holds = not figures["unfit"] and not weak(figures)
        if not holds:
            reason = "the load tool's limit" if weak(figures) else "; ".join(figures["unfit"])
        search.told(holds)
    return probes, reason


async def confirm(probe: Probe, load: int, retries: int) -> tuple[int, dict[str, Any], str]:
    """A longer run at what was found, or as little below as holds; and why not above, if it is below.

    The last try stays as it is.
    """
    reason = ""
    for attempt in range(CONFIRMATIONS):
        figures = await settled_probe(probe, load, retries)
        if not figures["unfit"] and not weak(figures):
            break
        reason = "; ".join(figures["unfit"] + weak(figures))
        if attempt < CONFIRMATIONS - 1:
            load = max(1, min(load - 1, int(load * (1 - RESOLUTION))))
    return load, figures, reason


async def rate(args: Args, plan: Plan, workload: Workload, console: Console) -> dict[str, Any]:
    """Search, confirm, and measure at shares of one workload."""

    last: dict[str, Any] = {}

    def prober(window: Plan) -> Probe:
        async def probe(rooms: int) -> dict[str, Any]:
            scenario = workload.scenario(rooms)
            if last and disturbed(last):
                await asyncio.sleep(REST_S)
            with proc.alone():
                figures = await run_once(engine_maker(args, window, scenario.count), scenario, window)
            told = line(scenario.name, 0, figures) + "".join(f"\n  {why}" for why in unfit(figures))
            console.print(told, markup=False, soft_wrap=True)
            last.update(figures)
            return figures | {"streams": scenario.count}

        return probe

    long = prober(plan)
    short = prober(Plan(1, PROBE_WARM_UP_S, PROBE_WINDOW_S, plan.retries, plan.placement))
    out: dict[str, Any] = {"workload": asdict(workload), "name": workload.name}
    probes: list[dict[str, Any]] = []
    reason = "given"
    if args.rated:
        rooms = max(args.rated // workload.size, 1)
    else:
        most = MOST_STREAMS // workload.size
        search = Search(min(max(args.first // workload.size, 1), most), most)
        probes, reason = await find(short, search, plan.retries)
        rooms = search.held
    out |= {"probes": probes, "reason": reason}
    if rooms:
        rooms, out["confirmed"], nearer = await confirm(long, rooms, plan.retries)
        out["reason"] = nearer or reason
    shares = {}
    for share in (args.at or SHARES) if rooms else ():
        load = max(1, int(rooms * share))
        runs = [await settled_probe(long, load, plan.retries) for _ in range(plan.runs)]
        shares[f"{share:g}"] = report.medians(runs)
    return out | {"rooms": rooms, "streams": rooms * workload.size, "shares": shares}


async def run(args: Args, plan: Plan, console: Console) -> int:
    to_the_limit(args)
    found = []
    for workload in workloads(args):
        rated = await rate(args, plan, workload, console)
        found.append(rated)
        file = (
            RESULTS
            / f"{rating.PREFIX}{workload.name.replace(' ', '-').replace(',', '').replace('/', '_')}.json"
        )
        report.write_json(file, plan, [rated])
        console.print(rating.markdown([rated]), markup=False, soft_wrap=True)
    rating.publish(RESULTS)
    if args.json:
        report.write_json(args.json, plan, found)
    return int(any(unconvincing(rated) for rated in found))


def unconvincing(rated: dict[str, Any]) -> bool:
    """Nothing held, what was found could not be confirmed, or a voice was wrong."""
    confirmed = rated.get("confirmed")
    return not confirmed or bool(confirmed["unfit"]) or report.voices([confirmed]) not in ("", "right")
