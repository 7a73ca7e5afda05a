"""What playing a file costs: sessions of one listener and one file, and with a tone, which is the floor.

A listener is sent PCMU and reads nothing.  All files are one prompt, played for ever.  With --distinct each
session has a file of its own, longer than what is kept in memory as a whole, so that decoding never ends.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from roomtone.bench.load import proc, report
from roomtone.bench.load.measure import NS_PER_S, Plan, disturbed
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.server import Engine
from roomtone.bench.load.steer import CONCURRENT_CONNECTIONS, Steering, offer
from roomtone.bench.load.visitors import Sinks

SESSIONS = 1000
TICKS_A_SECOND = 50
PROMPT_S, LONG_S = 10, 150  # kept in memory as a whole, and not
FILE_HZ, FILE_HEARD_HZ, FILE_PEAK = 16_000, 440, 0.1
SINE_HZ = 440.0
COUNTED = {
    "roomtone_worker_file_underruns_total": "underruns",
    "roomtone_worker_file_decoded_seconds_total": "decoded_s",
    "roomtone_worker_mixed_packets_total": "packets",
    "roomtone_ticks_late_total": "ticks_late",
}
FMT = FORMATS["PCMU"]
RETRIES = 1  # void runs that are repeated, in all


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--sessions", type=int, default=SESSIONS, help="of one listener and one file or tone")
    out("--distinct", action="store_true", help="a long file for each session instead of one prompt for all")
    parser.set_defaults(retries=RETRIES)


async def run(args: Args, plan: Plan, console: Console) -> int:
    """1: a file had nothing to play for a moment, or a run is void."""
    found: dict[str, Any] = {}
    retries = plan.retries
    with proc.alone():
        for what in ("tone", "file"):
            while True:
                engine = engine_maker(args, plan, 2 * args.sessions)
                paths = make_files(engine.folder, args.sessions, args.distinct) if what == "file" else []
                found[what] = await measure(engine, args.sessions, paths, plan)
                void = found[what]["void"]
                if not void:
                    break
                console.print(f"{what}: VOID: {'; '.join(void)}")
                if not retries:
                    break
                retries -= 1
    found["us_more_a_frame"] = found["file"]["us_a_frame"] - found["tone"]["us_a_frame"]
    console.print(shown(found))
    if args.json:
        report.write_json(args.json, plan, [{"files": found}])
    return int(found["file"]["underruns"] > 0 or any(found[what]["void"] for what in ("tone", "file")))


def shown(found: dict[str, Any]) -> Table:
    more = report.number(found["us_more_a_frame"], 2)
    sessions = found["file"]["sessions"]
    table = Table(title=f"{sessions} listeners; a file costs {more} us a frame more than a tone")
    for heading in ("", "us/frame", "CPU %", "frames", "underruns", "decoded s", "ticks late", "set-up s",
                    "worker MB", "valid"):  # fmt: skip
        table.add_column(heading, justify="right")
    for what in ("tone", "file"):
        f = found[what]
        table.add_row(
            what,
            report.number(f["us_a_frame"], 2),
            report.number(100 * f["worker_cpu"], 1),
            *(report.number(f[key], 0) for key in ("packets", "underruns", "decoded_s", "ticks_late")),
            report.number(f["set_up_s"], 1),
            report.number(f["worker_rss_bytes"] / 1e6, 0),
            "void" if f["void"] else "yes",
        )
    return table


def make_files(folder: Path, sessions: int, distinct: bool) -> list[str]:
    """One path a session."""
    seconds = LONG_S if distinct else PROMPT_S
    pcm = FILE_PEAK * np.sin(2 * np.pi * FILE_HEARD_HZ * np.arange(FILE_HZ * seconds) / FILE_HZ)
    first = folder / "0.wav"
    soundfile.write(first, pcm, FILE_HZ)
    if not distinct:
        return [str(first)] * sessions
    paths = [folder / f"{number}.wav" for number in range(sessions)]
    for path in paths[1:]:
        soundfile.write(path, pcm, FILE_HZ)
    return [str(path) for path in paths]


async def measure(engine: Engine, sessions: int, paths: list[str], plan: Plan) -> dict[str, Any]:
    """CPU of the worker while every session plays.  paths: of files; none: tones.  Stops the engine."""
    engine.settings.setdefault("media_dir", f'"{engine.folder}"')
    sinks = Sinks()
    try:
        await engine.start()
        assert engine.board
        gate = asyncio.Semaphore(CONCURRENT_CONNECTIONS)

        async def seat(number: int) -> Steering:
            async with gate:
                return await one_session(engine, sinks, paths[number] if paths else None)

        began = time.monotonic()
        engine.board.sessions = await asyncio.gather(*(seat(number) for number in range(sessions)))
        set_up_s = time.monotonic() - began
        await asyncio.sleep(plan.warm_up_s)
        cpus = (*plan.placement.measured, *plan.placement.others)
        counted = await counters(engine)
        before, stolen, began = engine.cost(), proc.steal(cpus), time.monotonic()
        await asyncio.sleep(plan.window_s)
        after, took = engine.cost(), time.monotonic() - began
        steal, ticks = (n - earlier for n, earlier in zip(proc.steal(cpus), stolen, strict=True))
        rise = {name: value - counted[name] for name, value in (await counters(engine)).items()}
        rss = engine.rss_bytes()["worker"]
    finally:
        await engine.stop()
        sinks.close()
    used = after.measured - before.measured
    machine = {"steal": steal / max(ticks, 1), "waited": used.busiest().wait_ns / NS_PER_S / took}
    return {
        **machine,
        "void": disturbed(machine),
        "sessions": sessions,
        "set_up_s": set_up_s,
        "us_a_frame": used.run_ns / 1000 / (sessions * TICKS_A_SECOND * took),
        "worker_cpu": used.run_ns / NS_PER_S / took,
        "worker_rss_bytes": rss,
        **rise,
    }


async def one_session(engine: Engine, sinks: Sinks, path: str | None) -> Steering:
    """A connection with its session: a listener, and a file or a tone."""
    assert engine.board
    steering = await engine.board.connect()
    await steering.call("session.create")
    ip, port = sinks.next().getsockname()
    await steering.call("endpoint.create_from_offer", sdp=offer(ip, port, FMT, "recvonly"))
    if path is None:
        await steering.call("endpoint.create_tone", tone="sine", frequency=SINE_HZ)
    else:
        await steering.call("endpoint.create_with_file", source=path, loop_count=None)
    return steering


async def counters(engine: Engine) -> dict[str, float]:
    assert engine.board
    out = dict.fromkeys(COUNTED.values(), 0.0)
    async with engine.board.http.get(f"http://127.0.0.1:{engine.port}/metrics") as reply:
        for line in (await reply.text()).splitlines():
            name = COUNTED.get(line.partition("{")[0].partition(" ")[0])
            if name is not None:
                out[name] += float(line.rpartition(" ")[2])
    return out
