"""Signatures of webhooks: Standard Webhooks, symmetric (HMAC-SHA256) and asymmetric (Ed25519).

signed content = webhook-id "." webhook-timestamp "." body
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from roomtone.control.core.webhooks import KEY_PREFIX, SECRET_PREFIX


def signatures(secrets: Sequence[str], id: str, timestamp_s: int, body: bytes) -> str:
    """The header's value: one signature a secret or key, in their order."""
    content = f"{id}.{timestamp_s}.".encode() + body
    return " ".join(_signature(secret, content) for secret in secrets)


def _signature(secret: str, content: bytes) -> str:
    if secret.startswith(KEY_PREFIX):
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix(KEY_PREFIX)))
        return "v1a," + base64.b64encode(key.sign(content)).decode()
    shared = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(shared, content, "sha256")).decode()
