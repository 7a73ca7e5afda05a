"""Where packets went, by the engine's own counters: what the callers sent, the engine has counted.

The callers read a part of their sockets only, so their own count says nothing of the rest.  The engine's
counters say it: each datagram is counted as it comes (or by the kernel, as overflow, told with the next one),
and each packet that goes out.  A packet the callers sent and nobody counted is lost, and so is one that the
engine dropped while the load was steady.
"""

from typing import Any

from roomtone.bench.load.scenario import Scenario

RAW = "roomtone_worker_rx_raw_packets_total"
RTCP = "roomtone_worker_rtcp_rx_packets_total"
DROPPED = "roomtone_rtp_dropped_packets_total"
RELAYED = "roomtone_worker_relayed_packets_total"
MIXED = "roomtone_worker_mixed_packets_total"
TICKS = "roomtone_worker_ticks_total"
OVERFLOW = "kernel_overflow"  # dropped before it could be counted as come
NOT_MEDIA = {"rtcp_bad", "rtcp_source"}  # drops that are no RTP packets


def drops(counters: dict[str, float]) -> dict[str, int]:
    """Dropped RTP packets by reason; what is 0 is left out."""
    named = {k[len(DROPPED) + 1 : -1]: int(v) for k, v in counters.items() if k.startswith(DROPPED + "{")}
    return {reason: n for reason, n in named.items() if n and reason not in NOT_MEDIA}


def account(
    scenario: Scenario, total_sent: int, ended: dict[str, float], grown: dict[str, float]
) -> dict[str, Any]:
    """ended: growth of the counters in the whole run; grown: in its window.

    unaccounted: packets sent in the whole run that the engine has neither taken nor named.
    unsent: packets the engine owed in the window and did not send; mixes and transcoding: members x ticks
    less mixed packets (counters of a running engine: up to a tick of all members is no finding).
    Empty for a server that has no such counters.
    """
    if RAW not in ended:
        return {}
    at_all, steady = drops(ended), drops(grown)
    counted = ended[RAW] - ended.get(RTCP, 0.0) + at_all.get(OVERFLOW, 0)
    out: dict[str, Any] = {"unaccounted": total_sent - int(counted)}
    out |= {"dropped": at_all, "dropped_window": steady}
    if scenario.stamped:
        unsent = total_sent - ended.get(RELAYED, 0.0) - sum(at_all.values())
        return out | {"unsent": int(max(unsent, 0)) if not out["unaccounted"] else 0}
    owed = scenario.size * grown.get(TICKS, 0.0)
    unsent = owed - grown.get(MIXED, 0.0)
    return out | {"unsent": int(unsent) if unsent > scenario.count else 0}


def losses(figures: dict[str, Any]) -> list[str]:
    """What was lost in a run, in words; nothing: no loss."""
    out = []
    if figures["lost"]:
        out.append(f"{figures['lost']} missing at the {figures['read']} callers read")
    if figures["silent_callers"]:
        out.append(f"{figures['silent_callers']} callers heard nothing")
    if figures.get("unaccounted"):
        out.append(f"{figures['unaccounted']} sent and not counted")
    if figures.get("unsent"):
        out.append(f"{figures['unsent']} owed and not sent")
    out += [f"{n} dropped: {reason}" for reason, n in figures.get("dropped_window", {}).items()]
    return out
