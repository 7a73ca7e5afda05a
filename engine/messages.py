"""Messages between control and workers: defined once, here (between processes as such: process_messages.py).

Commands go control (ROUTER) -> worker (DEALER), one `Command` a message.  Replies and events come back on
one PUSH -> PULL stream, in the order they were made, gathered into a `Batch` per wake-up.  Everything is
MessagePack by msgspec; unions are told apart by the tag field ``t``.

Units: `_us` are CLOCK_MONOTONIC microseconds of this machine (all processes share it), `_ms` durations.
Ids: `session`, `endpoint` are the public UUID strings; a worker keeps its own map from them to slots.
Schema rule: fields may be added with a default; tags and meanings never change within one release.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roomtone.engine.codecs import Codec

# -- parts ---------------------------------------------------------------------------------------------------


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
    """

    receive: list[PayloadType]
    send_payload_type: int
    send_codec: Codec
    event_receive: list[tuple[int, int]] = []
    event_send: tuple[int, int] | None = None
    ptime_ms: int = 20  # what we send


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """The peer's addresses as its SDP says.  port 0: unknown yet (our offer is not answered)."""

    ip: str
    port: int
    rtcp_port: int  # equals port with rtcp-mux


class SpreadPeer(msgspec.Struct, frozen=True, array_like=True):
    """Where a worker publishes its sum of a session's own sources."""

    worker: int
    epoch: int
    slot: int


# -- commands ------------------------------------------------------------------------------------------------


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


class CreateFile(msgspec.Struct, tag="create_file", tag_field="t", kw_only=True):
    """A file as a source of `session`'s bus.  Reply: `FileCreated`, once its first second is decoded.

    path: absolute, and checked: it is opened without following a link and must be a regular file.  WAV, MP3,
    OGG Vorbis, Opus, FLAC; 4 to 192 kHz, up to 16 channels, which are mixed to one.
    key: what the source is called; with `shared`, all endpoints of one key and file play from one place,
    which the first of them chose with start_ms and loop_count: who comes later is where the others are.
    loop_count: how often it is played again; None: for ever.
    Errors: ENDPOINT_ERROR it cannot be read or decoded, or the worker has no room; INVALID_PARAMS start_ms is
    behind its end.  `RemoveEndpoint` before the reply ends the waiting: ENDPOINT_ERROR.
    """

    session: str
    endpoint: str
    phase: int
    path: str
    key: str
    start_ms: int = 0
    loop_count: int | None = 0
    gain_db: float = 0.0
    shared: bool = False
    note: bytes = b""


class SeekFile(msgspec.Struct, tag="seek_file", tag_field="t", kw_only=True):
    """Play on from there, or be paused there.  Reply: `Done`, once what is there is decoded.

    Errors: INVALID_PARAMS behind the end (the message names the duration); ENDPOINT_ERROR it has ended, or is
    shared.
    """

    endpoint: str
    position_ms: int


class PauseFile(msgspec.Struct, tag="pause_file", tag_field="t"):
    """Silence from the next tick on.  Reply: `Done`, also when it is paused; ENDPOINT_ERROR: it has ended.

    The place is kept; a shared playback goes on for the others.
    """

    endpoint: str


class ResumeFile(msgspec.Struct, tag="resume_file", tag_field="t"):
    """Reply: `Done`, also when it plays; ENDPOINT_ERROR: it has ended."""

    endpoint: str


class CreateBridge(msgspec.Struct, tag="create_bridge", tag_field="t", kw_only=True):
    """An endpoint that brings what another session says.  Silent until `FeedBridge`.  Reply: `Done`.

    is_source: `session` hears the other one.
    """

    session: str
    endpoint: str
    phase: int
    is_source: bool
    note: bytes = b""
    key_relay_limit: int = 20


class FeedBridge(msgspec.Struct, tag="feed_bridge", tag_field="t", kw_only=True):
    """Where the other session's buses publish their sums, and their phase.  Reply: `Done`."""

    endpoint: str
    phase: int
    feeds: list[SpreadPeer]


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

    Its recordings end for that reason and are complete when the reply comes.
    """

    session: str
    reason: str = "session_destroyed"


class InjectKey(msgspec.Struct, tag="inject_key", tag_field="t", kw_only=True):
    """Queue one RFC 4733 key press towards the endpoint's peer.  Reply: `Done` when queued."""

    endpoint: str
    digit: str
    duration_ms: int = 160
    volume: int = 10


class Vad(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell of an endpoint's speech (websocket.md, vad.start).

    speech_threshold: probability from which on a frame is speech, 0 to 1.  neural: by the neural network.
    """

    silence_interval_ms: int = 1000
    speech_threshold: float = 0.5
    neural: bool = False


class StartVad(msgspec.Struct, tag="start_vad", tag_field="t", kw_only=True):
    """Tell of the endpoint's speech from now on; replaces what was asked before.  Reply: `Done`."""

    endpoint: str
    vad: Vad


class StopVad(msgspec.Struct, tag="stop_vad", tag_field="t"):
    """Reply: `Done`."""

    endpoint: str


class DetectFax(msgspec.Struct, tag="detect_fax", tag_field="t", kw_only=True):
    """Tell of fax tones from now on, or no longer.  Reply: `Done`."""

    endpoint: str
    enabled: bool


class SetSensitive(msgspec.Struct, tag="set_sensitive", tag_field="t", kw_only=True):
    """The peer's keys are not to be recorded, or again.  Reply: `Done`."""

    endpoint: str
    enabled: bool


class StartRecording(msgspec.Struct, tag="start_recording", tag_field="t", kw_only=True):
    """Record one endpoint, or (None) the whole session with those who join later.  Reply: `RecordingStarted`.

    file_path: as the client gave it, ``?mix`` included.  app_id: whose recording it is.
    """

    session: str
    recording: str
    endpoint: str | None
    file_path: str
    app_id: str


class StopRecording(msgspec.Struct, tag="stop_recording", tag_field="t"):
    """Reply: `RecordingDone` when the file is complete, after recording_flush_timeout_secs in any case."""

    recording: str


class GetStats(msgspec.Struct, tag="get_stats", tag_field="t"):
    """Reply: `Stats` of every endpoint of the session on this worker, creation order."""

    session: str


class PollStats(msgspec.Struct, tag="poll_stats", tag_field="t"):
    """Reply: `StatsPolled`, about every endpoint of these sessions on this worker."""

    sessions: list[str]


class GetActivity(msgspec.Struct, tag="get_activity", tag_field="t"):
    """Reply: `Activity`: when the session last received from or sent RTP to a peer."""

    session: str


class OpenSpread(msgspec.Struct, tag="open_spread", tag_field="t", kw_only=True):
    """Let the session's bus here (made if it does not exist) publish its sum.  Reply: `SpreadOpened`."""

    session: str
    phase: int
    key_relay_limit: int = 20


class SetSpread(msgspec.Struct, tag="set_spread", tag_field="t", kw_only=True):
    """Tell a publishing bus which other workers' sums to add and wait for; []: nobody's.  Reply: `Done`."""

    session: str
    peers: list[SpreadPeer]


class CloseSpread(msgspec.Struct, tag="close_spread", tag_field="t"):
    """The session's bus here publishes nothing any more and adds nobody's sums.  Reply: `Done`."""

    session: str


class TakeSnapshot(msgspec.Struct, tag="take_snapshot", tag_field="t"):
    """Reply: `Snapshot`, true as of the event number of the reply itself."""


class GetMetrics(msgspec.Struct, tag="get_metrics", tag_field="t"):
    """Reply: `Metrics`."""


CommandBody = (
    CreateRtp | UpdateRtp | CreateTone | CreateFile | SeekFile | PauseFile | ResumeFile | CreateBridge
    | FeedBridge | MoveEndpoint | RemoveEndpoint | CloseSession | InjectKey | StartVad | StopVad | DetectFax
    | SetSensitive | StartRecording | StopRecording | GetStats | PollStats | GetActivity | OpenSpread
    | SetSpread | CloseSpread | TakeSnapshot | GetMetrics
)  # fmt: skip


class Command(msgspec.Struct, kw_only=True):
    """n: control's running number, echoed in the reply.  It is not begun after its deadline."""

    n: int
    deadline_us: int
    body: CommandBody


# -- replies -------------------------------------------------------------------------------------------------


class Done(msgspec.Struct, tag="done", tag_field="t"):
    pass


class RtpCreated(msgspec.Struct, tag="rtp_created", tag_field="t", kw_only=True):
    local_ip: str
    rtp_port: int
    rtcp_port: int  # equals rtp_port with rtcp-mux
    ssrc: int
    cname: str
    handle: int


class FileCreated(msgspec.Struct, tag="file_created", tag_field="t", kw_only=True):
    """duration_ms None: not known before its end.  shared_id: names the playback it shares, a UUID."""

    duration_ms: int | None
    shared_id: str | None = None


class SpreadOpened(msgspec.Struct, tag="spread_opened", tag_field="t", kw_only=True):
    slot: int
    epoch: int


class RecordingStarted(msgspec.Struct, tag="recording_started", tag_field="t", kw_only=True):
    """file_path: without ``?mix``."""

    file_path: str
    started_at_epoch_ms: int


class RecordingDone(msgspec.Struct, tag="recording_done", tag_field="t", kw_only=True):
    """packets are in the file, dropped_packets should be and are not."""

    file_path: str
    duration_ms: int
    packets: int
    dropped_packets: int
    stopped_at_epoch_ms: int


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


class StatsPolled(msgspec.Struct, tag="stats_polled", tag_field="t"):
    """What `PollStats` asked for, compact: it comes once a second for each subscriber.

    endpoints: by session, in the order of asking; of an unknown one none.  records: one for each of them, in
    that order (ext/event/stats_record.pxd).
    """

    endpoints: list[list[str]]
    records: bytes


class Activity(msgspec.Struct, tag="activity", tag_field="t"):
    last_us: int  # 0: never


class SnapshotEndpoint(msgspec.Struct, kw_only=True):
    """created, file: what the making of an RTP or file endpoint was answered with.

    remote_rtp_addr: "" until pinned.  started: the file was told to have begun. moves: `move` of the last
    `MoveEndpoint`.
    """

    session: str
    endpoint: str
    kind: str
    finished: bool = False
    note: bytes = b""
    created: RtpCreated | None = None
    remote_rtp_addr: str = ""
    file: FileCreated | None = None
    started: bool = False
    paused: bool = False
    vad: Vad | None = None
    fax: bool = False
    sensitive: bool = False
    moves: int = 0


class SnapshotRecording(msgspec.Struct, kw_only=True):
    session: str
    recording: str
    endpoint: str | None
    file_path: str
    started_us: int


class Snapshot(msgspec.Struct, tag="snapshot", tag_field="t"):
    endpoints: list[SnapshotEndpoint]
    recordings: list[SnapshotRecording] = []


class Metrics(msgspec.Struct, tag="metrics", tag_field="t", kw_only=True):
    """Worker-wide counters; names become metric names.  counters: plain totals; drops: by reason."""

    counters: dict[str, int]
    drops: dict[str, int]
    gauges: dict[str, float]
    tick_duration_us: list[tuple[int, int]]  # (upper bound, count) histogram, not cumulative
    tick_late_us: list[tuple[int, int]]


class Failed(msgspec.Struct, tag="failed", tag_field="t", kw_only=True):
    """The command changed nothing.  code is a websocket.md error code (ENDPOINT_ERROR, ...)."""

    code: str
    message: str


ReplyBody = (
    Done | RtpCreated | FileCreated | SpreadOpened | RecordingStarted | RecordingDone | Stats
    | StatsPolled | Activity | Snapshot | Metrics | Failed
)  # fmt: skip


class Reply(msgspec.Struct, tag="reply", tag_field="t", kw_only=True):
    n: int
    body: ReplyBody


# -- events --------------------------------------------------------------------------------------------------


class WorkerUp(msgspec.Struct, tag="worker_up", tag_field="t", kw_only=True):
    """First message of an epoch.  scheduling: the level reached, e.g. "fifo", "nice", "none"."""

    pid: int
    scheduling: str
    endpoints: int  # arena slots


class KeyPressed(msgspec.Struct, tag="key", tag_field="t", kw_only=True):
    """source: rfc4733 | inband."""

    session: str
    endpoint: str
    digit: str
    duration_ms: int
    source: str = "rfc4733"


class SpeechStarted(msgspec.Struct, tag="speech", tag_field="t", kw_only=True):
    session: str
    endpoint: str


class Silent(msgspec.Struct, tag="silence", tag_field="t", kw_only=True):
    """duration_ms: since speech was last heard."""

    session: str
    endpoint: str
    duration_ms: int


class VadFailed(msgspec.Struct, tag="vad_failed", tag_field="t", kw_only=True):
    """Speech is not watched any more, or not for the time being ("overload")."""

    session: str
    endpoint: str
    error: str


class FaxTone(msgspec.Struct, tag="fax_tone", tag_field="t", kw_only=True):
    """tone: cng | ced."""

    session: str
    endpoint: str
    tone: str


class FaxFailed(msgspec.Struct, tag="fax_failed", tag_field="t", kw_only=True):
    """Fax tones are not watched for, for the time being ("overload")."""

    session: str
    endpoint: str
    error: str


class ToneFinished(msgspec.Struct, tag="tone_finished", tag_field="t", kw_only=True):
    session: str
    endpoint: str


class FileStarted(msgspec.Struct, tag="file_started", tag_field="t", kw_only=True):
    """Its first frame was played."""

    session: str
    endpoint: str
    started_at_us: int


class FileFinished(msgspec.Struct, tag="file_finished", tag_field="t", kw_only=True):
    """Its last frame was played; reason error: what should have followed could not be decoded."""

    session: str
    endpoint: str
    reason: str  # completed | error
    error: str | None = None


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


class RecordingStopped(msgspec.Struct, tag="recording_stopped", tag_field="t", kw_only=True):
    """A recording ended, but not by `StopRecording`; its file is complete (write_error: up to the error)."""

    session: str
    recording: str
    file_path: str
    duration_ms: int
    packets: int
    dropped_packets: int
    reason: str


class Probe(msgspec.Struct, tag="probe", tag_field="t"):
    """Result of the self-probe, once a second: a packet through a real socket pair and the media thread."""

    ok: bool


class WorkerLoad(msgspec.Struct, tag="load", tag_field="t", kw_only=True):
    """Once a second, and at once when the level changes.  Shares 0 to 1 of about the last second.

    level: engine.overload.Level, what the worker has given up.
    """

    busy: float  # of the CPU: the media thread ran
    waiting: float  # it wanted to run and could not
    late: float  # of its phases: begun late
    level: int


Event = (
    WorkerUp | KeyPressed | SpeechStarted | Silent | VadFailed | FaxTone | FaxFailed | ToneFinished
    | FileStarted | FileFinished | MediaTimeout | ByeReceived | PeerLearned | RecordingStopped | Probe
    | WorkerLoad
)  # fmt: skip


class Batch(msgspec.Struct, kw_only=True):
    """Replies and events, in the order they were made.  first: number of items[0] in this epoch, from 1."""

    worker: int
    epoch: int
    first: int
    items: list[Reply | Event]
