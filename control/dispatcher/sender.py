"""One attempt: a POST to an address that was checked, signed, without redirects, within its time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from msgspec import Struct
from yarl import URL

from roomtone.control.core.webhooks import Webhook
from roomtone.control.dispatcher.schedule import Answer
from roomtone.control.dispatcher.signature import signatures
from roomtone.control.io.address_guard import AddressGuard, NotAllowed

CONNECT_S = 3.0
KEEP_ALIVE_S = 4.0  # less than what servers keep an idle connection for
HEAD_WAIT_S = 1.0
HEAD_BYTES = 1024  # of an answer's body that are kept
MEDIA_TYPES = {"cloudevents": "application/cloudevents+json"}
US_PER_S = 1_000_000


class Request(Struct):
    """id: the event's.  body: as it was stored."""

    id: str
    body: bytes
    style: str
    attempt: int
    late: bool
    replay: bool


class Sender:
    """networks: CIDRs of receivers that are allowed though not public.  timeout_s: of a whole attempt.

    resolver None: the system's.  Used on one loop, to be closed.
    """

    def __init__(
        self,
        *,
        allow_http: bool,
        networks: Iterable[str],
        timeout_s: float,
        user_agent: str,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._guard = AddressGuard(networks)
        self._client = aiohttp.ClientSession(
            connector=self._guard.connector(resolver, KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent},
            timeout=aiohttp.ClientTimeout(total=timeout_s, connect=min(CONNECT_S, timeout_s)),
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._client.close()

    async def send(self, webhook: Webhook, request: Request) -> Answer:
        """What came of it; raises nothing but a cancellation."""
        began = time.monotonic()
        try:
            answer = await self._send(webhook, request)
        except Exception as error:
            answer = Answer(None, error=_reason(error))
        answer.ms = round((time.monotonic() - began) * 1000)
        return answer

    async def _send(self, webhook: Webhook, request: Request) -> Answer:
        url = URL(webhook.url)
        self._guard.check(url)
        if url.scheme not in self._schemes:
            raise NotAllowed("Only https is allowed (webhooks.allow_http)")
        headers = _headers(webhook, request)
        async with self._client.post(
            url, data=request.body, headers=headers, allow_redirects=False
        ) as response:
            head = await _head(response)
            return Answer(
                response.status, head=head, retry_after_s=_seconds(response.headers.get("Retry-After"))
            )


def _headers(webhook: Webhook, request: Request) -> dict[str, str]:
    now_s = time.time()
    timestamp_s = int(now_s)
    secrets = webhook.signing(round(now_s * US_PER_S))
    headers = {
        "Content-Type": MEDIA_TYPES.get(request.style, "application/json"),
        "webhook-id": request.id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signatures(secrets, request.id, timestamp_s, request.body),
        "webhook-attempt": str(request.attempt),
    }
    if request.late:
        headers["webhook-late"] = "true"
    if request.replay:
        headers["webhook-replay"] = "true"
    return headers


async def _head(response: aiohttp.ClientResponse) -> bytes:
    """How the body begins.  The status is the answer: one that is long or slow ends the connection."""
    head = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(HEAD_WAIT_S):
            while len(head) < HEAD_BYTES and not response.content.at_eof():
                head += await response.content.read(HEAD_BYTES - len(head))
    if not response.content.at_eof():
        response.close()
    return head


def _seconds(text: str | None) -> int | None:
    """Of Retry-After, RFC 9110 section 10.2.3; None: not given, or not readable."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return int(text[:12])
    try:
        return max(0, round(parsedate_to_datetime(text).timestamp() - time.time()))
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    """For a person."""
    match error:
        case NotAllowed():
            return error.message
        case aiohttp.ConnectionTimeoutError():
            return "The connection took too long"
        case TimeoutError() | asyncio.TimeoutError():
            return "The answer took too long"
        case aiohttp.ClientConnectorDNSError():
            return "The host's name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "TLS failed, or the certificate is not valid for the host"
        case aiohttp.ClientConnectorError(os_error=NotAllowed() as refused):
            return refused.message
        case aiohttp.ClientConnectorError():
            return "The host does not take the connection"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "The connection ended before the answer did"
        case aiohttp.InvalidURL() | ValueError():
            return "The URL cannot be used"
    return type(error).__name__
