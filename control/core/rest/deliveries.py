"""What became of events, over REST: deliveries and their attempts, sending again, and events for pulling."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from msgspec import Meta, Struct

from roomtone.control.core import webhooks
from roomtone.control.core.rest import endpoints, query, remembered
from roomtone.control.core.rest.asked import Accepted, Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rest.store_questions import (
    DELIVERY_ID,
    AwaitAttempt,
    Chosen,
    Deliveries,
    DeliveryDetails,
    Events,
    FindDeliveries,
    FindDelivery,
    FindEvents,
    Question,
    Replay,
    Replayed,
    Resend,
    Status,
    Unknown,
)
from roomtone.control.core.rest.webhook_events import WebhookTest
from roomtone.control.core.run import STORE, Answer, Ask, Work

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

US_PER_S = 1_000_000
FIRST = "dlv_0"

Time = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(max_length=128)]
T = TypeVar("T", bound=Struct)


class ReplayEvents(Struct, kw_only=True):
    """since, until: when the events happened.  What is left out does not choose."""

    since: Time | None = None
    until: Time | None = None
    status: Status | None = None
    events: Annotated[list[Name], Meta(max_length=256)] = []
    room_id: Name | None = None
    session_uuid: Name | None = None
    endpoint_id: Name | None = None
    command_uid: str | None = None


def _ask(question: Question, kind: type[T]) -> Generator[list[Ask], list[Answer], T]:
    """The store's answer.  Raises `Refusal` when there is none, or nothing of that name."""
    (said,) = yield [Ask(STORE, question)]
    if isinstance(said, Unknown):
        raise refuse("delivery_not_found")
    if not isinstance(said, kind):
        raise refuse("store_unavailable", retry_after_ms=1000)
    return said


def listed(core: Core, asked: Asked, body: Struct) -> Steps:
    chosen = Chosen(
        app_id=asked.app_id,
        status=query.value(asked, "status"),
        events=(asked.query["event"],) if "event" in asked.query else (),
        room_id=asked.query.get("room_id"),
        session_uuid=asked.query.get("session_uuid"),
        webhook=_endpoint(asked, asked.query.get("endpoint_id")),
    )
    limit = query.value(asked, "limit", query.DEFAULT_LIMIT)
    if not DELIVERY_ID.fullmatch(asked.query.get("cursor", FIRST)):
        raise Refusal(400, "validation_error", "cursor: not one of ours")
    found = yield from _ask(FindDeliveries(chosen, limit, asked.query.get("cursor")), Deliveries)
    return Outcome(found)


def show(core: Core, asked: Asked, body: Struct) -> Steps:
    found = yield from _ask(FindDelivery(asked.app_id, asked.path["delivery_id"]), DeliveryDetails)
    return Outcome(found)


def retry(core: Core, asked: Asked, body: Struct) -> Steps:
    went = yield from _ask(FindDelivery(asked.app_id, asked.path["delivery_id"]), DeliveryDetails)
    if webhooks.find(core, asked.app_id, went.endpoint_id) is None:
        raise refuse("endpoint_not_found")
    found = yield from _ask(Resend(asked.app_id, asked.path["delivery_id"]), DeliveryDetails)
    return Outcome(found)


def test(core: Core, asked: Asked, body: Struct) -> Steps:
    """An event of its own to this endpoint alone; the attempt is the answer."""
    webhook = endpoints.known(core, asked)
    if not webhook.url or not webhook.enabled:
        raise refuse("endpoint_disabled")
    core.publish(WebhookTest(webhook.id), asked.app_id, asked=asked, webhook=webhook.key)
    found = yield from _ask(AwaitAttempt(asked.app_id, webhook.key, asked.request_id), DeliveryDetails)
    return Outcome(found)


def replay(core: Core, asked: Asked, body: ReplayEvents) -> Outcome:
    endpoints.check_events(body.events)
    chosen = Chosen(
        app_id=asked.app_id,
        status=body.status,
        events=tuple(body.events),
        room_id=body.room_id,
        session_uuid=body.session_uuid,
        webhook=_endpoint(asked, body.endpoint_id),
        since_us=_us(body.since),
        until_us=_us(body.until),
    )
    core.work(_replay(core, asked.operation_id, chosen))
    return Outcome(Accepted(asked.operation_id))


def _replay(core: Core, operation_id: str, chosen: Chosen) -> Work:
    (said,) = yield [Ask(STORE, Replay(chosen))]
    if isinstance(said, Replayed):
        remembered.finish(core, operation_id, "completed")
        core.log("info", "webhooks_replayed", app_id=chosen.app_id, deliveries=said.count)
    else:
        remembered.finish(core, operation_id, "failed", "store_unavailable")


def pull(core: Core, asked: Asked, body: Struct) -> Steps:
    room_id, session_uuid = asked.query.get("room_id"), asked.query.get("session_uuid")
    if (room_id is None) == (session_uuid is None):
        raise Refusal(400, "validation_error", "room_id or session_uuid, one of them, is needed")
    found = yield from _ask(
        FindEvents(
            asked.app_id,
            room_id,
            session_uuid,
            query.value(asked, "after", 0),
            query.value(asked, "limit", query.DEFAULT_LIMIT),
        ),
        Events,
    )
    return Outcome(found)


def _endpoint(asked: Asked, id: str | None) -> str | None:
    """The key of an endpoint of the app's naming; one that is no more still has deliveries."""
    return None if id is None else webhooks.key(asked.app_id, id)


def _us(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * US_PER_S)


class EventPage(Struct):
    """items: flat, as webhooks get them, without their `sequence`."""

    items: list[dict[str, Any]]


DELIVERIES = "/api/v1/webhooks/deliveries"
DELIVERY = DELIVERIES + "/{delivery_id}"
OPERATIONS: dict[str, Operation] = {
    "webhook.test": Operation(
        method="POST",
        path=endpoints.ENDPOINT + "/test",
        handler=test,
        summary="Send `webhook.test` there and tell what came of it",
        result=DeliveryDetails,
        emits=("webhook.test",),
    ),
    "delivery.list": Operation(
        method="GET",
        path=DELIVERIES,
        handler=listed,
        summary="Deliveries, the latest first",
        result=Deliveries,
        query=("limit", "cursor", "status", "event", "room_id", "session_uuid", "endpoint_id"),
    ),
    "delivery.get": Operation(
        method="GET",
        path=DELIVERY,
        handler=show,
        summary="A delivery with every attempt",
        result=DeliveryDetails,
    ),
    "delivery.retry": Operation(
        method="POST",
        path=DELIVERY + "/retry",
        handler=retry,
        summary="Send it again",
        result=DeliveryDetails,
    ),
    "delivery.replay": Operation(
        method="POST",
        path="/api/v1/webhooks/replay",
        handler=replay,
        summary="Send again all that are at their end and have all of this",
        body=ReplayEvents,
        result=Accepted,
        status=202,
        timing="deferred",
    ),
    "event.list": Operation(
        method="GET",
        path="/api/v1/events",
        handler=pull,
        summary="Events of a room or a session behind a number, in order",
        result=EventPage,
        query=("room_id", "session_uuid", "after", "limit"),
    ),
}
