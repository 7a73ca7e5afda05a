"""Calls over REST: made, answered, shown, listed; and the table of their operations."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from roomtone.control.core import api, endpoint_requests, life, negotiate, places, views
from roomtone.control.core.calls import (
    collecting,
    commands,
    janitor,
    playback_commands,
    playing,
    recording,
    telling,
)
from roomtone.control.core.calls.commands import SESSION, SESSIONS, command
from roomtone.control.core.calls.endings import API_HANGUP, HANGUP_CAUSES, Ending
from roomtone.control.core.calls.leg import HangupOn, Leg
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.problems import MAX_SESSIONS_REACHED, Problem
from roomtone.control.core.rest import query
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal
from roomtone.control.core.session import Endpoint, Session, SessionFact

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

FAILED = "failed"  # the documented cause of a hangup that has no word of its own

# -- bodies --------------------------------------------------------------------------------------------------


class CreateSession(Struct, forbid_unknown_fields=True, kw_only=True):
    """sdp: the peer's offer; None: we make one, with `codecs`.

    direction: of the media, the peer's.  did: the number that was called.  hangup_on: what ends the call
    beside commands.
    """

    caller_id: Annotated[str, Meta(max_length=1024)] = ""
    did: Annotated[str, Meta(max_length=1024)] = ""
    sdp: str | None = None
    direction: api.Direction = "sendrecv"
    codecs: list[str] | None = None
    metadata: dict[str, Any] | None = None
    hangup_on: tuple[HangupOn, ...] = ()
    command_uid: str | None = None


class SessionMade(Struct):
    session_uuid: str
    endpoint_id: str
    sdp_answer: str | UnsetType = UNSET
    sdp_offer: str | UnsetType = UNSET


class TakeAnswer(Struct, forbid_unknown_fields=True, kw_only=True):
    """endpoint_id: which of our offers; None: the only one."""

    sdp: str
    endpoint_id: str | None = None
    command_uid: str | None = None


class AnswerTaken(Struct):
    session_uuid: str
    endpoint_id: str


class HangUp(Struct, forbid_unknown_fields=True, kw_only=True):
    """cause: a name of Q.850."""

    cause: Annotated[str, Meta(pattern=r"^[A-Z_]+$(?!\n)", max_length=64)] = "NORMAL_CLEARING"
    command_uid: str | None = None


class SessionShown(Struct):
    """state: new | answered.  room_id: of the room it is a member of."""

    session_uuid: str
    caller_id: str
    did: str
    state: str
    room_id: str | None
    muted: bool
    playback_status: str
    created_at: str
    metadata: dict[str, Any]
    endpoints: list[api.EndpointInfo]


class Sessions(query.Page):
    items: list[SessionShown]


# -- made and answered ---------------------------------------------------------------------------------------


def create(core: Core, asked: Asked, body: CreateSession) -> Steps:
    codecs = negotiate.offered_codecs(body.codecs)
    leg = Leg(leased=False, did=body.did, metadata=body.metadata, hangup_on=body.hangup_on)
    session = begin(core, asked, body.caller_id, leg)
    try:
        if body.sdp is not None:
            answer = yield from endpoint_requests.answer_offer(core, session, body.sdp, body.direction)
            made = SessionMade("", answer.endpoint_id, sdp_answer=answer.sdp_answer)
        else:
            offer = yield from endpoint_requests.make_offer(core, session, body.direction, codecs)
            made = SessionMade("", offer.endpoint_id, sdp_offer=offer.sdp_offer)
    except (Problem, GeneratorExit):
        if not session.ended:
            life.end(core, session, SessionFact.DESTROYED)
        raise
    telling.introduce(core, session)
    janitor.watch(core)
    made.session_uuid = telling.uuid(core, session)
    return Outcome(made)


def begin(core: Core, asked: Asked, caller_id: str, leg: Leg) -> Session:
    """A session of nobody's connection.  Raises `Problem`."""
    limit = core.config.max_sessions
    if limit and len(core.sessions) >= limit:
        raise Problem(MAX_SESSIONS_REACHED, f"The server has its maximum of {limit} sessions")
    session = Session(
        id=core.next_id(),
        app_id=asked.app_id,
        caller_id=caller_id,
        created_us=core.now_us,
        queue=EventQueue(core.config.critical_event_channel_size, core.config.event_channel_size),
        connection=None,
        last_command_us=core.now_us,
        state="orphaned",
        leg=leg,
    )
    places.settle(core, session)
    core.sessions[session.id] = session
    life.begin(core, session)
    return session


def take_answer(core: Core, asked: Asked, body: TakeAnswer) -> Steps:
    session = asked.the_session
    endpoint = _offered(session, body.endpoint_id)
    changed = yield from endpoint_requests.take_answer(core, session, endpoint, body.sdp)
    core.emit(session, changed)
    telling.answered(core, session)
    return Outcome(AnswerTaken(telling.uuid(core, session), endpoint.id))


def _offered(session: Session, endpoint_id: str | None) -> Endpoint:
    """The endpoint whose offer is not answered yet."""
    for endpoint in session.endpoints.values():
        named = endpoint_id is None or endpoint.id == endpoint_id.lower()
        if named and endpoint.kind == "rtp" and endpoint.state == "connecting":
            return endpoint
    raise Refusal(409, "no_open_offer", "No offer of this session waits for an answer")


# -- commands ------------------------------------------------------------------------------------------------


def answer(core: Core, asked: Asked, body: Struct) -> Outcome:
    session = asked.the_session
    if not any(endpoint.state == "connected" for endpoint in session.endpoints.values()):
        raise Refusal(409, "not_answered", "The peer has not answered our offer yet")
    command = commands.accept(core, asked)
    changed = not session.leg.accepted
    telling.answered(core, session, asked)
    commands.succeed(core, command, changed=changed)
    return commands.accepted(core, asked)


def hangup(core: Core, asked: Asked, body: HangUp) -> Outcome:
    commands.succeed(core, commands.accept(core, asked))
    told = "completed" if body.cause.startswith("NORMAL_") else HANGUP_CAUSES.get(body.cause, FAILED)
    life.end(core, asked.the_session, SessionFact.HUNG_UP, Ending("hangup", API_HANGUP, told))
    return commands.accepted(core, asked)


def disconnect(core: Core, asked: Asked, body: Struct) -> Outcome:
    commands.succeed(core, commands.accept(core, asked))
    life.end(core, asked.the_session, SessionFact.HUNG_UP)
    return commands.accepted(core, asked)


# -- shown ---------------------------------------------------------------------------------------------------


def shown(core: Core, session: Session) -> SessionShown:
    leg, member = session.leg, session.membership
    return SessionShown(
        session_uuid=telling.uuid(core, session),
        caller_id=session.caller_id,
        did=leg.did,
        state="answered" if leg.answered else "new",
        room_id=member.room.id if member is not None else None,
        muted=member is not None and member.muted,
        playback_status=playing.status(session),
        created_at=views.rfc3339(session.created_us + core.epoch_offset_us),
        metadata=leg.metadata or {},
        endpoints=[views.endpoint_info(endpoint) for endpoint in session.endpoints.values()],
    )


def list_own(core: Core, asked: Asked, body: Struct) -> Outcome:
    status = asked.query.get("playback_status")
    after: datetime | None = query.value(asked, "created_after")
    after_us = None if after is None else round(after.timestamp() * 1_000_000) - core.epoch_offset_us
    found = (
        session
        for session in core.sessions.values()
        if session.app_id == asked.app_id
        and status in (None, playing.status(session))
        and (after_us is None or session.created_us > after_us)
    )
    some, cursor = query.page(asked, found, lambda s: (s.created_us + core.epoch_offset_us, s.id))
    return Outcome(query.Page([shown(core, session) for session in some], cursor))


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(shown(core, asked.the_session))


# -- the table -----------------------------------------------------------------------------------------------


OPERATIONS: dict[str, Operation] = {
    "session.create": Operation(
        method="POST",
        path=SESSIONS,
        handler=create,
        summary="Make a call from a peer's offer, or with an offer of ours",
        body=CreateSession,
        result=SessionMade,
        status=201,
        made="session_uuid",
        emits=("call.new",),
    ),
    "session.answer": Operation(
        method="PUT",
        path=SESSION + "/answer",
        handler=take_answer,
        summary="The peer's answer to our offer",
        body=TakeAnswer,
        result=AnswerTaken,
        emits=("call.answered",),
    ),
    "session.list": Operation(
        method="GET",
        path=SESSIONS,
        handler=list_own,
        summary="The app's calls, oldest first",
        result=Sessions,
        query=(*query.PAGE, "playback_status", "created_after"),
    ),
    "session.get": Operation(
        method="GET", path=SESSION, handler=show, summary="Show a call", result=SessionShown
    ),
    **dict(
        [
            command("answer", answer, "Answer the call", "call.answered", timing="deferred"),
            command("hangup", hangup, "End the call", "call.hangup", body=HangUp),
            command("disconnect", disconnect, "Cut the call off", "call.hangup"),
        ]
    ),
    **playback_commands.OPERATIONS,
    **collecting.OPERATIONS,
    **recording.OPERATIONS,
}
