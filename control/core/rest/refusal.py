"""How a REST request is refused (the contract's section 6.4)."""

from __future__ import annotations

from typing import Any

from roomtone.control.core.problems import Problem


class Refusal(Problem):
    """status: HTTP.  code: stable, snake_case.  text: for a person.  detail: what the client may act on.

    retry_after_ms: of a 429 or 503, told in the header too.
    """

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        detail: dict[str, Any] | None = None,
        *,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(code, text)
        self.status = status
        self.text = text
        self.detail = detail
        self.retry_after_ms = retry_after_ms
