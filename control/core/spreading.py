"""Sessions that others hear: on which workers a session's bus publishes its sum, and who reads it there.

Theory of operation
-------------------
A session is *spread* when it has endpoints on several workers; each of them then adds the sums of the others.
It is *bridged* when another session brings what it says.  In both cases its bus publishes on every worker
involved, its home among them.  `join` is a step of whatever makes a worker involved, before anything is put
on the bus there; `settle` follows everything that may end it.  Who reads is told whenever the publishers
change: the session's own workers (`SetSpread`) and the bridges that bring it (`FeedBridge`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from roomtone.control.core import placement
from roomtone.control.core.problems import ENDPOINT_ERROR, Problem
from roomtone.control.core.run import Answer, Ask, Work, expect
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import CloseSession, CloseSpread, FeedBridge, OpenSpread, SpreadOpened

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

KEY_RELAY_LIMIT = 20  # websocket.md section 4: larger buses report keys but do not relay them


def involved(session: Session) -> list[int]:
    """The workers on which the session's bus has to publish, its home first."""
    if session.home is None:
        return []
    here = [session.home, *(worker for worker in session.counts if worker != session.home)]
    return here if len(here) > 1 or session.bridges else []


def join(core: Core, session: Session) -> Generator[list[Ask], list[Answer], None]:
    """Let the bus publish wherever it has to and does not.  Raises `Problem` when a worker refuses."""
    known = session.spread.peers if session.spread is not None else {}
    joining = [worker for worker in involved(session) if worker not in known]
    if not joining:
        return
    try:
        answers = yield from _slots(core, session, joining)
    except GeneratorExit:  # some may have opened already: which, and whether that is still wanted, is asked
        if not session.ended:
            core.work(_ask_slots(core, session, joining))
        raise
    if session.ended:
        raise Problem(ENDPOINT_ERROR, "The session ended meanwhile")
    problem: Problem | None = None
    for worker, answer in zip(joining, answers, strict=True):
        try:
            _joined(session, worker, expect(answer, SpreadOpened))
        except Problem as refused:
            problem = refused
    settle(core, session)
    if problem is not None:
        raise problem


def settle(core: Core, session: Session) -> None:
    """Whoever is not involved any more stops publishing; whoever reads is told, if anything changed."""
    spread = session.spread
    if spread is None or session.ended:
        return
    wanted = involved(session)
    for worker in [worker for worker in spread.peers if worker not in wanted]:
        spread.left(worker)
        _stop(core, session, worker)
    if not spread.peers:
        session.spread = None
    elif spread.changed():
        told = dict(spread.peers)
        for worker, message in spread.messages(session.id):
            core.tell(worker, message, lambda: session.spread is spread and spread.peers == told)
        feed(core, session)


def feed(core: Core, session: Session) -> None:
    """Tell the bridges that bring this session where it publishes."""
    spread = session.spread
    if spread is None:
        return
    feeds = list(spread.peers.values())
    for here in session.endpoints.values():
        there = core.other_end(here)
        if there is not None and brings(there, here):
            core.tell(
                there.worker,
                FeedBridge(endpoint=there.id, phase=session.phase, feeds=feeds),
                lambda: list(spread.peers.values()) == feeds,
            )


def brings(end: Endpoint, far: Endpoint) -> bool:
    """Whether an end of a bridge brings its session what the far one's says: both ends have to allow it."""
    return end.is_source and far.is_destination


def again(core: Core, session: Session) -> None:
    """After a restart of this process: the workers still publish, their slots are asked for anew."""
    if workers := involved(session):
        core.work(_ask_slots(core, session, workers))


def _ask_slots(core: Core, session: Session, workers: list[int]) -> Work:
    answers = yield from _slots(core, session, workers)
    if session.ended:
        return
    for worker, answer in zip(workers, answers, strict=True):
        if isinstance(answer, SpreadOpened):
            _joined(session, worker, answer)
    settle(core, session)


def _joined(session: Session, worker: int, opened: SpreadOpened) -> None:
    if session.spread is None:
        session.spread = placement.Spread()
    session.spread.joined(worker, opened.epoch, opened.slot)


def _slots(
    core: Core, session: Session, workers: list[int]
) -> Generator[list[Ask], list[Answer], list[Answer]]:
    body = OpenSpread(session=session.id, phase=session.phase, key_relay_limit=KEY_RELAY_LIMIT)
    session.opening += workers
    try:
        return (yield [Ask(worker, body, _close_late(core, session, worker)) for worker in workers])
    finally:
        for worker in workers:
            session.opening.remove(worker)


def _close_late(core: Core, session: Session, worker: int) -> Callable[[object], None]:
    def undo(_: object) -> None:
        if not _publishes(session, worker):
            _stop(core, session, worker)

    return undo


def _publishes(session: Session, worker: int) -> bool:
    return worker in session.opening or (session.spread is not None and worker in session.spread.peers)


def _lives(session: Session, worker: int) -> bool:
    return not session.ended and (worker == session.home or worker in session.counts)


def _stop(core: Core, session: Session, worker: int) -> None:
    """The session's bus there publishes nothing any more, and goes where the session has nothing else."""
    if _lives(session, worker):
        core.tell(worker, CloseSpread(session.id), lambda: not _publishes(session, worker))
    else:
        close(core, session, worker)


def close(core: Core, session: Session, worker: int) -> None:
    """The session has nothing there any more."""
    core.tell(worker, CloseSession(session.id, None), lambda: not _lives(session, worker))
