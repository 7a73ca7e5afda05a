"""Members without signalling: an RTP stream that an application describes, as a member of a room.

Such a member is a call of its own, told of from call.new to call.hangup, that ends when it leaves its room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from roomtone.control.core import life, naming, placing
from roomtone.control.core.api import Direction
from roomtone.control.core.calls import janitor, telling
from roomtone.control.core.calls import operations as calls
from roomtone.control.core.calls.leg import Leg
from roomtone.control.core.endpoint_requests import point, rtp_command
from roomtone.control.core.problems import Problem
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import refuse
from roomtone.control.core.rooms import joining, members, plain_rtp
from roomtone.control.core.rooms.model import Member, Room
from roomtone.control.core.session import Endpoint, EndpointFact, Session, SessionFact
from roomtone.engine.messages import RtpCreated

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


class AddRtpMember(plain_rtp.Format, forbid_unknown_fields=True, kw_only=True):
    """remote: where we send, and from where alone packets are taken (RFC 4961: symmetric RTP).

    learn: wait for the peer's first packet instead, and send to where it comes from.  direction: the peer's.
    """

    remote: plain_rtp.Address
    learn: bool = False
    caller_id: Annotated[str, Meta(max_length=1024)] = ""
    direction: Direction = "sendrecv"
    muted: bool = False
    deaf: bool = False
    role: members.RoleName | None = None
    command_uid: str | None = None


class PointRtpMember(Struct, forbid_unknown_fields=True, kw_only=True):
    """The peer is elsewhere, or speaks another codec; None: as it is.

    codec brings payload_type and ptime_ms with it as in the making.
    """

    remote: plain_rtp.Address | None = None
    learn: bool = False
    codec: plain_rtp.Name | None = None
    payload_type: plain_rtp.PayloadNumber | None = None
    event_payload_type: plain_rtp.PayloadNumber | None = None
    command_uid: str | None = None


class RtpMember(Struct, kw_only=True):
    session_uuid: str
    endpoint_id: str
    remote: plain_rtp.Address
    codec: str
    payload_type: int
    local: plain_rtp.Local


def create(core: Core, asked: Asked, body: AddRtpMember) -> Steps:
    room = asked.the_room
    _check(room, body.role)
    remote, media_ip = plain_rtp.remote(core, body.remote)
    endpoint = Endpoint(
        id=core.next_id(),
        kind="rtp",
        worker=-1,
        policy=body.direction,
        media=plain_rtp.media(body),
        remote=remote,
        rtcp_mux=remote.rtcp_port == remote.port,
        learns=body.learn,
    )
    leg = Leg(leased=False, answered=True, room_bound=True)
    session = calls.begin(core, asked, body.caller_id, leg)
    try:
        endpoint.created = yield from placing.create(
            core, session, endpoint, lambda: rtp_command(core, session, endpoint, media_ip), RtpCreated
        )
        endpoint.happened(EndpointFact.OFFER_ANSWERED)
        _check(room, body.role)
    except (Problem, GeneratorExit):
        if not session.ended:
            life.end(core, session, SessionFact.DESTROYED)
        raise
    telling.introduce(core, session)
    janitor.watch(core)
    member = Member(session=session, room=room, muted=body.muted, deaf=body.deaf, role=body.role or "")
    joining.begin(core, member)
    return Outcome(_view(core, session, endpoint))


def _check(room: Room, role: str | None) -> None:
    """Raises `Refusal`."""
    refused = joining.refusal(room)
    if refused is not None:
        raise refuse(refused)
    if role is not None:
        members.check_role(room, role)


def _find(core: Core, asked: Asked) -> tuple[Session, Endpoint]:
    """Raises `Refusal`."""
    member = asked.the_room.members.get(naming.session_id(core.node, asked.path["member"]) or "")
    if member is None or not member.session.leg.room_bound:
        raise refuse("member_not_found")
    for endpoint in member.session.endpoints.values():
        if endpoint.kind == "rtp":
            return member.session, endpoint
    raise refuse("member_not_found")


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(_view(core, *_find(core, asked)))


def change(core: Core, asked: Asked, body: PointRtpMember) -> Steps:
    """Sequence numbers go on; the room hears and is heard at the new place."""
    session, endpoint = _find(core, asked)
    media, remote = endpoint.media, endpoint.remote
    if body.remote is not None:
        remote, _ = plain_rtp.remote(core, body.remote)
        plain_rtp.check_family(endpoint, remote)
    if body.codec is not None:
        media = plain_rtp.media(
            plain_rtp.Format(
                codec=body.codec,
                payload_type=body.payload_type,
                event_payload_type=body.event_payload_type,
            )
        )
    proposed = msgspec.structs.replace(endpoint, media=media, remote=remote, learned=None, learns=body.learn)
    yield from point(core, session, endpoint, proposed)
    endpoint.learns = body.learn
    return Outcome(_view(core, session, endpoint))


def _view(core: Core, session: Session, endpoint: Endpoint) -> RtpMember:
    media, remote = endpoint.media, endpoint.remote
    assert media is not None and remote is not None
    return RtpMember(
        session_uuid=naming.session_uuid(core.node, session.id),
        endpoint_id=endpoint.id,
        remote=plain_rtp.Address(ip=remote.ip, port=remote.port, rtcp_port=remote.rtcp_port),
        codec=plain_rtp.name_of(media.send_codec),
        payload_type=media.send_payload_type,
        local=plain_rtp.local(endpoint),
    )


RTP_MEMBERS = "/api/v1/conferences/{room_id}/rtp-members"
RTP_MEMBER = RTP_MEMBERS + "/{member}"
OPERATIONS: dict[str, Operation] = {
    "conference.rtp_member.create": Operation(
        method="POST",
        path=RTP_MEMBERS,
        handler=create,
        summary="Let an RTP stream be a member, without SDP",
        body=AddRtpMember,
        result=RtpMember,
        status=201,
        emits=("call.new", "call.answered", "conference.member.joined"),
    ),
    "conference.rtp_member.get": Operation(
        method="GET", path=RTP_MEMBER, handler=show, summary="Show an RTP member", result=RtpMember
    ),
    "conference.rtp_member.point": Operation(
        method="PATCH",
        path=RTP_MEMBER,
        handler=change,
        summary="Send an RTP member's media elsewhere, or in another codec",
        body=PointRtpMember,
        result=RtpMember,
    ),
}
