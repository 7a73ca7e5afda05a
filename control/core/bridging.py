"""What session.bridge does: a pair of endpoints, one in each session, that bring what the other session says.

A bridge end brings the far session's own sources only, so nothing goes on from bridge to bridge.  It is a
source of its session when that session is to hear the other one; what it brings is told by `spreading.feed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import api_linking, placing, recall, spreading
from roomtone.control.core.problems import INVALID_PARAMS, Problem, session_not_found
from roomtone.control.core.run import Answer, Ask, Call, Procedure
from roomtone.control.core.sdp import MIRRORED
from roomtone.control.core.session import End, Endpoint, EndpointFact, Session
from roomtone.engine.messages import CreateBridge, Done, RemoveEndpoint

if TYPE_CHECKING:
    from collections.abc import Generator

    from roomtone.control.core.core import Core


def bridge(core: Core, call: Call, params: api_linking.SessionBridge) -> Procedure:
    """direction is that of the endpoint here, seen from the other session as from every peer."""
    session = call.session
    far = core.own_session(params.target_session_id, call.app_id)
    if far is session:
        raise Problem(INVALID_PARAMS, "A session cannot be bridged to itself", "target_session_id")
    if far is None:
        raise session_not_found(params.target_session_id, "target_session_id")
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
            is_source=end.is_source,
            note=recall.note(core, session, end),
            key_relay_limit=spreading.KEY_RELAY_LIMIT,
        )

    yield from placing.create(core, session, end, body, Done)
    end.happened(EndpointFact.BRIDGED)
