"""What REST asks the store, and how it answers: deliveries, their attempts, events for pulling.

Times are wall clock microseconds.  Each question names the app: what is another's is as if it were not there.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import Struct

Status = Literal["pending", "delivered", "dead"]
DELIVERY_ID = re.compile(r"dlv_([0-9a-f]{1,15})")  # its number; the cursor of their list, too


class Chosen(Struct, kw_only=True, frozen=True):
    """Which deliveries: of those of an app the ones that have all of this.  webhook: an endpoint's key."""

    app_id: str
    status: Status | None = None
    events: tuple[str, ...] = ()
    room_id: str | None = None
    session_uuid: str | None = None
    webhook: str | None = None
    since_us: int | None = None
    until_us: int | None = None


class DeliveryView(Struct, kw_only=True):
    """late: it has left the order.  next_attempt_at None: it is at its end."""

    id: str
    event: str
    event_id: str
    endpoint_id: str
    room_id: str | None
    session_uuid: str | None
    status: Status
    late: bool
    attempts: int
    created_at: str
    next_attempt_at: str | None


class AttemptView(Struct):
    """status: HTTP's; None: there was no answer, `error` says why.  body_head: how the answer began."""

    number: int
    at: str
    status: int | None
    ms: int
    error: str
    body_head: str


class DeliveryDetails(DeliveryView, kw_only=True):
    """tries: every attempt, in order."""

    tries: list[AttemptView]


# -- questions -----------------------------------------------------------------------------------------------


class FindDeliveries(Struct, frozen=True):
    """The latest first -> Deliveries.  before: `next` of the page before."""

    chosen: Chosen
    limit: int
    before: str | None


class FindDelivery(Struct, frozen=True):
    """-> DeliveryDetails, or Unknown."""

    app_id: str
    id: str


class Resend(Struct, frozen=True):
    """Send it again, if it is at its end -> DeliveryDetails as it is then, or Unknown."""

    app_id: str
    id: str


class Replay(Struct, frozen=True):
    """Send them all again that are at their end -> Replayed."""

    chosen: Chosen


class AwaitAttempt(Struct, frozen=True):
    """Of what this request sent to the endpoint with that key -> DeliveryDetails, or Unknown."""

    app_id: str
    webhook: str
    request_id: str


class FindEvents(Struct, frozen=True):
    """Of a room or of a session, behind that number -> Events, in order."""

    app_id: str
    room_id: str | None
    session_uuid: str | None
    after: int
    limit: int


Question = FindDeliveries | FindDelivery | Resend | Replay | AwaitAttempt | FindEvents

# -- answers -------------------------------------------------------------------------------------------------


class Deliveries(Struct):
    items: list[DeliveryView]
    next_cursor: str | None


class Events(Struct):
    """items: flat, as webhooks get them, without their `sequence`."""

    items: list[msgspec.Raw]


class Replayed(Struct):
    count: int


class Unknown(Struct):
    """There is none, or it is another app's."""


class Unreadable(Struct):
    """The store cannot be read, or the question would take too long."""


Said = Deliveries | DeliveryDetails | Events | Replayed | Unknown | Unreadable
