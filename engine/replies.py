"""Replies that are not made at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from roomtone.engine import messages as m


class After(NamedTuple):
    """Reply `body` once edit `number` was applied."""

    number: int
    body: m.ReplyBody


class Later:
    """Whoever holds it answers or refuses, once, and not before the command that made it has returned."""

    __slots__ = ("_answer", "_refuse")

    def __init__(self) -> None:
        self._answer: Callable[[m.ReplyBody], None] | None = None
        self._refuse: Callable[[Exception], None] | None = None

    def bind(self, answer: Callable[[m.ReplyBody], None], refuse: Callable[[Exception], None]) -> None:
        """The worker's part: how it is done."""
        self._answer, self._refuse = answer, refuse

    def answer(self, body: m.ReplyBody) -> None:
        assert self._answer is not None
        self._answer(body)

    def refuse(self, error: Exception) -> None:
        assert self._refuse is not None
        self._refuse(error)
