"""What is printed and written: a table, a verdict on the floor, Markdown for the README, JSON."""

import datetime
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from roomtone.bench.load.account import losses
from roomtone.bench.load.figures import median_of
from roomtone.bench.load.measure import Plan

FLOOR_STREAMS = 1000
FLOOR_US = (4.4, 4.9)  # connected epoll relay at 1,000 streams on the machine the targets were set on
FLOOR_TOLERANCE = 0.1

# Figures that are medians over runs, in the order of the table: key, heading, scale, digits.
RELAY_COLUMNS = (
    ("delay_p50_us", "delay p50 us", 1.0, 0),
    ("delay_p99_us", "p99", 1.0, 0),
    ("delay_p99_9_us", "p99.9", 1.0, 0),
)
MIX_COLUMNS = (
    ("pacing_p99_us", "pacing p99 us", 1.0, 0),
    ("pacing_p99_9_us", "p99.9", 1.0, 0),
    ("pacing_max_us", "max", 1.0, 0),
    ("mixing_delay_less_playout_p50_us", "mix delay p50 ms", 1e-3, 1),
    ("mixing_delay_less_playout_p99_us", "p99", 1e-3, 1),
    ("playout_delay_ms", "playout ms", 1.0, 1),
)


def machine() -> dict[str, Any]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Median over runs of every plain number."""
    keys = {k for r in runs for k, v in r.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    found = {k: median_of(runs, k) for k in sorted(keys)}
    return {k: v for k, v in found.items() if v is not None}


def summarise(comparison: dict[str, Any]) -> dict[str, Any]:
    """The comparison with medians, the ratio to the floor and a verdict on voices added."""
    servers = comparison["servers"]
    comparison["median"] = {name: medians(runs) for name, runs in servers.items()}
    if {"engine", "floor"} <= servers.keys():
        middle = comparison["median"]
        comparison["ratio"] = middle["engine"]["us_per_packet"] / middle["floor"]["us_per_packet"]
    comparison["voices"] = voices(servers.get("engine", []))
    return comparison


def voices(runs: list[dict[str, Any]]) -> str:
    """Whether everybody heard whom they should, in one word or a few."""
    heard = [r for r in runs if "listened" in r]
    if not heard:
        return ""
    wrong = {
        kind: sum(r[key] for r in heard)
        for kind, key in (
            ("deaf", "deaf"),
            ("missing", "voices_missing"),
            ("echo", "voices_echoed"),
            ("strange", "voices_strange"),
        )
    }
    return ", ".join(f"{n} {kind}" for kind, n in wrong.items() if n) or "right"


def overruns(runs: list[dict[str, Any]]) -> float:
    return sum(r["counters"].get("roomtone_tick_overruns_total", 0.0) for r in runs)


def number(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def show(comparison: dict[str, Any], console: Console) -> None:
    """One table a comparison."""
    relay = comparison["scenario"]["kind"] == "relay"
    unit = "us/participant-frame" if comparison["scenario"]["kind"] == "mix" else "us/packet"
    table = Table(title=comparison["scenario"]["name"])
    columns = RELAY_COLUMNS if relay else MIX_COLUMNS
    headings = ["", unit, "user", "system", "of floor", "CPU %", "loss %", *(c[1] for c in columns)]
    for heading in (*headings, "B/endpoint", "void"):
        table.add_column(heading, justify="right")
    for name, middle in comparison["median"].items():
        ratio = comparison.get("ratio") if name == "engine" else None
        table.add_row(
            name,
            number(middle["us_per_packet"], 2),
            number(middle.get("user_us_per_packet"), 2),
            number(middle.get("system_us_per_packet"), 2),
            number(ratio, 2),
            number(100 * middle["load"], 1),
            number(100 * middle["loss"], 3),
            *(number(middle[k] * scale if k in middle else None, digits) for k, _, scale, digits in columns),
            number(middle["rss_bytes_per_endpoint"], 0) if name == "engine" else "-",
            str(comparison["void"].get(name, 0)),
        )
    console.print(table)
    engine = comparison["servers"].get("engine")
    if engine:
        middle = comparison["median"]["engine"]
        console.print(
            f"media thread scheduled {engine[-1].get('media_scheduling') or 'unknown'};"
            f" tick overruns {overruns(engine):.0f};"
            f" control {number(100 * middle.get('control_load', 0), 1)} % CPU,"
            f" {number(middle.get('control_rss_bytes_per_endpoint'), 0)} B/endpoint;"
            f" set-up {middle['set_up_s']:.2f} s" + (f"; voices: {comparison['voices']}" if not relay else "")
        )
        console.print(counted(comparison))
    verdict = floor_verdict(comparison)
    if verdict:
        console.print(verdict)


def counted(comparison: dict[str, Any]) -> str:
    """How many sockets were read, and whether every packet was accounted for."""
    streams = comparison["scenario"]["rooms"] * comparison["scenario"]["size"]
    runs = comparison["servers"]["engine"]
    lost = ["; ".join(found) for run in runs if (found := losses(run))]
    verdict = f"lost in {len(lost)} of {len(runs)} runs: {lost[0]}" if lost else "nothing lost"
    return f"callers read {runs[-1]['read']:,} of {streams:,} sockets; {verdict}"


def floor_verdict(comparison: dict[str, Any]) -> str:
    """Whether the floor is what it was where the targets were set; empty when this comparison cannot tell."""
    middle = comparison["median"].get("floor")
    streams = comparison["scenario"]["rooms"] * comparison["scenario"]["size"]
    if middle is None or streams != FLOOR_STREAMS or comparison["scenario"]["kind"] != "relay":
        return ""
    us = middle["us_per_packet"]
    low, high = FLOOR_US[0] * (1 - FLOOR_TOLERANCE), FLOOR_US[1] * (1 + FLOOR_TOLERANCE)
    if low <= us <= high:
        return f"floor at 1,000 streams: {us:.2f} us, inside {FLOOR_US[0]}-{FLOOR_US[1]} us +-10 %"
    return (
        f"this machine differs: the floor at 1,000 streams is {us:.2f} us, not {FLOOR_US[0]}-{FLOOR_US[1]} us"
        f" +-10 %; compare ratios, not microseconds"
    )


def markdown(comparisons: list[dict[str, Any]]) -> str:
    """The README's tables: relay, transcoding, then mix."""
    out = []
    for kind, unit, columns in (
        ("relay", "packet", RELAY_COLUMNS),
        ("transcode", "packet", MIX_COLUMNS),
        ("mix", "participant-frame", MIX_COLUMNS),
    ):
        chosen = [c for c in comparisons if c["scenario"]["kind"] == kind and "ratio" in c]
        if not chosen:
            continue
        heads = ["workload", f"us/{unit}", "user + system", "floor", "of floor", "CPU %", "loss %"]
        heads += [heading for _, heading, _, _ in columns]
        heads += ["overruns", "B/endpoint", "void runs"] + ([] if kind == "relay" else ["voices"])
        out += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        for c in chosen:
            e, f = c["median"]["engine"], c["median"]["floor"]
            cells = [
                c["scenario"]["name"],
                f"**{e['us_per_packet']:.2f}**",
                f"{number(e.get('user_us_per_packet'), 2)} + {number(e.get('system_us_per_packet'), 2)}",
                number(f["us_per_packet"], 2),
                number(c["ratio"], 2),
                number(100 * e["load"], 1),
                number(100 * e["loss"], 3),
                *(number(e[k] * scale if k in e else None, digits) for k, _, scale, digits in columns),
                number(overruns(c["servers"]["engine"]), 0),
                number(e["rss_bytes_per_endpoint"], 0),
                f"{c['void'].get('engine', 0)} + {c['void'].get('floor', 0)}",
            ] + ([] if kind == "relay" else [c["voices"]])
            out.append("| " + " | ".join(cells) + " |")
        out.append("")
    return "\n".join(out)


def file_name(name: str) -> str:
    """Of the JSON file that the results of something of this name are kept in."""
    return name.replace(" ", "-").replace("/", "_").replace(",", "") + ".json"


def write_json(file: Path, plan: Plan, results: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    method = {"runs": plan.runs, "warm_up_s": plan.warm_up_s, "window_s": plan.window_s}
    method["real_time"] = plan.placement.first
    body = {"machine": machine(), "date": now, "method": method, "results": results}
    file.write_text(json.dumps(clean(body), indent=1) + "\n")


def clean(value: Any) -> Any:
    """Numbers JSON cannot say (nan) become null; floats are rounded to six digits that count."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
