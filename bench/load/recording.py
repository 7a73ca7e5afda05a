"""What recordings cost: relayed calls without one, then each with a pcap or a WAV of the whole call.

    roomtone bench recordings --calls 500 --format wav --folder /var/tmp

The figure that counts is the media thread's time a packet with and without; what drain and writers take
beside it, at nice +19 on any CPU, is shown, and what reached the disk.
"""

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc, report
from roomtone.bench.load.child import Child
from roomtone.bench.load.measure import CALLERS_MODULE, Plan, seat, window
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario

CALLS = 500
AT_ONCE = 32  # commands on their way


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--calls", type=int, default=CALLS, help="relayed calls of two, all recorded")
    out("--format", choices=("pcap", "wav"), default="pcap")
    out("--folder", type=Path, help="where the recordings go; default: the temporary directory")
    out("--codec", choices=tuple(FORMATS), default="PCMU")


async def run(args: Args, plan: Plan, console: Console) -> int:
    scenario = Scenario("relay", args.calls, 2, args.codec, sample=args.sample)
    results = []
    with proc.alone():
        for recorded in (False, True):
            found = await measure(args, plan, scenario, recorded)
            console.print({"recorded" if recorded else "not recorded": report.clean(found)})
            results.append({"recorded": recorded, **found})
    if args.json:
        report.write_json(args.json, plan, results)
    return int(any(result["void"] for result in results))


async def measure(args: Args, plan: Plan, scenario: Scenario, recorded: bool) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="roomtone-recordings-", dir=args.folder))
    args.set = [
        *(each for each in args.set if not each.startswith("recording_dir")),
        f"recording_dir={folder}",
    ]
    engine = engine_maker(args, plan, scenario.count)
    try:
        await engine.start()
        assert engine.board
        async with await Child.start(CALLERS_MODULE, set(plan.placement.others)) as callers:
            await seat(engine, callers, scenario)
            sessions = engine.board.sessions if recorded else []
            paths = [f"{folder}/{number % 16}/{number}.{args.format}" for number in range(len(sessions))]
            starts = [
                session.call("recording.start", file_path=path)
                for session, path in zip(sessions, paths, strict=True)
            ]
            started = await gathered(starts)
            figures = await window(engine, callers, scenario, plan)
            stops = [
                session.call("recording.stop", recording_id=made["recording_id"])
                for session, made in zip(sessions, started, strict=True)
            ]
            ended = await gathered(stops)
        return figured(figures, ended, plan)
    finally:
        await engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def gathered(calls: list[Any]) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(call: Any) -> dict[str, Any]:
        async with gate:
            result: dict[str, Any] = await call
            return result

    return await asyncio.gather(*(one(call) for call in calls))


def figured(figures: dict[str, Any], ended: list[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """The media thread's part, and that of the threads beside it."""
    threads = {name.partition("/")[0]: 0.0 for name in figures["threads"]}
    for name, load in figures["threads"].items():
        threads[name.partition("/")[0]] += load
    us = plan.window_s * 1e6 / max(figures["packets"], 1)
    return {
        "media_us_per_packet": threads.get("media", 0.0) * us,
        "threads": threads,
        "loss": figures["loss"],
        "packets": figures["packets"],
        "recordings": len(ended),
        "recorded_packets": sum(each["packets"] for each in ended),
        "dropped_packets": sum(each["dropped_packets"] for each in ended),
        "void": figures["void"],
    }
