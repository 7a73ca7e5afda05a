"""REST over HTTP: who asks, how often, what for; core answers.

Order of checks: the key, the app's limit, the path, the body's type and size; the rest is core's
(core/rest/front.py).  Every reply carries `X-Request-Id`.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Mapping
from hmac import compare_digest

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from roomtone.control.core.effects import Input, RestReply, RestRequest
from roomtone.control.core.rest.apps import APP_ID, DEFAULT_RATE_LIMIT, App
from roomtone.control.core.rest.operations import OPERATIONS
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rest.routes import Found, Routes
from roomtone.control.io import rest_errors
from roomtone.control.io.clock import now_us
from roomtone.control.io.counters import Counters
from roomtone.control.io.ids import random_uuid
from roomtone.control.io.rest_limits import Window, Windows

PREFIXES = ("/api/", "/admin/")
ADMIN_PREFIX = "/admin/"
COMMAND = re.compile(r"/api/v1/sessions/[^/]+/commands/.*")
REQUEST_ID = re.compile(r"[a-zA-Z0-9._-]{1,128}")
UNAUTHENTICATED_LIMIT = 10  # a second, of one client address and claimed app
ANSWER_S = 10.0  # core has so long to answer
BODY_S = 10.0  # a client has so long to send its body
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # RFC 9110 section 10.1.1: who asks waits for it with its body
UNREADABLE = (TimeoutError, OSError, web.RequestPayloadError, HttpProcessingError)


class Rest:
    """app: an app by its id.  admin_key None: there is no administration.  Owns the open requests."""

    def __init__(
        self,
        *,
        submit: Callable[[Input], None],
        app: Callable[[str], App | None],
        admin_key: str | None,
        counters: Counters,
    ) -> None:
        self._submit = submit
        self._app = app
        self._admin_key = admin_key
        self._counters = counters
        self._routes = Routes(OPERATIONS)
        self._windows = Windows()
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[RestReply]] = {}

    def reply(self, effect: RestReply) -> None:
        """What core answers.  Nobody may be waiting any more."""
        waiting = self._open.pop(effect.n, None)
        if waiting is None or waiting.done():
            self._counters.rest_unheard += 1
        else:
            waiting.set_result(effect)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        began_us = now_us()
        given = request.headers.get("X-Request-Id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else random_uuid()
        headers = {"X-Request-Id": request_id}
        operation = ""
        try:
            caller, window = self._admit(request)
            headers |= window.headers()
            found = self._route(request)
            operation = found.operation
            body = await self._body(request, OPERATIONS[operation].max_body)
            reply = await self._ask(request, caller, found, body, request_id)
            if reply.refusal is not None:
                raise reply.refusal
            headers |= dict(reply.headers)
            response = web.Response(
                body=reply.body, status=reply.status, content_type=rest_errors.JSON, headers=headers
            )
        except Refusal as refusal:
            response = self._refused(request, refusal, request_id, headers)
        if request.transport is None or request.transport.is_closing():
            self._counters.rest_unheard += 1
        self._counters.rest_requests[operation, response.status] += 1
        self._counters.rest_duration[operation].observe(now_us() - began_us)
        return response

    def _refused(
        self, request: web.BaseRequest, refusal: Refusal, request_id: str, headers: Mapping[str, str]
    ) -> web.Response:
        headers = {**headers, **rest_errors.headers(refusal), **refusal.headers}
        if rest_errors.wants_problem(request.headers.get("Accept", "")):
            body, kind = rest_errors.problem(refusal, request_id, request.path), rest_errors.PROBLEM
        else:
            body, kind = rest_errors.envelope(refusal, request_id), rest_errors.JSON
        return web.Response(body=body, status=refusal.status, content_type=kind, headers=headers)

    # -- who asks --------------------------------------------------------------------------------------------

    def _admit(self, request: web.BaseRequest) -> tuple[str, Window]:
        """The app ("": the administrator) and its window.  Raises `Refusal`.

        Wrong keys are counted by address and claimed app, and once their number is used up no key is looked
        at: guessing is no faster than the limit.
        """
        address, claimed = request.remote or "", request.headers.get("X-App-ID", "")
        admin = request.path.startswith(ADMIN_PREFIX)
        wrong = (ADMIN_PREFIX if admin else f"?{claimed}", address)
        now = now_us()
        if (window := self._windows.look(wrong, UNAUTHENTICATED_LIMIT, now)).refused:
            raise _too_many(window)
        try:
            caller, limit = self._administrator(request) if admin else self._caller(request, claimed)
        except Refusal as refusal:
            refusal.headers = self._windows.take(wrong, UNAUTHENTICATED_LIMIT, now).headers()
            raise
        window = self._windows.take((caller, address), limit, now)
        if window.refused:
            raise _too_many(window)
        return caller, window

    def _caller(self, request: web.BaseRequest, claimed: str) -> tuple[str, int]:
        if not claimed:
            raise refuse("missing_app_id")
        if not APP_ID.fullmatch(claimed):
            raise refuse("invalid_app_id")
        key = request.headers.get("X-API-Key")
        if not key:
            raise refuse("missing_api_key")
        app = self._app(claimed)
        if app is None or not app.has_key(key):
            raise refuse("invalid_api_key")
        return claimed, app.rate_limit

    def _administrator(self, request: web.BaseRequest) -> tuple[str, int]:
        if self._admin_key is None:
            raise refuse("admin_disabled")
        key = request.headers.get("X-Admin-API-Key")
        if not key:
            raise refuse("missing_admin_key")
        if not compare_digest(key.encode(errors="surrogateescape"), self._admin_key.encode()):
            raise refuse("invalid_admin_key")
        return "", DEFAULT_RATE_LIMIT

    # -- what for --------------------------------------------------------------------------------------------

    def _route(self, request: web.BaseRequest) -> Found:
        path = request.rel_url.raw_path
        method = "GET" if request.method == "HEAD" else request.method
        found = self._routes.find(method, path)
        if isinstance(found, Found):
            return found
        if found:
            refusal = refuse("method_not_allowed")
            refusal.headers = {"Allow": ", ".join(sorted(found))}
            raise refusal
        raise refuse("invalid_command" if COMMAND.fullmatch(path) else "not_found")

    async def _body(self, request: web.BaseRequest, limit: int) -> bytes:
        """All of it.  Raises `Refusal`."""
        if request.method in ("GET", "HEAD") or not request.body_exists:
            return b""
        if (request.content_length or 0) > limit:
            raise refuse("body_too_large")
        pieces = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(CONTINUE)
                    request.writer.output_size = 0  # the library counts the answer's bytes alone
                while piece := await request.content.readany():
                    pieces += piece
                    if len(pieces) > limit:
                        raise refuse("body_too_large")
        except UNREADABLE:
            raise refuse("invalid_body") from None
        if pieces and request.content_type != rest_errors.JSON:
            raise refuse("unsupported_media_type")
        return bytes(pieces)

    async def _ask(
        self, request: web.BaseRequest, caller: str, found: Found, body: bytes, request_id: str
    ) -> RestReply:
        """Core's answer.  Raises `Refusal` when it does not come."""
        n = next(self._numbers)
        loop = asyncio.get_running_loop()
        waiting = self._open[n] = loop.create_future()
        late = loop.call_later(ANSWER_S, _give_up, waiting)
        self._submit(
            RestRequest(
                n=n,
                operation=found.operation,
                app_id=caller,
                path=found.path,
                query=dict(request.query),
                body=body,
                request_id=request_id,
                idempotency_key=request.headers.get("Idempotency-Key"),
            )
        )
        try:
            return await waiting
        finally:
            late.cancel()
            self._open.pop(n, None)


def _give_up(waiting: asyncio.Future[RestReply]) -> None:
    if not waiting.done():
        waiting.set_exception(refuse("node_unavailable", retry_after_ms=1000))


def _too_many(window: Window) -> Refusal:
    refusal = refuse("rate_limited", retry_after_ms=-(-window.reset_us // 1000))
    refusal.headers = window.headers()
    return refusal
