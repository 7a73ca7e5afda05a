"""Apps: who may speak to the REST interface, made and removed by the administrator."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from roomtone.control.core import life, views, webhooks
from roomtone.control.core.rest import endpoints, query, webhook_url
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rooms import operations as operations_of_rooms
from roomtone.control.core.session import SessionFact
from roomtone.control.core.webhooks import Secret, Webhook

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

KIND = "app"
APP_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
DEFAULT_RATE_LIMIT = 10_000  # requests a second
MAX_RATE_LIMIT = 1_000_000

ApiKey = Annotated[
    str, Meta(min_length=16, max_length=256, pattern=r"^[!-~]+(?!\n)$", description="printable")
]
RateLimit = Annotated[int, Meta(ge=1, le=MAX_RATE_LIMIT, description="requests a second and client address")]


class App(Struct, kw_only=True):
    """key_digest: SHA-256 of the API key, which itself is nowhere kept.  rate_limit: requests a second."""

    id: str
    key_digest: bytes
    rate_limit: int = DEFAULT_RATE_LIMIT
    rate_limit_window: str = "second"
    created_ms: int = 0  # wall clock

    def has_key(self, key: str) -> bool:
        """Takes the same time whatever the key."""
        return hmac.compare_digest(digest(key), self.key_digest)


class PutApp(Struct, kw_only=True):
    """The whole of it: what is left out is reset.  webhook_url, events: of the endpoint `default`."""

    api_key: ApiKey
    rate_limit: RateLimit = DEFAULT_RATE_LIMIT
    rate_limit_window: Literal["second"] = "second"
    webhook_url: Annotated[endpoints.Url, Meta(description="empty: no webhooks")] = ""
    events: endpoints.Names = []
    command_uid: str | None = None


class AppPut(Struct, kw_only=True):
    """webhook_secret: signs what the endpoint `default` gets; told here and when it is rotated."""

    success: bool
    app_id: str
    webhook_secret: str


class AppView(Struct, kw_only=True):
    app_id: str
    rate_limit: int
    rate_limit_window: str
    webhook_url: str
    events: list[str]
    created_at: str


class AppRemoved(Struct):
    app_id: str
    status: Literal["deleted"]


def digest(key: str) -> bytes:
    return sha256(key.encode(errors="surrogateescape")).digest()


def put(core: Core, asked: Asked, body: PutApp) -> Outcome:
    """Make an app, or overwrite what it was."""
    app_id = asked.path["app_id"]
    if not APP_ID.fullmatch(app_id):
        raise Refusal(400, "invalid_app_id", "app_id must be 1 to 64 letters, digits, - or _")
    if body.webhook_url:
        webhook_url.check(core.config.webhooks, body.webhook_url, "/webhook_url")
    endpoints.check_events(body.events)
    old = core.apps.get(app_id)
    app = App(
        id=app_id,
        key_digest=digest(body.api_key),
        rate_limit=body.rate_limit,
        rate_limit_window=body.rate_limit_window,
        created_ms=old.created_ms if old is not None else core.epoch_ms(),
    )
    core.apps[app_id] = app
    core.keep(KIND, app_id, app)
    return Outcome(
        AppPut(success=True, app_id=app_id, webhook_secret=_deliver(core, app, body)),
        status=201 if old is None else 200,
    )


def _deliver(core: Core, app: App, body: PutApp) -> str:
    """Its endpoint `default`, as the call says; the secret stays what it was."""
    webhook = webhooks.find(core, app.id, webhooks.DEFAULT)
    if webhook is None:
        webhook = Webhook(
            id=webhooks.DEFAULT,
            app_id=app.id,
            url="",
            secrets=(Secret(webhooks.fresh_secret(core)),),
            created_us=core.epoch_ms() * 1000,
        )
    webhook = msgspec.structs.replace(
        webhook, url=body.webhook_url, events=tuple(body.events), enabled=True, disabled_because=""
    )
    webhooks.keep(core, webhook)
    return webhook.secrets[0].value


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    app = _known(core, asked)
    webhook = webhooks.find(core, app.id, webhooks.DEFAULT)
    return Outcome(
        AppView(
            app_id=app.id,
            rate_limit=app.rate_limit,
            rate_limit_window=app.rate_limit_window,
            webhook_url=webhook.url if webhook is not None else "",
            events=list(webhook.events) if webhook is not None else [],
            created_at=views.rfc3339(app.created_ms * 1000),
        )
    )


def remove(core: Core, asked: Asked, body: Struct) -> Steps:
    """With force, what it has ends first: its calls, then each room as if it were deleted."""
    app = _known(core, asked)
    rooms = [room for room in core.rooms.values() if room.app_id == app.id]
    sessions = [session for session in core.sessions.values() if session.app_id == app.id]
    if (rooms or sessions) and not query.value(asked, "force", False):
        raise refuse("app_in_use", {"rooms": len(rooms), "sessions": len(sessions)})
    for session in sessions:
        life.end(core, session, SessionFact.HUNG_UP)
    for room in rooms:
        ended = operations_of_rooms.destroy(core, msgspec.structs.replace(asked, room=room), body)
        if not isinstance(ended, Outcome):
            yield from ended
    for webhook in webhooks.of_app(core, app.id):
        webhooks.drop(core, webhook)
    core.apps.pop(app.id, None)
    core.keep(KIND, app.id, None)
    return Outcome(AppRemoved(app.id, "deleted"))


def _known(core: Core, asked: Asked) -> App:
    app = core.apps.get(asked.path["app_id"])
    if app is None:
        raise refuse("app_not_found")
    return app


def read(core: Core, id: str, body: bytes) -> None:
    core.apps[id] = msgspec.msgpack.decode(body, type=App)


APPS = "/admin/apps/{app_id}"
OPERATIONS: dict[str, Operation] = {
    "app.put": Operation(
        method="POST",
        path=APPS,
        handler=put,
        summary="Make an app, or overwrite one",
        body=PutApp,
        result=AppPut,
        creates=True,
        admin=True,
    ),
    "app.get": Operation(
        method="GET", path=APPS, handler=show, summary="Show an app", result=AppView, admin=True
    ),
    "app.delete": Operation(
        method="DELETE",
        path=APPS,
        handler=remove,
        summary="Remove an app",
        result=AppRemoved,
        admin=True,
        query=("force",),
    ),
}
