"""Counters of endpoints, and when a session was last busy."""

from __future__ import annotations

import msgspec


class GetStats(msgspec.Struct, tag="get_stats", tag_field="t"):
    """Reply: `Stats` of every endpoint of the session on this worker, creation order."""

    session: str


class EndpointStats(msgspec.Struct, kw_only=True):
    """Counters of one endpoint.  Bytes are RTP payload bytes; raw_* count every datagram."""

    endpoint: str
    kind: str  # rtp | tone | file | websocket | bridge
    codec: str  # "" until known; as in the specification's stats
    rx_packets: int = 0
    rx_bytes: int = 0
    rx_lost: int = 0
    rx_jitter_ms: float = 0.0
    rx_last_ms_ago: int | None = None
    rx_raw_packets: int = 0
    rx_raw_bytes: int = 0
    rx_dropped: int = 0
    rx_late: int = 0
    rx_duplicate: int = 0
    rx_reordered: int = 0
    playout_delay_ms: float = 0.0
    playout_target_ms: float | None = None
    concealed_ms: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    rtt_ms: float | None = None
    rtt_observed_ms_ago: int | None = None
    remote_packets_lost: int | None = None
    remote_jitter_ms: float | None = None
    local_rtp_addr: str = ""
    remote_rtp_addr: str = ""
    ssrc_rx: int = 0
    ssrc_tx: int = 0


class Stats(msgspec.Struct, tag="stats", tag_field="t"):
    endpoints: list[EndpointStats]


class PollStats(msgspec.Struct, tag="poll_stats", tag_field="t"):
    """Reply: `StatsPolled`, about every endpoint of these sessions on this worker."""

    sessions: list[str]


class StatsPolled(msgspec.Struct, tag="stats_polled", tag_field="t"):
    """What `PollStats` asked for, compact: it comes once a second for each subscriber.

    endpoints: by session, in the order of asking; of an unknown one none.  records: one for each of them, in
    that order (ext/event/stats_record.pxd).
    """

    endpoints: list[list[str]]
    records: bytes


class GetActivity(msgspec.Struct, tag="get_activity", tag_field="t"):
    """Reply: `Activity`."""

    session: str


class Activity(msgspec.Struct, tag="activity", tag_field="t"):
    """last_us: when the session last received from or sent RTP to a peer.  heard_us: when a peer of the
    endpoints that it has now last sent RTP or RTCP.  0: never.
    """

    last_us: int
    heard_us: int = 0
