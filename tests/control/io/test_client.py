"""The Python client against a real control process."""

from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from control_process import running, until

from roomtone.client import Event, RoomtoneError, connect
from roomtone.engine.messages import CreateTone, KeyPressed


def test_results_and_refusals(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, await connect(control.url) as client:
            assert (await client.call("server.info"))["media_ip"] == ["127.0.0.1"]
            with pytest.raises(RoomtoneError) as caught:
                await client.call("endpoint.create_tone", tone="ringback")
            assert caught.value.code == "NO_SESSION"
            assert caught.value.message in str(caught.value)

    run(body())


def test_requests_under_way_together_get_their_own_answers(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, await connect(control.url) as client:
            made = client.start("session.create")
            refused = client.start("endpoint.create_tone", tone="no such tone")
            info = client.start("session.info")
            assert (await info)["session_id"] == (await made)["session_id"]
            with pytest.raises(RoomtoneError, match="INVALID_PARAMS"):
                await refused

    run(body())


def test_events_come_in_order_and_end_with_the_connection(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, await connect(control.url) as client:
            session = (await client.call("session.create"))["session_id"]
            tone = (await client.call("endpoint.create_tone", tone="ringback"))["endpoint_id"]
            control.workers[0].emit(
                *(KeyPressed(session=session, endpoint=tone, digit=digit, duration_ms=9) for digit in "123")
            )
            digits = []
            async for event in client.events():
                assert isinstance(event, Event)
                digits.append(event.data["digit"])
                if len(digits) == 3:
                    control.app.signal()
                    control.app.connections.close_all(1001, "the end")
            assert digits == ["1", "2", "3"]
            assert client.closed
            assert client.close_code == 1001

    run(body())


def test_an_event_is_awaited_by_name_and_content(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, await connect(control.url) as client:
            session = (await client.call("session.create"))["session_id"]
            tone = (await client.call("endpoint.create_tone", tone="ringback"))["endpoint_id"]
            control.workers[0].emit(
                *(KeyPressed(session=session, endpoint=tone, digit=digit, duration_ms=9) for digit in "12#")
            )
            event = await client.event("dtmf", lambda data: data["digit"] == "#")
            assert event.data["endpoint_id"] == tone

    run(body())


def test_a_lost_connection_fails_what_is_under_way_and_what_comes_after(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, await connect(control.url) as client:
            await client.call("session.create")
            control.workers[0].hold = True
            request = client.start("endpoint.create_tone", tone="busy")
            await control.workers[0].command(CreateTone)
            next(iter(control.app.connections.open.values())).transport.abort()
            for attempt in (request, client.event("dtmf")):
                with pytest.raises(RoomtoneError, match="CONNECTION_LOST"):
                    await attempt
            with pytest.raises(RoomtoneError, match="CONNECTION_LOST"):
                await client.call("server.info")

    run(body())


def test_a_shared_http_session_stays_open(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, aiohttp.ClientSession() as http:
            async with await connect(control.url, session=http) as client:
                await client.call("server.info")
            assert not http.closed
            await until(lambda: not control.app.connections.open)

    run(body())


def test_a_refused_connection_raises_and_leaves_nothing_open(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, max_connections=1) as control:
            async with await connect(control.url):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await connect(control.url)
            assert caught.value.status == 503

    run(body())
