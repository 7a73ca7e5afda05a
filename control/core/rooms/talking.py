"""Who talks in a room, and who has the floor.

Every member's endpoints are watched for speech while it is in a room that tells of it; a client's own
`vad.start` on an endpoint goes before, and then its facts are used.  A member talks while one of its peers
speaks and it is not muted.  The floor is with whoever of those that talk began first; it stays with the last
one while nobody talks.  Announcements are no member's and count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from roomtone.control.core import naming
from roomtone.control.core.rooms import events, lasting
from roomtone.control.core.rooms.model import NETWORK, Member, Room
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import StartVad, StopVad, Vad

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

TALK = Vad(silence_interval_ms=500)  # shorter pauses are within what somebody says


def watched(session: Session) -> Vad | None:
    """For what a session's endpoints are watched by its room; None: for nothing."""
    member = session.member
    return TALK if member is not None and member.state == "in" and member.room.talk_events else None


def of_room_only(session: Session, endpoint: Endpoint) -> bool:
    """What a worker says of its speech was asked for by nobody but the room."""
    return endpoint.vad is None and watched(session) is not None


def watch(core: Core, member: Member, endpoints: Iterable[Endpoint]) -> None:
    """Watch a member's endpoints for speech, where the room tells of it and nobody else watches them."""
    for endpoint in endpoints:
        if watched(member.session) and endpoint.kind in NETWORK and endpoint.vad is None:
            _tell(core, endpoint, StartVad(endpoint=endpoint.id, vad=TALK))


def unwatch(core: Core, endpoints: Iterable[Endpoint]) -> None:
    for endpoint in endpoints:
        if endpoint.kind in NETWORK and endpoint.vad is None:
            _tell(core, endpoint, StopVad(endpoint.id))


def _tell(core: Core, endpoint: Endpoint, body: StartVad | StopVad) -> None:
    core.tell(endpoint.worker, body, lambda: endpoint.vad is None)


def happened(core: Core, session: Session, endpoint: Endpoint, *, speaks: bool) -> None:
    """What a worker says of an endpoint's speech."""
    member = session.member
    if member is None:
        return
    heard(core, member, endpoint, speaks=speaks)
    if member.pending is not None and member.pending.before is not None:
        heard(core, member.pending.before, endpoint, speaks=speaks)


def heard(core: Core, member: Member, endpoint: Endpoint, *, speaks: bool) -> None:
    """The peer of a member's endpoint begins to speak, or has stopped."""
    (member.voices.add if speaks else member.voices.discard)(endpoint.id)
    look(core, member)


def look(core: Core, member: Member) -> None:
    """Tell if it talks now and did not, or the other way round."""
    room, session = member.room, member.session
    talks = member.state == "in" and bool(member.voices) and not member.muted and room.talk_events
    if talks is (session.id in room.talkers):
        return
    if talks:
        room.talkers[session.id] = member
    else:
        del room.talkers[session.id]
    if member.state == "in":
        lasting.write_member(core, member)
    kind = events.TalkingStarted if talks else events.TalkingStopped
    core.publish(
        kind(naming.session_uuid(core.node, session.id), room.id, session.caller_id, room.app_id),
        room.app_id,
        room=room,
        session=session,
    )
    _give_floor(core, room)


def _give_floor(core: Core, room: Room) -> None:
    first = next(iter(room.talkers), None)
    if first is None or first == room.speaker:
        return
    room.speaker = first
    session = room.talkers[first].session
    core.publish(
        events.ActiveSpeaker(
            room.id, naming.session_uuid(core.node, session.id), session.caller_id, room.app_id
        ),
        room.app_id,
        room=room,
    )


def forget(core: Core, member: Member) -> None:
    """It has left; who has not gone to another room is not watched any more."""
    member.voices.clear()
    look(core, member)
    if member.room.speaker == member.session.id:
        member.room.speaker = None
    if member.session.member is None and not member.session.ended:
        unwatch(core, member.session.endpoints.values())


def switch(core: Core, room: Room, on: bool) -> None:
    """A room begins to tell who talks, or stops."""
    if on is room.talk_events:
        return
    room.talk_events = on
    for member in room.members.values():
        if member.state != "in":
            continue
        if on:
            watch(core, member, member.session.endpoints.values())
        else:
            unwatch(core, member.session.endpoints.values())
            member.voices.clear()
            look(core, member)
