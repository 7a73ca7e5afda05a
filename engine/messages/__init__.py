"""Messages between control and workers, defined once (between processes as such: process_messages.py).

Commands go control (ROUTER) -> worker (DEALER), one `Command` a message.  Replies and events come back on
one PUSH -> PULL stream, in the order they were made, gathered into a `Batch` per wake-up.  Everything is
MessagePack by msgspec; unions are told apart by the tag field ``t``.

Units: `_us` are CLOCK_MONOTONIC microseconds of this machine (all processes share it), `_ms` durations.
Ids: `session`, `endpoint` are the public UUID strings; a worker keeps its own map from them to slots.
Schema rule: fields may be added with a default; tags and meanings never change within one release.

A module a subject; this one joins them: unions and envelopes.  Everybody takes the names from here, parts of
messages too.
"""

# ruff: noqa: F401

from __future__ import annotations

import msgspec

from roomtone.engine.messages.detection import (
    DetectFax,
    FaxFailed,
    FaxTone,
    KeyPressed,
    SetSensitive,
    Silent,
    SpeechStarted,
    StartVad,
    StopVad,
    Vad,
    VadFailed,
)
from roomtone.engine.messages.endpoints import (
    ByeReceived,
    CloseSession,
    CreateRtp,
    CreateTone,
    InjectKey,
    Media,
    MediaTimeout,
    MoveEndpoint,
    PayloadType,
    PeerLearned,
    Remote,
    RemoveEndpoint,
    RtpCreated,
    ToneFinished,
    UpdateRtp,
)
from roomtone.engine.messages.files import (
    AskFile,
    CreateFile,
    EndList,
    FileCreated,
    FileFinished,
    FileNext,
    FilePosition,
    FileStarted,
    PauseFile,
    QueueFile,
    ResumeFile,
    SeekFile,
    SetFileGain,
)
from roomtone.engine.messages.linking import (
    CloseSpread,
    CreateBridge,
    FeedBridge,
    OpenSpread,
    SetSpread,
    SpreadOpened,
    SpreadPeer,
    TurnBridge,
)
from roomtone.engine.messages.recordings import (
    FeedOpened,
    OpenFeed,
    PauseRecording,
    RecordingDone,
    RecordingStarted,
    RecordingStopped,
    ResumeRecording,
    StartFeed,
    StartRecording,
    StopRecording,
)
from roomtone.engine.messages.rooms import (
    ANNOUNCEMENTS,
    EVERYBODY,
    LeaveSeat,
    OpenRoom,
    Seat,
    Seated,
    TakeSeat,
)
from roomtone.engine.messages.stats import (
    Activity,
    EndpointStats,
    GetActivity,
    GetStats,
    PollStats,
    Stats,
    StatsPolled,
)
from roomtone.engine.messages.worker import (
    EndedStreams,
    GetMetrics,
    Metrics,
    Probe,
    Snapshot,
    SnapshotEndpoint,
    SnapshotRecording,
    TakeSnapshot,
    WorkerLoad,
    WorkerUp,
)

CommandBody = (
    CreateRtp | UpdateRtp | CreateTone | CreateFile | QueueFile | SeekFile | PauseFile | ResumeFile
    | SetFileGain | AskFile | EndList | CreateBridge | TurnBridge | FeedBridge | MoveEndpoint | RemoveEndpoint
    | CloseSession | InjectKey | StartVad | StopVad | DetectFax | SetSensitive | StartRecording | OpenFeed
    | StartFeed | PauseRecording | ResumeRecording | StopRecording | GetStats | PollStats | GetActivity
    | OpenSpread | SetSpread | CloseSpread | OpenRoom | TakeSeat | LeaveSeat | TakeSnapshot | GetMetrics
)  # fmt: skip


class Command(msgspec.Struct, kw_only=True):
    """n: control's running number, echoed in the reply.  It is not begun after its deadline."""

    n: int
    deadline_us: int
    body: CommandBody


class Done(msgspec.Struct, tag="done", tag_field="t"):
    pass


class Failed(msgspec.Struct, tag="failed", tag_field="t", kw_only=True):
    """The command changed nothing.  code is a websocket.md error code (ENDPOINT_ERROR, ...).

    detail: a finer code, where the command's description names some.
    """

    code: str
    message: str
    detail: str = ""


ReplyBody = (
    Done | RtpCreated | FileCreated | FilePosition | SpreadOpened | RecordingStarted | FeedOpened
    | RecordingDone | Stats | StatsPolled | Activity | Snapshot | Metrics | Failed
)  # fmt: skip


class Reply(msgspec.Struct, tag="reply", tag_field="t", kw_only=True):
    n: int
    body: ReplyBody


Event = (
    WorkerUp | KeyPressed | SpeechStarted | Silent | VadFailed | FaxTone | FaxFailed | ToneFinished
    | FileStarted | FileNext | FileFinished | MediaTimeout | ByeReceived | PeerLearned | RecordingStopped
    | Probe | WorkerLoad | Seated
)  # fmt: skip


class Batch(msgspec.Struct, kw_only=True):
    """Replies and events, in the order they were made.  first: number of items[0] in this epoch, from 1."""

    worker: int
    epoch: int
    first: int
    items: list[Reply | Event]
