"""What session.bridge does: a pair of endpoints, one in each session, that bring what the other session says.

A bridge end brings the far session's own sources only, so nothing goes on from bridge to bridge.  It is a
source of its session when that session is to hear the other one; what it brings is told by `spreading.feed`.
Each end has a direction of its own, at first the mirrored one of the other: a session hears the other one
when both ends allow it, so no client can take back what the other one has decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import api_linking, notes, placing, spreading
from roomtone.control.core.problems import ENDPOINT_ERROR, INVALID_PARAMS, Problem, session_not_found
from roomtone.control.core.run import Answer, Ask, Call, Procedure, expect
from roomtone.control.core.sdp import MIRRORED
from roomtone.control.core.session import End, Endpoint, EndpointFact, Session
from roomtone.engine.messages import CreateBridge, Done, RemoveEndpoint, TurnBridge

if TYPE_CHECKING:
    from collections.abc import Generator

    from roomtone.control.core.api import Direction
    from roomtone.control.core.core import Core


def bridge(core: Core, call: Call, params: api_linking.SessionBridge) -> Procedure:
    """direction is that of the endpoint here, seen from the other session as from every peer."""
    session = call.session
    far = core.own_session(params.target_session_id, call.app_id)
    if far is session:
        raise Problem(INVALID_PARAMS, "A session cannot be bridged to itself", "target_session_id")
    if far is None:
        raise session_not_found(params.target_session_id, "target_session_id")
    if session.member is not None or far.member is not None:
        raise Problem(ENDPOINT_ERROR, "A session in a room cannot be bridged: it is heard in the room")
    placing.check_room(core, far)
    ids = core.next_id(), core.next_id()
    here = Endpoint(id=ids[0], kind="bridge", worker=-1, policy=params.direction, far=End(far.id, ids[1]))
    there = Endpoint(
        id=ids[1], kind="bridge", worker=-1, policy=MIRRORED[params.direction], far=End(session.id, ids[0])
    )
    yield from _create(core, session, here)
    try:
        yield from _create(core, far, there)
    except Problem:
        core.tell(here.worker, RemoveEndpoint(here.id))
        placing.removed(core, session, here)
        raise
    spreading.feed(core, session)
    spreading.feed(core, far)
    core.log("info", "sessions_bridged", session=session.id, target=far.id, direction=params.direction)
    return api_linking.SessionBridged(here.id, there.id)


def _create(core: Core, session: Session, end: Endpoint) -> Generator[list[Ask], list[Answer], None]:
    if session.ended:  # while the other end was made
        raise session_not_found(session.id, "target_session_id")
    placing.check_room(core, session)

    def body() -> CreateBridge:
        return CreateBridge(
            session=session.id,
            endpoint=end.id,
            phase=session.phase,
            is_source=end.is_source,  # the other end, with the mirrored direction, allows it too
            note=notes.note(core, session, end),
            key_relay_limit=spreading.KEY_RELAY_LIMIT,
        )

    yield from placing.create(core, session, end, body, Done)
    end.happened(EndpointFact.BRIDGED)


# -- the direction of an end ---------------------------------------------------------------------------------


def turn(
    core: Core, session: Session, end: Endpoint, override: Direction | None
) -> Generator[list[Ask], list[Answer], None]:
    """Change an end's direction; None: the one it was made with.  Raises `Problem`: it is as it was."""
    far = core.other_end(end)
    if far is None or end.far is None:
        raise Problem(ENDPOINT_ERROR, "The other end of the bridge is gone", "endpoint_id")
    far_session = core.sessions[end.far.session]
    before, end.override = end.override, override
    answers = yield [_ask(core, session, end, far), _ask(core, far_session, far, end)]
    try:
        for answer in answers:
            expect(answer, Done)
    except Problem:
        end.override = before
        _tell(core, session, end, far)
        _tell(core, far_session, far, end)
        raise
    spreading.feed(core, session)
    spreading.feed(core, far_session)


def _ask(core: Core, session: Session, end: Endpoint, far: Endpoint) -> Ask:
    return Ask(end.worker, _turned(core, session, end, far), lambda _: _tell(core, session, end, far))


def _tell(core: Core, session: Session, end: Endpoint, far: Endpoint) -> None:
    """What holds now; again and again until it is done or something else holds."""
    if core.other_end(far) is end:
        body = _turned(core, session, end, far)
        core.tell(
            end.worker,
            body,
            lambda: core.other_end(far) is end and body == _turned(core, session, end, far),
        )


def _turned(core: Core, session: Session, end: Endpoint, far: Endpoint) -> TurnBridge:
    return TurnBridge(
        endpoint=end.id, is_source=spreading.brings(end, far), note=notes.note(core, session, end)
    )
