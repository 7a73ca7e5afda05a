"""The order of checks for a REST request, and its answer.

Theory of operation
-------------------
io has looked at what needs no state: who asks, how often, and that the body is JSON.  Here follow ownership,
the body, a known `command_uid` (the stored reply), the cooldown, and what the operation itself checks.  A
handler answers with an `Outcome` or is a procedure that asks workers first; it refuses by raising `Refusal`.
The answer waits until everything that has happened is on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roomtone.control.core import naming
from roomtone.control.core.effects import RestReply, RestRequest
from roomtone.control.core.problems import Problem
from roomtone.control.core.rest import body as body_of
from roomtone.control.core.rest import operations
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal, as_refusal
from roomtone.control.core.run import Run

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


def handle(core: Core, given: RestRequest) -> None:
    """Carry out a request; `RestReply` follows, now or later."""
    operation = operations.OPERATIONS[given.operation]
    asked = Asked(
        n=given.n,
        operation=given.operation,
        app_id=given.app_id,
        path=given.path,
        query=given.query,
        request_id=given.request_id,
        operation_id=core.next_id(),
        asked_us=core.now_us,
    )
    try:
        _find(core, asked)
        body = _body(asked, operation, given)
        result = operation.handler(core, asked, body)
    except Refusal as refusal:
        _refuse(core, asked, refusal)
        return
    except Exception:
        _refuse(core, asked, _internal(core, asked))
        return
    if isinstance(result, Outcome):
        _answer(core, asked, operation, result)
    else:
        run = Run(result, lambda outcome, problem: _done(core, asked, operation, outcome, problem))
        core.step(run, [])


def _find(core: Core, asked: Asked) -> None:
    """The room or session that the path names.  Raises `Refusal`: 404 there is none, 403 it is another's."""
    named = asked.path.get("room_id")
    if named is not None:
        room = core.rooms.get(named)
        if room is None or room.ended:
            raise Refusal(404, "room_not_found", "No such room")
        _owned(core, room.app_id, asked.app_id, Refusal(404, "room_not_found", "No such room"))
        asked.room = room
    named = asked.path.get("session_uuid")
    if named is not None:
        session_id = naming.session_id(core.node, named)
        session = core.sessions.get(session_id) if session_id is not None else None
        if session is None:
            raise Refusal(404, "session_not_found", "No such session")
        _owned(core, session.app_id, asked.app_id, Refusal(404, "session_not_found", "No such session"))
        asked.session = session
        session.last_command_us = core.now_us


def _owned(core: Core, owner: str, app_id: str, hidden: Refusal) -> None:
    if owner != app_id:
        raise hidden if core.config.tenancy.hide_foreign else Refusal(403, "not_owner", "Not yours")


def _body(asked: Asked, operation: Operation, given: RestRequest) -> Any:
    """Decoded and checked; sets the command's uid.  Raises `Refusal`."""
    members = body_of.decode(given.body)
    body = body_of.convert(members, operation.body)
    uid = getattr(body, "command_uid", None) or given.idempotency_key
    if uid is not None:
        if not body_of.COMMAND_UID.fullmatch(uid):
            raise Refusal(400, "invalid_command_uid", "Invalid command_uid format")
        asked.command_uid, asked.named = uid, True
    else:
        asked.command_uid = asked.operation_id
    return body


def _done(
    core: Core, asked: Asked, operation: Operation, outcome: Struct | None, problem: Problem | None
) -> None:
    if problem is not None:
        _refuse(core, asked, as_refusal(problem))
    else:
        assert isinstance(outcome, Outcome)
        _answer(core, asked, operation, outcome)


def _answer(core: Core, asked: Asked, operation: Operation, outcome: Outcome) -> None:
    reply = RestReply(
        asked.n, outcome.status or operation.status, msgspec.json.encode(outcome.body), outcome.headers
    )
    core.after_commit(lambda: core.effect(reply))


def _refuse(core: Core, asked: Asked, refusal: Refusal) -> None:
    core.effect(RestReply(asked.n, refusal.status, refusal=refusal))


def _internal(core: Core, asked: Asked) -> Refusal:
    core.internal_error(asked.operation)
    return Refusal(500, "internal_error", "Internal error")
