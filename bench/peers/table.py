"""Side by side as a table: for the terminal, as Markdown and as JSON.

The file of results keeps a row for each workload; a run that measures some replaces those alone.
"""

import datetime
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from roomtone.bench.load.measure import Plan
from roomtone.bench.load.report import clean, machine, medians, number, voices

US_PER_MS = 1000
GOALS = {"relay": 0.65, "transcode": 0.45, "mix": 0.17}  # engine over peer, CPU a packet
# The figures of the callers that are shown as delay; of mixes and of transcoding it is the way of a marker.
DELAYS = {"relay": "delay", "transcode": "mixing_delay", "mix": "mixing_delay"}
HEADINGS = (
    "workload",
    "engine us",
    "peer",
    "peer us",
    "engine / peer",
    "goal",
    "floor us",
    "engine / floor",
    "CPU %",
    "loss %",
    "delay ms p50 / p99: engine",
    "peer",
    "voices: engine",
    "peer",
    "void runs",
)
EXPLANATION = (
    "us: CPU microseconds a packet, or a participant-frame; CPU %, loss % and void runs: engine, peer, floor."
)


def row(workload: str, comparison: dict[str, Any], peer: str, version: str, plan: Plan) -> dict[str, Any]:
    """What is kept of a comparison as `compare` returns it, and a judgement."""
    servers = comparison["servers"]
    middle = {name: medians(runs) for name, runs in servers.items()}
    cost = {name: m["us_per_packet"] for name, m in middle.items()}
    return clean(
        {
            "workload": workload,
            "scenario": comparison["scenario"],
            "peer": peer,
            "version": version,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "method": {"runs": plan.runs, "warm_up_s": plan.warm_up_s, "window_s": plan.window_s},
            "ratio": cost["engine"] / cost[peer],
            "goal": GOALS[comparison["scenario"]["kind"]],
            "floor_ratio": cost["engine"] / cost["floor"],
            "voices": {name: voices(runs) for name, runs in servers.items()},
            "void": comparison["void"],
            "median": middle,
            "servers": servers,
        }
    )


def merge(file: Path, rows: list[dict[str, Any]], order: list[str]) -> list[dict[str, Any]]:
    """Put rows in the place of older ones of the same workload; `order` comes first.  Returns all."""
    known = {r["workload"]: r for r in json.loads(file.read_text())["results"]} if file.exists() else {}
    known |= {r["workload"]: r for r in rows}
    names = [name for name in order if name in known] + sorted(known.keys() - set(order))
    everything = [known[name] for name in names]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"results": everything}, indent=1) + "\n")
    return everything


def cells(r: dict[str, Any]) -> list[str]:
    """One row, in the order of HEADINGS."""
    engine, peer, floor = (r["median"][name] for name in ("engine", r["peer"], "floor"))
    verdict = "met" if r["ratio"] <= r["goal"] else "missed"
    delay = DELAYS.get(r["scenario"]["kind"], "")

    def all_three(key: str) -> str:
        return ", ".join(f"{100 * m[key]:.2g}" for m in (engine, peer, floor))

    return [
        r["workload"],
        number(engine["us_per_packet"], 2),
        r["peer"],
        number(peer["us_per_packet"], 2),
        number(r["ratio"], 3),
        f"{r['goal']} {verdict}",
        number(floor["us_per_packet"], 2),
        number(r["floor_ratio"], 2),
        all_three("load"),
        all_three("loss"),
        delays(engine, delay),
        delays(peer, delay),
        r["voices"]["engine"] or "-",
        r["voices"][r["peer"]] or "-",
        ", ".join(str(r["void"].get(name, 0)) for name in ("engine", r["peer"], "floor")),
    ]


def delays(middle: dict[str, float], key: str) -> str:
    p50, p99 = (middle.get(f"{key}_{p}_us") for p in ("p50", "p99"))
    if p50 is None or p99 is None:
        return "-"
    return f"{p50 / US_PER_MS:.2f} / {p99 / US_PER_MS:.2f}"


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Side by side", caption=EXPLANATION)
    for number_of, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number_of == 0 else "right")
    for r in rows:
        table.add_row(*cells(r))
    console.print(table)


def markdown(rows: list[dict[str, Any]]) -> str:
    out = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    out += ["| " + " | ".join(cells(r)) + " |" for r in rows]
    versions = sorted({f"{r['peer']}: {r['version']}" for r in rows})
    return "\n".join([*out, "", EXPLANATION + "  " + "; ".join(versions) + "."]) + "\n"
