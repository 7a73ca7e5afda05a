"""What the core asks its surroundings to do, and what they tell it.

The core is sans-IO: ``Core.handle(input, now_us) -> list[Effect]``.  It imports no asyncio, socket, time,
random or sqlite3; ids come from an iterator given at construction.  Effects are performed in order by
``control/io``.

A connection is an int chosen by io.  Outgoing text goes through `EventQueue` (core/event_queue.py), one a
connection (it belongs to the session while one is bound, so that events raised while orphaned wait there):
`Reply` and `Emit` have put the bytes there already when the effect is seen; the effect only says "this
connection has something to send".
"""

from __future__ import annotations

import msgspec

from roomtone.control.core.committing import Published
from roomtone.control.core.rest.refusal import Refusal
from roomtone.control.core.rest.store_questions import Question, Said
from roomtone.engine.messages import (
    CommandBody,
    Event,
    Failed,
    ReplyBody,
    SnapshotEndpoint,
    SnapshotRecording,
)
from roomtone.engine.recording_counts import Left

NORMAL_CLOSURE, GOING_AWAY, UNEXPECTED = 1000, 1001, 1011  # RFC 6455 section 7.4.1

# -- inputs --------------------------------------------------------------------------------------------------


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One record of the store, whole.  kind: whose business it is; body: MessagePack; None: it goes."""

    kind: str
    id: str
    body: bytes | None


class ConnectionOpened(msgspec.Struct, frozen=True):
    connection: int
    app_id: str | None = None  # from the bearer token; None when no tokens are configured


class ConnectionMessage(msgspec.Struct, frozen=True):
    """One text frame.  io hands over the next frame of a connection only after `Ready` for the last one."""

    connection: int
    data: bytes


class ConnectionClosed(msgspec.Struct, frozen=True):
    """unsent: texts that core gave out and the peer cannot have got, in order."""

    connection: int
    unsent: list[bytes] = []


class WorkerStarted(msgspec.Struct, frozen=True):
    """The first batch of an epoch came (WorkerUp).

    running: it was running before this process began; WorkerHolds follows.
    """

    worker: int
    epoch: int
    running: bool = False


class WorkerHolds(msgspec.Struct, frozen=True):
    """What a worker held when this process began; once a worker, behind WorkerStarted."""

    worker: int
    endpoints: list[SnapshotEndpoint]
    recordings: list[SnapshotRecording] = []


class WorkerDied(msgspec.Struct, frozen=True):
    """All open commands to it fail at once; its sessions are lost.

    left: what reached the files of its recordings, by their ids.
    """

    worker: int
    epoch: int
    left: dict[str, Left] = {}


class WorkerReply(msgspec.Struct, frozen=True):
    worker: int
    n: int
    body: ReplyBody


class CommandTimedOut(msgspec.Struct, frozen=True):
    """io saw no reply within the deadline."""

    n: int


class WorkerEvent(msgspec.Struct, frozen=True):
    worker: int
    event: Event


class Located(msgspec.Struct, frozen=True):
    """A file below media_dir.  path: absolute, without a symlink.  key: another one when the content is."""

    path: str
    key: str


class FileLooked(msgspec.Struct, frozen=True):
    """The answer to LocateFile."""

    n: int
    body: Located | Failed


class DownloadBegun(msgspec.Struct, frozen=True):
    """Enough to begin playing it lies in the cache, at `path`, where the rest follows."""

    name: str
    path: str


class StoreSaid(msgspec.Struct, frozen=True):
    """The answer to AskStore."""

    n: int
    body: Said


class Downloaded(msgspec.Struct, frozen=True):
    """The whole file lies in the cache, at `path`."""

    name: str
    path: str
    size_bytes: int


class DownloadFailed(msgspec.Struct, frozen=True):
    """Nothing of it is left in the cache.  outcome: a word for metrics; message: for a person, no secrets.

    code: http_ and the status that was answered; none: the outcome says it (core/downloads.py, CODES).
    """

    name: str
    outcome: str
    message: str
    code: str = ""


class TimerFired(msgspec.Struct, frozen=True):
    key: tuple[str, ...]


class ShutdownBegan(msgspec.Struct, frozen=True):
    """SIGTERM: refuse new sessions; running ones go on until they end or `shutdown_max_wait_secs` is over."""


class RestRequest(msgspec.Struct, frozen=True):
    """An authenticated request for one of `rest.operations.OPERATIONS`; `RestReply` answers it, always.

    n: io's number for it.  app_id: who asks; "" for an administrator.  path, query: decoded.
    idempotency_key: the header of that name.
    """

    n: int
    operation: str
    app_id: str
    path: dict[str, str]
    query: dict[str, str]
    body: bytes
    request_id: str
    idempotency_key: str | None = None


class Restored(msgspec.Struct, frozen=True):
    """What the store held when this process began; the first input of all."""

    rows: list[Row]


class Committed(msgspec.Struct, frozen=True):
    """Everything up to `Persist` n is on disk."""

    n: int


class StoreTrouble(msgspec.Struct, frozen=True):
    """What the store cannot do; None: all is well again.

    reason: `store_unavailable` (it cannot write; what was handed to it waits there) or `overloaded` (it is
    nearly full of events that nobody has taken).
    """

    reason: str | None


class WebhookDisabled(msgspec.Struct, frozen=True):
    """The dispatcher gave a webhook endpoint up.  reason: for a person."""

    key: str
    reason: str


class AudioDialled(msgspec.Struct, frozen=True):
    """A bot's WebSocket came, numbered by io, with what stood behind /audio/."""

    socket: int
    token: str


class AudioBound(msgspec.Struct, frozen=True):
    """After `OpenAudio`: io's end of the loopback pair has this port."""

    socket: int
    port: int


class AudioEnded(msgspec.Struct, frozen=True):
    """A bot's WebSocket is gone, whoever closed it."""

    socket: int


Input = (
    ConnectionOpened | ConnectionMessage | ConnectionClosed | WorkerStarted | WorkerHolds | WorkerDied
    | WorkerReply | CommandTimedOut | WorkerEvent | FileLooked | DownloadBegun | Downloaded | DownloadFailed
    | TimerFired | ShutdownBegan | RestRequest | Restored | Committed | StoreTrouble | AudioDialled
    | AudioBound | AudioEnded | StoreSaid | WebhookDisabled
)  # fmt: skip

# -- effects -------------------------------------------------------------------------------------------------


class SendToWorker(msgspec.Struct, frozen=True):
    """Send `Command(n, deadline_us, body)`; io reports WorkerReply, CommandTimedOut or WorkerDied for n."""

    worker: int
    n: int
    deadline_us: int
    body: CommandBody


class LocateFile(msgspec.Struct, frozen=True):
    """Find a file of a client's naming below media_dir; io reports FileLooked for n, always."""

    n: int
    source: str


class AskStore(msgspec.Struct, frozen=True):
    """Ask what has been written down; io reports StoreSaid for n, always."""

    n: int
    question: Question


class StartDownload(msgspec.Struct, frozen=True):
    """Download to the cache under that name.

    io reports DownloadBegun when enough is there, or not at all, then Downloaded or DownloadFailed, unless it
    is stopped.
    """

    name: str
    url: str
    headers: tuple[tuple[str, str], ...]


class StopDownload(msgspec.Struct, frozen=True):
    """Nobody wants it any more: leave nothing of it."""

    name: str


class DeleteCopy(msgspec.Struct, frozen=True):
    """Delete a downloaded file.  What a worker has open it can read on."""

    name: str


class Wake(msgspec.Struct, frozen=True):
    """The connection's EventQueue holds something to send."""

    connection: int


class Tell(msgspec.Struct, frozen=True):
    """A text for each of these connections, whose queues are empty: it need not go through them.

    What a connection has no room for io hands to `polling.keep` at once.
    """

    connections: list[int]
    texts: list[bytes]


class Ready(msgspec.Struct, frozen=True):
    """The connection's request is answered; its next frame may be handed over.

    io withholds the next frame while the peer leaves what it is sent: the queue does not bound replies.
    """

    connection: int


class CloseConnection(msgspec.Struct, frozen=True):
    connection: int
    code: int
    reason: str


class OpenAudio(msgspec.Struct, frozen=True):
    """Make the loopback socket towards a worker's port for this bot; io reports `AudioBound`, or the end."""

    socket: int
    port: int
    sample_rate: int
    flush_ms: int


class StartAudio(msgspec.Struct, frozen=True):
    """The worker listens: what the bot has said and says from now on may be sent there."""

    socket: int


class CloseAudio(msgspec.Struct, frozen=True):
    """Close a bot's WebSocket; io reports `AudioEnded` as always."""

    socket: int
    code: int  # RFC 6455 section 7.4.1
    reason: str


class RestReply(msgspec.Struct, frozen=True):
    """The answer to `RestRequest` n.  refusal: io writes it in the form the client accepts; else body."""

    n: int
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None


class Persist(msgspec.Struct, frozen=True):
    """Write rows and events in one transaction, in the order of n; io reports `Committed`."""

    n: int
    rows: list[Row]
    events: list[Published]


class ScheduleAt(msgspec.Struct, frozen=True):
    """Fire TimerFired(key) at that time; a later ScheduleAt of the same key replaces it."""

    when_us: int
    key: tuple[str, ...]


class CancelTimer(msgspec.Struct, frozen=True):
    key: tuple[str, ...]


class Log(msgspec.Struct, frozen=True):
    """A state changed: one JSON log line."""

    level: str
    event: str
    fields: dict[str, object]


class Drained(msgspec.Struct, frozen=True):
    """After ShutdownBegan: no session is left, or the wait is over and all are closed: the end."""


Effect = (
    SendToWorker | LocateFile | AskStore | StartDownload | StopDownload | DeleteCopy | Wake | Tell | Ready
    | CloseConnection | OpenAudio | StartAudio | CloseAudio | RestReply | Persist | ScheduleAt | CancelTimer
    | Log | Drained
)  # fmt: skip
