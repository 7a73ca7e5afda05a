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
from roomtone.engine.messages import Remote, Seat, SpreadPeer

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

    __slots__ = (
        "event_receive",
        "event_send",
        "noise_receive",
        "noise_send",
        "receive",
        "send_codec",
        "send_payload_type",
    )

    def __init__(self, media: Negotiated) -> None:
        self.receive = [(entry.payload_type, int(entry.codec)) for entry in media.receive]
        self.send_payload_type = media.send_payload_type
        self.send_codec = int(media.send_codec)
        self.event_receive = list(media.event_receive)
        self.event_send = media.event_send
        self.noise_receive = media.noise_receive
        self.noise_send = media.noise_send


class Endpoint:
    """Common part.  handle: the media thread's slot."""

    __slots__ = (
        "arrival",
        "finished",
        "gone",
        "handle",
        "id",
        "moves",
        "note",
        "room",
        "seat",
        "seat_edit",
        "serial",
        "session",
        "watch",
    )
    kind = ""

    def __init__(self, id: str, session: Session, handle: int, serial: int) -> None:
        self.id = id
        self.session = session
        self.handle = handle
        self.serial = serial  # creation order on this worker
        self.finished = False  # a tone or a file that ended
        self.gone = False  # removed; the media thread may still have to let go
        self.note = b""  # control's own words, for a control that restarted
        self.moves = 0  # number of the last move to another session, to a seat or from it
        self.room: Session | None = None  # where it has its seat
        self.seat: Seat | None = None
        self.seat_edit = 0  # that wrote it
        self.arrival = 0  # number of its coming to the room, until it is in the mix there
        self.watch: Watch | None = None  # what detectors look for in what it says, when somebody asked

    @property
    def bus(self) -> int:
        return (self.room or self.session).bus


class RtpEndpoint(Endpoint):
    __slots__ = (
        "in_destinations",
        "in_sources",
        "is_destination",
        "is_source",
        "keys",
        "learned",
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
    """A bus and its endpoints here; a room's is the bus of all who have seats there, whosever they are."""

    __slots__ = (
        "activity_us",
        "bus",
        "id",
        "is_room",
        "members",
        "peers",
        "role_slots",
        "roles",
        "seated",
        "slot",
    )

    def __init__(self, id: str, bus: int) -> None:
        self.id = id
        self.bus = bus
        self.members: dict[str, Endpoint] = {}  # by endpoint id, in the order they came
        self.is_room = False
        self.roles = False  # voices are told apart there
        self.seated: dict[str, Endpoint] = {}  # other sessions' endpoints that have seats, as they came
        self.slot = _NO_SLOT  # where its sum is published, when others hear it
        self.role_slots: list[int] = []  # and those of its roles
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
        # The session they came to or leave; None: all they are in.
        self.joined: Callable[[Endpoint, Session], None] = _nobody
        self.leaving: Callable[[Endpoint, str, Session | None], None] = _nobody
        self.parties = Parties()
        self._serial = 0
        self._arrivals = 0

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

    def add(self, endpoint: Endpoint, room: Session | None = None, seat: Seat | None = None) -> None:
        """Enter an endpoint whose slot was opened, and that is on no bus yet; room: where it sits."""
        self.changes += 1
        self.endpoints[endpoint.id] = endpoint
        self.by_handle[endpoint.handle] = endpoint
        endpoint.session.members[endpoint.id] = endpoint
        if isinstance(endpoint, BridgeEndpoint):
            self.bridges[endpoint.id] = endpoint
        if room is not None:
            self.sit(endpoint, room, seat or Seat())
        self.joined(endpoint, endpoint.session)

    def profile(self, media: Negotiated) -> Profile:
        """The shared form of what was negotiated.  CommandError when a media slot cannot hold it."""
        key = (
            tuple((entry.payload_type, entry.codec) for entry in media.receive),
            media.send_payload_type,
            media.send_codec,
            tuple(media.event_receive),
            media.event_send,
            media.noise_receive,
            media.noise_send,
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
        media, bus, handle = self.media, endpoint.bus, endpoint.handle
        media.endpoint_media(
            handle,
            receive=profile.receive,
            send_payload_type=profile.send_payload_type,
            send_codec=profile.send_codec,
            event_receive=profile.event_receive,
            event_send=profile.event_send,
            noise_receive=profile.noise_receive,
            noise_send=profile.noise_send,
            may_receive=endpoint.is_source,
            may_send=endpoint.is_destination,
        )
        if endpoint.is_source != endpoint.in_sources:
            (media.source_add if endpoint.is_source else media.source_remove)(bus, handle)
            endpoint.in_sources = endpoint.is_source
        if endpoint.is_destination != endpoint.in_destinations:
            (media.destination_add if endpoint.is_destination else media.destination_remove)(bus, handle)
            endpoint.in_destinations = endpoint.is_destination

    def move(self, endpoint: RtpEndpoint, session: Session) -> None:
        """To another session, and its bus; nothing else of it changes."""
        old = endpoint.session
        if old is session:
            return
        self.leaving(endpoint, "endpoint_transferred", None)
        self._forget_seat(endpoint)
        self.changes += 1
        del old.members[endpoint.id]
        old.activity_us = max(old.activity_us, self.media.last_activity_us(endpoint.handle))
        session.members[endpoint.id] = endpoint
        endpoint.session = session
        self.media.endpoint_move(endpoint.handle, session.bus)
        self.joined(endpoint, session)

    # -- seats -----------------------------------------------------------------------------------------------

    def room(self, id: str) -> Session:
        """CommandError: there is none of that id here."""
        room = self.sessions.get(id)
        if room is None or not room.is_room:
            raise CommandError("ENDPOINT_ERROR", f"no room {id} on this worker")
        return room

    def room_for(self, session: str, room: str | None) -> Session | None:
        """Where a new endpoint of a session will sit.  CommandError: there is no such room."""
        if room is not None:
            return self.room(room)
        own = self.sessions.get(session)
        return own if own is not None and own.is_room else None

    def sit(self, endpoint: Endpoint, room: Session, seat: Seat) -> None:
        """Take a seat in a room, or another one there."""
        came = endpoint.room is not room
        if came:
            self._leave_room(endpoint)
            self._arrivals += 1
            endpoint.room, endpoint.arrival = room, self._arrivals
        self.parties.replace(endpoint.seat, seat)
        endpoint.seat = seat
        self._write_seat(endpoint)
        self.changes += 1
        if came and room is not endpoint.session:
            room.seated[endpoint.id] = endpoint
            self.joined(endpoint, room)

    def stand_up(self, endpoint: Endpoint) -> None:
        """Back to its session's bus."""
        if endpoint.room is not None and endpoint.room is not endpoint.session:
            self._leave_room(endpoint)
            self._forget_seat(endpoint)
            self.media.endpoint_move(endpoint.handle, endpoint.session.bus)
            self.changes += 1

    def _leave_room(self, endpoint: Endpoint) -> None:
        room = endpoint.room
        if room is not None and room.seated.pop(endpoint.id, None) is not None:
            self.leaving(endpoint, "left_room", room)

    def _forget_seat(self, endpoint: Endpoint) -> None:
        if endpoint.room is not None:
            endpoint.room.seated.pop(endpoint.id, None)
        self.parties.replace(endpoint.seat, None)
        endpoint.room, endpoint.seat, endpoint.arrival = None, None, 0

    def _write_seat(self, endpoint: Endpoint) -> None:
        seat = endpoint.seat
        assert seat is not None
        endpoint.seat_edit = self.media.seat(
            endpoint.bus,
            endpoint.handle,
            role=seat.role,
            hears=seat.hears,
            speaks=seat.speaks,
            party=self.parties.number(seat.private),
            arrival=endpoint.arrival,
        )

    # -- ending ----------------------------------------------------------------------------------------------

    def remove(self, endpoint: Endpoint) -> int:
        """Forget an endpoint and close its slot.  Returns the edit after which media has let go."""
        session = endpoint.session
        self.leaving(endpoint, "endpoint_removed", None)
        self._forget_seat(endpoint)
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


class Parties:
    """Numbers for the sessions whose private sources seats name."""

    __slots__ = ("_last", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}  # number, and how many seats name it
        self._last = 0

    def replace(self, old: Seat | None, new: Seat | None) -> None:
        """Seats come and go; None: none."""
        if new is not None and new.private is not None:
            entry = self._numbers.get(new.private)
            if entry is None:
                self._last += 1
                entry = self._numbers[new.private] = [self._last, 0]
            entry[1] += 1
        if old is not None and old.private is not None:
            entry = self._numbers[old.private]
            entry[1] -= 1
            if not entry[1]:
                del self._numbers[old.private]

    def number(self, private: str | None) -> int:
        """Of one that a seat names; 0 for None."""
        return self._numbers[private][0] if private is not None else 0


def _nobody(*_: object) -> None:
    """Until somebody asks to be told."""
