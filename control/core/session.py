"""The session and endpoint machines: what they hold, and the tables of what may follow what.

Theory of operation
------------------- A *session* is a bus with its endpoints and a control lease.  It is ``active`` while a
connection is bound to it and ``orphaned`` once the connection is gone: media, statistics and time-outs go on,
and what happens is kept for the next connection.  It ends once, for one reason; nothing leads out of
``ended``.

An *endpoint* made from a peer's offer is ``connected`` at once, silently: the reply says so.  One made by our
own offer is ``connecting`` until the answer is accepted, which is told as an event behind that reply.  A tone
is ``playing`` and, when it has a duration, ``finished``; it stays listed until removed.  So is a file, which
can be ``paused`` between; one from a URL is ``buffering`` until a worker has opened what was downloaded.  One
for a bot's WebSocket is ``connecting`` until the bot has dialled, and ``disconnected`` for good once its
socket has closed; it stays listed until removed.  A bridge is a pair of endpoints in two sessions,
``connected`` until one of them goes, and with it the other.

A fact that has no place in the table is our own error, not the client's: what a client may ask is checked
before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from roomtone.control.core.api import Direction, EndpointState
from roomtone.control.core.calls.leg import Leg
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.negotiate import Line, directions
from roomtone.control.core.placement import Spread
from roomtone.engine.codecs import ENCODING_NAME, Codec
from roomtone.engine.messages import Media, MoveEndpoint, Remote, RtpCreated, Seat, Vad

if TYPE_CHECKING:
    from roomtone.control.core.polling import Bucket
    from roomtone.control.core.recordings import Recording
    from roomtone.control.core.rooms.model import Member, Room
    from roomtone.control.core.run import Run


class SessionFact(Enum):
    CONTROL_LOST = "control_lost"
    ATTACHED = "attached"
    DESTROYED = "destroyed"
    ORPHAN_EXPIRED = "orphan_expired"
    HUNG_UP = "hung_up"
    CHANNEL_LOST = "channel_lost"
    IDLE_EXPIRED = "idle_expired"
    EMPTY_EXPIRED = "empty_expired"
    WORKER_LOST = "worker_lost"
    SHUT_DOWN = "shut_down"


_ENDS = (
    SessionFact.HUNG_UP,
    SessionFact.IDLE_EXPIRED,
    SessionFact.EMPTY_EXPIRED,
    SessionFact.WORKER_LOST,
    SessionFact.SHUT_DOWN,
)

SESSION_TRANSITIONS: dict[str, dict[SessionFact, str]] = {
    "active": {
        SessionFact.CONTROL_LOST: "orphaned",
        SessionFact.DESTROYED: "ended",
        **dict.fromkeys(_ENDS, "ended"),
    },
    "orphaned": {
        SessionFact.ATTACHED: "active",
        SessionFact.DESTROYED: "ended",
        SessionFact.CHANNEL_LOST: "ended",
        SessionFact.ORPHAN_EXPIRED: "ended",
        **dict.fromkeys(_ENDS, "ended"),
    },
    "ended": {},
}


class EndpointFact(Enum):
    OFFER_ANSWERED = "offer_answered"  # the peer's offer, by us
    OFFER_MADE = "offer_made"
    ANSWER_ACCEPTED = "answer_accepted"
    BRIDGED = "bridged"
    TONE_STARTED = "tone_started"
    TONE_FINISHED = "tone_finished"
    SOCKET_AWAITED = "socket_awaited"  # a bot's WebSocket
    SOCKET_CONNECTED = "socket_connected"
    SOCKET_CLOSED = "socket_closed"
    FILE_AWAITED = "file_awaited"  # it is being downloaded
    FILE_OPENED = "file_opened"  # by the worker
    FILE_PAUSED = "file_paused"
    FILE_RESUMED = "file_resumed"
    FILE_FINISHED = "file_finished"  # or broken off


ENDPOINT_TRANSITIONS: dict[EndpointState, dict[EndpointFact, EndpointState]] = {
    "new": {
        EndpointFact.OFFER_ANSWERED: "connected",
        EndpointFact.OFFER_MADE: "connecting",
        EndpointFact.BRIDGED: "connected",
        EndpointFact.TONE_STARTED: "playing",
        EndpointFact.SOCKET_AWAITED: "connecting",
        EndpointFact.FILE_AWAITED: "buffering",
        EndpointFact.FILE_OPENED: "playing",
    },
    "connecting": {
        EndpointFact.ANSWER_ACCEPTED: "connected",
        EndpointFact.SOCKET_CONNECTED: "connected",
        EndpointFact.SOCKET_CLOSED: "disconnected",
    },
    "connected": {EndpointFact.SOCKET_CLOSED: "disconnected"},
    "disconnected": {},
    "buffering": {EndpointFact.FILE_OPENED: "playing"},
    "playing": {
        EndpointFact.TONE_FINISHED: "finished",
        EndpointFact.FILE_PAUSED: "paused",
        EndpointFact.FILE_FINISHED: "finished",
    },
    "paused": {EndpointFact.FILE_RESUMED: "playing", EndpointFact.FILE_FINISHED: "finished"},
    "finished": {},
}


def address(ip: str, port: int) -> str:
    """ip:port, an IPv6 address in brackets."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


class Audio(Struct, eq=False):
    """What a bot's WebSocket carries: samples a second, milliseconds a frame to the bot holds (0: a packet).

    token: what the bot dials with.  socket: the bot's, as io numbers it; None: not there (yet, or any more).
    """

    sample_rate: int
    flush_ms: int
    token: str = ""
    socket: int | None = None


class End(Struct, frozen=True, array_like=True):
    """One end of a bridge."""

    session: str
    endpoint: str


class Endpoint(Struct, kw_only=True, eq=False):
    """One endpoint as control knows it.  Directions are the peer's.

    policy: the direction asked for at creation.  negotiated: what the SDPs agreed, within the policy; None:
    not yet. override: set by update_direction; None: automatic.  held: the peer gave no address to send to.
    learns: the peer's address is that of its first
    packet.  learned: the one the worker pinned.  offered: codecs of our unanswered or answered offer.
    audio: of a bot's WebSocket; media and created describe the loopback RTP it is carried by.  far: the other
    end of a bridge.  moves: how often the worker was asked to move it to another bus.  shared_id: of the
    decoder that several endpoints share.  seat_in: the room that counts it, for it sits there;
    seat: how, as its worker was told last.
    """

    id: str
    kind: str  # rtp | tone | websocket | bridge | file
    worker: int
    number: int = 0  # order of making in the session
    state: EndpointState = "new"
    policy: Direction = "sendrecv"
    negotiated: Direction | None = None
    override: Direction | None = None
    held: bool = False
    media: Media | None = None
    created: RtpCreated | None = None
    remote: Remote | None = None
    rtcp_mux: bool = False
    learns: bool = True
    learned: str | None = None
    offered: tuple[Codec, ...] = ()
    sdp_version: int = 0
    sensitive: bool = False
    vad: Vad | None = None
    fax: bool = False
    audio: Audio | None = None
    far: End | None = None
    moves: int = 0
    shared_id: str | None = None
    seat_in: Room | None = None
    seat: Seat | None = None

    def happened(self, fact: EndpointFact) -> tuple[EndpointState, EndpointState]:
        """Take the transition; returns (old state, new state)."""
        old = self.state
        self.state = ENDPOINT_TRANSITIONS[old][fact]
        return old, self.state

    @property
    def direction(self) -> Direction:
        return self.override or self.negotiated or self.policy

    @property
    def is_source(self) -> bool:
        return directions(self.direction)[0]

    @property
    def is_destination(self) -> bool:
        return directions(self.direction)[1] and not self.held

    @property
    def codec(self) -> str | None:
        """The name of what we send; None before the answer and where there is none."""
        if self.audio is not None:
            return f"L16/{self.audio.sample_rate}"
        return ENCODING_NAME[self.media.send_codec] if self.media is not None else None

    @property
    def remote_rtp_addr(self) -> str | None:
        if self.learned is not None:
            return self.learned
        return address(self.remote.ip, self.remote.port) if self.remote is not None else None

    @property
    def remote_rtcp_addr(self) -> str | None:
        """The SDP's until the peer is heard from another address: then that, or the port behind it."""
        told = self.remote
        if told is None:
            return None
        if self.learned is None or self.learned == address(told.ip, told.port):
            return address(told.ip, told.rtcp_port)
        host, _, port = self.learned.rpartition(":")
        return self.learned if self.rtcp_mux else f"{host}:{int(port) + 1}"

    def next_line(self) -> Line:
        """Our side of the next SDP of this endpoint."""
        assert self.created is not None
        self.sdp_version += 1
        return Line(
            session_id=int(self.id[:8], 16),
            version=self.sdp_version,
            created=self.created,
            rtcp_mux=self.rtcp_mux,
        )


class Subscription(Struct, eq=False):
    """Periodic statistics.

    bucket: of the wheel, with the interval and the time of the next event.  polling: the workers are being
    asked.  withheld: events left out under overload since the last one sent.
    """

    bucket: Bucket
    include_diagnostics: bool
    polling: bool = False
    withheld: int = 0


class Bus(Struct, kw_only=True, eq=False):
    """What mixes: a session, or a room.

    endpoints: those it owns.  counts: endpoints that sit on its bus or will, by worker; its keys are the
    workers that may hold something of it.  opening: workers that are asked to publish.
    """

    id: str
    app_id: str
    created_us: int
    state: str
    home: int | None = None
    phase: int = 0
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    bridges: int = 0  # of them
    spread: Spread | None = None
    arriving: list[tuple[int, MoveEndpoint]] = field(default_factory=list)  # worker, and how to undo its move
    opening: list[int] = field(default_factory=list)
    made: int = 0  # endpoints ever made
    member: Member | None = None  # a session's: of the room it is in, or joins
    timers: set[str] = field(default_factory=set)
    cooling: dict[str, int] = field(default_factory=dict)  # groups of commands: until when, in microseconds

    @property
    def ended(self) -> bool:
        return self.state == "ended"

    def heard(self) -> list[Endpoint]:
        """Who is recorded when it is as a whole, in the order of making."""
        return list(self.endpoints.values())

    @property
    def size(self) -> int:
        """Endpoints on it, made or being made."""
        return sum(self.counts.values())


class Session(Bus, kw_only=True, eq=False):
    """One session.

    connection: the bound one; None while orphaned.  run: the command being carried out; waiting: those
    behind it, which happens only when a new connection attaches while a command of the last one is still
    open.
    """

    caller_id: str
    queue: EventQueue
    connection: int | None
    last_command_us: int
    state: str = "active"
    subscription: Subscription | None = None
    orphaned_until_us: int = 0
    leg: Leg = field(default_factory=Leg)
    run: Run | None = None
    waiting: deque[Callable[[], None]] | None = None

    @property
    def membership(self) -> Member | None:
        """In the room that it is in; also while it is on its way to another one."""
        member = self.member
        if member is None or member.pending is None:
            return member
        return member.pending.before

    def happened(self, fact: SessionFact) -> None:
        self.state = SESSION_TRANSITIONS[self.state][fact]


class Connection(Struct, kw_only=True, eq=False):
    """One control connection.  gone: its session ended without it; session commands answer SESSION_GONE."""

    id: int
    app_id: str
    queue: EventQueue
    session: Session | None = None
    gone: bool = False
    busy: bool = False  # a request is open
