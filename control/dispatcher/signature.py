"""Signatures of webhooks: Standard Webhooks, symmetric (HMAC-SHA256).

signed content = webhook-id "." webhook-timestamp "." body
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from roomtone.control.core.webhooks import SECRET_PREFIX


def signatures(secrets: Sequence[str], id: str, timestamp_s: int, body: bytes) -> str:
    """The header's value: one signature a secret, the present one's first."""
    content = f"{id}.{timestamp_s}.".encode() + body
    return " ".join(
        "v1,"
        + base64.b64encode(
            hmac.digest(base64.b64decode(secret.removeprefix(SECRET_PREFIX)), content, "sha256")
        ).decode()
        for secret in secrets
    )
