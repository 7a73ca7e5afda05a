"""Making and removing endpoints on workers: room, the choice of the worker, undoing."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from roomtone.control.core import effects, placement, recordings, spreading
from roomtone.control.core.problems import ENDPOINT_ERROR, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.run import Answer, Ask, T, expect
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import CommandBody, RemoveEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

RETRY_HINT_S = 5  # an overload that passes is over then: two levels down, 2 s each (engine/overload.py)
EMPTY = "empty"  # the timer of a session without endpoints
US_PER_S = 1_000_000


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
    yield from book(core, session, endpoint)
    try:
        answers = yield [making(core, endpoint, body())]
        created = expect(answers[0], kind)
        if session.ended:  # not the one whose command this is: that would have been the end of it
            raise Problem(ENDPOINT_ERROR, "The session ended meanwhile")
    except (Problem, GeneratorExit):
        release(core, session, endpoint.worker, endpoint.kind)
        raise
    session.endpoints[endpoint.id] = endpoint
    return created


def book(core: Core, session: Session, endpoint: Endpoint) -> Generator[list[Ask], list[Answer], None]:
    """Choose the worker for an endpoint, and count it there from now on."""
    endpoint.worker = _choose(core, session)
    endpoint.number = reserve(core, session, endpoint.worker, endpoint.kind)
    try:
        yield from spreading.join(core, session)
        yield from recordings.join(core, session)
    except (Problem, GeneratorExit):
        release(core, session, endpoint.worker, endpoint.kind)
        raise


def making(core: Core, endpoint: Endpoint, body: CommandBody) -> Ask:
    """The command that makes an endpoint; made too late, it is removed again."""
    return Ask(endpoint.worker, body, lambda _: core.tell(endpoint.worker, RemoveEndpoint(endpoint.id)))


def removed(core: Core, session: Session, endpoint: Endpoint) -> None:
    """Take an endpoint off the session's list, and with a bridge its other end; once."""
    if not session.ended and session.endpoints.pop(endpoint.id, None) is not None:
        core.audio.left(core, endpoint, effects.NORMAL_CLOSURE, "The endpoint was removed")
        release(core, session, endpoint.worker, endpoint.kind)
        remove_other_end(core, endpoint)


def remove_other_end(core: Core, bridge: Endpoint) -> None:
    """One end of a bridge is gone; of another endpoint this does nothing."""
    other = core.other_end(bridge)
    if other is not None and bridge.far is not None:
        core.tell(other.worker, RemoveEndpoint(other.id))
        removed(core, core.sessions[bridge.far.session], other)


# -- a session's places on workers ---------------------------------------------------------------------------


def settle(core: Core, session: Session) -> None:
    """Give a session its home, when any worker is alive."""
    if session.home is None:
        session.home = core.workers.least_loaded()
        if session.home is not None:
            session.phase = core.workers.settle(session.home)


def _choose(core: Core, session: Session) -> int:
    """The worker for the session's next endpoint.  Raises `Problem` when there is none."""
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
    return worker


def reserve(core: Core, session: Session, worker: int, kind: str) -> int:
    """Count an endpoint that is to come on that worker.  Returns its number in the session."""
    if not session.size and worker != session.home:
        _go_to(core, session, worker)
    session.counts[worker] = session.counts.get(worker, 0) + 1
    session.bridges += kind == "bridge"
    session.made += 1
    core.workers.add(worker, 1, session.phase)
    watch_empty(core, session)
    return session.made


def release(core: Core, session: Session, worker: int, kind: str) -> None:
    """An endpoint on that worker is gone, or did not come."""
    if session.ended:
        return  # its end has given everything back
    session.counts[worker] -= 1
    session.bridges -= kind == "bridge"
    core.workers.add(worker, -1, session.phase)
    inhabited = [w for w, endpoints in session.counts.items() if endpoints]
    if len(inhabited) == 1 and session.home not in inhabited:
        _change_home(core, session, inhabited[0])
    for empty in [w for w, endpoints in session.counts.items() if not endpoints and w != session.home]:
        _leave(core, session, empty)
    spreading.settle(core, session)
    watch_empty(core, session)


def _leave(core: Core, session: Session, worker: int) -> None:
    """A worker that holds no endpoint of the session."""
    session.counts.pop(worker, None)
    if session.spread is not None:
        session.spread.left(worker)
    spreading.close(core, session, worker)


def _go_to(core: Core, session: Session, worker: int) -> None:
    """A session without endpoints goes whole to another worker instead of being spread."""
    for old in list(session.counts):
        _leave(core, session, old)
    if session.home is not None:
        core.workers.unsettle(session.home, session.phase)
    session.home = worker
    session.phase = core.workers.settle(worker)


def _change_home(core: Core, session: Session, worker: int) -> None:
    """All its endpoints are on another worker: spreading would only cost.  The bus there keeps its phase."""
    assert session.home is not None
    core.workers.unsettle(session.home, session.phase)
    core.workers.settle_again(worker, session.phase)
    session.home = worker


def watch_empty(core: Core, session: Session) -> None:
    """Begin or end the wait of a session without endpoints."""
    timeout_s = core.config.empty_session_timeout_secs
    if session.size:
        core.cancel(session, EMPTY)
    elif timeout_s and EMPTY not in session.timers:
        core.schedule(session, EMPTY, core.now_us + timeout_s * US_PER_S)
