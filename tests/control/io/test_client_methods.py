"""The client's methods and events are those of the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from control_process import running

from roomtone.client import Event, RoomtoneError, api, connect
from roomtone.client.events import Inbox, plain, typed
from roomtone.client.methods import Method, Methods
from roomtone.control.core.requests import METHODS
from roomtone.engine.messages import KeyPressed


def test_the_client_has_every_method_of_the_server_with_its_types() -> None:
    mine = {
        attribute: (method.name, method.params, method.result)
        for attribute, method in vars(Methods).items()
        if isinstance(method, Method)
    }
    assert mine == {
        name.replace(".", "_"): (name, method.params, method.result) for name, method in METHODS.items()
    }


def test_methods_take_and_give_structs(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, connect(control.url) as client:
            session = (await client.session_create(caller_id="alice")).session_id
            assert client.session_id == session
            tone = await client.endpoint_create_tone("sine", frequency=500, duration_ms=20)
            assert tone == api.ToneCreated(tone.endpoint_id, "sine")
            info = await client.session_info()
            assert isinstance(info, api.SessionInfo)
            assert [endpoint.endpoint_type for endpoint in info.endpoints] == ["tone"]
            assert (await client.session_list()).sessions == [
                api.SessionSummary(
                    session_id=session, state="active", endpoint_count=1, created_at=info.created_at
                )
            ]
            with pytest.raises(RoomtoneError) as caught:
                await client.endpoint_create_tone("sine", frequency=5)
            assert caught.value.code == "INVALID_PARAMS"
            await client.session_destroy()
            assert client.session_id is None

    run(body())


def test_events_come_as_structs_one_of_them_can_be_waited_for(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, connect(control.url) as client:
            session = (await client.session_create()).session_id
            tone = (await client.endpoint_create_tone("ringback")).endpoint_id
            control.workers[0].emit(
                *(KeyPressed(session=session, endpoint=tone, digit=digit, duration_ms=9) for digit in "123")
            )
            first = await anext(aiter(client))
            assert isinstance(first, api.Dtmf) and first.digit == "1"
            assert (await client.wait_for(api.Dtmf, lambda event: event.digit == "3")).endpoint_id == tone

    run(body())


def test_an_event_the_client_does_not_know_comes_by_name() -> None:
    news = ("endpoint.flew", msgspec.Raw(b'{"height_m":3}'))
    assert typed(news) == plain(news) == Event("endpoint.flew", {"height_m": 3})
    changed = ("dtmf", msgspec.Raw(b'{"endpoint_id":7}'))
    assert typed(changed) == Event("dtmf", {"endpoint_id": 7})


def test_what_nobody_takes_is_bounded_and_counted_in_its_place() -> None:
    inbox = Inbox(2)
    for digit in b"12345":
        inbox.put(("dtmf", msgspec.Raw(b'{"digit":"%c"}' % digit)))
    first = inbox.take()
    inbox.put(("dtmf", msgspec.Raw(b'{"digit":"6"}')))
    inbox.take()
    assert first == ("dtmf", msgspec.Raw(b'{"digit":"1"}'))
    assert inbox.take() == api.EventsDropped(count=4)
    assert not inbox
