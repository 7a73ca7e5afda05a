"""The order of checks for a REST request, and its answer.

Theory of operation
-------------------
io has looked at what needs no state: who asks, how often, and that the body is JSON.  Here follow ownership,
the body, a known `command_uid` (the stored reply, also of what ended the room or session), whether there is
such a room or session, whether anything may be changed now, the cooldown, and what the operation itself
checks.  A handler answers with an `Outcome` or is a procedure that asks workers first; it refuses by raising
`Refusal`.  The answer waits until everything that has happened is on disk; one that only shows a room or
session, until all that has happened to that is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roomtone.control.core import naming
from roomtone.control.core.effects import RestReply, RestRequest
from roomtone.control.core.problems import Problem
from roomtone.control.core.rest import body, cooldown, operations, query, remembered
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal, as_refusal, refuse
from roomtone.control.core.run import Run

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

CREATED, ACCEPTED = 201, 202
OVERLOADED = "overloaded"  # the store is nearly full of events that nobody takes: what makes more has to wait
GROWING = frozenset({"conference.created", "conference.member.joined", "call.new"})


class _Open:
    """A request that is being carried out.  taken: its group's turn.  used: it holds its command_uid."""

    def __init__(self, asked: Asked, operation: Operation) -> None:
        self.asked = asked
        self.operation = operation
        self.taken: cooldown.Taken | None = None
        self.used = False


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
    request = _Open(asked, operation)
    remembered.sweep(core)
    try:
        result = _begin(core, request, given)
    except Refusal as refusal:
        _refuse(core, request, refusal)
        return
    except Problem as problem:
        _refuse(core, request, as_refusal(problem))
        return
    except Exception:
        _refuse(core, request, _internal(core, asked))
        return
    if isinstance(result, Outcome):
        _answer(core, request, result)
    elif result is not None:
        done = partial(_done, core, request)
        if asked.session is not None:
            core.in_turn(asked.session, result, done)
        else:
            core.step(Run(result, done), [])


def _begin(core: Core, request: _Open, given: RestRequest) -> Any:
    """The checks in their order, then the handler's result; None: the answer is another request's.

    Raises `Problem`.
    """
    asked, operation = request.asked, request.operation
    missing = _find(core, asked, operation)
    try:
        members = body.decode(given.body)
        decoded = body.convert(members, operation.body)
        asked.query = query.check(operation, given.query)
        _name(asked, decoded, given.idempotency_key)
    except Refusal as fault:
        raise missing or fault from None
    repeatable = asked.named and operation.method != "GET"
    digest = remembered.digest_of(asked, members) if repeatable else b""
    if repeatable and (use := remembered.known(core, asked, digest)) is not None:
        _repeat(core, asked, use)
        return None
    if missing is not None:  # not before: what ended it may be asked for twice
        raise missing
    if operation.method != "GET":
        if repeatable:
            remembered.begin(core, asked, digest)
            request.used = True
        _changes(core, operation)
        request.taken = cooldown.take(core, asked, operation.group)
        if operation.status == ACCEPTED:
            remembered.start(core, asked)
    return operation.handler(core, asked, decoded)


def _find(core: Core, asked: Asked, operation: Operation) -> Refusal | None:
    """The room or session that the path names; else why it cannot be used.  Raises `Refusal`: another's."""
    named = asked.path.get("room_id")
    if named is not None:
        asked.subject = named
        room = core.rooms.get(named)
        if room is None or room.ended:
            return refuse("room_not_found")
        _owned(core, room.app_id, asked.app_id, "room_not_found")
        if room.state == "destroying" and operation.method != "GET":
            return refuse("room_destroying")
        asked.room = room
    named = asked.path.get("session_uuid")
    if named is not None:
        session_id = naming.session_id(core.node, named)
        asked.subject = asked.subject or session_id
        session = core.sessions.get(session_id) if session_id is not None else None
        if session is None:
            if session_id is not None and core.unheard:  # a worker may hold it since before this process
                return refuse("node_unavailable", retry_after_ms=1000)
            return refuse("session_not_found")
        _owned(core, session.app_id, asked.app_id, "session_not_found")
        asked.session = session
        session.last_command_us = core.now_us
    return None


def _owned(core: Core, owner: str, app_id: str, hidden: str) -> None:
    if owner != app_id:
        raise refuse(hidden if core.config.tenancy.hide_foreign else "not_owner")


def _name(asked: Asked, decoded: Any, idempotency_key: str | None) -> None:
    """The command's uid: the caller's, else the operation's id.  Raises `Refusal`."""
    uids = (getattr(decoded, "command_uid", None), idempotency_key)
    given = {uid for uid in uids if uid is not None}
    if not given:
        asked.command_uid = asked.operation_id
        return
    uid = given.pop()
    if given or not body.COMMAND_UID.fullmatch(uid):  # the two name the same thing
        raise refuse("invalid_command_uid")
    asked.command_uid, asked.named = uid, True


def _changes(core: Core, operation: Operation) -> None:
    """Whether anything may be changed, and made, now.  Raises `Refusal`."""
    if core.commits.trouble == OVERLOADED:
        if not GROWING.isdisjoint(operation.emits):
            raise refuse("overloaded", {"reason": "outbox"}, retry_after_ms=1000)
    elif core.commits.trouble is not None:
        raise refuse("store_unavailable", {"reason": core.commits.trouble}, retry_after_ms=1000)
    if core.draining and operation.status == CREATED:
        raise refuse("shutting_down", retry_after_ms=1000)


# -- answers -------------------------------------------------------------------------------------------------


def _repeat(core: Core, asked: Asked, use: remembered.Use) -> None:
    """A request that was made before: its reply, now or when it is there."""
    if use.reply is None:
        use.waiting.append(asked.n)
        return
    reply = RestReply(asked.n, use.reply.status, use.reply.body, tuple(use.reply.headers))
    core.after_commit(lambda: core.effect(reply))


def _done(core: Core, request: _Open, outcome: Struct | None, problem: Problem | None) -> None:
    if problem is not None:
        _refuse(core, request, as_refusal(problem))
    else:
        assert isinstance(outcome, Outcome)
        _answer(core, request, outcome)


def _answer(core: Core, request: _Open, outcome: Outcome) -> None:
    asked = request.asked
    status = outcome.status or request.operation.status
    headers = list(outcome.headers)
    text = msgspec.json.encode(outcome.body)
    if status == ACCEPTED:
        headers.append(("Location", f"/api/v1/operations/{asked.operation_id}"))
        if msgspec.json.decode(text, type=_Told).status == "completed":
            remembered.finish(core, asked.operation_id, "completed")
    if status == CREATED:
        headers.append(("Location", _location(asked, request.operation, text)))
    numbers = [asked.n]
    if request.used:
        numbers += remembered.keep(core, asked, status, text, headers)
    looked_at = asked.room or asked.session if request.operation.method == "GET" else None
    for n in numbers:
        reply = RestReply(n, status, text, tuple(headers))
        core.after_commit(lambda reply=reply: core.effect(reply), looked_at)  # type: ignore[misc]


def _location(asked: Asked, operation: Operation, text: bytes) -> str:
    """Of what was made."""
    path = operation.path.format_map(asked.path)
    return path if operation.made is None else f"{path}/{msgspec.json.decode(text)[operation.made]}"


class _Told(Struct):
    status: str = ""


def _refuse(core: Core, request: _Open, refusal: Refusal) -> None:
    """Nothing of it stays: neither its turn, nor its operation, nor its uid."""
    asked = request.asked
    numbers = [asked.n]
    if request.taken is not None:
        request.taken.give_back()
    if request.operation.status == ACCEPTED:
        remembered.never_mind(core, asked.operation_id)
    if request.used:
        numbers += remembered.forget(core, asked)
    for n in numbers:
        core.effect(RestReply(n, refusal.status, refusal=refusal))


def _internal(core: Core, asked: Asked) -> Refusal:
    core.internal_error(asked.operation)
    return refuse("internal_error")
