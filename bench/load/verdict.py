"""What the callers found: the figures of one window, and whether the right voices were heard."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomtone.bench.load import tone
from roomtone.bench.load.callers import Callers
from roomtone.bench.load.figures import (
    FRAME_NS,
    NS_PER_US,
    SEQ_RANGE,
    calmest,
    histogram_percentile,
    pacing_ns,
    percentile,
    sequence_faults,
    shortfall,
    summary_us,
    unwrap,
)
from roomtone.bench.load.payload import decode
from roomtone.bench.load.scenario import Scenario

WAKE_NS = 200_000  # the callers' grid, callers.pyx
MARKER_TRAVEL_MAX_NS = tone.MARKER_FRAMES * FRAME_NS  # a marker later than this is another one


def judge(
    scenario: Scenario, callers: Callers, totals: dict[str, Any], start_ns: int, end_ns: int
) -> dict[str, Any]:
    """Everything a report says of the stream side.  Keys end in their unit; ratios are 0..1.

    lost, loss, seq_*, received, silent_callers: of the callers that are read.  packets: what CPU is divided
    by, packets the server was sent in the window less the share that was lost; of a member that only
    receives, the packets it was owed.  due: what the callers had to send.
    """
    window_ns = end_ns - start_ns
    read = scenario.sampled()
    arrivals = [callers.arrivals(i) for i in read]
    inside = [a[(a["arrival_ns"] >= start_ns) & (a["arrival_ns"] < end_ns)] for a in arrivals]
    sent = totals["sent_window"]
    out: dict[str, Any] = {
        "read": len(read),
        "received": sum(len(a) for a in inside),
        "sent": sum(sent),
        "silent_callers": sum(len(a) == 0 for a in inside),
        "rtcp": totals["rtcp"],
        "unexpected": totals["unexpected"],
        "send_errors": totals["send_errors"],
        "overflow": totals["overflow"],
        "callers_load": totals["cpu_ns"] / window_ns,
        "callers_us_per_packet": totals["cpu_ns"] / 1000 / max(totals["packets_window"], 1),
        "callers_wake_p99_9_us": histogram_percentile(totals["lateness_us"], 99.9),
        "callers_wake_max_us": float(np.flatnonzero(totals["lateness_us"])[-1]) if totals["cpu_ns"] else 0.0,
    }
    if scenario.stamped:
        out |= relay_figures(arrivals, sum(sent[partner(i)] for i in read), start_ns, end_ns)
    else:
        out |= mix_figures(scenario, inside, start_ns, end_ns)
    senders = sum(scenario.sends(i) for i in range(scenario.count))
    out["due"] = senders * window_ns // FRAME_NS
    out["packets"] = (out["sent"] + (scenario.count - senders) * window_ns // FRAME_NS) * (1 - out["loss"])
    faults = [sequence_faults(a["seq"]) for a in inside]
    out |= {f"seq_{key}": sum(f[key] for f in faults) for key in ("missing", "duplicate", "reordered")}
    if scenario.listeners():
        out |= hearing(scenario, callers)
    return out


def partner(caller: int) -> int:
    """Whose packets a caller gets in a relay."""
    return caller ^ 1


def relay_figures(arrivals: list[NDArray[Any]], sent: int, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Loss is exact: packets sent to these callers in the window that never came.

    Delay is send to kernel arrival.
    """
    every = np.concatenate(arrivals)
    mine = every[(every["sent_ns"] >= start_ns) & (every["sent_ns"] < end_ns)]
    lost = sent - len(mine)
    took = mine["arrival_ns"] - mine["sent_ns"]
    calm = calmest(took, mine["sent_ns"], start_ns, end_ns) / NS_PER_US
    out = {"lost": lost, "loss": lost / max(sent, 1), "calmest_p99_9_us": calm}
    return out | {f"delay_{k}_us": v for k, v in summary_us(took).items()}


def mix_figures(scenario: Scenario, inside: list[NDArray[Any]], start_ns: int, end_ns: int) -> dict[str, Any]:
    """A member is owed one packet every 20 ms.  Pacing is judged against the member's own grid."""
    window_ns = end_ns - start_ns
    lost = sum(max(shortfall(len(a), window_ns), sequence_faults(a["seq"])["missing"]) for a in inside)
    owed = len(inside) * window_ns // FRAME_NS
    parts = [pacing_ns(a["arrival_ns"], a["timestamp"], scenario.format.rate_hz) for a in inside]
    off, came = np.concatenate(parts), np.concatenate([a["arrival_ns"] for a in inside])
    calm = calmest(off, came, start_ns, end_ns) / NS_PER_US
    out = {"lost": lost, "loss": lost / owed, "calmest_p99_9_us": calm}
    return out | {f"pacing_{k}_us": v for k, v in summary_us(off).items()}


def pcm_of(
    arrivals: NDArray[Any], payloads: NDArray[np.uint8], scenario: Scenario, caller: int
) -> NDArray[np.int16]:
    """What a caller heard, by sequence number; what did not come is silence."""
    fmt = scenario.format_of(caller)
    if len(arrivals) == 0:
        return np.zeros(0, dtype=np.int16)
    line = unwrap(arrivals["seq"], SEQ_RANGE)
    line -= line.min()
    out = np.zeros((int(line.max()) + 1, fmt.samples), dtype=np.int16)
    for at, payload in zip(line.tolist(), payloads, strict=True):
        out[at] = decode(fmt, payload)
    return out.reshape(-1)


def hearing(scenario: Scenario, callers: Callers) -> dict[str, Any]:
    """Listen to what was kept: missing, own and foreign voices, and how long a marker travelled."""
    wrong: list[dict[str, Any]] = []
    deaf = 0
    travel: list[float] = []
    dips: list[float] = []
    for row, caller in enumerate(scenario.listeners()):
        arrivals, payloads = callers.captured(row)
        pcm = pcm_of(arrivals, payloads, scenario, caller)
        if len(pcm) < scenario.format.rate_hz:  # under a second is no basis
            deaf += 1
            continue
        heard = tone.spectrum(pcm, scenario.format.rate_hz)
        dips.append(tone.level_dip(pcm, scenario.format.samples))
        room, member = scenario.room(caller), scenario.member(caller)
        for fault in tone.faults(heard, scenario.talkers, room, member):
            wrong.append(
                {"caller": caller, "kind": fault.kind, "hz": fault.hz, "level": round(fault.level, 3)}
            )
        if member != 0 and scenario.talkers:
            travel += marker_travel_ns(scenario, caller, arrivals, pcm)
    out: dict[str, Any] = {
        "listened": len(scenario.listeners()),
        "deaf": deaf,
        "voices_missing": sum(w["kind"] == "missing" for w in wrong),
        "voices_echoed": sum(w["kind"] == "echo" for w in wrong),
        "voices_strange": sum(w["kind"] == "stranger" for w in wrong),
        "voices_wrong": wrong[:20],
        "markers": len(travel),
        "level_dip": min(dips, default=0.0),
    }
    for key, q in (("p50", 50.0), ("p99", 99.0)):
        out[f"mixing_delay_{key}_us"] = percentile(np.array(travel), q) / 1000
    return out


def marker_travel_ns(
    scenario: Scenario, caller: int, arrivals: NDArray[Any], pcm: NDArray[np.int16]
) -> list[float]:
    """From the send of each marked packet to the arrival of the first packet that contains some of it.

    The send time is the due time rounded up to the callers' 200 us grid.  The playout delay is contained.
    """
    fmt = scenario.format
    speaker = scenario.room(caller) * scenario.size
    phase = int(scenario.phases_ns()[speaker])
    line = unwrap(arrivals["seq"], SEQ_RANGE)
    came = dict(zip((line - line.min()).tolist(), arrivals["arrival_ns"].tolist(), strict=True))
    out = []
    for at in tone.find_markers(pcm, fmt):
        arrival = came.get(at // fmt.samples)
        if arrival is None:
            continue
        loop_ns = tone.MARKER_FRAMES * FRAME_NS
        due = (arrival - phase) // loop_ns * loop_ns + phase
        sent = -(-due // WAKE_NS) * WAKE_NS
        out.append(float(arrival - sent))
    return out
