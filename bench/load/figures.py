"""From arrivals to figures.  Arithmetic on arrays; times are nanoseconds unless a name says otherwise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NS_PER_US = 1000
NS_PER_S = 1_000_000_000
FRAME_NS = 20_000_000
SEQ_RANGE = 1 << 16
TIMESTAMP_RANGE = 1 << 32
RANK_SLACK = 1e-6  # above the rounding of q * count / 100

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9}


def rank_of(q: float, count: int) -> int:
    """The least rank, from 1, that q percent of `count` values reach; 99.9 % of 1,000 is 999."""
    return int(np.ceil(q * count / 100 - RANK_SLACK))


def percentile(values: NDArray[Any], q: float) -> float:
    """The smallest value that at least q percent do not exceed (nearest rank).  Nothing: nan."""
    if len(values) == 0:
        return float("nan")
    rank = max(rank_of(q, len(values)) - 1, 0)
    return float(np.partition(values, rank)[rank])


def histogram_percentile(counts: NDArray[Any], q: float) -> float:
    """The same of a histogram: the first bucket with at least q percent in it or below.  Empty: nan."""
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    return float(np.searchsorted(np.cumsum(counts), rank_of(q, total)))


def summary_us(values_ns: NDArray[Any]) -> dict[str, float]:
    """p50, p99, p99_9 and max in microseconds."""
    out = {name: percentile(values_ns, q) / NS_PER_US for name, q in PERCENTILES.items()}
    out["max"] = float(values_ns.max()) / NS_PER_US if len(values_ns) else float("nan")
    return out


def calmest(values: NDArray[Any], at_ns: NDArray[Any], start_ns: int, end_ns: int) -> float:
    """Least p99.9 of a whole second between start and end; no second: nan.

    What a neighbour on the machine disturbs passes; a server at its limit is late in every second.
    """
    seconds = [
        percentile(values[(at_ns >= begin) & (at_ns < begin + NS_PER_S)], PERCENTILES["p99_9"])
        for begin in range(start_ns, end_ns - NS_PER_S + 1, NS_PER_S)
    ]
    return min((s for s in seconds if s == s), default=float("nan"))


def unwrap(values: NDArray[Any], span: int) -> NDArray[np.int64]:
    """Numbers on a circle of `span` as a line that starts at the first (steps are under half the span)."""
    v = values.astype(np.int64)
    if len(v) == 0:
        return v
    step = (np.diff(v) + span // 2) % span - span // 2
    return np.concatenate(([v[0]], v[0] + np.cumsum(step)))


def sequence_faults(seq: NDArray[Any]) -> dict[str, int]:
    """Of one stream in arrival order: missing (gaps), duplicate, reordered."""
    line = unwrap(seq, SEQ_RANGE)
    if len(line) == 0:
        return {"missing": 0, "duplicate": 0, "reordered": 0}
    distinct = len(np.unique(line))
    return {
        "missing": int(line.max() - line.min()) + 1 - distinct,
        "duplicate": len(line) - distinct,
        "reordered": int((np.diff(line) < 0).sum()),
    }


def pacing_ns(arrival_ns: NDArray[Any], timestamp: NDArray[Any], rate_hz: int) -> NDArray[np.float64]:
    """|distance| of each packet from the member's own grid: its timestamp line at the median phase."""
    if len(arrival_ns) == 0:
        return np.zeros(0)
    media_ns = unwrap(timestamp, TIMESTAMP_RANGE) * (1e9 / rate_hz)
    phase = (arrival_ns - arrival_ns[0]) - (media_ns - media_ns[0])
    return np.abs(phase - np.median(phase))


def shortfall(received: int, window_ns: int) -> int:
    """Packets missing from a stream that owes one every 20 ms (one less may fall into a window)."""
    return max(0, window_ns // FRAME_NS - 1 - received)


def median_of(runs: list[dict[str, Any]], key: str) -> float | None:
    """Median of one figure over runs; None when no run has it."""
    values = [r[key] for r in runs if r.get(key) is not None]
    return float(np.median(values)) if values else None
