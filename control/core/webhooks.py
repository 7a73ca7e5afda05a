"""Webhook endpoints: where an app's events go, and how.

They are rows of the store, of kind `webhook`, which the store keeps sealed because of their secrets.  Whoever
changes one hands the new record to `keep`: from the commit on it holds for events that are published later.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.effects import WebhookDisabled

KIND = "webhook"
DEFAULT = "default"  # the id of the one that `POST /admin/apps/{app_id}` makes
SECRET_PREFIX = "whsec_"  # Standard Webhooks: shared by both sides,
KEY_PREFIX, PUBLIC_PREFIX = "whsk_", "whpk_"  # and Ed25519, whose private key nobody is told
SECRETS_AT_ONCE = 5  # signatures in one header, at most
US_PER_S = 1_000_000

Ordering = Literal["strict", "lanes", "none"]
PayloadStyle = Literal["flat", "enveloped", "standard", "cloudevents"]


class Secret(Struct, frozen=True):
    """value: `whsec_`, or `whsk_` of an Ed25519 key, and the base64 of its bytes.

    until_us: wall clock; None: the present one.
    """

    value: str
    until_us: int | None = None


class Webhook(Struct, frozen=True, kw_only=True):
    """One webhook endpoint of an app.

    id: unique within the app.  url "": delivers nothing.  events: names of those it wants; empty: all.
    secrets: the present one first, then the present key if there is one and those that still sign.
    disabled_because: for a person.
    """

    id: str
    app_id: str
    url: str
    secrets: tuple[Secret, ...]
    events: tuple[str, ...] = ()
    ordering: Ordering = "lanes"
    payload_style: PayloadStyle = "flat"
    description: str = ""
    enabled: bool = True
    disabled_because: str = ""
    created_us: int = 0  # wall clock

    @property
    def key(self) -> str:
        """Its name among all apps': the row's id, and what the store and the dispatcher know it by."""
        return key(self.app_id, self.id)

    def wants(self, event: str) -> bool:
        return not self.events or event in self.events

    @property
    def signing_key(self) -> Secret | None:
        """The present Ed25519 key; None: it has none."""
        keys = (each for each in self.secrets if each.value.startswith(KEY_PREFIX))
        return next((each for each in keys if each.until_us is None), None)

    @property
    def public_key(self) -> str:
        """Of the present Ed25519 key; "": it has none."""
        key = self.signing_key
        if key is None:
            return ""
        seed = base64.b64decode(key.value.removeprefix(KEY_PREFIX))
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return PUBLIC_PREFIX + base64.b64encode(public).decode()

    def signing(self, at_us: int) -> list[str]:
        """The secrets that sign at that time (wall clock), the present one first."""
        return [secret.value for secret in self.secrets if secret.until_us is None or at_us < secret.until_us]


def key(app_id: str, id: str) -> str:
    return f"{app_id}/{id}"


def id_of(key: str) -> str:
    """The endpoint's id within its app."""
    return key.partition("/")[2]


def fresh_secret(core: Core) -> str:
    """A secret of 32 bytes, made of 366 random bits."""
    return SECRET_PREFIX + _drawn(core)


def fresh_key(core: Core) -> str:
    """An Ed25519 key, likewise: 32 bytes (RFC 8032 section 5.1.5)."""
    return KEY_PREFIX + _drawn(core)


def _drawn(core: Core) -> str:
    drawn = "".join(core.next_id() for _ in range(3))
    return base64.b64encode(hashlib.sha256(drawn.encode()).digest()).decode()


def rotated(webhook: Webhook, secret: str, at_us: int, overlap_s: int, key: str | None = None) -> Webhook:
    """With another secret, and key; the present ones sign beside them for `overlap_s` from `at_us` on.

    at_us: wall clock.
    """
    until_us = at_us + overlap_s * US_PER_S
    old = [
        Secret(each.value, until_us if each.until_us is None else min(each.until_us, until_us))
        for each in webhook.secrets
        if each.until_us is None or at_us < each.until_us
    ]
    fresh = [Secret(value) for value in (secret, key) if value is not None]
    return msgspec.structs.replace(webhook, secrets=(*fresh, *old)[:SECRETS_AT_ONCE])


def with_key(core: Core, webhook: Webhook, wanted: bool) -> Webhook:
    """With an Ed25519 key beside its secret, or without."""
    if wanted == (webhook.signing_key is not None):
        return webhook
    shared = [each for each in webhook.secrets if each.value.startswith(SECRET_PREFIX)]
    if wanted:
        shared.insert(1, Secret(fresh_key(core)))
    return msgspec.structs.replace(webhook, secrets=tuple(shared))


def of_app(core: Core, app_id: str) -> list[Webhook]:
    """An app's, in the order they were made."""
    return [webhook for webhook in core.webhooks.values() if webhook.app_id == app_id]


def find(core: Core, app_id: str, id: str) -> Webhook | None:
    return core.webhooks.get(key(app_id, id))


def keep(core: Core, webhook: Webhook) -> None:
    """Make it, or put it in the place of the one with its id."""
    core.webhooks[webhook.key] = webhook
    core.keep(KIND, webhook.key, webhook)


def drop(core: Core, webhook: Webhook) -> None:
    """It goes, and with it every delivery that is still open."""
    del core.webhooks[webhook.key]
    core.keep(KIND, webhook.key, None)


def read(core: Core, row_id: str, body: bytes) -> None:
    """Of a row of the store."""
    webhook = msgspec.msgpack.decode(body, type=Webhook)
    core.webhooks[webhook.key] = webhook


def disabled(core: Core, given: WebhookDisabled) -> None:
    """Its receiver has gone, or was down for too long.  What waits is parked until it is enabled again."""
    webhook = core.webhooks.get(given.key)
    if webhook is None or not webhook.enabled:
        return
    keep(core, msgspec.structs.replace(webhook, enabled=False, disabled_because=given.reason))
    core.log("warning", "webhook_disabled", app_id=webhook.app_id, webhook=webhook.id, reason=given.reason)
