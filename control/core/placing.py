"""Making and removing endpoints on workers: room, the choice of the worker, undoing."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from roomtone.control.core import effects, places, recordings, spreading
from roomtone.control.core.problems import ENDPOINT_ERROR, Problem
from roomtone.control.core.rooms import joining, seating
from roomtone.control.core.run import Answer, Ask, T, expect
from roomtone.control.core.session import Bus, Endpoint
from roomtone.engine.messages import CommandBody, RemoveEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


def check_room(core: Core, bus: Bus) -> None:
    """Raises `Problem` when the session is full."""
    limit = core.config.max_endpoints_per_session
    if limit and bus.size >= limit:
        raise Problem(ENDPOINT_ERROR, f"The session has its maximum of {limit} endpoints")


def create(
    core: Core, bus: Bus, endpoint: Endpoint, body: Callable[[], CommandBody], kind: type[T]
) -> Generator[list[Ask], list[Answer], T]:
    """Make an endpoint on the worker chosen for it and list it.

    body: the worker's command, made when the session's home and phase are settled.  kind: the answer
    expected.
    """
    yield from book(core, bus, endpoint)
    try:
        answers = yield [making(core, bus, endpoint, body())]
        created = expect(answers[0], kind)
        if bus.ended:  # not the one whose command this is: that would have been the end of it
            raise Problem(ENDPOINT_ERROR, "The session ended meanwhile")
    except (Problem, GeneratorExit):
        seating.forget(core, bus, endpoint)
        places.release(core, bus, endpoint.worker, endpoint.kind)
        raise
    bus.endpoints[endpoint.id] = endpoint
    joining.endpoint_come(core, bus, endpoint)
    return created


def book(core: Core, bus: Bus, endpoint: Endpoint) -> Generator[list[Ask], list[Answer], None]:
    """Choose the worker for an endpoint, and count it there from now on."""
    endpoint.worker = places.choose(core, bus)
    endpoint.number = places.reserve(core, bus, endpoint.worker, endpoint.kind)
    try:
        yield from spreading.join(core, bus)
        yield from recordings.join(core, bus)
        yield from seating.book(core, bus, endpoint)
        if bus.ended:  # its workers have closed it, and would make it anew
            raise Problem(ENDPOINT_ERROR, "The session ended meanwhile")
    except (Problem, GeneratorExit):
        places.release(core, bus, endpoint.worker, endpoint.kind)
        raise


def making(core: Core, bus: Bus, endpoint: Endpoint, body: CommandBody) -> Ask:
    """The command that makes an endpoint; made too late, it is removed again."""
    body = seating.from_the_start(core, bus, endpoint, body)
    return Ask(endpoint.worker, body, lambda _: core.tell(endpoint.worker, RemoveEndpoint(endpoint.id)))


def removed(core: Core, bus: Bus, endpoint: Endpoint) -> None:
    """Take an endpoint off the session's list, and with a bridge its other end; once."""
    if not bus.ended and bus.endpoints.pop(endpoint.id, None) is not None:
        core.audio.left(core, endpoint, effects.NORMAL_CLOSURE, "The endpoint was removed")
        core.downloads.leave(endpoint.id)
        joining.endpoint_gone(core, bus, endpoint)
        seating.forget(core, bus, endpoint)
        places.release(core, bus, endpoint.worker, endpoint.kind)
        remove_other_end(core, endpoint)


def remove_other_end(core: Core, bridge: Endpoint) -> None:
    """One end of a bridge is gone; of another endpoint this does nothing."""
    other = core.other_end(bridge)
    if other is not None and bridge.far is not None:
        core.tell(other.worker, RemoveEndpoint(other.id))
        removed(core, core.sessions[bridge.far.session], other)
