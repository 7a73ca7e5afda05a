"""Is this webhook genuine?  The scheme is that of Standard Webhooks, with a secret both sides know."""

import base64
import hmac
import time
from collections.abc import Mapping, Sequence

TOLERANCE_S = 300  # an older request may be one that somebody has kept


class NotGenuine(Exception):
    """Why the request is not to be believed."""


def signed(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """What stands in `webhook-signature`.  secret: as it was shown, with `whsec_` before it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def verify(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: float | None = None
) -> None:
    """body: the bytes as they came, before anything parses them.  secrets: while one is changed, both.

    now_s: seconds since 1970; None: now.  Raises NotGenuine.
    """
    try:
        webhook_id, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        given = headers["webhook-signature"].split()
    except (KeyError, ValueError):
        raise NotGenuine("a header is missing or no number") from None
    if abs(time.time() - timestamp) > TOLERANCE_S:
        raise NotGenuine("too old, or from the future")
    expected = [signed(secret, webhook_id, timestamp, body) for secret in secrets]
    if not any(hmac.compare_digest(mine.encode(), theirs.encode()) for mine in expected for theirs in given):
        raise NotGenuine("no signature fits")
