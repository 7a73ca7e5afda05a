"""Rooms: buses that sessions' endpoints take seats on.

An endpoint belongs to its session for life (or until a transfer): events, statistics and recordings of it go
by the session's id.  Its *bus* is the session's, or that of the room in which it has a seat.
"""

from __future__ import annotations

import msgspec

ANNOUNCEMENTS = 7  # the role of what is played to a whole room
EVERYBODY = 0xFF


class Seat(msgspec.Struct, frozen=True, array_like=True):
    """How an endpoint sits in a room.

    role: 0 to 6, whose voice it is; 7: announcements.  hears: bit r is set when it hears role r; 0: deaf.
    speaks False: muted; it is received and watched as ever, and adds nothing.  private: a session's id; a
    source (a file, a tone) that has it is heard only by destinations of this bus with the same one, beside
    what these hear anyway, and never by the room.
    """

    role: int = 0
    hears: int = EVERYBODY
    speaks: bool = True
    private: str | None = None


class OpenRoom(msgspec.Struct, tag="open_room", tag_field="t", kw_only=True):
    """Make the bus of a room here, or change it.  Reply: `Done`.

    Every destination of it gets a packet every 20 ms, also alone and in silence; nothing is relayed there.
    It stays, empty or not, until `CloseSession` with the room's id.  session: the room's id.  roles False:
    all voices are one class, whatever their seats say.
    """

    session: str
    phase: int
    roles: bool = False


class TakeSeat(msgspec.Struct, tag="take_seat", tag_field="t", kw_only=True):
    """Put an endpoint (RTP, a bot's, tone, file) on an open room's bus, or change its seat there.

    Reply: `Done`.  It changes between two ticks; a voice that is muted or not any more fades for 5 ms.
    move: counts the endpoint's moves as in `MoveEndpoint`; one that is told again after a later one changes
    nothing.  note as in `MoveEndpoint`.  From another room's seat it goes straight to this one.
    Errors: ENDPOINT_ERROR no such endpoint, or no such room here.
    """

    endpoint: str
    move: int
    room: str
    seat: Seat
    note: bytes = b""


class LeaveSeat(msgspec.Struct, tag="leave_seat", tag_field="t", kw_only=True):
    """Put an endpoint back on its session's bus.  Reply: `Done`, also when it has no seat."""

    endpoint: str
    move: int
    note: bytes = b""


class Seated(msgspec.Struct, tag="seated", tag_field="t", kw_only=True):
    """The first tick with the endpoint in that room: a packet went to it, or (a mere source) it was asked.

    Once for each coming to a room; a changed seat in the same room is none.
    """

    session: str
    endpoint: str
    room: str
