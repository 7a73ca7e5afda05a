"""Measure the engine beside the floor: every workload of the published table."""

import argparse

from rich.console import Console

from roomtone.bench.load import report
from roomtone.bench.load.measure import Plan
from roomtone.bench.load.options import RESULTS, Args
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.workload import TALKERS, failed, measure

ALL_TALK_LIMIT = 200  # rooms of up to so many streams are also measured with everybody talking
RELAYS = (1000, 2000)  # endpoints
ROOMS = ((1, 3), (20, 3), (20, 10), (60, 10), (300, 10), (4, 50), (1, 200), (1, 1000))  # rooms, size


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--suite", choices=("full",), required=True, help="run every workload of the published table")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    parser.set_defaults(only=None)


def scenarios(codec: str, sample: str = "auto") -> list[Scenario]:
    out = [Scenario("relay", endpoints // 2, 2, codec, sample=sample) for endpoints in RELAYS]
    for rooms, size in ROOMS:
        out.append(Scenario("mix", rooms, size, codec, min(TALKERS, size), sample=sample))
        if size > TALKERS and rooms * size <= ALL_TALK_LIMIT:
            out.append(Scenario("mix", rooms, size, codec, size, sample=sample))
    return out


async def run(args: Args, plan: Plan, console: Console) -> int:
    results = []
    for scenario in scenarios(args.codec, args.sample):
        results.append(await measure(args, plan, scenario, console))
        report.write_json(RESULTS / report.file_name(scenario.name), plan, results[-1:])
    table = report.markdown(results)
    console.print(table, markup=False, soft_wrap=True)
    (RESULTS / "table.md").write_text(table)
    if args.json:
        report.write_json(args.json, plan, results)
    return int(any(failed(r) for r in results))
