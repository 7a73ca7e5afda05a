"""The receiver of webhooks that the demo and the tests listen with, and how it knows what is genuine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from demo_parts import signature
from demo_parts.receiver import Manner, Receiver, lanes
from demo_parts.signature import NotGenuine, signed, verify

# The example of the Standard Webhooks libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + "b3RoZXIx" * 4


def headers(given: str = SIGNED, at_s: int = AT_S) -> dict[str, str]:
    return {"webhook-id": ID, "webhook-timestamp": str(at_s), "webhook-signature": given}


@pytest.fixture
def then(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock shows when the example was made."""
    monkeypatch.setattr(signature.time, "time", lambda: AT_S + 10.0)


def test_the_schemes_own_example_is_signed_and_verified_alike(then: None) -> None:
    assert signed(SECRET, ID, AT_S, BODY) == SIGNED
    verify([SECRET], headers(), BODY)


def test_while_a_secret_is_changed_either_side_may_have_two(then: None) -> None:
    verify([OTHER, SECRET], headers(), BODY)
    verify([SECRET], headers(f"{signed(OTHER, ID, AT_S, BODY)} v1a,AAAA {SIGNED}"), BODY)


@pytest.mark.parametrize(
    ("secrets", "given", "body"),
    [
        ([OTHER], headers(), BODY),
        ([], headers(), BODY),
        ([SECRET], headers(), b'{"test": 2432232315}'),
        ([SECRET], headers("v1,"), BODY),
        ([SECRET], headers("v1,\u00e4"), BODY),
        ([SECRET], headers(at_s=AT_S + 1), BODY),
        ([SECRET], headers(signed(SECRET, ID, AT_S - 600, BODY), AT_S - 600), BODY),
        ([SECRET], headers(signed(SECRET, ID, AT_S + 600, BODY), AT_S + 600), BODY),
        ([SECRET], headers() | {"webhook-timestamp": "now"}, BODY),
        ([SECRET], {"webhook-id": ID}, BODY),
    ],
)
def test_what_is_not_genuine_is_not_believed(
    then: None, secrets: list[str], given: dict[str, str], body: bytes
) -> None:
    with pytest.raises(NotGenuine):
        verify(secrets, given, body)


# -- the receiver -------------------------------------------------------------------------------------------

Send = Callable[..., Awaitable[int]]


def received(scenario: Callable[[Receiver, Send], Awaitable[None]]) -> Receiver:
    """send(id, event, **headers): the status of the answer; 0: none."""

    async def run() -> Receiver:
        async with Receiver() as receiver, aiohttp.ClientSession() as http:
            receiver.secrets["/hook"] = [SECRET]

            async def send(webhook_id: str, event: dict[str, Any], **more: str) -> int:
                body, at_s = json.dumps(event).encode(), int(time.time())
                given = headers(signed(SECRET, webhook_id, at_s, body), at_s) | {"webhook-id": webhook_id}
                try:
                    async with http.post(receiver.url("/hook"), data=body, headers=given | more) as reply:
                        return reply.status
                except aiohttp.ClientConnectionError:
                    return 0

            await scenario(receiver, send)
        return receiver

    return asyncio.run(run())


def test_an_event_counts_once_however_often_it_comes() -> None:
    async def scenario(receiver: Receiver, send: Send) -> None:
        receiver.manner = lambda path, event: Manner(500 if not receiver.log else 200)
        one = {"event": "call.new", "session_uuid": "s", "session_sequence": 1}
        assert [await send("evt_1", one) for _ in range(3)] == [500, 200, 200]
        assert await send("evt_2", {"event": "call.hangup", "session_uuid": "s"}) == 200

    receiver = received(scenario)
    assert [event["event"] for event in receiver.events] == ["call.new", "call.hangup"]
    assert [(each.accepted, each.again) for each in receiver.log] == [
        (False, False),
        (True, False),
        (True, True),
        (True, False),
    ]


def test_what_is_not_signed_is_refused_and_does_not_count() -> None:
    async def scenario(receiver: Receiver, send: Send) -> None:
        assert await send("evt_1", {"event": "call.new"}, **{"webhook-signature": "v1,AAAA"}) == 401

    receiver = received(scenario)
    assert receiver.log == []
    assert receiver.refused == ["/hook: no signature fits"]


def test_it_can_be_slow_and_close_and_stall() -> None:
    async def scenario(receiver: Receiver, send: Send) -> None:
        manners = {"a": Manner(delay_s=0.01), "b": Manner(closes=True), "c": Manner(stalls=True)}
        receiver.manner = lambda path, event: manners[event["event"]]
        assert await send("evt_1", {"event": "a"}) == 200
        assert await send("evt_2", {"event": "b"}) == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await send("evt_3", {"event": "c"})

    receiver = received(scenario)
    assert [each.accepted for each in receiver.log] == [True, False, False]


def test_lanes_are_those_of_room_and_session_without_what_came_late_or_again() -> None:
    async def scenario(receiver: Receiver, send: Send) -> None:
        joined = {
            "event": "j",
            "room_id": "r",
            "room_sequence": 2,
            "session_uuid": "s",
            "session_sequence": 1,
        }
        await send("evt_1", {"event": "created", "room_id": "r", "room_sequence": 1})
        await send("evt_2", joined)
        await send("evt_2", joined)
        await send("evt_0", {"event": "x", "room_id": "r", "room_sequence": 9}, **{"webhook-late": "true"})

    receiver = received(scenario)
    assert lanes(receiver.log) == {("/hook", "r"): [1, 2], ("/hook", "s"): [1]}


def test_waiting_for_an_event_ends_when_it_comes_and_says_what_came_instead() -> None:
    async def scenario(receiver: Receiver, send: Send) -> None:
        waiting = asyncio.create_task(receiver.wait_for("dtmf", count=2, digit="5"))
        for number, digit in enumerate("545"):
            await send(f"evt_{number}", {"event": "dtmf", "digit": digit, "n": number})
        assert (await waiting)["n"] == 2

    received(scenario)
