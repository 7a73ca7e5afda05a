"""RTP endpoints and tones: made, changed, moved, removed; their keys, and what became of their peers."""

from __future__ import annotations

from typing import Literal

import msgspec

from roomtone.engine.codecs import Codec
from roomtone.engine.messages.rooms import Seat


class PayloadType(msgspec.Struct, frozen=True, array_like=True):
    """One negotiated RTP payload type the peer may send."""

    payload_type: int
    codec: Codec


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """What negotiation agreed for one RTP endpoint; the worker needs nothing else of the SDP.

    receive: payload types the peer may send us (audio only).
    send_payload_type, send_codec: what we send to the peer.
    event_receive: payload types of telephone-event the peer may send, with clock rate.
    event_send: payload type and clock rate of telephone-event towards the peer; None: none was negotiated.
    noise_receive, noise_send: payload types of comfort noise (RFC 3389) at a clock of 8 kHz, likewise.
    """

    receive: list[PayloadType]
    send_payload_type: int
    send_codec: Codec
    event_receive: list[tuple[int, int]] = []
    event_send: tuple[int, int] | None = None
    noise_receive: int | None = None
    noise_send: int | None = None
    ptime_ms: int = 20  # what we send


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """The peer's addresses as its SDP says.  port 0: unknown yet (our offer is not answered)."""

    ip: str
    port: int
    rtcp_port: int  # equals port with rtcp-mux


class CreateRtp(msgspec.Struct, tag="create_rtp", tag_field="t", kw_only=True):
    """Make an RTP endpoint on `session`'s bus (made on first use).  Reply: `RtpCreated`.

    kind: rtp, or websocket: the peer is control itself, which carries a bot's audio; the port is one of
    loopback that the kernel chooses, not of `rtp_port_range`, and media_ip is not looked at.
    media and remote are None for an endpoint made by our own offer; `UpdateRtp` brings them with the answer.
    is_source: the peer may send (direction from the peer's view is sendrecv or sendonly).
    is_destination: we may send to the peer.
    send_at_once: the peer is recvonly from the start: send to its SDP address without waiting for a packet.
    note: what control needs to know again should it restart; the worker keeps it and says it in `Snapshot`.
    """

    session: str
    endpoint: str
    phase: int  # 0..19, the bus's phase on the 1 ms grid; ignored when the bus exists
    media_ip: str  # local address to bind
    rtcp_mux: bool
    is_source: bool
    is_destination: bool
    send_at_once: bool = False
    media: Media | None = None
    remote: Remote | None = None
    note: bytes = b""
    key_relay_limit: int = 20  # buses with more endpoints than this report keys but do not relay them
    kind: Literal["rtp", "websocket"] = "rtp"
    room: str | None = None  # on whose bus it sits from the start; None: its session's
    seat: Seat | None = None  # there


class RtpCreated(msgspec.Struct, tag="rtp_created", tag_field="t", kw_only=True):
    local_ip: str
    rtp_port: int
    rtcp_port: int  # equals rtp_port with rtcp-mux
    ssrc: int
    cname: str
    handle: int


class UpdateRtp(msgspec.Struct, tag="update_rtp", tag_field="t", kw_only=True):
    """Change an RTP endpoint between ticks.  None leaves a part as it is.  Reply: `Done`.

    relearn: open source learning again (disconnect, keep the port, empty the queue).
    rtcp_mux True on an endpoint made without it releases the odd port.
    """

    endpoint: str
    media: Media | None = None
    remote: Remote | None = None
    rtcp_mux: bool | None = None
    is_source: bool | None = None
    is_destination: bool | None = None
    send_at_once: bool | None = None
    relearn: bool = False
    note: bytes | None = None


class CreateTone(msgspec.Struct, tag="create_tone", tag_field="t", kw_only=True):
    """A tone as a source of `session`'s bus.  duration_ms None: until removed.  Reply: `Done`."""

    session: str
    endpoint: str
    phase: int
    tone: str  # ringback ringing busy beep sine silence
    frequency_hz: float = 440.0
    duration_ms: int | None = None
    note: bytes = b""
    room: str | None = None  # as in `CreateRtp`
    seat: Seat | None = None


class MoveEndpoint(msgspec.Struct, tag="move", tag_field="t", kw_only=True):
    """Put an RTP endpoint on another session's bus here (made on first use).  Reply: `Done`.

    Sockets, lines, playout and detectors stay as they are.  move: counts the endpoint's moves, from 1; one
    that is told again after a later one changes nothing.
    """

    endpoint: str
    move: int
    session: str
    phase: int
    note: bytes = b""
    key_relay_limit: int = 20


class RemoveEndpoint(msgspec.Struct, tag="remove", tag_field="t"):
    """Reply `Done` once the media thread has let go of it (BYE sent)."""

    endpoint: str


class CloseSession(msgspec.Struct, tag="close_session", tag_field="t"):
    """Remove every endpoint of the session here, and its bus.  Reply `Done`; unknown session: also `Done`.

    Its recordings end for that reason and are complete when the reply comes.  None: the session goes on
    elsewhere, and so do they.
    """

    session: str
    reason: str | None = "session_destroyed"


class InjectKey(msgspec.Struct, tag="inject_key", tag_field="t", kw_only=True):
    """Queue one RFC 4733 key press towards the endpoint's peer.  Reply: `Done` when queued."""

    endpoint: str
    digit: str
    duration_ms: int = 160
    volume: int = 10


class ToneFinished(msgspec.Struct, tag="tone_finished", tag_field="t", kw_only=True):
    session: str
    endpoint: str


class MediaTimeout(msgspec.Struct, tag="media_timeout", tag_field="t", kw_only=True):
    session: str
    endpoint: str
    duration_ms: int


class ByeReceived(msgspec.Struct, tag="bye", tag_field="t", kw_only=True):
    session: str
    endpoint: str
    ssrcs: list[int]
    reason: str | None


class PeerLearned(msgspec.Struct, tag="peer_learned", tag_field="t", kw_only=True):
    """The first valid packet pinned the peer's address."""

    session: str
    endpoint: str
    remote_rtp_addr: str
