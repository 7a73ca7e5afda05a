"""A receiver of webhooks on loopback: verifies, answers, remembers, and can behave badly when it is told to.

An event counts once, however often it comes: by its `webhook-id`.  It has been accepted when it was answered
with 2xx; what was answered otherwise will come again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from demo_parts.signature import NotGenuine, verify

EVENT_WAIT_S = 10.0
LANES = ("room_sequence", "session_sequence")  # numbers of an event in the lanes it belongs to
LANE_OF = {"room_sequence": "room_id", "session_sequence": "session_uuid"}


@dataclass(frozen=True)
class Manner:
    """How a request is answered, after delay_s.  closes: not at all; stalls: not before the receiver ends."""

    status: int = 200
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False
    stalls: bool = False


@dataclass(frozen=True)
class Delivery:
    """One request.  at_s: the loop's clock.  accepted: its answer is 2xx.  again: its event was known."""

    at_s: float
    path: str
    headers: Mapping[str, str]
    body: bytes
    event: dict[str, Any]
    accepted: bool
    again: bool

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def late(self) -> bool:
        """It has left the order of its lanes."""
        return self.headers.get("webhook-late") == "true"


class Receiver:
    """Order of use: as an async context manager; secrets as soon as they are known.

    secrets: path -> secrets that are valid there.  manner: how a request for this event is answered.
    log: every genuine request as they came; refused: why others were answered with 401.
    """

    def __init__(self, port: int = 0) -> None:
        self.secrets: dict[str, list[str]] = {}
        self.manner: Callable[[str, dict[str, Any]], Manner] = lambda path, event: Manner()
        self.on_event: Callable[[Delivery], None] = lambda delivery: None
        self.log: list[Delivery] = []
        self.refused: list[str] = []
        self.port = port
        self._known: set[tuple[str, str]] = set()  # (path, webhook-id)
        self._news = asyncio.Condition()
        self._over = asyncio.Event()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event that was accepted, once, in the order they came."""
        return [each.event for each in self.log if each.accepted and not each.again]

    def named(self, name: str, **keys: Any) -> list[dict[str, Any]]:
        """Accepted events of a name, with these values."""
        return [e for e in self.events if e["event"] == name and keys.items() <= e.items()]

    async def wait_for(self, name: str, count: int = 1, **keys: Any) -> dict[str, Any]:
        """The count-th accepted event of a name with these values.  Raises TimeoutError."""
        try:
            async with asyncio.timeout(EVENT_WAIT_S), self._news:
                await self._news.wait_for(lambda: len(self.named(name, **keys)) >= count)
        except TimeoutError:
            raise TimeoutError(f"no {name} with {keys} came, but {self.events}") from None
        return self.named(name, **keys)[count - 1]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            verify(self.secrets.get(request.path, []), request.headers, body)
        except NotGenuine as error:
            self.refused.append(f"{request.path}: {error}")
            return web.Response(status=401)
        event = json.loads(body)
        manner = self.manner(request.path, event)
        answers = not manner.closes and not manner.stalls
        await self._note(request, body, event, answers and 200 <= manner.status < 300)
        await asyncio.sleep(manner.delay_s)
        if manner.stalls:
            await self._over.wait()
        if not answers and request.transport is not None:
            request.transport.abort()
        return web.Response(status=manner.status, headers=dict(manner.headers))

    async def _note(self, request: web.Request, body: bytes, event: dict[str, Any], accepted: bool) -> None:
        key = (request.path, request.headers["webhook-id"])
        delivery = Delivery(
            at_s=asyncio.get_running_loop().time(),
            path=request.path,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            event=event,
            accepted=accepted,
            again=key in self._known,
        )
        if accepted:
            self._known.add(key)
        self.log.append(delivery)
        self.on_event(delivery)
        async with self._news:
            self._news.notify_all()


def lanes(log: Iterable[Delivery], late: bool = False) -> dict[tuple[str, str], list[int]]:
    """(path, room or session) -> numbers of the accepted events there, as they came; the late ones apart."""
    out: dict[tuple[str, str], list[int]] = {}
    for delivery in log:
        if delivery.accepted and not delivery.again and delivery.late == late:
            for number in LANES:
                if number in delivery.event:
                    lane = delivery.path, delivery.event[LANE_OF[number]]
                    out.setdefault(lane, []).append(delivery.event[number])
    return out
