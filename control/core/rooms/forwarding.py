"""Forwarders: what a room's default role hears, sent to an RTP address that sends nothing back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from roomtone.control.core import placing
from roomtone.control.core.endpoint_requests import rtp_command
from roomtone.control.core.problems import ENDPOINT_ERROR, Problem
from roomtone.control.core.rest import query
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import refuse
from roomtone.control.core.rooms import plain_rtp
from roomtone.control.core.rooms.model import Room
from roomtone.control.core.run import Ask, expect
from roomtone.control.core.session import Endpoint, EndpointFact
from roomtone.engine.messages import CreateRtp, Done, Failed, RemoveEndpoint, RtpCreated, Seat, TakeSeat

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

MAX_FORWARDERS = 16  # of one room


class Forward(plain_rtp.Format, forbid_unknown_fields=True, kw_only=True):
    remote: plain_rtp.Address
    command_uid: str | None = None


class Forwarder(Struct, kw_only=True):
    forwarder_id: str
    remote: plain_rtp.Address
    codec: str
    payload_type: int
    local: plain_rtp.Local


class ForwarderPage(query.Page):
    items: list[Forwarder]


class ForwarderRemoved(Struct):
    forwarder_id: str
    status: Literal["removed"]


def seat(room: Room) -> Seat:
    """It is a member of the default role that says nothing."""
    role, hears = room.routing.seat(room.routing.default)
    return Seat(role, hears, speaks=False)


def of(room: Room) -> list[Endpoint]:
    return [endpoint for endpoint in room.endpoints.values() if endpoint.kind == "rtp"]


def create(core: Core, asked: Asked, body: Forward) -> Steps:
    room = asked.the_room
    if len(of(room)) >= MAX_FORWARDERS:
        raise refuse("overloaded", {"max_forwarders": MAX_FORWARDERS})
    remote, media_ip = plain_rtp.remote(core, body.remote)
    endpoint = Endpoint(
        id=core.next_id(),
        kind="rtp",
        worker=-1,
        policy="recvonly",
        media=plain_rtp.media(body),
        remote=remote,
        rtcp_mux=remote.rtcp_port == remote.port,
    )

    def command() -> CreateRtp:
        made = rtp_command(core, room, endpoint, media_ip)
        return msgspec.structs.replace(made, room=room.id, seat=seat(room), key_relay_limit=0)

    try:
        endpoint.created = yield from placing.create(core, room, endpoint, command, RtpCreated)
    except Problem:
        if room.ended:
            raise refuse("room_not_found") from None
        raise
    endpoint.happened(EndpointFact.OFFER_ANSWERED)
    core.log("info", "forwarder_made", room=room.id, forwarder=endpoint.id)
    return Outcome(_view(endpoint))


def reseat(core: Core, room: Room) -> None:
    """What the default role hears has changed."""
    for endpoint in of(room):
        endpoint.moves += 1
        body = TakeSeat(endpoint=endpoint.id, move=endpoint.moves, room=room.id, seat=seat(room))
        core.tell(endpoint.worker, body, lambda e=endpoint, n=endpoint.moves: e.moves == n)  # type: ignore[misc]


def _find(asked: Asked) -> Endpoint:
    endpoint = asked.the_room.endpoints.get(asked.path["forwarder_id"])
    if endpoint is None or endpoint.kind != "rtp":
        raise refuse("forwarder_not_found")
    return endpoint


def list_all(core: Core, asked: Asked, body: Struct) -> Outcome:
    some, cursor = query.page(asked, of(asked.the_room), lambda endpoint: (endpoint.number, endpoint.id))
    return Outcome(ForwarderPage([_view(endpoint) for endpoint in some], cursor))


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(_view(_find(asked)))


def remove(core: Core, asked: Asked, body: Struct) -> Steps:
    room, endpoint = asked.the_room, _find(asked)
    answers = yield [
        Ask(endpoint.worker, RemoveEndpoint(endpoint.id), lambda _: placing.removed(core, room, endpoint))
    ]
    if not (isinstance(answers[0], Failed) and answers[0].code == ENDPOINT_ERROR):
        expect(answers[0], Done)
    placing.removed(core, room, endpoint)
    return Outcome(ForwarderRemoved(endpoint.id, "removed"))


def _view(endpoint: Endpoint) -> Forwarder:
    media, remote = endpoint.media, endpoint.remote
    assert media is not None and remote is not None
    return Forwarder(
        forwarder_id=endpoint.id,
        remote=plain_rtp.Address(ip=remote.ip, port=remote.port, rtcp_port=remote.rtcp_port),
        codec=plain_rtp.name_of(media.send_codec),
        payload_type=media.send_payload_type,
        local=plain_rtp.local(endpoint),
    )


FORWARDERS = "/api/v1/conferences/{room_id}/forwarders"
FORWARDER = FORWARDERS + "/{forwarder_id}"
OPERATIONS: dict[str, Operation] = {
    "conference.forwarder.create": Operation(
        method="POST",
        path=FORWARDERS,
        handler=create,
        summary="Send the room's mix to an RTP address",
        body=Forward,
        result=Forwarder,
        status=201,
        made="forwarder_id",
    ),
    "conference.forwarders": Operation(
        method="GET",
        path=FORWARDERS,
        handler=list_all,
        summary="List a room's forwarders",
        result=ForwarderPage,
        query=query.PAGE,
    ),
    "conference.forwarder.get": Operation(
        method="GET", path=FORWARDER, handler=show, summary="Show a forwarder", result=Forwarder
    ),
    "conference.forwarder.remove": Operation(
        method="DELETE", path=FORWARDER, handler=remove, summary="End a forwarder", result=ForwarderRemoved
    ),
}
