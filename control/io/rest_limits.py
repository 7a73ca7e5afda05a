"""How many requests a second an app may make from one address: fixed windows of one second."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

WINDOW_US = 1_000_000


class Window(NamedTuple):
    """What is left of this second.  refused: it was used up before this request."""

    limit: int
    remaining: int
    reset_us: int
    refused: bool

    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers-06; whole seconds, rounded up."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(-(-self.reset_us // WINDOW_US)),
        }


class Windows:
    """Counts by (app, client address).  All windows begin with the second, so the past goes at once."""

    def __init__(self) -> None:
        self._second = 0
        self._used: Counter[tuple[str, str]] = Counter()

    def take(self, key: tuple[str, str], limit: int, now_us: int) -> Window:
        """Count one request."""
        return self._look(key, limit, now_us, 1)

    def look(self, key: tuple[str, str], limit: int, now_us: int) -> Window:
        """As `take` would answer, uncounted."""
        return self._look(key, limit, now_us, 0)

    def _look(self, key: tuple[str, str], limit: int, now_us: int, one: int) -> Window:
        second, within_us = divmod(now_us, WINDOW_US)
        if second != self._second:
            self._second = second
            self._used.clear()
        used = self._used[key]
        refused = used >= limit
        if one and not refused:
            used += one
            self._used[key] = used
        return Window(limit, limit - used, WINDOW_US - within_us, refused)
