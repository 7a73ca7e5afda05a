"""`roomtone bench`: synthetic callers against the engine, and against the floor in the same run.

    roomtone bench relay --endpoints 1000
    roomtone bench transcode --endpoints 1000
    roomtone bench mix --rooms 20 --size 10 --talkers 3
    roomtone bench detect                 what watching for speech, and for keys in the audio, costs
    roomtone bench setup | idle
    roomtone bench recordings --calls 500
    roomtone bench sockets                10,000 control connections with an event a second
    roomtone bench files                  1,000 calls that play a prompt, and 1,000 that hear a tone
    roomtone bench rest                   500 REST requests a second beside half a worker of media
    roomtone bench webhooks               events a second to disk, and 500 a second to a slow receiver
    roomtone bench capacity --rooms 10 | --relay
    roomtone bench --suite full          every row of the README's table

Exit status: 0 done, 1 no run was valid or a wrong voice was heard, 2 wrong usage.
"""

import argparse
import importlib
import sys
from types import ModuleType
from typing import Any

import uvloop
from rich.console import Console

from roomtone.bench.load import proc
from roomtone.bench.load.options import Args, common, plan_of

CONSOLE_COLUMNS = 180

# One line a command: its name and the module that answers for it (options.py says what such a module has).
COMMANDS = {
    "relay": "roomtone.bench.load.workload",
    "transcode": "roomtone.bench.load.workload",
    "mix": "roomtone.bench.load.workload",
    "setup": "roomtone.bench.load.steady",
    "idle": "roomtone.bench.load.steady",
    "capacity": "roomtone.bench.load.capacity",
    "peers": "roomtone.bench.peers.main",
    "large": "roomtone.bench.load.large",
    "churn": "roomtone.bench.load.churn",
    "transfers": "roomtone.bench.load.transfers",
    "detect": "roomtone.bench.load.detect",
    "recordings": "roomtone.bench.load.recording",
    "sockets": "roomtone.bench.load.idle_sockets",
    "files": "roomtone.bench.load.files",
    "webhooks": "roomtone.bench.load.webhooks",
    "rest": "roomtone.bench.load.rest",
}
SUITE = "roomtone.bench.load.suite"  # what runs without a command


def command_of(argv: list[str]) -> tuple[ModuleType, argparse.ArgumentParser, list[str]]:
    """The command's module, its parser and the words left to parse."""
    what = argv[0] if argv and argv[0] in COMMANDS else None
    module = importlib.import_module(COMMANDS[what] if what else SUITE)
    parser = argparse.ArgumentParser(
        prog=f"roomtone bench {what}" if what else "roomtone bench",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=None if what else f"commands, each with a --help: {', '.join(COMMANDS)}",
    )
    parser.set_defaults(what=what)
    common(parser)
    module.arguments(parser)
    return module, parser, argv[1:] if what else argv


async def run(module: Any, args: Args, console: Console) -> int:
    plan = plan_of(args)
    proc.raise_descriptors()
    with proc.bound_to(plan.placement.others):
        status: int = await module.run(args, plan, console)
        return status


def main(argv: list[str]) -> int:
    """argv: what stands after `roomtone bench`."""
    module, parser, words = command_of(argv)
    try:
        args = parser.parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        return uvloop.run(run(module, args, Console(width=CONSOLE_COLUMNS)))
    except ValueError as error:
        print(f"roomtone bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
