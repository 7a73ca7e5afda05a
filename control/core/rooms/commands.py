"""Session commands conference/*: join, leave, mute, unmute, deaf, undeaf, move."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from roomtone.control.core.calls import commands
from roomtone.control.core.calls import operations as calls
from roomtone.control.core.rest.asked import Asked, Handler, Operation, Outcome
from roomtone.control.core.rooms import joining, muting
from roomtone.control.core.rooms.model import Member, Room
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

MOVE = "conference/move"


class Join(Struct, forbid_unknown_fields=True, kw_only=True):
    """move False: refuse to leave another room for it."""

    room_id: Annotated[str, Meta(max_length=128)]
    muted: bool | None = None
    deaf: bool | None = None
    role: Annotated[str, Meta(max_length=64)] | None = None
    move: bool = True
    command_uid: str | None = None


def join(core: Core, asked: Asked, body: Join) -> Outcome:
    """Preconditions that do not hold are the command's result, as the join itself is."""
    session = asked.the_session
    command = commands.accept(core, asked)
    present = session.membership
    room = core.rooms.get(body.room_id)
    error = _refusal(core, session, room, present, body)
    if present is None and command.name == MOVE:
        error = "not_in_conference"
    if room is None or error is not None:
        commands.fail(core, command, error or "room_not_found")
    elif present is not None and present.room is room:
        if session.member is not None:  # it may be on its way to another one
            joining.fail(core, session.member, "superseded")
        commands.succeed(core, command, changed=False)
    else:
        joining.begin(core, _member(session, room, present, body), command)
    return commands.accepted(core, asked)


def _member(session: Session, room: Room, before: Member | None, wish: Join) -> Member:
    """A move keeps what is not asked for."""
    return Member(
        session=session,
        room=room,
        muted=wish.muted if wish.muted is not None else before is not None and before.muted,
        deaf=wish.deaf if wish.deaf is not None else before is not None and before.deaf,
        role=wish.role or "",
    )


def _refusal(
    core: Core, session: Session, room: Room | None, present: Member | None, wish: Join
) -> str | None:
    if core.unheard:
        return "node_unavailable"  # what workers hold since before this process began is not known yet
    if room is None:
        ours = wish.room_id.startswith(core.node + "-") or "-" not in wish.room_id
        return "room_not_found" if ours else "node_mismatch"
    if room.app_id != session.app_id:
        return "room_not_found" if core.config.tenancy.hide_foreign else "not_owner"
    if present is not None and present.room is room:
        return None
    if not session.leg.answered:
        return "not_answered"
    if present is not None and not wish.move:
        return "already_in_room"
    if wish.role is not None and wish.role not in room.routing.roles:
        return "unknown_role"
    on_its_way = session.member is not None and session.member.room is room  # and has its place there
    return None if on_its_way else joining.refusal(room)


def leave(core: Core, asked: Asked, body: Struct) -> Outcome:
    command = commands.accept(core, asked)
    if joining.out_of_everything(core, asked.the_session, "removed", "leave", asked):
        commands.succeed(core, command)
    else:
        commands.fail(core, command, "not_in_conference")
    return commands.accepted(core, asked)


def _mute(on: bool, core: Core, asked: Asked, body: Struct) -> Outcome:
    return _change(core, asked, lambda member: muting.mute(core, member, on, asked))


def _deafen(on: bool, core: Core, asked: Asked, body: Struct) -> Outcome:
    return _change(core, asked, lambda member: muting.deafen(core, member, on, asked))


def _change(core: Core, asked: Asked, change: Callable[[Member], bool]) -> Outcome:
    command = commands.accept(core, asked)
    member = asked.the_session.membership
    if member is None:
        commands.fail(core, command, "not_in_conference")
    else:
        commands.succeed(core, command, changed=change(member))
    return commands.accepted(core, asked)


def _operation(
    name: str, handler: Handler, summary: str, group: str | None, *emits: str
) -> tuple[str, Operation]:
    joins = name in ("join", "move")
    body, timing = (Join, "deferred") if joins else (None, "immediate")
    return calls.command(
        f"conference/{name}", handler, summary, *emits, body=body, group=group, timing=timing
    )


_MUTING = ("conference.member.muted", "conference.member.talking_stopped")
_UNMUTING = ("conference.member.unmuted", "conference.member.talking_started")
_MOVING = ("conference.member.joined", "conference.member.left")
OPERATIONS: dict[str, Operation] = dict([
    _operation("join", join, "Join a room, or move there from another", "conference", *_MOVING),
    _operation("move", join, "Go to another room", "conference", *_MOVING),
    _operation("leave", leave, "Leave the room", "conference", "conference.member.left"),
    _operation("mute", partial(_mute, True), "Contribute silence", "conference_mute", *_MUTING),
    _operation("unmute", partial(_mute, False), "Be heard again", "conference_mute", *_UNMUTING),
    _operation("deaf", partial(_deafen, True), "Hear nothing", None, "conference.member.deafened"),
    _operation("undeaf", partial(_deafen, False), "Hear again", None, "conference.member.undeafened"),
])  # fmt: skip
