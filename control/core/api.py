"""The session protocol's words: every request's parameters and result, and every event.

Limits of values stand in the types.  Members that exist only sometimes are `UNSET` when they do not.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

MAX_EXACT = 2**53  # the whole numbers that JSON readers keep exact

Direction = Literal["sendrecv", "recvonly", "sendonly", "inactive"]
EndpointState = Literal[
    "new", "buffering", "connecting", "connected", "playing", "paused", "disconnected", "finished"
]
EndpointType = Literal["webrtc", "rtp", "file", "tone", "bridge", "websocket"]
SessionState = Literal["active", "orphaned"]
Tone = Literal["ringback", "ringing", "busy", "beep", "sine", "silence"]

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
Id = Annotated[str, Meta(pattern=f"^{_UUID}", max_length=36, description="a UUID")]
AnySessionId = Annotated[
    str,
    Meta(
        pattern=f"^([0-9A-Za-z]{{1,16}}-)?{_UUID}",
        max_length=53,
        description="a UUID, or a session_uuid of REST",
    ),
]

# -- parameters ----------------------------------------------------------------------------------------------


class NoParams(Struct):
    pass


class SessionCreate(Struct):
    """caller_id is kept with every endpoint."""

    caller_id: Annotated[str, Meta(max_length=1024)] = ""


class SessionAttach(Struct):
    session_id: AnySessionId


class CreateFromOffer(Struct):
    sdp: str
    direction: Direction = "sendrecv"


class RtpCreateOffer(Struct):
    """codecs None: all.  srtp: demand SRTP; srtp_optional: offer it; not both."""

    direction: Direction = "sendrecv"
    srtp: bool = False
    srtp_optional: bool = False
    codecs: list[str] | None = None


class CreateOffer(RtpCreateOffer, kw_only=True):
    type: Literal["webrtc", "rtp"]


class AcceptAnswer(Struct):
    endpoint_id: Id
    sdp: str
    offer_generation: int | None = None


class UpdateRemoteSdp(Struct):
    endpoint_id: Id
    sdp: str


class UpdateDirection(Struct):
    endpoint_id: Id
    direction: Literal["sendrecv", "recvonly", "sendonly", "inactive", "auto"]


class EndpointRemove(Struct):
    endpoint_id: Id


class CreateTone(Struct):
    tone: Tone
    frequency: Annotated[float, Meta(ge=20, le=20_000)] | None = None
    duration_ms: Annotated[int, Meta(ge=1, le=MAX_EXACT)] | None = None


class CreateWebsocket(Struct):
    """sample_rate: of the audio WebSocket, Hz.  flush_ms: audio a frame to the bot holds; 0: one packet."""

    direction: Direction = "sendrecv"
    sample_rate: Literal[8000, 16000, 48000] = 8000
    flush_ms: Annotated[int, Meta(ge=0, le=10_000, multiple_of=20)] = 0


class DtmfInject(Struct):
    endpoint_id: Id
    digit: Annotated[str, Meta(pattern="^[0-9*#A-D]$", max_length=1)]
    duration_ms: Annotated[int, Meta(ge=1, le=10_000)] = 160
    volume: Annotated[int, Meta(ge=0, le=63)] = 10


class DtmfSetSensitive(Struct):
    endpoint_id: Id
    enabled: bool


class StatsSubscribe(Struct):
    interval_ms: Annotated[int, Meta(ge=500, le=3_600_000)] = 5000
    include_diagnostics: bool = False


# -- results -------------------------------------------------------------------------------------------------


class Empty(Struct):
    pass


class SessionCreated(Struct):
    session_id: str


class EndpointInfo(Struct, kw_only=True):
    """What session.info tells of one endpoint.  codec and addresses are null where there are none.

    offer_generation: of our offer, while it is unanswered.
    """

    endpoint_id: str
    endpoint_type: EndpointType
    direction: Direction
    state: EndpointState
    codec: str | None = None
    local_rtp_addr: str | None = None
    remote_rtp_addr: str | None = None
    local_rtcp_addr: str | UnsetType = UNSET
    remote_rtcp_addr: str | UnsetType = UNSET
    offer_generation: int | UnsetType = UNSET
    shared_playback_id: str | UnsetType = UNSET


class RecordingInfo(Struct, kw_only=True):
    recording_id: str
    endpoint_id: str | None
    file_path: str
    state: Literal["active", "stopping"]


class SessionInfo(Struct, kw_only=True):
    session_id: str
    state: SessionState
    created_at: str
    endpoints: list[EndpointInfo]
    recordings: list[RecordingInfo] = []
    vad_active: list[str] = []
    fax_detect_active: list[str] = []


class SessionSummary(Struct, kw_only=True):
    session_id: str
    state: SessionState
    endpoint_count: int
    created_at: str


class SessionList(Struct):
    sessions: list[SessionSummary]


class SessionListEncoded(Struct):
    """A `SessionList` that was encoded in pieces."""

    sessions: msgspec.Raw


class TimelineMarked(Struct):
    marked_at_epoch_ms: int


class ServerInfo(Struct):
    hostname: str
    version: str
    media_ip: list[str]


class AnswerCreated(Struct):
    endpoint_id: str
    sdp_answer: str


class OfferCreated(Struct):
    endpoint_id: str
    sdp_offer: str


class SdpAnswer(Struct):
    sdp_answer: str


class EndpointRemoved(Struct):
    removed_at_epoch_ms: int


class ToneCreated(Struct):
    endpoint_id: str
    tone: Tone


class WebsocketCreated(Struct):
    """connect_token: a capability; the bot dials /audio/ and this, once."""

    endpoint_id: str
    connect_token: str


class InboundStats(Struct, kw_only=True):
    packets: int
    bytes: int
    packets_lost: int
    jitter_ms: float
    last_received_ms_ago: int | None
    raw_packets: int
    raw_bytes: int
    dropped: int | UnsetType = UNSET
    duplicate: int | UnsetType = UNSET
    reordered: int | UnsetType = UNSET
    ssrc: int | UnsetType = UNSET


class OutboundStats(Struct, kw_only=True):
    packets: int
    bytes: int
    remote_packets_lost: int | UnsetType = UNSET
    remote_jitter_ms: float | UnsetType = UNSET
    ssrc: int | UnsetType = UNSET


class PlayoutStats(Struct, kw_only=True):
    delay_ms: float
    target_ms: float | None
    concealed_ms: int
    late: int


class EndpointStats(Struct, kw_only=True):
    endpoint_id: str
    inbound: InboundStats
    outbound: OutboundStats
    rtt_ms: float | None
    codec: str
    state: EndpointState
    playout: PlayoutStats
    mos: float | None
    rtt_observed_ms_ago: int | UnsetType = UNSET
    local_rtp_addr: str | UnsetType = UNSET
    remote_rtp_addr: str | UnsetType = UNSET


class StatsSnapshot(Struct):
    endpoints: list[EndpointStats]


# -- events --------------------------------------------------------------------------------------------------


class EventData(Struct):
    """Base of the events.  NAME: the word on the wire; CRITICAL: which of the two queues it waits in.

    LOW_VALUE: for webhooks: may be shed when the store is full, and is not synced on its own (keys, talk,
    statistics).
    """

    NAME: ClassVar[str] = ""
    CRITICAL: ClassVar[bool] = False
    LOW_VALUE: ClassVar[bool] = False


class StateChanged(EventData):
    NAME: ClassVar[str] = "endpoint.state_changed"
    CRITICAL: ClassVar[bool] = True
    endpoint_id: str
    old_state: EndpointState
    new_state: EndpointState


class ToneFinished(EventData):
    NAME: ClassVar[str] = "endpoint.tone.finished"
    endpoint_id: str


class WsConnected(EventData):
    NAME: ClassVar[str] = "endpoint.ws.connected"
    CRITICAL: ClassVar[bool] = True
    endpoint_id: str


class WsDisconnected(EventData):
    NAME: ClassVar[str] = "endpoint.ws.disconnected"
    CRITICAL: ClassVar[bool] = True
    endpoint_id: str


class WsConnectTimeout(EventData):
    NAME: ClassVar[str] = "endpoint.ws.connect_timeout"
    CRITICAL: ClassVar[bool] = True
    endpoint_id: str


class FileStarted(EventData):
    NAME: ClassVar[str] = "endpoint.file.started"
    CRITICAL: ClassVar[bool] = True
    endpoint_id: str
    started_at_epoch_ms: int


class FileFinished(EventData):
    NAME: ClassVar[str] = "endpoint.file.finished"
    CRITICAL: ClassVar[bool] = True
    endpoint_id: str
    reason: Literal["completed", "error"]
    error: str | None


class Dtmf(EventData):
    NAME: ClassVar[str] = "dtmf"
    LOW_VALUE: ClassVar[bool] = True
    endpoint_id: str
    digit: str
    duration_ms: int
    sensitive: bool
    source: str


class SpeechStarted(EventData):
    NAME: ClassVar[str] = "vad.speech_started"
    LOW_VALUE: ClassVar[bool] = True
    endpoint_id: str


class Silence(EventData):
    NAME: ClassVar[str] = "vad.silence"
    LOW_VALUE: ClassVar[bool] = True
    endpoint_id: str
    silence_duration_ms: int


class VadError(EventData):
    NAME: ClassVar[str] = "vad.error"
    endpoint_id: str
    error: str


class CngDetected(EventData):
    NAME: ClassVar[str] = "fax.cng_detected"
    endpoint_id: str


class CedDetected(EventData):
    NAME: ClassVar[str] = "fax.ced_detected"
    endpoint_id: str


class FaxError(EventData):
    NAME: ClassVar[str] = "fax.error"
    endpoint_id: str
    error: str


class MediaTimeout(EventData):
    NAME: ClassVar[str] = "endpoint.media_timeout"
    endpoint_id: str
    duration_ms: int


class RtcpBye(EventData):
    NAME: ClassVar[str] = "endpoint.rtcp_bye"
    endpoint_id: str
    ssrc_list: list[int]
    reason: str | None


class TransferredOut(EventData):
    NAME: ClassVar[str] = "endpoint.transferred_out"
    endpoint_id: str
    target_session_id: str


class TransferredIn(EventData):
    NAME: ClassVar[str] = "endpoint.transferred_in"
    endpoint_id: str
    source_session_id: str
    endpoint_type: EndpointType
    direction: Direction
    state: EndpointState


class RecordingStopped(EventData):
    NAME: ClassVar[str] = "recording.stopped"
    CRITICAL: ClassVar[bool] = True
    recording_id: str
    file_path: str
    duration_ms: int
    packets: int
    dropped_packets: int
    reason: str


class SessionOrphaned(EventData):
    NAME: ClassVar[str] = "session.orphaned"
    timeout_remaining_ms: int


class SessionIdleTimeout(EventData):
    NAME: ClassVar[str] = "session.idle_timeout"
    CRITICAL: ClassVar[bool] = True
    session_id: str
    idle_timeout_secs: int


class SessionEmptyTimeout(EventData):
    NAME: ClassVar[str] = "session.empty_timeout"
    CRITICAL: ClassVar[bool] = True
    session_id: str
    empty_timeout_secs: int


class SessionLost(EventData):
    NAME: ClassVar[str] = "session.lost"
    CRITICAL: ClassVar[bool] = True
    session_id: str
    reason: str


class Stats(EventData):
    NAME: ClassVar[str] = "stats"
    endpoints: list[EndpointStats]


class EventsDropped(EventData):
    NAME: ClassVar[str] = "events.dropped"
    count: int


EVENTS: dict[str, type[EventData]] = {
    event.NAME: event
    for event in (
        StateChanged, ToneFinished, FileStarted, FileFinished, WsConnected, WsDisconnected, WsConnectTimeout,
        Dtmf, SpeechStarted, Silence, VadError, CngDetected, CedDetected, FaxError, MediaTimeout, RtcpBye,
        TransferredOut, TransferredIn, RecordingStopped, SessionOrphaned, SessionIdleTimeout,
        SessionEmptyTimeout, SessionLost, Stats, EventsDropped,
    )
}  # fmt: skip
