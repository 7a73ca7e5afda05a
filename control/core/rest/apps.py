"""Apps: who may speak to the REST interface, made and removed by the administrator."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from roomtone.control.core import restoring, views
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal, refuse

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
    webhook_url: str = ""
    events: list[str] = []
    created_ms: int = 0  # wall clock

    def has_key(self, key: str) -> bool:
        """Takes the same time whatever the key."""
        return hmac.compare_digest(digest(key), self.key_digest)


class PutApp(Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole of it: what is left out is reset.  events: names that the webhook gets; empty: all."""

    api_key: ApiKey
    rate_limit: RateLimit = DEFAULT_RATE_LIMIT
    rate_limit_window: Literal["second"] = "second"
    webhook_url: Annotated[str, Meta(max_length=2048)] = ""
    events: Annotated[list[Annotated[str, Meta(max_length=128)]], Meta(max_length=256)] = []
    command_uid: str | None = None


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
    old = core.apps.get(app_id)
    app = App(
        id=app_id,
        key_digest=digest(body.api_key),
        rate_limit=body.rate_limit,
        rate_limit_window=body.rate_limit_window,
        webhook_url=body.webhook_url,
        events=body.events,
        created_ms=old.created_ms if old is not None else core.epoch_ms(),
    )
    core.apps[app_id] = app
    core.keep(KIND, app_id, app)
    return Outcome(
        {"success": True, "app_id": app_id},
        status=201 if old is None else 200,
        headers=(("Location", f"/admin/apps/{app_id}"),) if old is None else (),
    )


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    app = _known(core, asked)
    return Outcome(
        AppView(
            app_id=app.id,
            rate_limit=app.rate_limit,
            rate_limit_window=app.rate_limit_window,
            webhook_url=app.webhook_url,
            events=app.events,
            created_at=views.rfc3339(app.created_ms * 1000),
        )
    )


def remove(core: Core, asked: Asked, body: Struct) -> Outcome:
    app = _known(core, asked)
    del core.apps[app.id]
    core.keep(KIND, app.id, None)
    return Outcome(AppRemoved(app.id, "deleted"))


def _known(core: Core, asked: Asked) -> App:
    app = core.apps.get(asked.path["app_id"])
    if app is None:
        raise refuse("app_not_found")
    return app


def read(core: Core, id: str, body: bytes) -> None:
    core.apps[id] = msgspec.msgpack.decode(body, type=App)


restoring.READERS[KIND] = read

APPS = "/admin/apps/{app_id}"
OPERATIONS: dict[str, Operation] = {
    "app.put": Operation(
        method="POST",
        path=APPS,
        handler=put,
        summary="Make an app, or overwrite one",
        body=PutApp,
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
