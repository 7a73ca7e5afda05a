"""Events of calls (the contract's section 1.9): documented keys, in their order, then ours."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from roomtone.control.core.api import EventData


class New(EventData):
    """The first event of a call."""

    NAME: ClassVar[str] = "call.new"
    session_uuid: str
    caller_id: str
    did: str


class Answered(EventData):
    """command_uid, success: of the command `answer`; without them the peer itself answered."""

    NAME: ClassVar[str] = "call.answered"
    session_uuid: str
    command_uid: str | UnsetType = UNSET
    success: bool | UnsetType = UNSET


class Hangup(EventData):
    """The last event of a call.  hangup_cause: for applications; cause: what brought it about."""

    NAME: ClassVar[str] = "call.hangup"
    session_uuid: str
    hangup_cause: str
    cause: str


class CommandResult(EventData):
    """The outcome of an accepted command, once.

    timed_out: it was not known in time; the command goes on and its own events tell what becomes of it.
    """

    NAME: ClassVar[str] = "command.result"
    session_uuid: str
    command: str
    command_uid: str
    operation_id: str
    success: bool
    changed: bool
    error: str | None = None
    timed_out: bool | UnsetType = UNSET
