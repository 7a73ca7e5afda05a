"""What the methods endpoint.create_with_file and endpoint.file.* do."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from roomtone.control.core import api, api_file, notes, placing
from roomtone.control.core.downloads import Copy, Reason, Source
from roomtone.control.core.effects import Located
from roomtone.control.core.problems import ENDPOINT_ERROR, INVALID_PARAMS, Problem, endpoint_not_found
from roomtone.control.core.run import FILES, Answer, Ask, Call, Locate, Procedure, Work, expect
from roomtone.control.core.session import Endpoint, EndpointFact, Session
from roomtone.engine.messages import (
    CommandBody,
    CreateFile,
    Done,
    FileCreated,
    PauseFile,
    ResumeFile,
    SeekFile,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from roomtone.control.core.core import Core

US_PER_MS = 1000
US_PER_S = 1_000_000
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# The client may not say: whom it asks and how the message is framed (RFC 9112 sections 3.2, 6), what concerns
# one connection (RFC 9110 section 7.6.1), what would make the answer another file or half of one.
OUR_HEADERS = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "http2-settings", "keep-alive",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip


# -- making --------------------------------------------------------------------------------------------------


def create_with_file(core: Core, call: Call, params: api_file.CreateWithFile) -> Procedure:
    session = call.session
    headers = _checked_headers(params.headers or {})
    source = _checked_url(params, headers)
    if source is None and core.config.media_dir is None:
        raise Problem(ENDPOINT_ERROR, "Local files are off: media_dir is not configured", "source")
    placing.check_room(core, session)
    endpoint = Endpoint(id=core.next_id(), kind="file", worker=-1, policy="sendonly")
    if source is None:
        yield from _open_local(core, session, endpoint, params)
    else:
        yield from placing.book(core, session, endpoint)
        session.endpoints[endpoint.id] = endpoint
        endpoint.happened(EndpointFact.FILE_AWAITED)
        core.downloads.want(
            endpoint.id,
            source,
            ttl_us=params.cache_ttl_secs * US_PER_S,
            timeout_us=params.timeout_ms * US_PER_MS,
            now_us=core.now_us,
            then=partial(_copied, core, session, endpoint, params),
        )
    return api_file.FileCreated(endpoint.id)


def _checked_headers(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Names in lower case.  Raises `Problem`."""
    names = [name.lower() for name in headers]
    for name in names:
        if name in OUR_HEADERS:
            raise Problem(INVALID_PARAMS, f"The header {name} cannot be given", "headers")
    if len(set(names)) < len(names):
        raise Problem(INVALID_PARAMS, "A header is given twice", "headers")
    return tuple(sorted(zip(names, headers.values(), strict=True)))


def _checked_url(params: api_file.CreateWithFile, headers: tuple[tuple[str, str], ...]) -> Source | None:
    """None: it is the path of a local file.  Raises `Problem`."""
    scheme = SCHEME.match(params.source)
    if scheme is None:
        return None
    check_url(params.source, "source")
    if "@" in urlsplit(params.source).netloc and any(name == "authorization" for name, _ in headers):
        raise Problem(INVALID_PARAMS, "Both the URL and a header say who asks", "headers")
    return Source(params.source, headers, params.cache_key)


def check_url(url: str, field: str) -> None:
    """Raises `Problem`: it is none that can be played."""
    scheme = SCHEME.match(url)
    if scheme is None or scheme[1].lower() not in ("http", "https"):
        raise Problem(INVALID_PARAMS, "Only http and https URLs can be played", field)
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0 and not re.search(r"[\x00-\x20\x7f]", url)
    except ValueError:
        valid = False
    if not valid:
        raise Problem(INVALID_PARAMS, "Not a valid URL", field)


def _open_local(core: Core, session: Session, endpoint: Endpoint, params: api_file.CreateWithFile) -> Work:
    answers = yield [Ask(FILES, Locate(params.source))]
    located = expect(answers[0], Located)

    def body() -> CreateFile:
        return _create_file(core, session, endpoint, params, located.path, located.key)

    created = yield from placing.create(core, session, endpoint, body, FileCreated)
    endpoint.shared_id = created.shared_id
    endpoint.happened(EndpointFact.FILE_OPENED)


def _create_file(
    core: Core, session: Session, endpoint: Endpoint, params: api_file.CreateWithFile, path: str, key: str
) -> CreateFile:
    return CreateFile(
        session=session.id,
        endpoint=endpoint.id,
        phase=session.phase,
        path=path,
        key=key,
        start_ms=params.start_ms,
        loop_count=params.loop_count,
        gain_db=params.gain_db,
        shared=params.shared,
        note=notes.note(core, session, endpoint),
    )


# -- from a URL ----------------------------------------------------------------------------------------------


def _copied(
    core: Core,
    session: Session,
    endpoint: Endpoint,
    params: api_file.CreateWithFile,
    copy: Copy | None,
    reason: Reason,
) -> None:
    """What the endpoint waited for is there, or will not come."""
    if copy is None:
        _failed(core, session, endpoint, str(reason))
    else:
        core.work(_open_copy(core, session, endpoint, params, copy))


def _open_copy(
    core: Core, session: Session, endpoint: Endpoint, params: api_file.CreateWithFile, copy: Copy
) -> Work:
    """Removed meanwhile: a removal, or the session's end, follows this command to the worker."""
    body = _create_file(core, session, endpoint, params, copy.path, copy.name)
    answers = yield [placing.making(core, session, endpoint, body)]
    core.downloads.release(copy, core.now_us)
    if session.endpoints.get(endpoint.id) is not endpoint:
        return
    try:
        created = expect(answers[0], FileCreated)
    except Problem as problem:
        _failed(core, session, endpoint, problem.message)
        return
    endpoint.shared_id = created.shared_id
    old, new = endpoint.happened(EndpointFact.FILE_OPENED)
    core.emit(session, api.StateChanged(endpoint.id, old, new))


def _failed(core: Core, session: Session, endpoint: Endpoint, reason: str) -> None:
    placing.removed(core, session, endpoint)
    core.emit(session, api.FileFinished(endpoint.id, "error", reason))


# -- changing ------------------------------------------------------------------------------------------------


def _find_playing(session: Session, endpoint_id: str) -> Endpoint:
    endpoint = session.endpoints.get(endpoint_id.lower())
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    if endpoint.kind != "file":
        raise Problem(ENDPOINT_ERROR, f"Not a file endpoint but a {endpoint.kind} endpoint", "endpoint_id")
    _check_playing(endpoint)
    return endpoint


def _check_playing(endpoint: Endpoint) -> None:
    if endpoint.state not in ("playing", "paused"):
        raise Problem(ENDPOINT_ERROR, f"The file is {endpoint.state}", "endpoint_id")


def seek(core: Core, call: Call, params: api_file.FileSeek) -> Procedure:
    endpoint = _find_playing(call.session, params.endpoint_id)
    body = SeekFile(endpoint=endpoint.id, position_ms=params.position_ms)
    answers = yield [Ask(endpoint.worker, body)]
    expect(answers[0], Done)
    return api.Empty()


def pause(core: Core, call: Call, params: api_file.FileChange) -> Procedure:
    endpoint = _find_playing(call.session, params.endpoint_id)
    if endpoint.state == "playing":
        call.emit((yield from change(core, endpoint, EndpointFact.FILE_PAUSED)))
    return api.Empty()


def resume(core: Core, call: Call, params: api_file.FileChange) -> Procedure:
    endpoint = _find_playing(call.session, params.endpoint_id)
    if endpoint.state == "paused":
        call.emit((yield from change(core, endpoint, EndpointFact.FILE_RESUMED)))
    return api.Empty()


def change(
    core: Core, endpoint: Endpoint, fact: EndpointFact
) -> Generator[list[Ask], list[Answer], api.StateChanged]:
    """Pause a playing file, or resume a paused one: what it became.  Raises `Problem`."""
    body: CommandBody = PauseFile(endpoint.id)
    undo: CommandBody = ResumeFile(endpoint.id)
    if fact is EndpointFact.FILE_RESUMED:
        body, undo = undo, body
    answers = yield [Ask(endpoint.worker, body, lambda _: core.tell(endpoint.worker, undo))]
    expect(answers[0], Done)
    _check_playing(endpoint)  # it may have come to its end while the worker was asked
    old, new = endpoint.happened(fact)
    return api.StateChanged(endpoint.id, old, new)


METHODS: dict[str, tuple[Callable[..., Any], type[Struct], type[Struct]]] = {
    "endpoint.create_with_file": (create_with_file, api_file.CreateWithFile, api_file.FileCreated),
    "endpoint.file.seek": (seek, api_file.FileSeek, api.Empty),
    "endpoint.file.pause": (pause, api_file.FileChange, api.Empty),
    "endpoint.file.resume": (resume, api_file.FileChange, api.Empty),
}
