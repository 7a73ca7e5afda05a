"""Making and removing endpoints on workers: room, the choice of the worker, spreading, undoing."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from roomtone.control.core import life, placement
from roomtone.control.core.problems import ENDPOINT_ERROR, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.run import Answer, Ask, T, Work, expect
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import (
    CloseSession,
    CommandBody,
    OpenSpread,
    RemoveEndpoint,
    SetSpread,
    SpreadOpened,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

RETRY_HINT_S = 5  # an overload that passes is over then: two levels down, 2 s each (engine/overload.py)
KEY_RELAY_LIMIT = 20  # websocket.md section 4: larger buses report keys but do not relay them


def check_room(core: Core, session: Session) -> None:
    """Raises `Problem` when the session is full."""
    limit = core.config.max_endpoints_per_session
    if limit and session.size >= limit:
        raise Problem(ENDPOINT_ERROR, f"The session has its maximum of {limit} endpoints")


def create(
    core: Core, session: Session, endpoint: Endpoint, body: Callable[[], CommandBody], kind: type[T]
) -> Generator[list[Ask], list[Answer], T]:
    """Make an endpoint on the worker chosen for it and list it.

    body: the worker's command, made when the session's home and phase are settled.  kind: the answer
    expected.
    """
    worker = _reserve(core, session)
    endpoint.worker = worker
    session.made += 1
    endpoint.number = session.made
    try:
        yield from _join_spread(core, session, worker)
        undo = RemoveEndpoint(endpoint.id)
        answers = yield [Ask(worker, body(), lambda _: core.tell(worker, undo))]
        created = expect(answers[0], kind)
    except Problem:
        release(core, session, worker)
        raise
    session.endpoints[endpoint.id] = endpoint
    return created


def settle(core: Core, session: Session) -> None:
    """Give a session its home, when any worker is alive."""
    if session.home is None:
        session.home = core.workers.least_loaded()
        if session.home is not None:
            session.phase = core.workers.settle(session.home)


def _reserve(core: Core, session: Session) -> int:
    settle(core, session)
    if session.home is None:
        raise Problem(SESSION_UNRESPONSIVE, "No media worker is running")
    worker = placement.choose(core.workers, session.home, session.counts, core.config.session_spread_at)
    if worker is None:
        core.counters.endpoints_refused += 1
        raise Problem(
            ENDPOINT_ERROR,
            "Overload: every media worker is at its limit and takes no new endpoints; "
            f"retry in {RETRY_HINT_S} seconds",
        )
    if not session.counts and worker != session.home:
        _move_home(core, session, session.home, worker)
    session.counts[worker] = session.counts.get(worker, 0) + 1
    core.workers.add(worker, 1, session.phase)
    life.watch_empty(core, session)
    return worker


def _move_home(core: Core, session: Session, old: int, new: int) -> None:
    """A session that never had an endpoint goes whole to another worker instead of being spread."""
    core.workers.unsettle(old, session.phase)
    session.home = new
    session.phase = core.workers.settle(new)


def release(core: Core, session: Session, worker: int) -> None:
    """An endpoint on that worker is gone, or was not made."""
    session.counts[worker] -= 1
    core.workers.add(worker, -1, session.phase)
    if worker != session.home and not session.counts[worker]:
        _leave(core, session, worker)
    life.watch_empty(core, session)


def removed(core: Core, session: Session, endpoint: Endpoint) -> None:
    """Take an endpoint off the session's list; once."""
    if not session.ended and session.endpoints.pop(endpoint.id, None) is not None:
        core.audio.left(core, endpoint, life.NORMAL_CLOSURE, "The endpoint was removed")
        release(core, session, endpoint.worker)


# -- spreading -----------------------------------------------------------------------------------------------


def _join_spread(core: Core, session: Session, worker: int) -> Generator[list[Ask], list[Answer], None]:
    """Before the first endpoint away from home: every worker involved gets a partial slot and its peers."""
    if worker == session.home:
        return
    assert session.home is not None
    if session.spread is None:
        session.spread = placement.Spread()
    peers = session.spread.peers
    joining = [w for w in (session.home, worker) if w not in peers]
    if not joining:
        return
    answers = yield [Ask(w, _open(session), _close_late(core, session, w)) for w in joining]
    problem: Problem | None = None
    for w, answer in zip(joining, answers, strict=True):
        try:
            opened = expect(answer, SpreadOpened)
        except Problem as refused:
            problem = refused
        else:
            session.spread.joined(w, opened.epoch, opened.slot)
    if problem is not None:
        raise problem
    _tell_peers(core, session, session.spread)


def spread_again(core: Core, session: Session) -> None:
    """After a restart of this process: the workers still spread the bus, their slots are asked for anew."""
    if any(worker != session.home for worker in session.counts):
        core.work(_ask_slots(core, session))


def _ask_slots(core: Core, session: Session) -> Work:
    involved = [w for w in {session.home, *session.counts} if w is not None]
    answers = yield [Ask(w, _open(session)) for w in involved]
    if session.ended:
        return
    if session.spread is None:
        session.spread = placement.Spread()
    for worker, answer in zip(involved, answers, strict=True):
        if isinstance(answer, SpreadOpened):
            session.spread.joined(worker, answer.epoch, answer.slot)
    _tell_peers(core, session, session.spread)


def _open(session: Session) -> OpenSpread:
    return OpenSpread(session=session.id, phase=session.phase, key_relay_limit=KEY_RELAY_LIMIT)


def _close_late(core: Core, session: Session, worker: int) -> Callable[[object], None]:
    def close(_: object) -> None:
        if session.ended:
            core.tell(worker, CloseSession(session.id))
        elif session.spread is None or worker not in session.spread.peers:
            core.tell(worker, SetSpread(session=session.id, peers=[]))

    return close


def _leave(core: Core, session: Session, worker: int) -> None:
    """A worker holds no endpoint of the session any more; with it the spread may end."""
    del session.counts[worker]
    spread = session.spread
    if spread is not None and worker in spread.peers:
        spread.left(worker)
        core.tell(worker, SetSpread(session=session.id, peers=[]))
        _tell_peers(core, session, spread)
        if set(spread.peers) <= {session.home}:
            session.spread = None
    core.tell(worker, CloseSession(session.id))


def _tell_peers(core: Core, session: Session, spread: placement.Spread) -> None:
    for worker, message in spread.messages(session.id):
        core.tell(worker, message)
