from collections.abc import Mapping
from typing import Protocol

RECORD_BYTES: int

class Shown(Protocol):
    """What control knows of an endpoint.  codec, remote_rtp_addr: taken where the record knows none."""

    @property
    def state(self) -> str: ...
    @property
    def codec(self) -> str | None: ...
    @property
    def remote_rtp_addr(self) -> str | None: ...

def mos(loss_ratio: float, delay_ms: float) -> float:
    """Mean opinion score, 1 to 4.5, of G.711 with concealment at that loss (0..1) and mouth-to-ear delay."""

def stats_event(
    endpoints: Mapping[str, Shown],
    counted: list[str],
    records: bytes,
    place: int,
    codecs: tuple[str, ...],
    diagnostics: bool,
) -> bytes:
    """The `stats` event about `endpoints` (by id), in their order.

    counted: the endpoints that have a record, the first of which stands at `place` of `records`; one without a
    record is shown with zeros.  codecs: names by number, "" at 0.  diagnostics: also dropped, duplicate,
    reordered and both SSRCs.  ValueError: no such record, no such codec, or a text of more than 64 bytes.
    """

def record(
    *,
    codec: int = 0,
    rx_packets: int = 0,
    rx_bytes: int = 0,
    rx_lost: int = 0,
    rx_jitter_ms: float = 0.0,
    rx_last_ms_ago: int | None = None,
    rx_raw_packets: int = 0,
    rx_raw_bytes: int = 0,
    rx_dropped: int = 0,
    rx_late: int = 0,
    rx_duplicate: int = 0,
    rx_reordered: int = 0,
    playout_delay_ms: float = 0.0,
    playout_target_ms: float | None = None,
    concealed_ms: int = 0,
    tx_packets: int = 0,
    tx_bytes: int = 0,
    rtt_ms: float | None = None,
    rtt_observed_ms_ago: int | None = None,
    remote_packets_lost: int | None = None,
    remote_jitter_ms: float | None = None,
    local_rtp_addr: str = "",
    remote_rtp_addr: str = "",
    ssrc_rx: int = 0,
    ssrc_tx: int = 0,
) -> bytes:
    """A record from the words of messages.EndpointStats."""
