"""A client of one session: methods, events, and connecting again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from roomtone.control.core import api

from .audio import Audio, audio_url
from .events import Disconnected, Event, Inbox, Reconnected, Waiting, plain, typed
from .link import MAX_MESSAGE_BYTES, Link
from .methods import Methods
from .problem import ConnectionLost, RoomtoneError

INBOX_EVENTS = 10_000
# What an attach is answered while the server has not noticed yet that the last connection is gone.
NOT_YET = ("SESSION_NOT_ORPHANED", "SESSION_BUSY")
REFUSED = (401, 403)  # no use to try again
BINDS = ("session.create", "session.attach", "session.destroy")
ENDS_SESSION = (api.SessionLost.NAME, api.SessionIdleTimeout.NAME, api.SessionEmptyTimeout.NAME)

R = TypeVar("R", bound=Struct)
E = TypeVar("E", bound=api.EventData)


class Backoff(Struct, frozen=True):
    """Waits between attempts to connect again: doubling, half of each at random.

    give_up_s: the time without a connection after which the client closes; None: never.
    """

    first_s: float = 0.1
    most_s: float = 5.0
    give_up_s: float | None = None

    def wait_s(self, attempt: int) -> float:
        whole = min(self.first_s * 2.0 ** min(attempt, 30), self.most_s)
        return whole * random.uniform(0.5, 1.0)


class Opening:
    """What `connect` returns: ``await`` it, or use it as an asynchronous context manager."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __await__(self) -> Generator[Any, None, Client]:
        return self._client.open().__await__()

    async def __aenter__(self) -> Client:
        return await self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.close()


def connect(
    url: str,
    *,
    token: str | None = None,
    session: aiohttp.ClientSession | None = None,
    reconnect: bool | Backoff = False,
) -> Opening:
    """Open a control connection.  Raises aiohttp's errors when the server refuses it (401, 503).

    token: bearer token, where the server wants one.  session: an HTTP session to share; it stays open.
    reconnect: connect again after a loss, and attach to the session again.
    """
    backoff = Backoff() if reconnect is True else reconnect or None
    return Opening(Client(url, token, session, backoff))


class Client(Methods):
    """Requests are answered in order; several may be under way at once.  Make it with `connect`.

    ``async for event in client`` gives the events as Structs until the client is closed.  A request that is
    under way when the connection is lost raises `ConnectionLost` and is not repeated; one made while the
    client connects again waits for that.
    """

    def __init__(
        self, url: str, token: str | None, http: aiohttp.ClientSession | None, backoff: Backoff | None
    ) -> None:
        self.session_id: str | None = None  # the session this connection has
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = http
        self._own_http = http is None
        self._backoff = backoff
        self._link: Link | None = None
        self._inbox = Inbox(INBOX_EVENTS)
        self._news = asyncio.Event()
        self._settled = asyncio.Event()  # there is a link, or there will be none any more
        self._closing = False
        self._close_code: int | None = None
        self._keeper: asyncio.Task[None] | None = None

    # -- requests --------------------------------------------------------------------------------------------

    async def ask(self, name: str, params: Struct, result: type[R]) -> R:
        """Send a request of these parameters and wait for its result.  Raises RoomtoneError."""
        return msgspec.json.decode(await self._request(name, params), type=result)

    async def call(self, method: str, /, **params: Any) -> Any:
        """Send a request by the method's name; the result as JSON has it.  Raises RoomtoneError."""
        return await self.start(method, **params)

    def start(self, method: str, /, **params: Any) -> asyncio.Task[Any]:
        """Send a request without waiting; the task brings its result, or RoomtoneError.

        Requests go out in the order they were started.
        """
        return asyncio.get_running_loop().create_task(_decoded(self._request(method, params)))

    def _request(self, method: str, params: Struct | dict[str, Any]) -> Awaitable[msgspec.Raw]:
        if self._link is None:
            return self._request_later(method, params)
        answer = self._link.start(method, params)
        if method in BINDS:
            answer.add_done_callback(partial(self._bound, method, params))
        return answer

    async def _request_later(self, method: str, params: Struct | dict[str, Any]) -> msgspec.Raw:
        await self._settled.wait()
        if self._link is None:
            raise ConnectionLost("the connection is closed")
        return await self._request(method, params)

    def _bound(self, method: str, params: Any, answer: asyncio.Future[msgspec.Raw]) -> None:
        """A request that binds a session to the connection, or frees it, was answered."""
        if answer.cancelled() or answer.exception() is not None:
            return
        if method == "session.create":
            self.session_id = msgspec.json.decode(answer.result(), type=api.SessionCreated).session_id
        elif method == "session.attach":
            self.session_id = params["session_id"] if isinstance(params, dict) else params.session_id
        else:
            self.session_id = None

    # -- events ----------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[api.EventData | Event]:
        """Events as their Structs, in the order they came, until the client is closed."""
        while (item := await self._next()) is not None:
            yield typed(item)

    async def events(self) -> AsyncIterator[Event]:
        """Events by name and data, in the order they came, until the client is closed."""
        while (item := await self._next()) is not None:
            yield plain(item)

    async def event(self, name: str, where: Callable[[dict[str, Any]], bool] = lambda data: True) -> Event:
        """The next event of that name for which `where(data)` holds; events before it are passed over.

        Raises ConnectionLost when the client is closed first.  Bound it with ``asyncio.timeout``.
        """
        async for event in self.events():
            if event.name == name and where(event.data):
                return event
        raise ConnectionLost(f"the connection ended before {name}")

    async def wait_for(self, kind: type[E], where: Callable[[E], bool] = lambda event: True) -> E:
        """The next event of that Struct for which `where(event)` holds, otherwise as `event`."""
        async for event in self:
            if isinstance(event, kind) and where(event):
                return event
        raise ConnectionLost(f"the connection ended before {kind.NAME}")

    def _hear(self, item: Waiting) -> None:
        name = item.NAME if isinstance(item, api.EventData) else item[0]
        if name in ENDS_SESSION:
            self.session_id = None
        self._inbox.put(item)
        self._news.set()

    async def _next(self) -> Waiting | None:
        while not self._inbox:
            if self.closed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._inbox.take()

    # -- audio -----------------------------------------------------------------------------------------------

    def audio(self, connect_token: str) -> Audio:
        """The audio of an endpoint made with `endpoint_create_websocket`; use it with ``async with``."""
        assert self._http is not None, "the client is not open"
        return Audio(self._http, audio_url(self._url, connect_token))

    # -- life ------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """There is no connection and none will come."""
        return self._settled.is_set() and self._link is None

    @property
    def close_code(self) -> int | None:
        """The WebSocket close code of the last connection, once it has ended."""
        return self._close_code

    async def open(self) -> Client:
        """Connect.  Raises aiohttp's errors."""
        if self._http is None:
            self._http = aiohttp.ClientSession()
        try:
            self._use(await self._connect())
        except BaseException:
            await self._close_http()
            raise
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def close(self) -> None:
        """Close the connection; the server keeps its session for a while (orphaned)."""
        self._closing = True
        if self._link is not None:
            await self._link.close()
        elif self._keeper is not None:
            self._keeper.cancel()
        if self._keeper is not None:
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._settled.set()
        self._news.set()
        await self._close_http()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _close_http(self) -> None:
        if self._own_http and self._http is not None:
            await self._http.close()
            self._http = None

    async def _connect(self) -> Link:
        assert self._http is not None
        return Link(
            await self._http.ws_connect(
                self._url,
                headers=self._headers,
                max_msg_size=MAX_MESSAGE_BYTES,
                compress=0,
                decode_text=False,
            )
        )

    def _use(self, link: Link) -> None:
        link.listen(self._hear)
        self._link = link
        self._settled.set()

    # -- connecting again ------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Watch the connection; when it is lost, connect again or end."""
        while (link := self._link) is not None:
            await asyncio.shield(link.ended)  # whoever stops this watching does not end the connection
            self._close_code = link.close_code
            self._link = None
            if self._closing or self._backoff is None:
                break
            self._settled.clear()
            self._hear(Disconnected(f"the connection ended with code {link.close_code}"))
            try:
                async with asyncio.timeout(self._backoff.give_up_s):
                    await self._connect_again(self._backoff)
            except (TimeoutError, aiohttp.ClientError):
                break
        self._settled.set()
        self._news.set()

    async def _connect_again(self, backoff: Backoff) -> None:
        """Until there is a connection, with the session if that lives.  Raises when the server refuses us."""
        link: Link | None = None
        try:
            for attempt in itertools.count():
                await asyncio.sleep(backoff.wait_s(attempt))
                try:
                    if link is None or link.ended.done():
                        link = await self._connect()
                    told = await self._attach_again(link)
                except (OSError, aiohttp.ClientError, ConnectionLost) as error:
                    if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in REFUSED:
                        raise
                    continue
                if told is not None:
                    self._hear(told)
                    self._use(link)
                    return
        except BaseException:
            if link is not None:
                await link.close()
            raise

    async def _attach_again(self, link: Link) -> Reconnected | None:
        """Take the session back.  None: the server has not noticed yet that the last connection is gone."""
        session_id = self.session_id
        if session_id is None:
            return Reconnected(None, None)
        try:
            await link.start("session.attach", api.SessionAttach(session_id))
        except ConnectionLost:
            raise
        except RoomtoneError as refused:
            if refused.code in NOT_YET:
                return None
            self.session_id = None
            return Reconnected(None, session_id)
        return Reconnected(session_id, None)


async def _decoded(raw: Awaitable[msgspec.Raw]) -> Any:
    return msgspec.json.decode(await raw)
