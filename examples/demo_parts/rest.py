"""An application at the REST interface: its credentials, a request, its refusal."""

from __future__ import annotations

from typing import Any

import aiohttp

API = "/api/v1"
ADMIN_HEADER = "X-Admin-API-Key"


class Refused(Exception):
    """status: of HTTP.  code: what clients act on.  body: all that was said."""

    def __init__(self, asked: str, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{asked}: {status} {body.get('code', '')}: {body.get('error', body)}")
        self.status = status
        self.code = str(body.get("code", ""))
        self.body = body


class App:
    """http: a client session whose base is the server.  Its methods raise Refused for anything but 2xx."""

    def __init__(self, http: aiohttp.ClientSession, app_id: str, api_key: str) -> None:
        self._http = http
        self.app_id = app_id
        self.headers = {"X-App-ID": app_id, "X-API-Key": api_key}
        self.secret = ""  # of its webhooks

    @classmethod
    async def create(
        cls, http: aiohttp.ClientSession, admin_key: str, app_id: str, api_key: str, **settings: Any
    ) -> App:
        """As the administrator.  settings: webhook_url, events, rate_limit."""
        app = cls(http, app_id, api_key)
        made = await request(
            http, "POST", f"/admin/apps/{app_id}", {ADMIN_HEADER: admin_key}, {"api_key": api_key} | settings
        )
        app.secret = made["webhook_secret"]
        return app

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return await request(self._http, method, API + path, self.headers, body)

    async def get(self, path: str) -> dict[str, Any]:
        return await self.request("GET", path)

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        return await self.request("POST", path, body)

    async def put(self, path: str, **body: Any) -> dict[str, Any]:
        return await self.request("PUT", path, body)

    async def delete(self, path: str) -> dict[str, Any]:
        return await self.request("DELETE", path)

    async def command(self, session_uuid: str, command: str, **body: Any) -> dict[str, Any]:
        return await self.post(f"/sessions/{session_uuid}/commands/{command}", **body)


async def request(
    http: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None
) -> dict[str, Any]:
    async with http.request(method, path, headers=headers, json=body) as reply:
        answer: dict[str, Any] = await reply.json(content_type=None)
    if reply.status >= 300:
        raise Refused(f"{method} {path}", reply.status, answer)
    return answer
