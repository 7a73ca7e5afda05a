"""When a delivery is tried again, and what an answer means for it and for its endpoint.

Two phases.  In the first the event keeps its place and whatever is behind it in its lanes waits: a minute,
for a receiver that restarts.  In the second it has left the order and is tried for three days, for a receiver
that refuses just this event.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

ORDERED_S = (0, 1, 2, 4, 8, 15, 30)
LATE_S = (300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
DELAYS_S = ORDERED_S + LATE_S  # before the attempt of that number, from 0
LATE_FROM = len(ORDERED_S)
JITTER = 0.2
POISON_ANSWERS = 3  # from so many on an event leaves the order at once

BREAKER_FAILURES = 10  # in a row, of events that keep the order,
BREAKER_OVER_S = 10  # over so long
PROBE_S = (5, 10, 20, 40, 60)  # between probes of an endpoint that is down
GIVE_UP_S = 120 * 3600  # an endpoint that was down for so long is disabled
RETRY_AFTER_MIN_S, RETRY_AFTER_MAX_S = 1, 3600  # who says 0 would be asked without a pause


class Meaning(Enum):
    """DOWN: counts for the breaker.  POISON: counts against the event.  RETRY: neither."""

    DELIVERED = "delivered"
    GONE = "gone"
    WAIT = "wait"
    DOWN = "down"
    POISON = "poison"
    RETRY = "retry"


STATUS_MEANINGS = {
    401: Meaning.DOWN,
    403: Meaning.DOWN,
    408: Meaning.DOWN,
    410: Meaning.GONE,
    429: Meaning.RETRY,
}
CLASS_MEANINGS = {
    2: Meaning.DELIVERED,
    3: Meaning.RETRY,  # redirects are not followed: somebody has to correct the URL
    4: Meaning.POISON,
    5: Meaning.DOWN,
}
WAITING_STATUSES = frozenset({429, 503})  # with Retry-After


class Answer(Struct):
    """What came of an attempt.

    status: HTTP's; None: there was none, `error` says why.  head: how the body began.  ms: how long it took.
    """

    status: int | None
    ms: int = 0
    error: str = ""
    head: bytes = b""
    retry_after_s: int | None = None


def meaning(answer: Answer) -> Meaning:
    """Of an answer, or of none."""
    if answer.status is None:
        return Meaning.DOWN
    if answer.status in WAITING_STATUSES and answer.retry_after_s is not None:
        return Meaning.WAIT
    return STATUS_MEANINGS.get(answer.status) or CLASS_MEANINGS.get(answer.status // 100, Meaning.RETRY)
