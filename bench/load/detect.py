"""What listening costs: speech of every member of many rooms, and keys in the audio of many relays.

Each load runs twice in turn: as it is, and watched.  The difference, over the frames that the detectors
were given, is the price of one frame: what it costs to keep it for the tick, to decode it, and to look at
it.
"""

import argparse
import asyncio
from typing import Any

from rich.console import Console
from rich.table import Table

from roomtone.bench.load import proc, report
from roomtone.bench.load.measure import Plan, compare
from roomtone.bench.load.options import Args, engine_maker, to_the_limit
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Engine

MEMBERS = 1000
ROOM = 10
TALKERS = 3
RUNS = 1  # of each load, watched and not: a minute in all
RETRIES = 1


class WithSpeech(Engine):
    """The speech of every member is watched."""

    name = "watched"

    async def open(self, scenario: Scenario, callers: list[tuple[str, int]]) -> list[tuple[str, int]]:
        addresses = await super().open(scenario, callers)
        assert self.board
        for session in self.board.sessions:
            endpoints = (await session.call("session.info"))["endpoints"]
            await asyncio.gather(
                *(session.call("vad.start", endpoint_id=e["endpoint_id"]) for e in endpoints)
            )
        return addresses


class WithKeys(Engine):
    """Keys come in the audio: nobody offers telephone-events."""

    name = "watched"
    telephone_events = False


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--endpoints", type=int, default=MEMBERS, help=f"of either load ({MEMBERS})")
    out("--talkers", type=int, default=TALKERS, help=f"who talks in each room of {ROOM} ({TALKERS})")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    out("--only", choices=("speech", "keys"))
    parser.set_defaults(runs=RUNS, retries=RETRIES)


async def run(args: Args, plan: Plan, console: Console) -> int:
    """1: a run is void."""
    to_the_limit(args)
    loads = {
        "speech": (Scenario("mix", args.endpoints // ROOM, ROOM, args.codec, args.talkers), WithSpeech),
        "keys": (Scenario("relay", args.endpoints // 2, 2, args.codec), WithKeys),
    }
    results = []
    for what, (scenario, watched) in loads.items():
        if args.only in (None, what):
            results.append(await measure(args, plan, what, scenario, watched, console))
    if args.json:
        report.write_json(args.json, plan, results)
    every = (run for result in results for runs in result["servers"].values() for run in runs)
    return int(any(run["void"] for run in every))


async def measure(
    args: Args, plan: Plan, what: str, scenario: Scenario, watched: type[Engine], console: Console
) -> dict[str, Any]:
    makers = [
        lambda: engine_maker(args, plan, scenario.count),
        lambda: engine_maker(args, plan, scenario.count, kind=watched),
    ]
    with proc.alone():
        comparison = report.summarise(await compare(scenario, plan, makers, console.print))
    comparison["detector"] = what
    comparison["extra_us_per_frame"] = extra(comparison["median"])
    console.print(shown(comparison))
    return comparison


def extra(median: dict[str, dict[str, float]]) -> float:
    """CPU microseconds that a watched frame costs more than an unwatched one."""
    return median["watched"]["us_per_packet"] - median["engine"]["us_per_packet"]


def shown(comparison: dict[str, Any]) -> Table:
    table = Table(title=f"{comparison['scenario']['name']}: {comparison['detector']}")
    for heading in ("", "us/packet", "CPU %", "loss %", "watching, us/frame", "valid runs"):
        table.add_column(heading, justify="right")
    for name, middle in comparison["median"].items():
        runs = comparison["servers"][name]
        table.add_row(
            name,
            report.number(middle["us_per_packet"], 2),
            report.number(100 * middle["load"], 1),
            report.number(100 * middle["loss"], 3),
            report.number(comparison["extra_us_per_frame"], 2) if name == "watched" else "",
            f"{sum(not run['void'] for run in runs)} of {len(runs)}",
        )
    return table
