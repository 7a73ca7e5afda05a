"""What the commands of `roomtone bench` share on their command lines, and what is made of it.

A command is a module with two functions; main.py lists them:

    arguments(parser)                        options of its own, beside those of `common`
    async run(args, plan, console) -> int    the exit status
"""

import argparse
from pathlib import Path

from roomtone.bench.load import proc
from roomtone.bench.load.measure import Plan
from roomtone.bench.load.scenario import SAMPLES
from roomtone.bench.load.server import Engine, Placement

Args = argparse.Namespace
RESULTS = Path(__file__).parent.parent / "results"
DEFAULTS = Plan()


def common(parser: argparse.ArgumentParser) -> None:
    out = parser.add_argument
    out("--workers", type=int, default=1)
    out("--runs", type=int, default=DEFAULTS.runs)
    out("--retries", type=int, default=DEFAULTS.retries, help="repeats of a void run")
    out("--seconds", type=float, default=DEFAULTS.window_s, help="the measured window")
    out("--warm-up", type=float, default=DEFAULTS.warm_up_s)
    out("--sample", choices=SAMPLES, default="auto", help="sockets the callers read: all, or a seeded tenth")
    out("--measured-cpus", default="1", help="CPUs of workers and floor, comma separated")
    out("--other-cpus", default="0", help="CPUs of callers and everything else")
    out("--normal", action="store_true", help="callers and floor without real-time priority")
    out("--command", default="", help="what to start instead of `roomtone`")
    out("--set", action="append", default=[], metavar="KEY=VALUE", help="engine configuration")
    out("--json", type=Path, help="write every figure of every run here")


def plan_of(args: Args) -> Plan:
    def cpus(text: str) -> tuple[int, ...]:
        return tuple(int(c) for c in text.split(","))

    placement = Placement(cpus(args.measured_cpus), cpus(args.other_cpus), not args.normal)
    missing = {*placement.measured, *placement.others} - proc.EVERY_CPU
    if missing:
        raise ValueError(f"no such CPU here: {', '.join(map(str, sorted(missing)))}")
    return Plan(args.runs, args.warm_up, args.seconds, args.retries, placement)


def to_the_limit(args: Args) -> None:
    """What goes to the limit is not to be refused on the way there, unless --set says so."""
    said = {setting.partition("=")[0].strip() for setting in args.set}
    args.set += [f"{key}=0" for key in ("overload_shed_at", "overload_refuse_at") if key not in said]


def engine_maker(
    args: Args, plan: Plan, endpoints: int, together: bool = False, kind: type[Engine] = Engine
) -> Engine:
    return kind(
        plan.placement,
        workers=args.workers,
        endpoints=endpoints,
        command=args.command,
        together=together,
        settings=args.set,
    )
