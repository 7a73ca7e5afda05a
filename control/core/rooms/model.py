"""What a room is, and a member of it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from roomtone.control.core.session import Bus, Session


class Member(Struct, kw_only=True, eq=False):
    """A session in a room.  state: joining (its media was not yet mixed there) | in | out.

    Membership is one record that leaves `in` once, for one reason; who brings it about tells it.
    """

    session: Session
    state: str = "joining"
    muted: bool = False
    deaf: bool = False
    role: str = ""
    joined_at_us: int = 0  # wall clock


class Room(Bus, kw_only=True, eq=False):
    """A room: a bus that sessions take seats on.  id: the public room_id; it is its id on workers, too.

    state: open | destroying | ended.  endpoints: its own (announcements, plain RTP members, forwarders).
    """

    name: str
    state: str = "open"
    members: dict[str, Member] = field(default_factory=dict)  # by session id, in the order they came
    locked: bool = False
    max_members: int = 0  # 0: no limit
    empty_timeout_s: int = 86400
    metadata: dict[str, Any] = field(default_factory=dict)
