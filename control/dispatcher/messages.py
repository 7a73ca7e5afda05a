"""What control and the dispatcher tell each other over a SOCK_SEQPACKET, one MessagePack struct a datagram.

The dispatcher connects; a restart of either side is a new connection.  Reports that were not answered by
`Noted` are told again on it.
"""

from __future__ import annotations

import msgspec

# How far a delivery has come; what is LATE or a REPLAY keeps no order.
PENDING, LATE, REPLAY, DELIVERED, DEAD = range(5)

SOCKET = "{runtime_dir}/webhooks.sock"
KEYS_A_MESSAGE = 64  # of 130 bytes at most
ATTEMPTS_A_MESSAGE = 8  # of 1.5 kB at most
MOVED_A_MESSAGE = 100  # of 40 bytes at most
FIGURES_A_MESSAGE = 32


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One attempt of a delivery and what follows from it.

    number: from 1.  status: HTTP's; None: there was no answer, `error` says why.  head: how the answer began.
    state, tries, due_us: the delivery's from now on; due_us None: it is at its end.
    """

    delivery: int
    number: int
    at_us: int
    status: int | None
    ms: int
    error: str
    head: bytes
    state: int
    tries: int
    due_us: int | None


class Look(msgspec.Struct, frozen=True, tag="look", tag_field="t"):
    """Control -> dispatcher: these endpoints have more to deliver, or have changed, or are gone."""

    webhooks: list[str]


class Noted(msgspec.Struct, frozen=True, tag="noted", tag_field="t"):
    """Control -> dispatcher: reports up to this number are on disk."""

    n: int


class Finish(msgspec.Struct, frozen=True, tag="finish", tag_field="t"):
    """Control -> dispatcher: deliver what can be delivered now, then say `Finished`; for so long at most."""

    within_ms: int


class Report(msgspec.Struct, frozen=True, tag="report", tag_field="t"):
    """Dispatcher -> control: what came of attempts, and then of others.

    moved: (delivery, state, tries, due_us) of those that changed untried.
    """

    n: int
    attempts: list[Attempt]
    moved: list[tuple[int, int, int, int]] = []


class Disabled(msgspec.Struct, frozen=True, tag="disabled", tag_field="t"):
    """Dispatcher -> control: nothing more is sent there until somebody enables it."""

    webhook: str
    reason: str


class Finished(msgspec.Struct, frozen=True, tag="finished", tag_field="t"):
    """Dispatcher -> control: it sends nothing more, everything is reported."""


class WebhookFigures(msgspec.Struct, frozen=True, array_like=True):
    """Of one endpoint, since the dispatcher's start.

    breaker: 1: open.  pending: events that wait in their order, as far as they are in memory; oldest_age_us:
    of the first of them, now.
    """

    webhook: str
    attempts: dict[str, int]  # by outcome
    breaker: int
    pending: int
    oldest_age_us: int


class Figures(msgspec.Struct, frozen=True, tag="figures", tag_field="t"):
    """Dispatcher -> control, each second.  latency: from event to acknowledgement, counts by bucket.

    last: all endpoints have been told of.
    """

    webhooks: list[WebhookFigures]
    latency: list[int]
    latency_sum_us: int
    lane_blocked_us: int
    dead: int
    last: bool


ToDispatcher = Look | Noted | Finish
ToControl = Report | Disabled | Finished | Figures
