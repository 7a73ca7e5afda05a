"""A worker's counters in the protocol's words, and the predicted quality."""

from __future__ import annotations

from typing import TypeVar

from msgspec import UNSET, UnsetType

from roomtone.control.core import api
from roomtone.control.core.session import Endpoint
from roomtone.engine.messages import EndpointStats
from roomtone.engine.quality import predicted_mos

T = TypeVar("T")


def endpoint_stats(endpoint: Endpoint, counters: EndpointStats, diagnostics: bool) -> api.EndpointStats:
    """One element of ``endpoints[]`` (websocket.md section 6)."""
    return api.EndpointStats(
        endpoint_id=endpoint.id,
        inbound=api.InboundStats(
            packets=counters.rx_packets,
            bytes=counters.rx_bytes,
            packets_lost=counters.rx_lost,
            jitter_ms=counters.rx_jitter_ms,
            last_received_ms_ago=counters.rx_last_ms_ago,
            raw_packets=counters.rx_raw_packets,
            raw_bytes=counters.rx_raw_bytes,
            dropped=counters.rx_dropped if diagnostics else UNSET,
            duplicate=counters.rx_duplicate if diagnostics else UNSET,
            reordered=counters.rx_reordered if diagnostics else UNSET,
            ssrc=counters.ssrc_rx if diagnostics else UNSET,
        ),
        outbound=api.OutboundStats(
            packets=counters.tx_packets,
            bytes=counters.tx_bytes,
            remote_packets_lost=_or_unset(counters.remote_packets_lost),
            remote_jitter_ms=_or_unset(counters.remote_jitter_ms),
            ssrc=counters.ssrc_tx if diagnostics else UNSET,
        ),
        rtt_ms=counters.rtt_ms,
        codec=counters.codec or endpoint.codec or "",
        state=endpoint.state,
        playout=api.PlayoutStats(
            delay_ms=counters.playout_delay_ms,
            target_ms=counters.playout_target_ms,
            concealed_ms=counters.concealed_ms,
            late=counters.rx_late,
        ),
        mos=predicted_mos(counters.rx_packets, counters.rx_lost, counters.rtt_ms, counters.playout_delay_ms),
        rtt_observed_ms_ago=_or_unset(counters.rtt_observed_ms_ago),
        local_rtp_addr=counters.local_rtp_addr or UNSET,
        remote_rtp_addr=counters.remote_rtp_addr or endpoint.remote_rtp_addr or UNSET,
    )


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
