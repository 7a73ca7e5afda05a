"""One REST request on its way through core, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, Struct, UnsetType

from roomtone.control.core.run import Answer, Ask

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room
    from roomtone.control.core.session import Session


MAX_BODY = 131_072  # bytes
PLAY_BODY = 16_384  # of a room's play: its events name the URLs and have to fit into 20 kB
URLS_BODY = 1_048_576  # of a command that names as many and as long URLs as it may, twice


class Asked(Struct, eq=False):
    """operation_id: a fresh UUID, the operation's if one begins.  command_uid: the caller's, or a fresh one.

    subject: id of the room or session that the path names, whether it is there or not; None: it names none.
    room, session: found, and owned by the caller.  named: the uid is the caller's own.
    """

    n: int
    operation: str
    app_id: str
    path: dict[str, str]
    query: dict[str, str]
    request_id: str
    operation_id: str
    asked_us: int
    command_uid: str = ""
    named: bool = False
    subject: str | None = None
    room: Room | None = None
    session: Session | None = None

    @property
    def the_room(self) -> Room:
        assert self.room is not None
        return self.room

    @property
    def the_session(self) -> Session:
        assert self.session is not None
        return self.session


class Outcome(Struct):
    """What a handler answers: a body (a Struct or a dict); status: where it is not the operation's own."""

    body: Any
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Accepted(Struct):
    """The common answer to commands.

    status: in_progress: an event tells the outcome, within so many milliseconds where that is known;
    completed: nothing was left to do, and none comes.
    """

    operation_id: str
    status: Literal["in_progress", "completed"] = "in_progress"
    timeout_ms: int | UnsetType = UNSET
    changed: bool | UnsetType = UNSET


Steps = Generator[list[Ask], list[Answer], Outcome]
Handler = Callable[["Core", Asked, Any], "Outcome | Steps"]


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path.

    path: with `{room_id}` and `{session_uuid}` where it names one, which is then found, and owned by the
    caller.  body: None: none is looked at but `command_uid`; else a Struct that knows its own limits.
    group: whose cooldown it shares (rest.cooldown).  timing, emits: for the documents: immediate | deferred |
    event, and the events it may cause.  admin: asked with the administrator's key.
    query: the names it knows.  max_body: bytes.  creates: it may answer 201 instead.
    made: the member of a 201's body that names, below the path, what was made; None: the path itself does.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    body: type[Struct] | None = None
    result: type[Struct] | None = None
    status: int = 200
    group: str | None = None
    timing: str = "immediate"
    emits: tuple[str, ...] = ()
    admin: bool = False
    query: tuple[str, ...] = ()
    max_body: int = MAX_BODY
    creates: bool = False
    made: str | None = None
