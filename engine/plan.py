"""Which endpoint is a source and a destination of which bus: the book of what the media thread does.

A session here is a bus with its endpoints.  Every change is written into the media thread's edit ring at
once; this book only remembers what was written, so that a later change is the difference.  Sum rates
follow the members' codecs in the media thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from roomtone.engine.errors import CommandError
from roomtone.engine.messages import Media as Negotiated
from roomtone.engine.messages import Remote, SpreadPeer

if TYPE_CHECKING:
    from roomtone.engine.files import Jump, Queuing
    from roomtone.engine.keys import KeyQueue
    from roomtone.engine.ports import PortPair
    from roomtone.engine.tape import Reader
    from roomtone.engine.watching import Watch
    from roomtone.ext.flow.media import Media

RECEIVE_TYPES, EVENT_TYPES = 8, 4  # ext/flow/constants.pxd: payload types a peer may use
_PROFILES_KEPT = 1024  # distinct negotiated sets remembered for sharing; a bound against odd peers
KEY_RELAY_LIMIT = 20  # websocket.md section 4: in larger buses keys are reported, not relayed
_NO_SLOT = -1


class Profile:
    """What negotiation agreed, in the media thread's words; shared by all endpoints that agreed the same."""

    __slots__ = ("event_receive", "event_send", "receive", "send_codec", "send_payload_type")

    def __init__(self, media: Negotiated) -> None:
        self.receive = [(entry.payload_type, int(entry.codec)) for entry in media.receive]
        self.send_payload_type = media.send_payload_type
        self.send_codec = int(media.send_codec)
        self.event_receive = list(media.event_receive)
        self.event_send = media.event_send


class Endpoint:
    """Common part.  handle: the media thread's slot."""

    __slots__ = ("finished", "gone", "handle", "id", "note", "serial", "session", "watch")
    kind = ""

    def __init__(self, id: str, session: Session, handle: int, serial: int) -> None:
        self.id = id
        self.session = session
        self.handle = handle
        self.serial = serial  # creation order on this worker
        self.finished = False  # a tone or a file that ended
        self.gone = False  # removed; the media thread may still have to let go
        self.note = b""  # control's own words, for a control that restarted
        self.watch: Watch | None = None  # what detectors look for in what it says, when somebody asked


class RtpEndpoint(Endpoint):
    __slots__ = (
        "in_destinations",
        "in_sources",
        "is_destination",
        "is_source",
        "keys",
        "learned",
        "moves",
        "pair",
        "profile",
        "remote",
        "send_at_once",
        "sensitive",
    )
    kind = "rtp"

    def __init__(self, id: str, session: Session, handle: int, serial: int, pair: PortPair) -> None:
        super().__init__(id, session, handle, serial)
        self.pair = pair
        self.profile: Profile | None = None
        self.remote: Remote | None = None
        self.is_source = False  # wanted
        self.is_destination = False
        self.in_sources = False  # written to the media thread
        self.in_destinations = False
        self.send_at_once = False
        self.learned = False  # the peer's address was pinned and told
        self.sensitive = False  # its keys are nobody's business
        self.moves = 0  # number of the last move to another session
        self.keys: KeyQueue | None = None  # made with the first key injected


class AudioSocketEndpoint(RtpEndpoint):
    """RTP over loopback; the peer is control, which carries it on to a bot's WebSocket."""

    __slots__ = ()
    kind = "websocket"


class ToneEndpoint(Endpoint):
    __slots__ = ("ends_us",)
    kind = "tone"

    def __init__(self, id: str, session: Session, handle: int, serial: int, ends_us: int | None) -> None:
        super().__init__(id, session, handle, serial)
        self.ends_us = ends_us  # None: for ever


class FileEndpoint(Endpoint):
    __slots__ = ("jump", "paused", "queuing", "readers", "started", "told_item")
    kind = "file"

    def __init__(self, id: str, session: Session, handle: int, serial: int, reader: Reader) -> None:
        super().__init__(id, session, handle, serial)
        self.readers = [reader]  # one an item of its list, all of one playback
        self.queuing: Queuing | None = None  # what will be the next
        self.paused = False
        self.started = False  # its beginning was told
        self.told_item = 0  # of its list, that plays
        self.jump: Jump | None = None  # a seek that waits for what is there

    @property
    def reader(self) -> Reader:
        """The item that plays."""
        return self.readers[self.readers[0].playback.item]


class BridgeEndpoint(Endpoint):
    __slots__ = ("feeds", "is_source", "phase")
    kind = "bridge"

    def __init__(self, id: str, session: Session, handle: int, serial: int) -> None:
        super().__init__(id, session, handle, serial)
        self.is_source = False
        self.feeds: list[SpreadPeer] = []  # where the other session's buses publish,
        self.phase = 0  # and when


class Session:
    """A bus and its endpoints here."""

    __slots__ = ("activity_us", "bus", "id", "members", "peers", "slot")

    def __init__(self, id: str, bus: int) -> None:
        self.id = id
        self.bus = bus
        self.members: dict[str, Endpoint] = {}  # by endpoint id, in the order they came
        self.slot = _NO_SLOT  # where its sum is published, when others hear it
        self.peers: list[SpreadPeer] = []  # whose sums are added: the same session's on other workers
        self.activity_us = 0  # latest activity of endpoints that are gone


class Plan:
    """All sessions and endpoints of this worker."""

    def __init__(self, media: Media) -> None:
        self.media = media
        self.sessions: dict[str, Session] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.by_handle: dict[int, Endpoint] = {}
        self.bridges: dict[str, BridgeEndpoint] = {}
        self._profiles: dict[object, Profile] = {}
        self.changes = 0  # counts endpoints that came, went or finished
        # Who else wants to know of those that came to a session, and of those that are about to go, and why.
        self.joined: Callable[[Endpoint], None] = _nobody
        self.leaving: Callable[[Endpoint, str], None] = _nobody
        self._serial = 0

    # -- sessions --------------------------------------------------------------------------------------------

    def session(self, id: str, phase: int, key_relay_limit: int) -> Session:
        """The session's bus here, opened on first use.  CommandError ENDPOINT_ERROR when no bus is left."""
        session = self.sessions.get(id)
        if session is None:
            try:
                bus = self.media.bus_take()
            except RuntimeError:
                raise CommandError("ENDPOINT_ERROR", "this worker has no bus left") from None
            session = self.sessions[id] = Session(id, bus)
            self.media.bus_open(bus, phase=phase, key_relay_limit=key_relay_limit)
        return session

    def close_session(self, session: Session) -> int:
        """Close the bus of an emptied session.  Returns the edit after which it may be freed."""
        return self.media.bus_close(session.bus)

    # -- endpoints -------------------------------------------------------------------------------------------

    def find(self, id: str) -> Endpoint:
        endpoint = self.endpoints.get(id)
        if endpoint is None:
            raise CommandError("ENDPOINT_ERROR", f"no endpoint {id} on this worker")
        return endpoint

    def find_rtp(self, id: str) -> RtpEndpoint:
        endpoint = self.find(id)
        if not isinstance(endpoint, RtpEndpoint):
            raise CommandError("ENDPOINT_ERROR", f"endpoint {id} is not an RTP endpoint")
        return endpoint

    def find_file(self, id: str) -> FileEndpoint:
        """One that plays, or could."""
        endpoint = self.find(id)
        if not isinstance(endpoint, FileEndpoint):
            raise CommandError("ENDPOINT_ERROR", f"endpoint {id} is not a file")
        if endpoint.finished:
            raise CommandError("ENDPOINT_ERROR", f"file {id} has ended")
        return endpoint

    def find_bridge(self, id: str) -> BridgeEndpoint:
        endpoint = self.bridges.get(id)
        if endpoint is None:
            raise CommandError("ENDPOINT_ERROR", f"no bridge {id} on this worker")
        return endpoint

    def check_new(self, id: str) -> None:
        if id in self.endpoints:
            raise CommandError("ENDPOINT_ERROR", f"endpoint {id} exists")

    def take_place(
        self, session: str, phase: int, key_relay_limit: int = KEY_RELAY_LIMIT
    ) -> tuple[int, Session]:
        """A slot for an endpoint, and its session, made if need be.  CommandError: nothing was taken."""
        try:
            handle = self.media.endpoint_take()
        except RuntimeError:
            raise CommandError("ENDPOINT_ERROR", "this worker has no endpoint slot left") from None
        try:
            return handle, self.session(session, phase, key_relay_limit)
        except CommandError:
            self.media.endpoint_free(handle)
            raise

    def next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def add(self, endpoint: Endpoint) -> None:
        """Enter an endpoint whose slot was opened."""
        self.changes += 1
        self.endpoints[endpoint.id] = endpoint
        self.by_handle[endpoint.handle] = endpoint
        endpoint.session.members[endpoint.id] = endpoint
        if isinstance(endpoint, BridgeEndpoint):
            self.bridges[endpoint.id] = endpoint
        self.joined(endpoint)

    def profile(self, media: Negotiated) -> Profile:
        """The shared form of what was negotiated.  CommandError when a media slot cannot hold it."""
        key = (
            tuple((entry.payload_type, entry.codec) for entry in media.receive),
            media.send_payload_type,
            media.send_codec,
            tuple(media.event_receive),
            media.event_send,
        )
        profile = self._profiles.get(key)
        if profile is None:
            if len(media.receive) > RECEIVE_TYPES or len(media.event_receive) > EVENT_TYPES:
                raise CommandError("ENDPOINT_ERROR", "too many payload types")
            if len(self._profiles) >= _PROFILES_KEPT:
                self._profiles.clear()
            profile = self._profiles[key] = Profile(media)
        return profile

    def settle(self, endpoint: RtpEndpoint) -> None:
        """Write negotiated media and direction, then join or leave the bus accordingly."""
        profile = endpoint.profile
        if profile is None:
            return  # our own offer is not answered: heard and sent to by nobody
        media, session, handle = self.media, endpoint.session, endpoint.handle
        media.endpoint_media(
            handle,
            receive=profile.receive,
            send_payload_type=profile.send_payload_type,
            send_codec=profile.send_codec,
            event_receive=profile.event_receive,
            event_send=profile.event_send,
            may_receive=endpoint.is_source,
            may_send=endpoint.is_destination,
        )
        if endpoint.is_source != endpoint.in_sources:
            (media.source_add if endpoint.is_source else media.source_remove)(session.bus, handle)
            endpoint.in_sources = endpoint.is_source
        if endpoint.is_destination != endpoint.in_destinations:
            (media.destination_add if endpoint.is_destination else media.destination_remove)(
                session.bus, handle
            )
            endpoint.in_destinations = endpoint.is_destination

    def move(self, endpoint: RtpEndpoint, session: Session) -> None:
        """To another session's bus; nothing else of it changes."""
        old = endpoint.session
        if old is session:
            return
        self.leaving(endpoint, "endpoint_transferred")
        self.changes += 1
        del old.members[endpoint.id]
        old.activity_us = max(old.activity_us, self.media.last_activity_us(endpoint.handle))
        session.members[endpoint.id] = endpoint
        endpoint.session = session
        self.media.endpoint_move(endpoint.handle, session.bus)
        self.joined(endpoint)

    def remove(self, endpoint: Endpoint) -> int:
        """Forget an endpoint and close its slot.  Returns the edit after which media has let go."""
        session = endpoint.session
        self.leaving(endpoint, "endpoint_removed")
        endpoint.gone = True
        self.changes += 1
        del self.endpoints[endpoint.id]
        del self.by_handle[endpoint.handle]
        del session.members[endpoint.id]
        self.bridges.pop(endpoint.id, None)
        if isinstance(endpoint, RtpEndpoint):
            session.activity_us = max(session.activity_us, self.media.last_activity_us(endpoint.handle))
        return self.media.endpoint_close(endpoint.handle)

    def finish(self, endpoint: ToneEndpoint | FileEndpoint) -> None:
        """It has ended; it stays listed until it is removed."""
        endpoint.finished = True
        self.changes += 1

    def newest_first(self) -> Iterator[Endpoint]:
        return reversed(self.endpoints.values())


def _nobody(endpoint: Endpoint, reason: str = "") -> None:
    """Until somebody asks to be told."""
