"""What recordings cost: the same relayed calls without one, then each with a pcap or a WAV of the whole call.

    roomtone bench recordings
    roomtone bench recordings --calls 500 --forms none wav --folder /var/tmp --burn 1

One engine and one set of callers; the forms take turns, so that what the machine does to one it does to all.
A frame is a packet that a caller sent.  A pcap has it twice, as it came and as it left; a WAV has it once,
decoded: `wav` a channel a leg, `mix` one channel.  The media thread copies it aside; drain and writer work
beside it, on any CPU.
"""

import argparse
import asyncio
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from roomtone.bench.load import proc, report
from roomtone.bench.load.child import Child
from roomtone.bench.load.measure import CALLERS_MODULE, Plan, seat, window
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import RECORDING_DROPPED, Engine

CALLS = 500
RUNS = 2  # of each form
FORMS = {"none": "", "pcap": ".pcap", "wav": ".wav", "mix": ".wav?mix"}  # ends of file_path
AT_ONCE = 32  # commands on their way
FOLDERS = 16
THREADS = {"media": "media_us", "record-drain": "drain_us", "record-write": "writer_us"}
MEDIANS = ("us_per_packet", "media_us", "drain_us", "writer_us")


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--calls", type=int, default=CALLS, help="relayed calls of two, all recorded")
    out("--forms", nargs="+", choices=tuple(FORMS), default=list(FORMS), help="what is recorded of each call")
    out("--folder", type=Path, help="where the recordings go; default: the temporary directory")
    out("--burn", type=int, default=0, help="processes beside it that do nothing but burn CPU, at nice 0")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    parser.set_defaults(runs=RUNS)


async def run(args: Args, plan: Plan, console: Console) -> int:
    """1: something was dropped, or no run of a form was valid."""
    folder = Path(tempfile.mkdtemp(prefix="roomtone-recordings-", dir=args.folder))
    args.set = [
        *(each for each in args.set if not each.startswith("recording_dir")),
        f"recording_dir={folder}",
    ]
    scenario = Scenario("relay", args.calls, 2, args.codec, sample=args.sample)
    engine = engine_maker(args, plan, scenario.count)
    try:
        with proc.alone():
            found = await measure(engine, scenario, plan, args, folder, console)
    finally:
        await engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
    summary = {form: summarise(runs) for form, runs in found.items()}
    console.print(shown(summary, scenario, args.burn))
    if args.json:
        report.write_json(args.json, plan, [{"form": form, "runs": runs} for form, runs in found.items()])
    return int(any(each["dropped"] or not each["valid"] for each in summary.values()))


async def measure(
    engine: Engine, scenario: Scenario, plan: Plan, args: Args, folder: Path, console: Console
) -> dict[str, list[dict[str, Any]]]:
    """plan.runs runs of each form in turn.  A void one is repeated, but plan.retries in all."""
    found: dict[str, list[dict[str, Any]]] = {form: [] for form in args.forms}
    retries = plan.retries
    await engine.start()
    async with await Child.start(CALLERS_MODULE, set(plan.placement.others)) as callers:
        await seat(engine, callers, scenario)
        for number in range(plan.runs):
            for form in args.forms:
                while True:
                    place = folder / f"{form}-{number}-{retries}"
                    with burning(args.burn):
                        figures = await one(engine, callers, scenario, plan, FORMS[form], place)
                    console.print(line(form, number, figures))
                    if not figures["void"] or not retries:
                        break
                    retries -= 1
                found[form].append(figures)
    return found


async def one(
    engine: Engine, callers: Child, scenario: Scenario, plan: Plan, ending: str, folder: Path
) -> dict[str, Any]:
    """One window; ending "": nothing is recorded."""
    assert engine.board
    sessions = engine.board.sessions if ending else []
    started = await gathered(
        session.call("recording.start", file_path=f"{folder}/{number % FOLDERS}/{number}{ending}")
        for number, session in enumerate(sessions)
    )
    figures = await window(engine, callers, scenario, plan)
    ended = await gathered(
        session.call("recording.stop", recording_id=made["recording_id"])
        for session, made in zip(sessions, started, strict=True)
    )
    shutil.rmtree(folder, ignore_errors=True)
    us = plan.window_s * 1e6 / max(figures["packets"], 1)
    for thread, key in THREADS.items():
        figures[key] = us * sum(n for name, n in figures["threads"].items() if name.startswith(f"{thread}/"))
    figures["recorded"] = sum(each["packets"] for each in ended)
    figures["dropped_packets"] = sum(each["dropped_packets"] for each in ended)
    return figures


async def gathered(calls: Iterator[Any]) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one_call(call: Any) -> dict[str, Any]:
        async with gate:
            result: dict[str, Any] = await call
            return result

    return await asyncio.gather(*(one_call(call) for call in calls))


@contextmanager
def burning(count: int) -> Iterator[None]:
    """So many processes that never sleep, on any CPU."""
    processes = [multiprocessing.get_context("spawn").Process(target=burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def burn() -> None:
    proc.become_child()
    while True:
        pass


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the valid runs, or over all when none is; what was dropped is of all."""
    valid = [each for each in runs if not each["void"]]
    middle = report.medians(valid or runs)
    return {
        **{key: middle[key] for key in MEDIANS},
        "loss": middle["loss"],
        "recorded": sum(each["recorded"] for each in runs),
        "dropped": sum(each["dropped_packets"] for each in runs),
        "valid": len(valid),
        "runs": len(runs),
    }


def shown(summary: dict[str, dict[str, Any]], scenario: Scenario, burnt: int) -> Table:
    beside = f", {burnt} processes burning CPU beside" if burnt else ""
    table = Table(title=f"{scenario.size * scenario.rooms // 2} calls, CPU us a frame{beside}")
    for heading in ("recorded", "media thread", "recording adds", "drain", "writer", "worker in all", "adds",
                    "call loss %", "packets recorded", "dropped", "valid runs"):  # fmt: skip
        table.add_column(heading, justify="right")
    plain = summary.get("none")
    for form, s in summary.items():
        more = [s[key] - plain[key] if plain else float("nan") for key in ("media_us", "us_per_packet")]
        table.add_row(
            form,
            report.number(s["media_us"], 2),
            report.number(more[0], 2),
            report.number(s["drain_us"], 2),
            report.number(s["writer_us"], 2),
            report.number(s["us_per_packet"], 2),
            report.number(more[1], 2),
            report.number(100 * s["loss"], 3),
            str(s["recorded"]),
            str(s["dropped"]),
            f"{s['valid']} of {s['runs']}",
        )
    return table


def line(form: str, number: int, f: dict[str, Any]) -> str:
    reasons = [k[len(RECORDING_DROPPED) :] for k in f["counters"] if k.startswith(RECORDING_DROPPED)]
    note = f"  DROPPED: {' '.join(reasons)}" if reasons else ""
    note += f"  VOID: {'; '.join(f['void'])}" if f["void"] else ""
    return (
        f"{form} run {number + 1}: media {f['media_us']:.2f}, drain {f['drain_us']:.2f},"
        f" writer {f['writer_us']:.2f} us a frame; {f['recorded']} recorded, {f['dropped_packets']} dropped;"
        f" callers at {f['callers_load']:.0%}{note}"
    )
