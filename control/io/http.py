"""The one port: health, metrics, sessions and REST over HTTP, and the upgrade to a WebSocket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from roomtone.control.core.views import array
from roomtone.control.io import recordings
from roomtone.control.io.audio_socket import AudioSockets
from roomtone.control.io.auth import Tokens, bearer_token
from roomtone.control.io.counters import Counters
from roomtone.control.io.rest import PREFIXES, Rest
from roomtone.control.io.ws import Connections, Protocol

BACKLOG = 4096  # connections the kernel keeps for us; also bounded by net.core.somaxconn
KEEPALIVE_S = 75.0  # an HTTP connection that asks nothing is closed; more than a scrape interval
AUDIO_PATH = "/audio/"
SESSIONS_PATH = "/sessions/"
JSON = "application/json"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus text format

Sessions = Callable[[str | None], Iterator[bytes]]  # app_id (None: all) -> summaries, for `array`
SessionDetails = Callable[[str, str | None], object | None]  # session_id, app_id -> details, None: unknown


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# Makes a page: its bytes, its type, its headers.
Document = Callable[[], tuple[bytes, str, dict[str, str]]]


class State:
    """What the routes need to know of the process; `runtime` keeps it up to date."""

    def __init__(self) -> None:
        self.tokens: Tokens | None = None
        self.draining = False


class _Request(web.BaseRequest):
    """Its answer does not tell what it was made with."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


class _Server(web.Server):
    """Makes our Protocol for each connection, and our requests."""

    def __init__(self, handler: Handler, counters: Counters, **kwargs: Any) -> None:
        super().__init__(handler, request_factory=self._request, **kwargs)
        self._counters = counters

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return _Request(message, payload, protocol, writer, task, self._loop)

    def __call__(self) -> web.RequestHandler:
        return Protocol(self, self._counters, loop=self._loop, **self._kwargs)


class Port:
    """The listening socket and its routes."""

    def __init__(
        self,
        *,
        state: State,
        connections: Connections,
        audio: AudioSockets,
        rest: Rest,
        counters: Counters,
        metrics: Callable[[], Awaitable[bytes]],
        sessions: Sessions,
        session_details: SessionDetails,
        stored: recordings.Recordings,
        documents: Mapping[str, Document],
        unready: Callable[[], list[str]],
        alive: Callable[[], bool],
    ) -> None:
        self._state = state
        self._connections = connections
        self._audio = audio
        self._rest = rest
        self._counters = counters
        self._metrics = metrics
        self._sessions = sessions
        self._session_details = session_details
        self._recordings = stored
        self._documents = documents
        self._unready = unready
        self._alive = alive
        self._web: _Server | None = None
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections; returns the port, which the kernel chooses for 0.  Raises OSError."""
        self._web = _Server(self._handle, self._counters, access_log=None, keepalive_timeout=KEEPALIVE_S)
        self._listener = await asyncio.get_running_loop().create_server(
            self._web, host or None, port, backlog=BACKLOG, ssl=tls
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self, timeout_s: float) -> None:
        """Close the listener and what is still connected."""
        if self._listener is not None and self._web is not None:
            self._listener.close()
            self._web.pre_shutdown()
            await self._web.shutdown(timeout_s)

    # -- routes --------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._upgrade(request, path)
        if path.startswith(PREFIXES):
            return await self._rest.answer(request)
        stored = path == recordings.ROOT or path.startswith(recordings.ROOT + "/")
        if request.method not in ("GET", "HEAD", "DELETE") or (request.method == "DELETE" and not stored):
            methods = "GET, HEAD, DELETE" if path.startswith(recordings.ROOT + "/") else "GET, HEAD"
            return _problem(405, "METHOD_NOT_ALLOWED", f"only {methods} here", {"Allow": methods})
        if path == "/health":
            return _json({"status": "ok"})
        if path == "/livez":
            return _json({"status": "ok"}) if self._alive() else _json({"status": "stuck"}, 503)
        if path == "/readyz":
            reasons = self._unready()
            return (
                _json({"status": "not ready", "reasons": reasons}, 503)
                if reasons
                else _json({"status": "ready"})
            )
        if path in self._documents:
            body, kind, headers = self._documents[path]()
            return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
        if stored or path == "/metrics" or path == "/sessions" or path.startswith(SESSIONS_PATH):
            allowed, app_id = self._authorize(request)
            if not allowed:
                return self._unauthorized()
            if stored:
                return await self._recording(request, app_id)
            if path == "/metrics":
                return web.Response(body=await self._metrics(), headers={"Content-Type": METRICS_TYPE})
            if path == "/sessions":
                return await self._session_list(app_id)
            return self._session(path[len(SESSIONS_PATH) :], app_id)
        return _problem(404, "NOT_FOUND", f"no such path: {path}")

    async def _upgrade(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if path.startswith(AUDIO_PATH):  # the token is all that is asked for, and is core's to judge
            if self._connections.full:
                return self._refuse("max_connections", "too many connections")
            with self._connections.place():
                return await self._audio.serve(request, path[len(AUDIO_PATH) :])
        if self._state.draining:
            return self._refuse("draining", "the server is shutting down")
        allowed, app_id = self._authorize(request)
        if not allowed:
            return self._unauthorized()
        if self._connections.full:
            return self._refuse("max_connections", "too many connections")
        return await self._connections.serve(request, app_id)

    async def _session_list(self, app_id: str | None) -> web.Response:
        pieces = []
        for piece in self._sessions(app_id):
            pieces.append(piece)
            await asyncio.sleep(0)  # a long list is made in pieces, others have their turn
        return web.Response(body=array(pieces), content_type=JSON)

    async def _recording(self, request: web.BaseRequest, app_id: str | None) -> web.StreamResponse:
        try:
            return await self._recordings.answer(request, app_id)
        except recordings.Refusal as refusal:
            return _problem(refusal.status, refusal.code, str(refusal), refusal.headers)

    def _session(self, session_id: str, app_id: str | None) -> web.Response:
        try:
            canonical = str(UUID(session_id))
        except ValueError:
            return _problem(400, "INVALID_PARAMS", "the session id is not a UUID")
        details = self._session_details(canonical, app_id)
        if details is None:
            return _problem(404, "SESSION_NOT_FOUND", "no such session")
        return _json(details)

    # -- refusals ------------------------------------------------------------------------------------------

    def _authorize(self, request: web.BaseRequest) -> tuple[bool, str | None]:
        """Whether the request may go on, and the application it speaks for (None: tokens are not in use)."""
        tokens = self._state.tokens
        if tokens is None:
            return True, None
        token = bearer_token(request.headers)
        app_id = tokens.app_of(token) if token else None
        return app_id is not None, app_id

    def _unauthorized(self) -> web.Response:
        self._counters.connections_refused["unauthorized"] += 1
        return _problem(401, "UNAUTHORIZED", "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})

    def _refuse(self, reason: str, message: str) -> web.Response:
        self._counters.connections_refused[reason] += 1
        return _problem(503, "UNAVAILABLE", message, {"Retry-After": "1", "Connection": "close"})


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=JSON)


def _problem(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)
