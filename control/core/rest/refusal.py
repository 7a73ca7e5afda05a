"""How a REST request is refused (the contract's section 6.4)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from roomtone.control.core.problems import (
    ENDPOINT_ERROR,
    INVALID_PARAMS,
    MAX_SESSIONS_REACHED,
    RECORDING_ERROR,
    SESSION_GONE,
    SESSION_UNRESPONSIVE,
    SHUTTING_DOWN,
    Problem,
)
from roomtone.control.core.rest.codes import CODES

_STATUS = {
    INVALID_PARAMS: (400, "validation_error"),
    ENDPOINT_ERROR: (503, "overloaded"),
    MAX_SESSIONS_REACHED: (503, "overloaded"),
    RECORDING_ERROR: (409, "recording_error"),
    SESSION_GONE: (404, "session_not_found"),
    SESSION_UNRESPONSIVE: (503, "node_unavailable"),
    SHUTTING_DOWN: (503, "shutting_down"),
}


class Fault(Struct, frozen=True):
    """One of several in a body.  pointer: RFC 6901."""

    pointer: str
    detail: str


class Refusal(Problem):
    """status: HTTP.  code: one of `CODES`.  text: for a person.  detail: what the client may act on.

    retry_after_ms: of a 429 or 503, told in the header too.  faults: everything that is wrong with a body.
    """

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        detail: dict[str, Any] | None = None,
        *,
        retry_after_ms: int | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__(code, text)
        self.status = status
        self.text = text
        self.detail = detail
        self.retry_after_ms = retry_after_ms
        self.faults = faults
        self.headers: dict[str, str] = {}


def refuse(code: str, detail: dict[str, Any] | None = None, *, retry_after_ms: int | None = None) -> Refusal:
    """A refusal in the words of the list of codes."""
    status, title = CODES[code]
    return Refusal(status, code, title, detail, retry_after_ms=retry_after_ms)


def as_refusal(problem: Problem) -> Refusal:
    """What the session protocol's machinery refused, in the words of this one."""
    if isinstance(problem, Refusal):
        return problem
    kind = INVALID_PARAMS if problem.field is not None else problem.code
    status, code = _STATUS.get(kind, (500, "internal_error"))
    return Refusal(status, code, problem.message)
