"""What is played to one call: its files, fetched and then played one behind the other without a gap.

Theory of operation
-------------------
A session has one playback at a time; whoever begins another ends it (the last wins).  All files are fetched
first.  Then one file endpoint of the session is made, private to it where it is in a room: the first file
comes with it, each further one is queued while the one before it plays.  `Playback.began` is called with the
first frame, `Playback.ended` once, with the reason; nobody is asked where it stands then: the clock says so.

Silence is a playback without files: a tone nobody hears, so that packets flow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, field

from roomtone.control.core import api, notes, placing, tones
from roomtone.control.core.calls import events, telling
from roomtone.control.core.downloads import Copy, Reason, Source
from roomtone.control.core.problems import Problem
from roomtone.control.core.rest.refusal import as_refusal
from roomtone.control.core.run import Ask, Work, expect
from roomtone.control.core.session import Endpoint, EndpointFact, Session
from roomtone.engine.messages import (
    AskFile,
    CreateFile,
    FileCreated,
    FilePosition,
    QueueFile,
    RemoveEndpoint,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

TTL_US = 300_000_000  # as endpoint.create_with_file's default
FETCH_US = 30_000_000  # a file that is not there by then is none

MAX_URLS = 128
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Urls = Annotated[list[Url], Meta(min_length=1, max_length=MAX_URLS)]
# Why a playback ended.
FINISHED, STOPPED, REPLACED, FAILED, REMOVED = "finished", "stopped", "replaced", "error", "removed"


class Playhead(Struct):
    """Where a playback is, by the clock.

    base_ms: the place at `since_us`; None: it stands there.  heard_ms: played until then.
    """

    base_ms: int = 0
    since_us: int | None = None
    heard_ms: int = 0

    def _ran_ms(self, now_us: int) -> int:
        return max(0, now_us - self.since_us) // 1000 if self.since_us is not None else 0

    def at_ms(self, now_us: int) -> int:
        return self.base_ms + self._ran_ms(now_us)

    def total_ms(self, now_us: int) -> int:
        return self.heard_ms + self._ran_ms(now_us)

    def stand(self, now_us: int, at_ms: int | None = None) -> None:
        """Stop counting, there or here."""
        self.heard_ms = self.total_ms(now_us)
        self.base_ms = self.at_ms(now_us) if at_ms is None else at_ms
        self.since_us = None

    def run(self, now_us: int, at_ms: int | None = None) -> None:
        self.stand(now_us, at_ms)
        self.since_us = now_us


class Playback(Struct, kw_only=True, eq=False):
    """One playback.  uid: of the command it came with; id: its own.

    urls empty: silence, of duration_ms (None: for ever).  endpoint: what plays it, by its id.  copies: files
    by their place in the list, held until the end.  item: which of them plays.  started: its first frame was
    played.
    """

    id: str
    uid: str
    urls: list[str]
    began: Callable[[Playback], None]
    ended: Callable[[Playback, str], None]
    offset_ms: int = 0
    duration_ms: int | None = None
    endpoint: str = ""
    copies: dict[int, Copy] = field(default_factory=dict)
    item: int = 0
    started: bool = False
    paused: bool = False
    over: bool = False
    head: Playhead = field(default_factory=Playhead)

    @property
    def file_path(self) -> str:
        """The older way to say what is played."""
        return self.urls[0] if self.urls else ""


def status(session: Session) -> str:
    """The documented playback_status."""
    playback = session.leg.playback
    return "stopped" if playback is None else "paused" if playback.paused else "playing"


# -- begin ---------------------------------------------------------------------------------------------------


def start(core: Core, session: Session, playback: Playback) -> None:
    """Play it, and nothing else any more."""
    stop(core, session, REPLACED)
    session.leg.playback = playback
    if not playback.urls:
        _open(core, session, playback)
    _fetch(core, session, playback)


def _fetch(core: Core, session: Session, playback: Playback) -> None:
    for item, url in enumerate(playback.urls):
        if not playback.over:
            core.downloads.want(
                _wish(playback, item),
                Source(url),
                ttl_us=TTL_US,
                timeout_us=FETCH_US,
                now_us=core.now_us,
                then=partial(_fetched, core, session, playback, item),
            )


def _wish(playback: Playback, item: int) -> str:
    return f"{playback.id}/{item}"


def _fetched(
    core: Core, session: Session, playback: Playback, item: int, copy: Copy | None, reason: Reason
) -> None:
    if copy is None:
        _unplayable(core, session, playback, item, reason.code)
        return
    playback.copies[item] = copy
    if len(playback.copies) == len(playback.urls):
        _open(core, session, playback)


def _open(core: Core, session: Session, playback: Playback) -> None:
    """All files are there: make what plays them."""
    work = (make if playback.urls else _make_silence)(core, session, playback)
    core.in_turn(session, work, partial(_made, core, session, playback))


def make(core: Core, session: Session, playback: Playback) -> Work:
    """What plays the list, from its beginning on."""
    if playback.over:
        return
    placing.check_room(core, session)
    endpoint = Endpoint(id=core.next_id(), kind="file", worker=-1, policy="sendonly")
    playback.endpoint, playback.item = endpoint.id, 0
    telling.remember(core, session)  # a process after this one has to find it
    copy = playback.copies[0]

    def body() -> CreateFile:
        return CreateFile(
            session=session.id,
            endpoint=endpoint.id,
            phase=session.phase,
            path=copy.path,
            key=copy.name,
            start_ms=playback.offset_ms,
            more=len(playback.urls) > 1,
            note=notes.note(core, session, endpoint),
        )

    created = yield from placing.create(core, session, endpoint, body, FileCreated)
    endpoint.shared_id = created.shared_id
    old, new = endpoint.happened(EndpointFact.FILE_OPENED)
    core.emit(session, api.StateChanged(endpoint.id, old, new))
    if playback.over:
        remove(core, session, endpoint)
    else:
        yield from _queue(core, session, playback, 1)


def _make_silence(core: Core, session: Session, playback: Playback) -> Work:
    if playback.over:
        return
    endpoint = yield from tones.make(core, session, "silence", duration_ms=playback.duration_ms)
    playback.endpoint = endpoint.id
    core.emit(session, api.StateChanged(endpoint.id, "new", endpoint.state))
    if playback.over:
        remove(core, session, endpoint)
    else:
        begun(core, session, endpoint, core.now_us)


def _queue(core: Core, session: Session, playback: Playback, item: int) -> Work:
    """Have the next file ready behind the one that plays."""
    endpoint = session.endpoints.get(playback.endpoint)
    if item >= len(playback.urls) or endpoint is None:
        return
    copy = playback.copies[item]
    body = QueueFile(endpoint=endpoint.id, path=copy.path, key=copy.name, more=item + 1 < len(playback.urls))
    answers = yield [Ask(endpoint.worker, body)]
    try:
        expect(answers[0], FileCreated)
    except Problem as problem:
        if playback.endpoint == endpoint.id:  # else it was begun anew meanwhile
            _unplayable(core, session, playback, item, problem.cause or as_refusal(problem).code)


def _made(
    core: Core, session: Session, playback: Playback, _: Struct | None, problem: Problem | None
) -> None:
    if problem is not None and not session.ended:
        _unplayable(core, session, playback, 0, problem.cause or as_refusal(problem).code)


def _unplayable(core: Core, session: Session, playback: Playback, item: int, error: str) -> None:
    """One of its files cannot be played: it ends."""
    if playback.over:
        return
    if playback.urls:
        event = events.FileNotFound(telling.uuid(core, session), playback.uid, [playback.urls[item]], error)
        telling.tell(core, session, event)
    stop(core, session, FAILED)


# -- what the worker tells -----------------------------------------------------------------------------------


def _of(session: Session, endpoint: Endpoint) -> Playback | None:
    playback = session.leg.playback
    return playback if playback is not None and playback.endpoint == endpoint.id else None


def begun(core: Core, session: Session, endpoint: Endpoint, at_us: int) -> None:
    """The first frame was played."""
    playback = _of(session, endpoint)
    if playback is not None:
        playback.head.run(at_us, playback.offset_ms)
        if not playback.started:
            playback.started = True
            telling.remember(core, session)
            playback.began(playback)


def moved_on(core: Core, session: Session, endpoint: Endpoint, item: int) -> None:
    """Another file of the list has begun."""
    playback = _of(session, endpoint)
    if playback is not None:
        playback.item = item
        playback.head.run(core.now_us, 0)
        core.work(_queue(core, session, playback, item + 1))


def finished(core: Core, session: Session, endpoint: Endpoint, error: str | None, item: int) -> None:
    """It has come to its end, or what followed cannot be decoded."""
    playback = _of(session, endpoint)
    if playback is not None:
        if error is not None:
            _unplayable(core, session, playback, item, error)
        else:
            stop(core, session, FINISHED)


def removed(core: Core, session: Session, endpoint: Endpoint) -> None:
    """A client of the WebSocket has removed what plays it."""
    if _of(session, endpoint) is not None:
        stop(core, session, REMOVED)


# -- change and end ------------------------------------------------------------------------------------------


def stop(core: Core, session: Session, cause: str) -> bool:
    """End what is played.  False: nothing was."""
    playback = session.leg.playback
    if playback is None:
        return False
    session.leg.playback = None
    playback.over = True
    playback.head.stand(core.now_us)
    for item in range(len(playback.urls)):
        core.downloads.leave(_wish(playback, item))
    for copy in playback.copies.values():
        core.downloads.release(copy, core.now_us)
    endpoint = session.endpoints.get(playback.endpoint)
    if endpoint is not None:
        remove(core, session, endpoint)
    playback.ended(playback, cause)
    telling.remember(core, session)
    return True


def make_again(core: Core, session: Session, playback: Playback) -> Work:
    """Begin anew with the first file, from its beginning."""
    endpoint = session.endpoints.get(playback.endpoint)
    if endpoint is not None:
        remove(core, session, endpoint)
    playback.offset_ms, playback.paused = 0, False
    playback.head.stand(core.now_us, 0)
    if len(playback.copies) < len(playback.urls):  # this process did not fetch them
        _fetch(core, session, playback)
        return
    try:
        yield from make(core, session, playback)
    except Problem as problem:
        _unplayable(core, session, playback, 0, problem.cause or as_refusal(problem).code)
        raise


def go_on(core: Core, session: Session, playback: Playback, endpoint: Endpoint) -> None:
    """One file, or silence, that the process before this one began and a worker still plays."""
    session.leg.playback = playback
    playback.paused = endpoint.state == "paused"
    if playback.paused:
        playback.head.since_us = None
    if endpoint.state == "finished":
        stop(core, session, FINISHED)
    elif endpoint.kind == "file":
        core.work(_locate(core, playback, endpoint))


def _locate(core: Core, playback: Playback, endpoint: Endpoint) -> Work:
    """Only the worker knows where it is by now; until it has said so the clock does."""
    answers = yield [Ask(endpoint.worker, AskFile(endpoint.id))]
    at = answers[0]
    if isinstance(at, FilePosition) and not playback.over:
        if playback.paused:
            playback.head.stand(core.now_us, at.position_ms)
        else:
            playback.head.run(core.now_us, at.position_ms)


def remove(core: Core, session: Session, endpoint: Endpoint) -> None:
    """What plays is not wanted any more."""
    core.tell(endpoint.worker, RemoveEndpoint(endpoint.id))
    placing.removed(core, session, endpoint)
