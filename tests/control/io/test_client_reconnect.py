"""A client that connects again: what it keeps, what it says is lost, and that nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from control_process import Control, running, until

from roomtone.client import Backoff, Client, ConnectionLost, Disconnected, Reconnected, api, connect
from roomtone.engine.messages import CreateTone, KeyPressed, ToneFinished

SOON = Backoff(first_s=0.001, most_s=0.01)
TASKS = {"Client._keep", "Link._read"}  # of an open connection
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


def cut(control: Control) -> None:
    """Every connection breaks."""
    for connection in control.app.connections.open.values():
        connection.transport.abort()


async def in_session(client: Client) -> str:
    return (await client.session_create()).session_id


async def next_event(client: Client) -> object:
    return await anext(aiter(client))


def test_the_session_is_attached_again_and_what_happened_meanwhile_follows(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path, max_connections=1) as control:
            client = await connect(control.url, reconnect=SOON)
            session = await in_session(client)
            tone = (await client.endpoint_create_tone("beep", duration_ms=1)).endpoint_id
            cut(control)
            await until(lambda: control.app.core.sessions[session].connection is None)
            control.workers[0].emit(ToneFinished(session=session, endpoint=tone))
            events = [await next_event(client) for _ in range(4)]
            assert isinstance(events[0], Disconnected)
            assert events[1:] == [
                Reconnected(session_id=session, lost_session_id=None),
                api.StateChanged(tone, "playing", "finished"),
                api.ToneFinished(tone),
            ]
            assert (await client.session_info()).endpoints[0].state == "finished"
            await client.close()

    run(body())


def test_a_request_under_way_fails_by_name_and_is_not_repeated(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, connect(control.url, reconnect=SOON) as client:
            await in_session(client)
            control.workers[0].hold = True
            request = asyncio.ensure_future(client.endpoint_create_tone("busy"))
            await control.workers[0].command(CreateTone)
            cut(control)
            with pytest.raises(ConnectionLost):
                await request
            control.workers[0].release()
            info = await client.session_info()  # made while there is no connection: it waits for the next one
            assert len(info.endpoints) == 1
            assert sum(isinstance(body, CreateTone) for body in control.workers[0].commands) == 1

    run(body())


def test_a_request_under_way_fails_by_name_when_the_program_ends(tmp_path: Path, run: Callable) -> None:
    """As the end of a loop has it: all tasks are cancelled, those of a client that nobody closed as well."""

    async def body() -> None:
        async with running(tmp_path) as control:
            client = await connect(control.url, reconnect=SOON)
            await in_session(client)
            control.workers[0].hold = True
            request = asyncio.ensure_future(client.endpoint_create_tone("busy"))
            await control.workers[0].command(CreateTone)
            own = [each for each in asyncio.all_tasks() if each.get_coro().__qualname__ in TASKS]
            assert len(own) == len(TASKS)
            for task in own:
                task.cancel()
            assert {type(each) for each in await asyncio.gather(*own, return_exceptions=True)} == {
                asyncio.CancelledError
            }
            with pytest.raises(ConnectionLost):
                await request
            cut(control)

    run(body())


def test_a_session_that_ended_meanwhile_is_told_lost(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, disconnect_timeout_secs=0) as control:
            client = await connect(control.url, reconnect=SOON)
            session = await in_session(client)
            control.app.state.draining = True  # the server takes no connection for a while
            cut(control)
            assert isinstance(await next_event(client), Disconnected)
            await until(lambda: not control.app.core.sessions)
            control.app.state.draining = False
            assert await next_event(client) == Reconnected(session_id=None, lost_session_id=session)
            assert client.session_id is None
            await in_session(client)
            await client.close()

    run(body())


def test_while_another_connection_has_the_session_the_client_goes_on_asking(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await connect(control.url, reconnect=SOON)
            session = await in_session(client)
            other = await connect(control.url)
            control.app.state.draining = True
            first = next(iter(control.app.connections.open.values()))
            first.transport.abort()
            await until(lambda: control.app.core.sessions[session].connection is None)
            await other.session_attach(session)
            control.app.state.draining = False
            refused = ("session.attach", "SESSION_NOT_ORPHANED")
            await until(lambda: control.app.core.counters.commands[refused] > 1)
            await other.close()
            assert isinstance(await next_event(client), Disconnected)
            assert await next_event(client) == Reconnected(session_id=session, lost_session_id=None)
            await client.close()

    run(body())


def test_losses_are_told_where_they_happened(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, event_channel_size=3) as control:
            client = await connect(control.url, reconnect=SOON)
            session = await in_session(client)
            endpoint = (await client.endpoint_create_from_offer(SDP)).endpoint_id
            control.app.state.draining = True
            cut(control)
            await until(lambda: control.app.core.sessions[session].connection is None)
            control.workers[0].emit(
                *(
                    KeyPressed(session=session, endpoint=endpoint, digit=digit, duration_ms=9)
                    for digit in "12345"
                )
            )
            await until(lambda: control.app.counters.worker_events["key"] == 5)
            control.app.state.draining = False
            events = [await next_event(client) for _ in range(6)]
            assert [event.digit for event in events[2:5] if isinstance(event, api.Dtmf)] == ["1", "2", "3"]
            assert events[5] == api.EventsDropped(count=2)
            await client.close()

    run(body())


def test_a_client_that_gives_up_is_closed_and_says_so(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            backoff = Backoff(first_s=0.001, most_s=0.001, give_up_s=0.05)
            client = await connect(control.url, reconnect=backoff)
            control.app.state.draining = True
            cut(control)
            seen = [event async for event in client]
            assert [type(event) for event in seen] == [Disconnected]
            assert client.closed
            with pytest.raises(ConnectionLost):
                await client.server_info()
            await client.close()

    run(body())


def test_a_token_that_is_no_longer_good_ends_the_client(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        tokens = tmp_path / "tokens"
        tokens.write_text("west:secret\n")
        async with running(tmp_path, auth_token_file=str(tokens)) as control:
            client = await connect(control.url, token="secret", reconnect=SOON)
            tokens.write_text("west:other\n")
            control.app.reload_tokens()
            cut(control)
            assert [type(event) async for event in client] == [Disconnected]
            await client.close()

    run(body())


def test_closing_while_connecting_again_leaves_nothing_open(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await connect(control.url, reconnect=Backoff(first_s=60.0, most_s=60.0))
            cut(control)
            assert isinstance(await next_event(client), Disconnected)
            waiting = asyncio.ensure_future(client.server_info())
            await client.close()
            with pytest.raises(ConnectionLost):
                await waiting
            assert client.closed
            await until(lambda: not control.app.connections.open)

    run(body())


def test_waits_grow_to_a_bound_and_differ() -> None:
    backoff = Backoff(first_s=0.1, most_s=5.0)
    for attempt in range(100):
        whole = min(0.1 * 2**attempt, 5.0)
        assert whole / 2 <= backoff.wait_s(attempt) <= whole
    assert len({backoff.wait_s(3) for _ in range(10)}) > 1
