"""How a REST request is refused (the contract's section 6.4)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from roomtone.control.core.problems import Problem
from roomtone.control.core.rest.codes import CODES


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
