"""What is remembered of requests: replies to those that were given a command_uid, and operations.

Theory of operation
-------------------
Both belong to a *subject*: the room or session that the request named.  They are kept as long as it lives and
ten minutes more.  What an app asked for that names neither belongs to the present ten minutes of the app.
Nothing watches subjects end: whoever handles a request has the dead ones swept once a minute, and where no
request comes nothing grows.

A reply is a row of the store, so that a repeated command is known after a restart too.  Operations are not:
what becomes of them is told by events.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from roomtone.control.core import views
from roomtone.control.core.api import EventData
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import refuse

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

KIND = "uid"
LINGER_US = 600_000_000
SWEEP_US = 60_000_000
MAX_OPERATIONS = 100  # of one subject; the oldest goes
# An event of these ends the play itself, beside the operation that caused it.
ENDS_OF_PLAYS = ("conference.play.stopped", "conference.play.finished", "conference.play.failed")
BEGINNING = "conference.play.started"

Status = Literal["in_progress", "completed", "failed"]


class Reply(Struct):
    """An accepted request's answer.  digest: of what was asked."""

    digest: bytes
    subject: str
    status: int
    body: bytes
    headers: list[tuple[str, str]]


class Use(Struct, eq=False):
    """A command_uid.  reply None: the request is under way, and `waiting` wait for its answer too."""

    digest: bytes
    subject: str
    reply: Reply | None = None
    waiting: list[int] = field(default_factory=list)


class Running(Struct, kw_only=True, eq=False):
    """An operation that was accepted."""

    id: str
    app_id: str
    operation: str
    subject: str
    command_uid: str
    room_id: str | UnsetType
    session_uuid: str | UnsetType
    created_ms: int
    status: Status = "in_progress"
    error: str | None = None
    completed_ms: int | None = None


class OperationView(Struct, kw_only=True):
    operation_id: str
    operation: str
    status: Status
    error: str | None
    command_uid: str
    room_id: str | UnsetType = UNSET
    session_uuid: str | UnsetType = UNSET
    created_at: str
    completed_at: str | None


class Subject(Struct, eq=False):
    """What is remembered of one room, session or app.  gone_us: since when it is no more."""

    uids: set[str] = field(default_factory=set)
    operations: dict[str, Running] = field(default_factory=dict)
    gone_us: int | None = None


class Remembered:
    def __init__(self) -> None:
        self.uses: dict[str, Use] = {}  # by row id
        self.operations: dict[str, Running] = {}
        self.subjects: dict[str, Subject] = {}
        self.swept_us = 0

    def subject(self, id: str) -> Subject:
        return self.subjects.setdefault(id, Subject())


# -- command_uid ---------------------------------------------------------------------------------------------


def row_id(asked: Asked) -> str:
    return f"{asked.app_id}/{asked.subject or ''}/{asked.command_uid}"


def subject_of(core: Core, asked: Asked) -> str:
    return asked.subject or _present(core, asked.app_id)


def _present(core: Core, app_id: str) -> str:
    """The present ten minutes of an app."""
    return f"{app_id}@{core.now_us // LINGER_US}"


def digest_of(asked: Asked, members: dict[str, Any]) -> bytes:
    """Of all that was asked for, whatever the order of its members and however it was named."""
    said = {name: value for name, value in members.items() if name != "command_uid"}
    return sha256(
        msgspec.json.encode([asked.operation, asked.path, asked.query, said], order="deterministic")
    ).digest()


def known(core: Core, asked: Asked, digest: bytes) -> Use | None:
    """The earlier use of a request's uid.  Raises `Refusal` for a conflict."""
    use = core.remembered.uses.get(row_id(asked))
    if use is not None and use.digest != digest:
        raise refuse("command_uid_conflict")
    return use


def begin(core: Core, asked: Asked, digest: bytes) -> None:
    """Its uid is used from now on."""
    core.remembered.uses[row_id(asked)] = Use(digest, subject_of(core, asked))


def keep(core: Core, asked: Asked, status: int, body: bytes, headers: list[tuple[str, str]]) -> list[int]:
    """The request is answered; the numbers of others that wait for the same answer."""
    use = core.remembered.uses[row_id(asked)]
    use.reply = Reply(use.digest, use.subject, status, body, headers)
    core.remembered.subject(use.subject).uids.add(row_id(asked))
    core.keep(KIND, row_id(asked), use.reply)
    waiting, use.waiting = use.waiting, []
    return waiting


def forget(core: Core, asked: Asked) -> list[int]:
    """The request is refused: its uid is free again.  The numbers of others that wait for it."""
    return core.remembered.uses.pop(row_id(asked)).waiting


def read(core: Core, id: str, body: bytes) -> None:
    reply = msgspec.msgpack.decode(body, type=Reply)
    core.remembered.uses[id] = Use(reply.digest, reply.subject, reply)
    core.remembered.subject(reply.subject).uids.add(id)


# -- operations ----------------------------------------------------------------------------------------------


def start(core: Core, asked: Asked) -> None:
    """An operation may begin; `never_mind` when it is refused."""
    running = Running(
        id=asked.operation_id,
        app_id=asked.app_id,
        operation=asked.operation,
        subject=subject_of(core, asked),
        command_uid=asked.command_uid,
        room_id=asked.path.get("room_id", UNSET),
        session_uuid=asked.path.get("session_uuid", UNSET),
        created_ms=core.epoch_ms(),
    )
    core.remembered.operations[running.id] = running
    operations = core.remembered.subject(running.subject).operations
    operations[running.id] = running
    if len(operations) > MAX_OPERATIONS:
        del core.remembered.operations[operations.pop(next(iter(operations))).id]


def never_mind(core: Core, operation_id: str) -> None:
    running = core.remembered.operations.pop(operation_id, None)
    if running is not None:
        core.remembered.subject(running.subject).operations.pop(operation_id, None)


def happened(core: Core, event: EventData) -> None:
    """What an event says of operations."""
    caused_by = getattr(event, "operation_id", None)
    if caused_by is None or event.NAME == BEGINNING:
        return
    failed = event.NAME.endswith(".failed") or getattr(event, "success", True) is False
    error = getattr(event, "error", None) if failed else None
    finish(core, caused_by, "failed" if failed else "completed", error)
    if event.NAME in ENDS_OF_PLAYS:
        finish(core, getattr(event, "play_operation_id", ""), "completed")
    for aborted in getattr(event, "aborted_operations", None) or ():
        finish(core, aborted, "failed", "aborted")


def finish(core: Core, operation_id: str, status: Status, error: str | None = None) -> None:
    """Once; what comes later changes nothing."""
    running = core.remembered.operations.get(operation_id)
    if running is not None and running.status == "in_progress":
        running.status, running.error, running.completed_ms = status, error, core.epoch_ms()


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    running = core.remembered.operations.get(asked.path["operation_id"])
    if running is None:
        raise refuse("operation_not_found")
    if running.app_id != asked.app_id:
        raise refuse("operation_not_found" if core.config.tenancy.hide_foreign else "not_owner")
    done_ms = running.completed_ms
    return Outcome(
        OperationView(
            operation_id=running.id,
            operation=running.operation,
            status=running.status,
            error=running.error,
            command_uid=running.command_uid,
            room_id=running.room_id,
            session_uuid=running.session_uuid,
            created_at=views.rfc3339(running.created_ms * 1000),
            completed_at=views.rfc3339(done_ms * 1000) if done_ms is not None else None,
        )
    )


# -- the end -------------------------------------------------------------------------------------------------


def sweep(core: Core) -> None:
    """Forget what belongs to subjects that ended ten minutes ago.  At most once a minute; else nothing."""
    remembered = core.remembered
    if core.now_us - remembered.swept_us < SWEEP_US:
        return
    remembered.swept_us = core.now_us
    for id, subject in list(remembered.subjects.items()):
        if id in core.rooms or id in core.sessions or id == _present(core, id.partition("@")[0]):
            subject.gone_us = None
        elif subject.gone_us is None:
            subject.gone_us = core.now_us
        elif core.now_us - subject.gone_us >= LINGER_US:
            del remembered.subjects[id]
            for uid in subject.uids:
                del remembered.uses[uid]
                core.keep(KIND, uid, None)
            for operation_id in subject.operations:
                del remembered.operations[operation_id]


OPERATIONS: dict[str, Operation] = {
    "operation.get": Operation(
        method="GET",
        path="/api/v1/operations/{operation_id}",
        handler=show,
        summary="What became of an accepted command",
        result=OperationView,
    )
}
