"""Relays, transcoding calls and conferences: the engine and the floor in turn."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.measure import Plan, compare, floor_maker
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Server

TALKERS = 3
ENDPOINTS = 1000  # of relays and transcoding calls
ROOMS = 20
SIZE = 10


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--endpoints", type=int, help=f"of calls in pairs ({ENDPOINTS}); mix: rooms x size")
    out("--rooms", type=int, default=ROOMS)
    out("--size", type=int, help=f"members a room ({SIZE})")
    out("--talkers", type=int, help=f"who talks in each room ({TALKERS}; 0: nobody, -1: all)")
    out("--listen-only", action="store_true", help="mix: who does not talk sends nothing (recvonly)")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    out("--only", choices=("engine", "floor"), help="leave the other one out")
    out("--markdown", type=Path, help="write the table as Markdown here")


def scenario_of(args: Args) -> Scenario:
    if args.what != "mix":
        endpoints = args.endpoints or ENDPOINTS
        if endpoints % 2:
            raise ValueError(f"a {args.what} needs an even number of endpoints")
        return Scenario(args.what, endpoints // 2, 2, args.codec, sample=args.sample)
    size = args.size or (args.endpoints // args.rooms if args.endpoints else SIZE)
    talkers = talkers_of(args.talkers, size)
    return Scenario("mix", args.rooms, size, args.codec, talkers, args.listen_only, args.sample)


def talkers_of(asked: int | None, size: int) -> int:
    if asked is None:
        return min(TALKERS, size)
    return size if asked < 0 else asked


async def measure(args: Args, plan: Plan, scenario: Scenario, console: Console) -> dict[str, Any]:
    """Engine and floor in turn (or --only one of them), shown; returns the comparison with medians."""
    makers: list[Callable[[], Server]] = []
    if args.only != "floor":
        makers.append(lambda: engine_maker(args, plan, scenario.count))
    if args.only != "engine":
        makers.append(floor_maker(plan))
    with proc.alone():
        comparison = report.summarise(await compare(scenario, plan, makers, console.print))
    report.show(comparison, console)
    return comparison


async def run(args: Args, plan: Plan, console: Console) -> int:
    results = [await measure(args, plan, scenario_of(args), console)]
    if args.markdown:
        args.markdown.write_text(report.markdown(results))
    if args.json:
        report.write_json(args.json, plan, results)
    return int(any(failed(r) for r in results))


def failed(result: dict[str, Any]) -> bool:
    """A wrong voice was heard, or a server has no valid run."""
    invalid = any(all(run["void"] for run in runs) for runs in result["servers"].values())
    return invalid or result["voices"] not in ("", "right")
