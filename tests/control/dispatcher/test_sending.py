"""One attempt against a real receiver: what is sent, where it may go, and what is made of each answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from certificate import certificate
from writing import webhook

from roomtone.control.core import webhooks
from roomtone.control.core.addresses import LOOPBACK
from roomtone.control.dispatcher.sender import Request, Sender

Run = Callable
EVENT = Request(
    "evt_acW68_000000000001", b'{"event":"conference.created"}', "flat", 1, late=False, replay=False
)


class Changing(AbstractResolver):
    """A host whose owner's DNS says something else each time."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = self.addresses.pop(0)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


class Site:
    """A receiver that answers as the test says, and keeps what came."""

    def __init__(self, answer: Callable[[web.Request], Any]) -> None:
        self.answer = answer
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        answer = self.answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@asynccontextmanager
async def site(
    answer: Callable[[web.Request], Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Site, str]]:
    one = Site(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield one, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sender(**options: Any) -> AsyncIterator[Sender]:
    known = {"allow_http": True, "networks": LOOPBACK, "timeout_s": 5.0, "user_agent": "roomtone/test"}
    one = Sender(**(known | options))
    try:
        yield one
    finally:
        await one.close()


def test_the_bytes_come_as_they_were_stored_with_all_headers(run: Run) -> None:
    async def body() -> None:
        async with site(lambda request: web.Response(status=204)) as (one, url), sender() as sending:
            answer = await sending.send(webhook(url=url), EVENT)
            assert (answer.status, answer.error) == (204, "")
            headers = one.requests[0].headers
            assert one.bodies == [EVENT.body]
            assert headers["Content-Type"] == "application/json"
            assert headers["User-Agent"] == "roomtone/test"
            assert headers["webhook-id"] == EVENT.id and headers["webhook-attempt"] == "1"
            assert headers["webhook-signature"].startswith("v1,")
            assert "webhook-late" not in headers and "webhook-replay" not in headers
            again = Request(EVENT.id, EVENT.body, "cloudevents", 9, late=True, replay=True)
            await sending.send(webhook(url=url), again)
            headers = one.requests[1].headers
            assert headers["Content-Type"] == "application/cloudevents+json"
            assert headers["webhook-attempt"] == "9"
            assert headers["webhook-late"] == headers["webhook-replay"] == "true"

    run(body())


def test_while_a_secret_is_changed_both_sign(run: Run) -> None:
    async def body() -> None:
        async with site(lambda request: web.Response()) as (one, url), sender() as sending:
            changed = webhooks.rotated(webhook(url=url), "whsec_" + "QUJD" * 8, 2**60, 60)
            await sending.send(changed, EVENT)
            assert len(one.requests[0].headers["webhook-signature"].split()) == 2

    run(body())


def test_a_redirect_is_an_answer_and_is_not_followed(run: Run) -> None:
    async def body() -> None:
        answer = web.Response(status=307, headers={"Location": "/elsewhere"})
        async with site(lambda request: answer) as (one, url), sender() as sending:
            assert (await sending.send(webhook(url=url), EVENT)).status == 307
            assert [request.path for request in one.requests] == ["/hook"]

    run(body())


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("7", 7),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("Fri, 31 Dec 9999 23:59:59 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(run: Run, given: str, seconds: int | None) -> None:
    async def body() -> None:
        answer = web.Response(status=429, headers={"Retry-After": given})
        async with site(lambda request: answer) as (_, url), sender() as sending:
            assert (await sending.send(webhook(url=url), EVENT)).retry_after_s == seconds

    run(body())


def test_of_a_long_answer_only_the_beginning_is_read(run: Run) -> None:
    async def body() -> None:
        async with site(lambda request: web.Response(status=500, body=b"x" * 10**6)) as (_, url):
            async with sender() as sending:
                answer = await sending.send(webhook(url=url), EVENT)
            assert (answer.status, answer.head) == (500, b"x" * 1024)

    run(body())


def test_who_answers_and_never_ends_has_answered(run: Run) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"well")
        await asyncio.Event().wait()
        return response

    async def body() -> None:
        async with site(endless) as (_, url), sender() as sending:
            answer = await sending.send(webhook(url=url), EVENT)
            assert (answer.status, answer.head) == (200, b"well")

    run(body())


async def silent(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def abort(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("answer", "error"),
    [(silent, "The answer took too long"), (abort, "The connection ended before the answer did")],
)
def test_no_answer_says_why(run: Run, answer: Callable, error: str) -> None:
    async def body() -> None:
        async with site(answer) as (_, url), sender(timeout_s=0.2) as sending:
            told = await sending.send(webhook(url=url), EVENT)
            assert (told.status, told.error) == (None, error)

    run(body())


def test_a_port_where_nobody_listens(run: Run) -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        async with sender() as sending:
            told = await sending.send(webhook(url=f"http://127.0.0.1:{port}/"), EVENT)
            assert (told.status, told.error) == (None, "The host does not take the connection")

    run(body())


@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        ("http://a.example/", {"allow_http": False}, "Only https is allowed (webhooks.allow_http)"),
        ("http://127.0.0.1:9/", {"networks": ()}, "The host's address is not allowed"),
        ("http://169.254.169.254/latest", {}, "The host's address is not allowed"),
        ("http://[::ffff:10.0.0.1]/", {}, "The host's address is not allowed"),
        ("http://2130706433/", {}, "The host is a number, but no IPv4 address in four parts"),
        ("ftp://a.example/", {}, "Only http and https URLs are allowed"),
        ("http://", {}, "The URL has no host"),
    ],
)
def test_where_nothing_is_sent(run: Run, url: str, options: dict[str, Any], error: str) -> None:
    async def body() -> None:
        async with sender(**options) as sending:
            told = await sending.send(webhook(url=url), EVENT)
            assert (told.status, told.error) == (None, error)

    run(body())


def test_a_name_that_changes_its_address_is_judged_by_the_one_that_is_connected_to(run: Run) -> None:
    async def body() -> None:
        async with site(lambda request: web.Response()) as (one, url):
            name = url.replace("127.0.0.1", "hook.example")
            resolver = Changing("127.0.0.1", "10.0.0.1")
            async with sender(resolver=resolver) as first:
                assert (await first.send(webhook(url=name), EVENT)).status == 200
            async with sender(resolver=resolver) as second:
                told = await second.send(webhook(url=name), EVENT)
                assert told.error == "The host's address is not allowed"
            assert resolver.asked == 2 and len(one.requests) == 1

    run(body())


def test_a_certificate_that_nobody_signed_gets_nothing(run: Run, tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate(tmp_path))

    async def body() -> None:
        async with site(lambda request: web.Response(), tls) as (one, url), sender() as sending:
            named = url.replace("http://127.0.0.1", "https://localhost")
            told = await sending.send(webhook(url=named), EVENT)
            assert told.error == "TLS failed, or the certificate is not valid for the host"
            assert one.requests == []

    run(body())
