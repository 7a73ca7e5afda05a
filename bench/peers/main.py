"""The engine beside rtpengine and Janus, in turn, under the same callers.

    roomtone bench peers
    roomtone bench peers --workloads relay-500 rooms-20x10 --runs 1

A workload is relay-CALLS, transcode-CALLS (PCMU to PCMA) or rooms-ROOMSxSIZE.  The peers are Debian packages:
deploy/apt-install deploy/apt-bench.txt.  bench/results/peers.json and peers.md keep the last run of each
workload.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc
from roomtone.bench.load.measure import Plan, compare, floor_maker
from roomtone.bench.load.options import RESULTS, Args, engine_maker
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Server
from roomtone.bench.peers import table
from roomtone.bench.peers.janus import PREBUFFERING_PACKETS, Janus
from roomtone.bench.peers.peer import Peer
from roomtone.bench.peers.rtpengine import Rtpengine

WORKLOADS = (
    "relay-500",
    "relay-1000",
    "transcode-500",
    "rooms-60x3",
    "rooms-20x10",
    "rooms-60x10",
    "rooms-4x50",
    "rooms-1x200",
)
TALKERS = 3
CODEC = "PCMU"
SPELLING = re.compile(r"(relay|transcode)-(\d+)|rooms-(\d+)x(\d+)")


def scenario_of(workload: str, sample: str = "all") -> Scenario:
    """ValueError: not a workload."""
    found = SPELLING.fullmatch(workload)
    if not found:
        raise ValueError(f"{workload!r} is none of relay-CALLS, transcode-CALLS, rooms-ROOMSxSIZE")
    kind, calls, rooms, size = found.groups()
    if kind:
        return Scenario(kind, int(calls), 2, CODEC, sample=sample)
    return Scenario("mix", int(rooms), int(size), CODEC, min(TALKERS, int(size)), sample=sample)


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--workloads", nargs="+", default=list(WORKLOADS), metavar="WORKLOAD", help=" ".join(WORKLOADS))
    out("--peer-fifo", action="store_true", help="the peer's threads with real-time priority")
    out("--peer-threads", type=int, default=0, help="rtpengine's workers (0: its own choice)")
    out("--prebuffering", type=int, default=PREBUFFERING_PACKETS, help="packets Janus keeps before mixing")
    out("--results", type=Path, default=RESULTS, help="folder of peers.json and peers.md")
    parser.set_defaults(sample="all")  # what a peer received is not asked of it: the callers count everything


def peer_of(args: Args, kind: str) -> tuple[type[Peer], Callable[[Plan], Server]]:
    """Who else does such work, and how one is made."""
    if kind == "mix":
        return Janus, lambda plan: Janus(plan.placement, fifo=args.peer_fifo, prebuffering=args.prebuffering)
    return Rtpengine, lambda plan: Rtpengine(plan.placement, fifo=args.peer_fifo, threads=args.peer_threads)


async def measure(args: Args, plan: Plan, workload: str, console: Console) -> dict[str, Any]:
    """Engine, peer and floor in turn."""
    scenario = scenario_of(workload, args.sample)
    kind, make = peer_of(args, scenario.kind)
    makers: list[Callable[[], Server]] = [
        lambda: engine_maker(args, plan, scenario.count),
        lambda: make(plan),
        floor_maker(plan),
    ]
    with proc.alone():
        comparison = await compare(scenario, plan, makers, lambda said: console.print(f"{workload}: {said}"))
    return table.row(workload, comparison, kind.name, kind.version(), plan)


async def run(args: Args, plan: Plan, console: Console) -> int:
    """Every workload asked for.  Status 1: no valid run of a server, or the engine gave wrong voices.

    ValueError: a workload that is none, a peer that is not installed.  Wrong voices of a peer are only shown.
    """
    for workload in args.workloads:
        peer_of(args, scenario_of(workload).kind)[0].installed()
    rows = []
    for workload in args.workloads:
        rows.append(await measure(args, plan, workload, console))
        everything = table.merge(args.results / "peers.json", rows[-1:], list(WORKLOADS))
        (args.results / "peers.md").write_text(table.markdown(everything))
    table.show(rows, console)
    return int(any(failed(r) for r in rows))


def failed(row: dict[str, Any]) -> bool:
    invalid = any(all(one["void"] for one in runs) for runs in row["servers"].values())
    return invalid or row["voices"]["engine"] not in ("", "right")
