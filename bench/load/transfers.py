"""Random transfers, bridges and removals between sessions on several workers: is anything lost or left over?

Sessions take turns; every endpoint has spoken once, so that its socket is connected.  Each step is a transfer
(60 %), a bridge or the removal of one.  In the end every session lists the endpoints it was given, and when
all have gone descriptors and gauges are what they were.
"""

import argparse
import asyncio
import random
import time
from typing import Any

import numpy as np
from rich.console import Console

from roomtone.bench.load import churn, proc, report
from roomtone.bench.load.figures import percentile
from roomtone.bench.load.measure import Plan
from roomtone.bench.load.options import Args, engine_maker
from roomtone.bench.load.payload import FORMATS, Format
from roomtone.bench.load.server import Engine
from roomtone.bench.load.steer import SteerError, Steering, answered_address, offer
from roomtone.bench.load.visitors import Sinks, speak

COUNT = 1000
SEED = 1
SESSIONS = 8
MEMBERS = 4  # endpoints a session begins with
TRANSFERS = 0.6  # of the steps
BRIDGES_MAX = 12  # at a time


def arguments(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--count", type=int, default=COUNT, help=f"steps ({COUNT})")
    out("--seed", type=int, default=SEED, help=f"which random steps ({SEED})")
    out("--codec", choices=tuple(FORMATS), default="PCMU")
    parser.set_defaults(workers=2, measured_cpus="0,1", other_cpus="0,1")


async def run(args: Args, plan: Plan, console: Console) -> int:
    with proc.alone():
        result = await measure(engine_maker(args, plan, 0), FORMATS[args.codec], args.count, args.seed)
    console.print({"transfers": report.clean(result)})
    if args.json:
        report.write_json(args.json, plan, [{"transfers": result}])
    return int(bool(result["faults"]))


async def measure(engine: Engine, fmt: Format, count: int, seed: int) -> dict[str, Any]:
    """The whole story; stops the engine in the end."""
    sinks = Sinks()
    try:
        await engine.start()
        empty = await churn.look(engine)
        storm = Storm(engine, random.Random(seed))
        await storm.begin(sinks, fmt)
        began = time.monotonic()
        for _ in range(count):
            await storm.step()
        lasted = time.monotonic() - began
        lost = await storm.lost()
        await storm.end()
        await asyncio.sleep(churn.REST_S)
        left = await churn.look(engine)
    finally:
        await engine.stop()
        sinks.close()
    out: dict[str, Any] = {"seconds": lasted, "seed": seed, **storm.done, "lost": lost}
    for name, values in storm.took_ns.items():
        taken = np.array(values)
        out |= {f"{name}_p{p}_us": percentile(taken, float(p)) / 1000 for p in (50, 99)}
    return out | {"faults": faults(empty, left, lost, storm.unexpected)}


class Storm:
    """The sessions and what was done to them."""

    def __init__(self, engine: Engine, chance: random.Random) -> None:
        self.engine = engine
        self.chance = chance
        self.steerings: list[Steering] = []
        self.ids: list[str] = []
        self.homes: dict[str, int] = {}  # endpoint -> the session it was given to last
        self.bridges: list[tuple[int, str]] = []
        self.done = {"transfers": 0, "bridges": 0, "removals": 0, "refused": 0}
        self.took_ns: dict[str, list[int]] = {"transfer": [], "bridge": []}
        self.unexpected: list[str] = []

    async def begin(self, sinks: Sinks, fmt: Format) -> None:
        assert self.engine.board
        for number in range(SESSIONS):
            steering = await self.engine.board.connect()
            self.steerings.append(steering)
            self.ids.append((await steering.call("session.create"))["session_id"])
            for member in range(MEMBERS):
                sink = sinks.next()
                ip, port = sink.getsockname()
                made = await steering.call("endpoint.create_from_offer", sdp=offer(ip, port, fmt))
                speak(sink, answered_address(made["sdp_answer"]), fmt, number * MEMBERS + member + 1)
                self.homes[made["endpoint_id"]] = number

    async def step(self) -> None:
        try:
            if self.chance.random() < TRANSFERS:
                await self.transfer()
            elif self.bridges and (len(self.bridges) >= BRIDGES_MAX or self.chance.random() < 0.5):
                here, end = self.bridges.pop(self.chance.randrange(len(self.bridges)))
                await self.steerings[here].call("endpoint.remove", endpoint_id=end)
                self.done["removals"] += 1
            else:
                await self.bridge()
        except SteerError as error:
            self.done["refused"] += 1
            if "maximum" not in str(error):
                self.unexpected.append(str(error))

    async def transfer(self) -> None:
        endpoint = self.chance.choice(sorted(self.homes))
        home = self.homes[endpoint]
        target = self.chance.choice([number for number in range(SESSIONS) if number != home])
        began = time.monotonic_ns()
        await self.steerings[home].call(
            "endpoint.transfer", endpoint_id=endpoint, target_session_id=self.ids[target]
        )
        self.took_ns["transfer"].append(time.monotonic_ns() - began)
        self.homes[endpoint] = target
        self.done["transfers"] += 1

    async def bridge(self) -> None:
        here, there = self.chance.sample(range(SESSIONS), 2)
        began = time.monotonic_ns()
        made = await self.steerings[here].call("session.bridge", target_session_id=self.ids[there])
        self.took_ns["bridge"].append(time.monotonic_ns() - began)
        self.bridges.append((here, made["endpoint_id"]))
        self.done["bridges"] += 1

    async def lost(self) -> int:
        """Endpoints that are not where they were transferred to last."""
        lost = set(self.homes.items())
        for number, steering in enumerate(self.steerings):
            info = await steering.call("session.info")
            lost -= {(endpoint["endpoint_id"], number) for endpoint in info["endpoints"]}
        return len(lost)

    async def end(self) -> None:
        for steering in self.steerings:
            await steering.call("session.destroy")
            await steering.close()


def faults(empty: dict[str, float], left: dict[str, float], lost: int, unexpected: list[str]) -> list[str]:
    """What was lost, what was refused without reason, what is left when all have gone."""
    out = [f"{lost} endpoints lost"] if lost else []
    out += unexpected
    return out + churn.left_over(empty, left)
