"""Webhook endpoints over REST: made, changed, removed, given another secret.

An app's first, `default`, is made by the administrator's call that makes the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from roomtone.control.core import views, webhooks
from roomtone.control.core.rest import query, webhook_url
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Fault, Refusal, refuse
from roomtone.control.core.rest.webhook_events import EVENTS
from roomtone.control.core.webhooks import Ordering, PayloadStyle, Secret, Webhook

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

MAX_ENDPOINTS = 20  # of one app
DAY_S, WEEK_S = 86_400, 604_800

Url = Annotated[str, Meta(max_length=webhook_url.MAX_URL)]
Names = Annotated[
    list[Annotated[str, Meta(max_length=128, extra_json_schema={"enum": [*EVENTS]})]],
    Meta(max_length=256, description="names of the events it gets; empty: all"),
]
Asymmetric = Annotated[bool, Meta(description="sign with an Ed25519 key, too")]
Description = Annotated[str, Meta(max_length=256)]


class CreateEndpoint(Struct, kw_only=True):
    url: Url
    events: Names = []
    ordering: Ordering = "lanes"
    payload_style: PayloadStyle = "flat"
    asymmetric: Asymmetric = False
    description: Description = ""
    command_uid: str | None = None


class ChangeEndpoint(Struct, kw_only=True):
    """What is left out stays."""

    url: Url | UnsetType = UNSET
    events: Names | UnsetType = UNSET
    ordering: Ordering | UnsetType = UNSET
    payload_style: PayloadStyle | UnsetType = UNSET
    asymmetric: Asymmetric | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    command_uid: str | None = None


class RotateSecret(Struct, kw_only=True):
    """overlap_s: how long the present secret signs beside the new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=WEEK_S)] = DAY_S
    command_uid: str | None = None


class EndpointView(Struct, kw_only=True):
    """public_key: empty unless it is `asymmetric`.  disabled_because: empty while it is enabled.

    secret: only where it is fresh.
    """

    id: str
    url: str
    events: list[str]
    ordering: Ordering
    payload_style: PayloadStyle
    asymmetric: bool
    public_key: str
    description: str
    enabled: bool
    disabled_because: str
    created_at: str
    secret: str | UnsetType = UNSET


class EndpointRemoved(Struct):
    id: str
    status: str


class EndpointPage(Struct):
    items: list[EndpointView]
    next_cursor: str | None


def view(webhook: Webhook) -> EndpointView:
    return EndpointView(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        ordering=webhook.ordering,
        payload_style=webhook.payload_style,
        asymmetric=webhook.signing_key is not None,
        public_key=webhook.public_key,
        description=webhook.description,
        enabled=webhook.enabled,
        disabled_because=webhook.disabled_because,
        created_at=views.rfc3339(webhook.created_us),
    )


def check_events(names: list[str]) -> None:
    """A mistyped name would silently get nothing.  Raises `Refusal`."""
    faults = tuple(
        Fault(f"/events/{place}", "No such event") for place, name in enumerate(names) if name not in EVENTS
    )
    if faults:
        raise Refusal(400, "validation_error", f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


def create(core: Core, asked: Asked, body: CreateEndpoint) -> Outcome:
    webhook_url.check(core.config.webhooks, body.url, "/url")
    check_events(body.events)
    if len(webhooks.of_app(core, asked.app_id)) >= MAX_ENDPOINTS:
        raise refuse("too_many_endpoints", {"limit": MAX_ENDPOINTS})
    secret = webhooks.fresh_secret(core)
    webhook = Webhook(
        id=core.next_id(),
        app_id=asked.app_id,
        url=body.url,
        secrets=(Secret(secret),),
        events=tuple(body.events),
        ordering=body.ordering,
        payload_style=body.payload_style,
        description=body.description,
        created_us=core.epoch_ms() * 1000,
    )
    webhook = webhooks.with_key(core, webhook, body.asymmetric)
    webhooks.keep(core, webhook)
    shown = view(webhook)
    shown.secret = secret
    return Outcome(shown)


def change(core: Core, asked: Asked, body: ChangeEndpoint) -> Outcome:
    webhook = known(core, asked)
    if body.url is not UNSET:
        webhook_url.check(core.config.webhooks, body.url, "/url")
    if body.events is not UNSET:
        check_events(body.events)
    given = msgspec.structs.asdict(body)
    given.pop("command_uid")
    asymmetric = given.pop("asymmetric")
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not UNSET}
    if "events" in changed:
        changed["events"] = tuple(changed["events"])
    webhook = msgspec.structs.replace(webhook, **changed)
    if asymmetric is not UNSET:
        webhook = webhooks.with_key(core, webhook, asymmetric)
    webhooks.keep(core, webhook)
    return Outcome(view(webhook))


def listed(core: Core, asked: Asked, body: Struct) -> Outcome:
    found, cursor = query.page(
        asked, webhooks.of_app(core, asked.app_id), lambda webhook: (webhook.created_us, webhook.id)
    )
    return Outcome(EndpointPage([view(webhook) for webhook in found], cursor))


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(view(known(core, asked)))


def remove(core: Core, asked: Asked, body: Struct) -> Outcome:
    webhook = known(core, asked)
    webhooks.drop(core, webhook)
    return Outcome(EndpointRemoved(webhook.id, "deleted"))


def rotate(core: Core, asked: Asked, body: RotateSecret) -> Outcome:
    webhook = known(core, asked)
    secret = webhooks.fresh_secret(core)
    key = webhooks.fresh_key(core) if webhook.signing_key is not None else None
    webhook = webhooks.rotated(webhook, secret, core.epoch_ms() * 1000, body.overlap_s, key)
    webhooks.keep(core, webhook)
    shown = view(webhook)
    shown.secret = secret
    return Outcome(shown)


def enable(core: Core, asked: Asked, body: Struct) -> Outcome:
    """What was parked when it was disabled is sent."""
    webhook = msgspec.structs.replace(known(core, asked), enabled=True, disabled_because="")
    webhooks.keep(core, webhook)
    return Outcome(view(webhook))


def known(core: Core, asked: Asked) -> Webhook:
    """The endpoint that the path names.  Raises `Refusal`."""
    webhook = webhooks.find(core, asked.app_id, asked.path["endpoint_id"])
    if webhook is None:
        raise refuse("endpoint_not_found")
    return webhook


ENDPOINTS = "/api/v1/webhooks/endpoints"
ENDPOINT = ENDPOINTS + "/{endpoint_id}"
OPERATIONS: dict[str, Operation] = {
    "webhook.create": Operation(
        method="POST",
        path=ENDPOINTS,
        handler=create,
        summary="Make a webhook endpoint",
        body=CreateEndpoint,
        result=EndpointView,
        status=201,
        made="id",
    ),
    "webhook.list": Operation(
        method="GET",
        path=ENDPOINTS,
        handler=listed,
        summary="The app's webhook endpoints, oldest first",
        result=EndpointPage,
        query=query.PAGE,
    ),
    "webhook.get": Operation(
        method="GET", path=ENDPOINT, handler=show, summary="Show a webhook endpoint", result=EndpointView
    ),
    "webhook.change": Operation(
        method="PATCH",
        path=ENDPOINT,
        handler=change,
        summary="Change a webhook endpoint",
        body=ChangeEndpoint,
        result=EndpointView,
    ),
    "webhook.delete": Operation(
        method="DELETE",
        path=ENDPOINT,
        handler=remove,
        summary="Remove a webhook endpoint with all that waits for it",
        result=EndpointRemoved,
    ),
    "webhook.rotate_secret": Operation(
        method="POST",
        path=ENDPOINT + "/rotate-secret",
        handler=rotate,
        summary="A fresh secret; the present one signs beside it for a while",
        body=RotateSecret,
        result=EndpointView,
    ),
    "webhook.enable": Operation(
        method="POST",
        path=ENDPOINT + "/enable",
        handler=enable,
        summary="Deliver again after it was disabled",
        result=EndpointView,
    ),
}
