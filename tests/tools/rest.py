"""A REST client for tests: makes its app with the administrator's key, then speaks for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from roomtone.control.core.config import Limits

ADMIN_KEY = "admin-key-of-the-tests"
API_KEY = "api-key-of-the-tests-"
WITHIN_S = 15.0
AT_ONCE = {f"limits.{name}": 0 for name in Limits.__struct_fields__}  # configuration without cooldowns


class Reply(NamedTuple):
    """headers: lower case names."""

    status: int
    body: Any
    headers: dict[str, str]


def send(url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
    """One request.  body: bytes as they are, else as JSON."""
    given = {"Content-Type": "application/json"} if body is not None else {}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        url.rstrip("/") + path, data=data, method=method, headers={**given, **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
            status, text, told = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        status, text, told = error.code, error.read(), error.headers
    return Reply(status, json.loads(text) if text else None, {k.lower(): v for k, v in told.items()})


class Api:
    """One app of a server, whose ADMIN_API_KEY is `ADMIN_KEY`.  settings: of the app (webhook_url, ...)."""

    def __init__(self, url: str, app_id: str = "app", **settings: Any) -> None:
        self.url = url
        self.headers = {"X-App-ID": app_id, "X-API-Key": API_KEY + app_id}
        body = {"api_key": API_KEY + app_id, **settings}
        made = send(url, "POST", f"/admin/apps/{app_id}", body, {"X-Admin-API-Key": ADMIN_KEY})
        assert made.status in (200, 201), made
        self.secret = made.body.get("webhook_secret")

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """path: behind /api/v1.  headers: X_Request_Id="..." and so on."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return send(self.url, method, "/api/v1" + path, body, self.headers | more)
