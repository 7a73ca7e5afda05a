"""What the methods session.*, server.* and stats.* do, and the table of all methods."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roomtone.control.core import (
    api,
    api_linking,
    bridging,
    detection_requests,
    endpoint_requests,
    file_requests,
    frame,
    life,
    naming,
    places,
    polling,
    recordings,
    views,
)
from roomtone.control.core.calls import telling
from roomtone.control.core.problems import (
    MAX_SESSIONS_REACHED,
    NO_SESSION,
    SESSION_ALREADY_BOUND,
    SESSION_BUSY,
    SESSION_GONE,
    SESSION_NOT_ORPHANED,
    SHUTTING_DOWN,
    Problem,
    session_not_found,
)
from roomtone.control.core.run import PAUSE, Call, Procedure, expect
from roomtone.control.core.session import Connection, Session, SessionFact
from roomtone.engine import messages

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

MAX_WAITING = 8  # commands of former connections that may still be open when another one attaches


class Binding(Enum):
    """What a method wants of its connection."""

    FREE = "free"  # no session needed
    MAKES = "makes"  # it binds one: none may be bound
    NEEDS = "needs"  # it works on the bound one


class Method(Struct, frozen=True):
    """One method: what carries it out, its parameters and result, what it wants of the connection."""

    handler: Callable[[Core, Call, Any], Struct | Procedure]
    params: type[Struct]
    result: type[Struct]
    decoder: msgspec.json.Decoder
    binding: Binding
    frees: bool = False  # works after the session has ended, to unbind it
    refused_while_draining: bool = False


# -- session.* -----------------------------------------------------------------------------------------------


def session_create(core: Core, call: Call, params: api.SessionCreate) -> Struct:
    limit = core.config.max_sessions
    if limit and len(core.sessions) >= limit:
        raise Problem(MAX_SESSIONS_REACHED, f"The server has its maximum of {limit} sessions")
    connection = core.connections[call.connection]
    session = Session(
        id=core.next_id(),
        app_id=connection.app_id,
        caller_id=params.caller_id,
        created_us=core.now_us,
        queue=connection.queue,
        connection=connection.id,
        last_command_us=core.now_us,
    )
    places.settle(core, session)
    core.sessions[session.id] = session
    connection.session = session
    connection.gone = False
    life.begin(core, session)
    if session.app_id in core.apps:
        telling.introduce(core, session)
    return api.SessionCreated(session.id)


def session_attach(core: Core, call: Call, params: api.SessionAttach) -> Struct:
    session = core.own_session(naming.session_id(core.node, params.session_id) or "", call.app_id)
    if session is None and core.unheard:
        raise Problem(SESSION_BUSY, "The server has just started and is finding its sessions; try again")
    if session is None:
        raise session_not_found(params.session_id, "session_id")
    if session.connection is not None:
        raise Problem(SESSION_NOT_ORPHANED, "The session is bound to another connection", "session_id")
    if session.waiting is not None and len(session.waiting) >= MAX_WAITING:
        raise Problem(SESSION_BUSY, "Commands of former connections are still being carried out")
    connection = core.connections[call.connection]
    call.then = lambda: life.attach(core, connection, session)
    return api.Empty()


def session_destroy(core: Core, call: Call, params: api.NoParams) -> Struct:
    connection = core.connections.get(call.connection)
    if call.bound is not None and not call.bound.ended:
        life.end(core, call.bound, SessionFact.DESTROYED)
    if connection is not None:
        connection.gone = False
    return api.Empty()


def session_info(core: Core, call: Call, params: api.NoParams) -> Struct:
    return views.info(core, call.session)


def session_list(core: Core, call: Call, params: api.NoParams) -> Procedure:
    pieces: list[bytes] = []
    for piece in views.summaries(core, call.app_id):
        if pieces:
            yield PAUSE
        pieces.append(piece)
    return api.SessionListEncoded(msgspec.Raw(views.array(pieces)))


def timeline_mark(core: Core, call: Call, params: api.NoParams) -> Struct:
    return api.TimelineMarked(core.epoch_ms())


def server_info(core: Core, call: Call, params: api.NoParams) -> Struct:
    return api.ServerInfo(core.hostname, core.version, list(core.config.media_ip))


# -- stats.* -------------------------------------------------------------------------------------------------


def stats_subscribe(core: Core, call: Call, params: api.StatsSubscribe) -> Struct:
    polling.subscribe(core, call.session, params.interval_ms * 1000, params.include_diagnostics)
    return api.Empty()


def stats_unsubscribe(core: Core, call: Call, params: api.NoParams) -> Struct:
    polling.unsubscribe(core, call.session)
    return api.Empty()


def stats_snapshot(core: Core, call: Call, params: api.NoParams) -> Procedure:
    answers = yield life.ask_stats(call.session)
    for answer in answers:
        expect(answer, messages.Stats)
    return api.StatsSnapshot(life.gathered(call.session, answers, True))


# -- what a method wants of its connection -----------------------------------------------------------------


def check_binding(core: Core, connection: Connection, method: Method) -> None:
    """Raises `Problem` when the connection's session, or that it has none, does not fit."""
    match method.binding:
        case Binding.MAKES:
            if method.refused_while_draining and core.draining:
                raise Problem(SHUTTING_DOWN, "The server is shutting down")
            if connection.session is not None:
                raise Problem(SESSION_ALREADY_BOUND, "This connection already has a session")
        case Binding.NEEDS:
            if connection.gone and not method.frees:
                raise Problem(SESSION_GONE, "The session of this connection has ended")
            if connection.session is None and not connection.gone:
                raise Problem(NO_SESSION, "No session is bound to this connection")


# -- the table -----------------------------------------------------------------------------------------------


def _method(
    handler: Any,
    params: type[Struct],
    result: type[Struct],
    binding: Binding = Binding.NEEDS,
    **flags: bool,
) -> Method:
    return Method(handler, params, result, frame.params_decoder(params), binding, **flags)


METHODS: dict[str, Method] = {
    "session.create": _method(
        session_create, api.SessionCreate, api.SessionCreated, Binding.MAKES, refused_while_draining=True
    ),
    "session.attach": _method(session_attach, api.SessionAttach, api.Empty, Binding.MAKES),
    "session.destroy": _method(session_destroy, api.NoParams, api.Empty, frees=True),
    "session.info": _method(session_info, api.NoParams, api.SessionInfo),
    "session.list": _method(session_list, api.NoParams, api.SessionList, Binding.FREE),
    "session.bridge": _method(bridging.bridge, api_linking.SessionBridge, api_linking.SessionBridged),
    "session.timeline.mark": _method(timeline_mark, api.NoParams, api.TimelineMarked),
    "server.info": _method(server_info, api.NoParams, api.ServerInfo, Binding.FREE),
    "stats.subscribe": _method(stats_subscribe, api.StatsSubscribe, api.Empty),
    "stats.unsubscribe": _method(stats_unsubscribe, api.NoParams, api.Empty),
    "stats.snapshot": _method(stats_snapshot, api.NoParams, api.StatsSnapshot),
    **{
        name: _method(*method)
        for part in (endpoint_requests, file_requests, detection_requests, recordings)
        for name, method in part.METHODS.items()
    },
}
