"""What endpoint.transfer does: an RTP endpoint goes to another session and stays where it is.

Theory of operation
-------------------
The target first reserves a place on the endpoint's worker, and lets its bus publish there when that makes it
spread.  Then the worker is asked to move the endpoint; its answer is the commit point: until it comes the
endpoint is the source session's, from then on the target's.  Whatever fails gives the reservation back; a
worker that was asked and did not say yes is told to move the endpoint back, before the target leaves it or
ends.  Moves of one endpoint are numbered, so that one told again never undoes a later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import api, api_linking, notes, places, placing, recordings, spreading
from roomtone.control.core.problems import (
    INVALID_PARAMS,
    SESSION_UNRESPONSIVE,
    TRANSFER_FAILED,
    Problem,
    endpoint_not_found,
    session_not_found,
)
from roomtone.control.core.rooms import joining, seating
from roomtone.control.core.run import Answer, Ask, Call, Procedure, expect
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import Done, MoveEndpoint, RemoveEndpoint

if TYPE_CHECKING:
    from collections.abc import Generator

    from roomtone.control.core.core import Core


def transfer(core: Core, call: Call, params: api_linking.EndpointTransfer) -> Procedure:
    session = call.session
    target = core.own_session(params.target_session_id, call.app_id)
    endpoint = session.endpoints.get(params.endpoint_id.lower())
    if target is session:
        raise Problem(INVALID_PARAMS, "The endpoint is in that session already", "target_session_id")
    if endpoint is None:
        raise endpoint_not_found(params.endpoint_id)
    if endpoint.kind != "rtp":
        raise Problem(INVALID_PARAMS, f"A {endpoint.kind} endpoint cannot be transferred", "endpoint_id")
    if target is None:
        raise session_not_found(params.target_session_id, "target_session_id")
    try:
        number = yield from _move(core, session, endpoint, target)
    except Problem as refused:
        seating.moved(core, session, endpoint)
        if refused.code == SESSION_UNRESPONSIVE:
            raise
        raise Problem(TRANSFER_FAILED, f"Not transferred: {refused.message}") from None
    del session.endpoints[endpoint.id]
    joining.endpoint_gone(core, session, endpoint)
    seating.forget(core, session, endpoint)
    places.release(core, session, endpoint.worker, endpoint.kind)
    call.emit(api.TransferredOut(endpoint.id, target.id))
    endpoint.number = number
    target.endpoints[endpoint.id] = endpoint
    seating.moved(core, target, endpoint)
    joining.endpoint_come(core, target, endpoint)
    core.emit(
        target,
        api.TransferredIn(endpoint.id, session.id, "rtp", endpoint.direction, endpoint.state),
    )
    core.log("info", "endpoint_transferred", endpoint=endpoint.id, session=session.id, target=target.id)
    return api_linking.EndpointTransferred(endpoint.id, target.id)


def _move(
    core: Core, session: Session, endpoint: Endpoint, target: Session
) -> Generator[list[Ask], list[Answer], int]:
    """Returns the endpoint's number in the target.  Raises `Problem`: it is where it was."""
    worker = endpoint.worker
    placing.check_room(core, target)
    number = places.reserve(core, target, worker, endpoint.kind)
    try:
        yield from spreading.join(core, target)
        yield from recordings.join(core, target)
        yield from _carry_out(core, session, endpoint, target, number)
    except (Problem, GeneratorExit):
        places.release(core, target, worker, endpoint.kind)
        raise
    return number


def _carry_out(
    core: Core, session: Session, endpoint: Endpoint, target: Session, number: int
) -> Generator[list[Ask], list[Answer], None]:
    worker = endpoint.worker
    there = _to(core, target, endpoint, number)
    back = _to(core, session, endpoint, endpoint.number)
    target.arriving.append((worker, back))
    try:
        answers = yield [Ask(worker, there)]
        if target.ended:  # which has told the worker to move it back
            raise Problem(TRANSFER_FAILED, "The target session has ended")
        expect(answers[0], Done)
    except GeneratorExit:  # its own session has ended
        core.tell(worker, RemoveEndpoint(endpoint.id))
        raise
    except Problem:
        if not target.ended:
            core.tell(worker, back)
        raise
    finally:
        target.arriving.remove((worker, back))


def _to(core: Core, session: Session, endpoint: Endpoint, number: int) -> MoveEndpoint:
    endpoint.moves += 1
    there = msgspec.structs.replace(endpoint, number=number)
    return MoveEndpoint(
        endpoint=endpoint.id,
        move=endpoint.moves,
        session=session.id,
        phase=session.phase,
        note=notes.note(core, session, there),
        key_relay_limit=spreading.KEY_RELAY_LIMIT,
    )
