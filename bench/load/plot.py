"""Pictures of capacity searches: PNG files."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

FIGURE_INCHES = (9.0, 8.0)
DOTS_PER_INCH = 120
NEAR = 0.15  # a probe so near to a number of streams stands for it
PERCENT = 100
# Okabe and Ito: told apart by everybody.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


def probes_of(rated: dict[str, Any]) -> list[dict[str, Any]]:
    """Probes, the confirming run and the shares, by streams."""
    out = [*rated["probes"], *rated["shares"].values()]
    out += [rated["confirmed"]] if "confirmed" in rated else []
    return sorted(out, key=lambda f: f["streams"])


def cost_against_load(found: list[dict[str, Any]], file: Path) -> None:
    """CPU of the worker and CPU a packet against the number of streams, a line a workload."""
    figure, (cpu, cost) = pyplot.subplots(2, 1, sharex=True, figsize=FIGURE_INCHES)
    for rated, colour in zip(found, COLOURS * len(found), strict=False):
        probes = probes_of(rated)
        good = [f for f in probes if not f.get("unfit")]
        bad = [f for f in probes if f.get("unfit")]
        for axes, key, scale in ((cpu, "load", PERCENT), (cost, "us_per_packet", 1)):
            axes.plot(
                [f["streams"] for f in good],
                [f[key] * scale for f in good],
                "o-",
                color=colour,
                markersize=4,
                label=f"{rated['name']}: {rated['streams']:,}",
            )
            axes.plot([f["streams"] for f in bad], [f[key] * scale for f in bad], "x", color=colour)
            axes.axvline(rated["streams"], color=colour, linestyle=":", linewidth=1)
    cpu.set_ylabel("CPU of the worker, % of a core")
    cpu.set_ylim(0, PERCENT * 1.05)
    cost.set_ylabel("CPU a packet or participant-frame, µs")
    cost.set_ylim(bottom=0)
    cost.xaxis.set_major_formatter("{x:,.0f}")
    cost.set_xlabel("streams (members, or both sides of calls); one packet every 20 ms each")
    cpu.set_title("Cost against load.  Dots: the load held; crosses: it did not; dotted: capacity")
    cpu.legend(loc="lower right", title="workload: capacity in streams")
    finish(figure, [cpu, cost], file)


def cost_against_size(found: list[dict[str, Any]], file: Path) -> None:
    """Cost of a participant-frame and capacity against the size of the rooms."""
    figure, (cost, most) = pyplot.subplots(2, 1, sharex=True, figsize=FIGURE_INCHES)
    sizes = [r["workload"]["size"] for r in found]
    for streams, colour in zip((1000, 2000, 4000), COLOURS, strict=False):
        chosen = [(r["workload"]["size"], at(r, streams)) for r in found]
        points = [(size, f["us_per_packet"]) for size, f in chosen if f]
        if points:
            cost.plot(*zip(*points, strict=True), "o-", color=colour, label=f"about {streams:,} streams")
    most.plot(sizes, [r["streams"] for r in found], "s-", color=COLOURS[0])
    for r in found:
        most.annotate(
            f"{r['streams']:,}",
            (r["workload"]["size"], r["streams"]),
            (0, 8),
            textcoords="offset points",
            ha="center",
        )
    cost.set_title("Cost against room size")
    cost.set_ylabel("CPU a participant-frame, µs")
    cost.set_ylim(bottom=0)
    cost.legend(loc="lower right")
    most.set_ylabel("most members that one worker carries")
    most.set_ylim(0, max(r["streams"] for r in found) * 1.2)
    most.yaxis.set_major_formatter("{x:,.0f}")
    most.set_xscale("log")
    most.set_xticks(sizes, [f"{size:,}" for size in sizes])
    most.minorticks_off()
    most.set_xlabel("members of a room")
    finish(figure, [cost, most], file)


def at(rated: dict[str, Any], streams: int) -> dict[str, Any] | None:
    """The probe nearest to a number of streams, if it is near."""
    best = min(probes_of(rated), key=lambda f: abs(f["streams"] - streams), default=None)
    return best if best and abs(best["streams"] - streams) <= NEAR * streams else None


def finish(figure: Any, panels: list[Axes], file: Path) -> None:
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
