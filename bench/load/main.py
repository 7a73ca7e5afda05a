"""`roomtone bench`: synthetic callers against the engine, and against the floor in the same run.

    roomtone bench relay --endpoints 1000
    roomtone bench mix --rooms 20 --size 10 --talkers 3
    roomtone bench setup | idle
    roomtone bench --suite full          every row of the README's table

Exit status: 0 done, 1 no run was valid or a wrong voice was heard, 2 wrong usage.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from roomtone.bench.load import proc, report, steady
from roomtone.bench.load.measure import Plan, compare, floor_maker
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Engine, Placement, Server

TALKERS = 3
ALL_TALK_LIMIT = 200  # rooms of up to so many streams are also measured with everybody talking
SUITE_RELAY = (1000, 2000)  # endpoints
SUITE_MIX = ((1, 3), (20, 3), (20, 10), (60, 10), (300, 10), (4, 50), (1, 200), (1, 1000))  # rooms, size
Args = argparse.Namespace
RESULTS = Path(__file__).parent.parent / "results"
CALIBRATION_STREAMS = 1500
LOAD_TRIES = 5  # set-ups until the worker is half busy; the first is without load


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="roomtone bench", description="Measure the engine beside the floor.")
    out.add_argument("what", nargs="?", choices=("relay", "mix", "setup", "idle"))
    out.add_argument("--suite", choices=("full",), help="run every workload of the published table")
    out.add_argument(
        "--endpoints", type=int, help="relay: endpoints (1000); mix: rooms x size; idle: silent ones"
    )
    out.add_argument("--rooms", type=int, default=20)
    out.add_argument("--size", type=int, help="members a room (10)")
    out.add_argument("--talkers", type=int, help=f"who talks in each room ({TALKERS}; 0: nobody, -1: all)")
    out.add_argument("--sessions", type=int, default=1000, help="setup: sessions of two endpoints")
    out.add_argument("--codec", choices=tuple(FORMATS), default="PCMU")
    out.add_argument("--workers", type=int, default=1)
    out.add_argument("--runs", type=int, default=3)
    out.add_argument("--retries", type=int, default=3, help="repeats of a void run")
    out.add_argument("--seconds", type=float, default=4.0, help="the measured window")
    out.add_argument("--warm-up", type=float, default=2.0)
    out.add_argument("--only", choices=("engine", "floor"), help="leave the other one out")
    out.add_argument("--measured-cpus", default="1", help="CPUs of workers and floor, comma separated")
    out.add_argument("--other-cpus", default="0", help="CPUs of callers and everything else")
    out.add_argument("--normal", action="store_true", help="callers and floor without real-time priority")
    out.add_argument("--command", default="", help="what to start instead of `roomtone`")
    out.add_argument("--json", type=Path, help="write every figure of every run here")
    out.add_argument("--markdown", type=Path, help="write the table as Markdown here")
    return out


def scenario_of(args: Args) -> Scenario:
    if args.what == "relay":
        endpoints = args.endpoints or 1000
        if endpoints % 2:
            raise ValueError("a relay needs an even number of endpoints")
        return Scenario("relay", endpoints // 2, 2, args.codec)
    size = args.size or (args.endpoints // args.rooms if args.endpoints else 10)
    return Scenario("mix", args.rooms, size, args.codec, talkers_of(args.talkers, size))


def talkers_of(asked: int | None, size: int) -> int:
    if asked is None:
        return min(TALKERS, size)
    return size if asked < 0 else asked


def suite(codec: str) -> list[Scenario]:
    out = [Scenario("relay", endpoints // 2, 2, codec) for endpoints in SUITE_RELAY]
    for rooms, size in SUITE_MIX:
        out.append(Scenario("mix", rooms, size, codec, min(TALKERS, size)))
        if size > TALKERS and rooms * size <= ALL_TALK_LIMIT:
            out.append(Scenario("mix", rooms, size, codec, size))
    return out


def plan_of(args: Args) -> Plan:
    def cpus(text: str) -> tuple[int, ...]:
        return tuple(int(c) for c in text.split(","))

    placement = Placement(cpus(args.measured_cpus), cpus(args.other_cpus), not args.normal)
    missing = {*placement.measured, *placement.others} - proc.EVERY_CPU
    if missing:
        raise ValueError(f"no such CPU here: {', '.join(map(str, sorted(missing)))}")
    return Plan(args.runs, args.warm_up, args.seconds, args.retries, placement)


def engine_maker(args: Args, plan: Plan, endpoints: int, together: bool = False) -> Engine:
    return Engine(
        plan.placement, workers=args.workers, endpoints=endpoints, command=args.command, together=together
    )


async def measure(args: Args, plan: Plan, scenario: Scenario, console: Console) -> dict[str, Any]:
    makers: list[Callable[[], Server]] = []
    if args.only != "floor":
        makers.append(lambda: engine_maker(args, plan, scenario.count))
    if args.only != "engine":
        makers.append(floor_maker(plan))
    with proc.alone():
        comparison = report.summarise(await compare(scenario, plan, makers, console.print))
    report.show(comparison, console)
    return comparison


async def measure_setup(args: Args, plan: Plan, console: Console) -> list[dict[str, Any]]:
    engine = engine_maker(args, plan, 2 * args.sessions, together=True)
    made = await steady.set_up(engine, args.sessions, 2, plan)
    console.print({"set-up": report.clean(made)})
    results = [{"set_up": made}]
    streams = 2
    for _ in range(LOAD_TRIES):
        scenario = Scenario("relay", streams // 2, 2, args.codec)
        trips = await steady.round_trips(engine_maker(args, plan, scenario.count), scenario, plan)
        console.print({f"round trips at {trips['load']:.0%}": report.clean(trips)})
        results.append({"round_trips": trips})
        if abs(trips["load"] - steady.HALF) < steady.NEAR:
            break
        streams = CALIBRATION_STREAMS if streams == 2 else steady.half_load(streams, trips["load"])
    return results


async def measure_idle(args: Args, plan: Plan, console: Console) -> list[dict[str, Any]]:
    endpoints = 1000 if args.endpoints is None else args.endpoints
    found = await steady.idle(engine_maker(args, plan, endpoints), endpoints, args.seconds, plan)
    console.print({"idle": report.clean(found)})
    return [{"idle": found}]


async def run(args: Args, console: Console) -> int:
    plan = plan_of(args)
    proc.raise_descriptors()
    with proc.bound_to(plan.placement.others):
        return await answer(args, plan, console)


async def answer(args: Args, plan: Plan, console: Console) -> int:
    if args.what == "setup":
        with proc.alone():
            results = await measure_setup(args, plan, console)
    elif args.what == "idle":
        with proc.alone():
            results = await measure_idle(args, plan, console)
    else:
        wanted = suite(args.codec) if args.suite else [scenario_of(args)]
        results = []
        for scenario in wanted:
            results.append(await measure(args, plan, scenario, console))
            if args.suite:
                name = scenario.name.replace(" ", "-").replace("/", "_").replace(",", "")
                report.write_json(RESULTS / f"{name}.json", plan, results[-1:])
        table = report.markdown(results)
        if args.suite:
            console.print(table, markup=False, soft_wrap=True)
            (RESULTS / "table.md").write_text(table)
        if args.markdown:
            args.markdown.write_text(table)
    if args.json:
        report.write_json(args.json, plan, results)
    return int(any(failed(r) for r in results))


def failed(result: dict[str, Any]) -> bool:
    """A wrong voice was heard, or a server has no valid run."""
    if "servers" not in result:
        return False
    invalid = any(all(run["void"] for run in runs) for runs in result["servers"].values())
    return invalid or result["voices"] not in ("", "right")


def main(argv: list[str]) -> int:
    """argv: what stands after `roomtone bench`."""
    arguments = parser()
    try:
        args = arguments.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    if (args.what is None) == (args.suite is None):
        arguments.print_usage(sys.stderr)
        return 2
    try:
        return asyncio.run(run(args, Console(width=180)))
    except ValueError as error:
        print(f"roomtone bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
