"""What capacity searches found: the table and the pictures, made of all results there are."""

import json
from pathlib import Path
from typing import Any

from roomtone.bench.load.report import number

PREFIX = "capacity-"  # of the files that results are kept in
PACING_SHARE = "0.9"
DELAY_SHARE = "0.7"
PACING_GOAL_MS = 3.0  # p99.9, at 90 % of the capacity
DELAY_GOAL_MS = 1.0  # p99 of a relay, at 70 %
HEADS = (
    "workload",
    "most streams",
    "rooms or calls",
    "CPU %",
    "us/packet",
    "pacing p99.9 ms",
    f"at {PACING_SHARE}: pacing p99.9 ms (goal {PACING_GOAL_MS:g})",
    f"at {DELAY_SHARE}: delay p99 ms (goal {DELAY_GOAL_MS:g})",
    f"at {PACING_SHARE}: mixing delay less playout p50, p99 ms",
    "callers' core %",
    "no more because",
)


def lateness_us(figures: dict[str, Any]) -> float:
    """p99.9 of how far packets are off their time.  A relay has no grid of its own: its delay stands in."""
    value: float | None = figures.get("pacing_p99_9_us", figures.get("delay_p99_9_us"))
    return float("nan") if value is None else value


def ms(figures: dict[str, Any], key: str) -> str:
    value = figures.get(key)
    return number(None if value is None else value / 1000, 1)


def markdown(found: list[dict[str, Any]]) -> str:
    """One row a workload; packets of a mix are participant-frames."""
    out = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    for rated in found:
        best = rated.get("confirmed", {})
        near, easy = rated["shares"].get(PACING_SHARE, {}), rated["shares"].get(DELAY_SHARE, {})
        relay = rated["workload"]["kind"] == "relay"
        mixing = [ms(near, f"mixing_delay_less_playout_{p}_us") for p in ("p50", "p99")]
        cells = [
            rated["name"],
            f"**{rated['streams']:,}**" + ("" if not best.get("unfit") else " (not confirmed)"),
            f"{rated['rooms']:,}",
            number(100 * best["load"] if best else None, 1),
            number(best.get("us_per_packet"), 2),
            number(lateness_us(best) / 1000, 1),
            number(lateness_us(near) / 1000, 1),
            ms(easy, "delay_p99_us") if relay else "-",
            "-" if relay else ", ".join(mixing),
            number(100 * best["callers_load"] if best else None, 0),
            rated["reason"],
        ]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def results(folder: Path) -> list[dict[str, Any]]:
    """Every result kept there; conferences by room size, then calls."""
    files = sorted(folder.glob(f"{PREFIX}*.json"))
    found = [rated for file in files for rated in json.loads(file.read_text())["results"]]
    return sorted(found, key=lambda r: (r["workload"]["kind"], r["workload"]["size"], r["name"]))


def publish(folder: Path) -> None:
    """Write capacity.md and the pictures beside the results."""
    from roomtone.bench.load import plot  # only here: matplotlib is of the development tools

    found = results(folder)
    (folder / "capacity.md").write_text(markdown(found))
    plot.cost_against_load(found, folder / "cost-against-load.png")
    rooms = [r for r in found if r["workload"]["kind"] == "mix" and r["streams"]]
    if len({r["workload"]["size"] for r in rooms}) > 1:
        plot.cost_against_size(rooms, folder / "cost-against-room-size.png")
