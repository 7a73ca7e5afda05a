"""What a room is, a member of it, and how both are written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from roomtone.control.core.rooms.play_model import Play
from roomtone.control.core.rooms.routing import DEFAULT_ROUTING, Routing
from roomtone.control.core.session import Bus, Endpoint, Session

if TYPE_CHECKING:
    from roomtone.control.core.calls.commands import Command
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.seating import Reserved

DAY_S = 86400
JOIN = "join"  # the timer of a session that joins
NETWORK = ("rtp", "webrtc", "websocket")  # who is heard in the room; files and tones stay private


class Pending(Struct, eq=False):
    """A join on its way.

    command: the one it came by.  before: the membership in another room that it ends.  awaiting: endpoints
    that were not mixed there yet.  asked: workers were told to seat its endpoints there.  taken: those that
    are to be counted there, when every worker has said that its endpoints sit there.
    """

    command: Command | None
    before: Member | None
    awaiting: set[str]
    asked: bool = False
    taken: Reserved | None = None


class Member(Struct, kw_only=True, eq=False):
    """A session in a room.  state: joining (its media was not yet mixed there) | in | out.

    Membership is one record that leaves `in` once, for one reason; who brings it about tells it.
    voices: endpoints whose peers speak just now.
    """

    session: Session
    room: Room
    state: str = "joining"
    muted: bool = False
    deaf: bool = False
    role: str = ""
    joined_us: int = 0  # wall clock
    pending: Pending | None = None
    voices: set[str] = field(default_factory=set)

    @property
    def row(self) -> str:
        return f"{self.room.id}/{self.session.id}"


class Recorded(Struct):
    """The recording of a room.  name: of the file.  id: once it runs."""

    name: str
    format: str
    multi_track: bool
    id: str = ""
    paused: bool = False


class Room(Bus, kw_only=True, eq=False):
    """A room: a bus that sessions take seats on.  id: the public room_id; it is its id on workers, too.

    state: open | destroying | ended.  endpoints: its own (announcements, forwarders).  members: also those
    that are joining; by session id, in the order they came.  returning: members of before this process began
    whose session no worker has reported yet.  max_members, and times in seconds: 0 is no limit.
    empty_timeout_s: until the first member comes; departure_timeout_s: after the last one left.
    opened: workers that were told to make the bus, and whether with roles.  was_home: by the store.
    talkers: members who were told to talk, by session id, in the order they began.  speaker: session id of
    who had the floor last.
    """

    name: str
    state: str = "open"
    members: dict[str, Member] = field(default_factory=dict)
    returning: dict[str, MemberRow] = field(default_factory=dict)
    plays: dict[str, Play] = field(default_factory=dict)
    locked: bool = False
    max_members: int = 0
    empty_timeout_s: int = DAY_S
    departure_timeout_s: int = DAY_S
    time_limit_s: int = 0
    talk_events: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    routing: Routing = field(default_factory=lambda: DEFAULT_ROUTING)
    roles_apart: bool = False
    opened: dict[int, bool] = field(default_factory=dict)
    was_home: int | None = None
    used: bool = False  # somebody has been in it
    emptied_us: int = 0
    talkers: dict[str, Member] = field(default_factory=dict)
    speaker: str | None = None
    recorded: Recorded | None = None

    def heard(self) -> list[Endpoint]:
        sessions = [member.session for member in self.members.values()]
        seated = [e for session in sessions for e in session.endpoints.values() if e.seat_in is self]
        return [*(e for e in seated if e.kind in NETWORK), *self.endpoints.values()]

    @property
    def member_count(self) -> int:
        """Members that are in; those of before this process began are until the contrary is known."""
        return sum(member.state == "in" for member in self.members.values()) + len(self.returning)

    @property
    def taken(self) -> int:
        """Places that are not free: also those of members on their way in."""
        return len(self.members) + len(self.returning)


def enter(core: Core, room: Room) -> None:
    """From here on it is there, and its name its app's only one."""
    core.rooms[room.id] = room
    core.room_names[room.app_id, room.name] = room.id


class RoomRow(Struct, kw_only=True):
    """A room in the store.  Times are wall clock microseconds."""

    app_id: str
    name: str
    created_us: int
    home: int | None
    phase: int
    locked: bool
    max_members: int
    empty_timeout_s: int
    departure_timeout_s: int
    time_limit_s: int
    talk_events: bool
    metadata: dict[str, Any]
    routing: Routing
    used: bool
    emptied_us: int
    recorded: Recorded | None = None


class MemberRow(Struct, kw_only=True):
    """A member in the store.  state: joining: of a command without its result yet; or in.

    talking: it was told to.
    """

    room_id: str
    session_id: str
    app_id: str
    caller_id: str
    state: str
    muted: bool = False
    deaf: bool = False
    role: str = ""
    joined_us: int = 0
    talking: bool = False
