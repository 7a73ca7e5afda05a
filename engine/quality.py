"""What calls were like: figures of every RTP stream that has ended, counted in bins for /metrics."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from roomtone.engine.messages import EndedStreams
from roomtone.ext.event.stats_record import mos

MS_PER_S = 1000
PACKETISATION_MS = 20.0

# Upper bounds of the bins; the last bin is open.
JITTER_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
DELAY_S = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.4)
ROUND_TRIP_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
SCORE = (1.5, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 4.1, 4.2, 4.3, 4.4)


def predicted_mos(packets: int, lost: int, rtt_ms: float | None, playout_delay_ms: float) -> float | None:
    """The E-model's mean opinion score (ITU-T G.107) of what was received; None: nothing was."""
    if not packets:
        return None
    lost = max(lost, 0)
    return mos(lost / (packets + lost), (rtt_ms or 0.0) / 2 + playout_delay_ms + PACKETISATION_MS)


class Quality:
    """Streams that have ended."""

    def __init__(self) -> None:
        self._bins = {
            "rtp_jitter_seconds": _Bins(JITTER_S),
            "playout_delay_seconds": _Bins(DELAY_S),
            "rtcp_round_trip_seconds": _Bins(ROUND_TRIP_S),
            "estimated_mos": _Bins(SCORE),
        }

    def ended(self, stats: dict[str, Any]) -> None:
        """stats: of `Media.stats`.  What never sent counts as no stream; what is not known is not counted."""
        packets, rtt_ms, delay_ms = stats["rx_packets"], stats["rtt_ms"], stats["playout_delay_ms"]
        score = predicted_mos(packets, stats["rx_lost"], rtt_ms, delay_ms)
        if score is None:
            return
        bins = self._bins
        bins["estimated_mos"].add(score)
        bins["rtp_jitter_seconds"].add(stats["rx_jitter_ms"] / MS_PER_S)
        if delay_ms:  # a relayed stream has none
            bins["playout_delay_seconds"].add(delay_ms / MS_PER_S)
        if rtt_ms is not None:
            bins["rtcp_round_trip_seconds"].add(rtt_ms / MS_PER_S)

    def counted(self) -> dict[str, EndedStreams]:
        """By metric name."""
        return {
            name: EndedStreams(bounds=list(bins.bounds), counts=list(bins.counts), sum=bins.sum)
            for name, bins in self._bins.items()
        }


class _Bins:
    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
