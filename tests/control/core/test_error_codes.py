"""Every error code that this version sends is provoked here; what it never sends is named as reserved."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import OFFER, Client, Desk

from roomtone.control.core.effects import ShutdownBegan
from roomtone.control.core.problems import CODES
from roomtone.control.core.requests import MAX_WAITING
from roomtone.engine import messages as ms

NO_SUCH = "00000000-0000-4000-8000-000000000000"
PAGE = Path(__file__).parents[3] / "docs" / "protocol" / "session.md"
RESERVED = set(re.findall(r"`(\w+)`", PAGE.read_text().partition("\nReserved")[2].partition("\n## ")[0]))

Provoke = Callable[[], "dict[str, object] | None"]
PROVOKED: dict[str, Provoke] = {}


def provokes(code: str) -> Callable[[Provoke], Provoke]:
    def keep(provoke: Provoke) -> Provoke:
        PROVOKED[code] = provoke
        return provoke

    return keep


def bound(config: str = "") -> Client:
    client = Desk(config=config).connect()
    client.call("session.create")
    return client


def asked(client: Client, method: str, **params: object) -> dict[str, object] | None:
    return client.reply(client.send(method, **params))


@provokes("PARSE_ERROR")
def _() -> dict[str, object] | None:
    client = Desk().connect()
    client.send_raw("{")
    return client.log[-1]


@provokes("INVALID_REQUEST")
def _() -> dict[str, object] | None:
    client = Desk().connect()
    client.send_raw('{"id":"","method":"server.info"}')
    return client.log[-1]


@provokes("RECORDING_ERROR")
def _() -> dict[str, object] | None:
    return asked(bound(), "recording.stop", recording_id=NO_SUCH)


@provokes("UNKNOWN_METHOD")
def _() -> dict[str, object] | None:
    return asked(Desk().connect(), "session.fly")


@provokes("INVALID_PARAMS")
def _() -> dict[str, object] | None:
    return asked(bound(), "stats.subscribe", interval_ms=1)


@provokes("NO_SESSION")
def _() -> dict[str, object] | None:
    return asked(Desk().connect(), "session.info")


@provokes("SESSION_ALREADY_BOUND")
def _() -> dict[str, object] | None:
    return asked(bound(), "session.create")


@provokes("SESSION_NOT_FOUND")
def _() -> dict[str, object] | None:
    return asked(Desk().connect(), "session.attach", session_id=NO_SUCH)


@provokes("SESSION_NOT_ORPHANED")
def _() -> dict[str, object] | None:
    client = bound()
    (session_id,) = client.desk.core.sessions
    return asked(client.desk.connect(), "session.attach", session_id=session_id)


@provokes("SESSION_GONE")
def _() -> dict[str, object] | None:
    client = bound("empty_session_timeout_secs = 1")
    client.desk.advance(2)
    return asked(client, "session.info")


@provokes("SESSION_UNRESPONSIVE")
def _() -> dict[str, object] | None:
    client = bound()
    client.desk.workers[0].mute = {ms.CreateTone}
    request = client.send("endpoint.create_tone", tone="busy")
    client.desk.advance(5)
    return client.reply(request)


@provokes("SESSION_BUSY")
def _() -> dict[str, object] | None:
    client = bound()
    desk = client.desk
    (session_id,) = desk.core.sessions
    desk.workers[0].mute = {ms.CreateTone}
    client.send("endpoint.create_tone", tone="busy")
    for _ in range(MAX_WAITING):
        client.close()
        client = desk.connect()
        client.call("session.attach", session_id=session_id)
        client.send("session.info")
    client.close()
    return asked(desk.connect(), "session.attach", session_id=session_id)


@provokes("SHUTTING_DOWN")
def _() -> dict[str, object] | None:
    client = bound()
    client.desk.give(ShutdownBegan())
    return asked(client.desk.connect(), "session.create")


@provokes("MAX_SESSIONS_REACHED")
def _() -> dict[str, object] | None:
    return asked(bound("max_sessions = 1").desk.connect(), "session.create")


@provokes("ENDPOINT_ERROR")
def _() -> dict[str, object] | None:
    return asked(bound(), "endpoint.create_from_offer", sdp=OFFER.replace("0 8 101", "18"))


@provokes("VAD_ERROR")
def _() -> dict[str, object] | None:
    return asked(bound(), "vad.start", endpoint_id=NO_SUCH)


@provokes("FAX_DETECT_ERROR")
def _() -> dict[str, object] | None:
    return asked(bound(), "fax_detect.stop", endpoint_id=NO_SUCH)


@provokes("TRANSFER_FAILED")
def _() -> dict[str, object] | None:
    client = bound("max_endpoints_per_session = 1")
    leg = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    full = client.desk.connect()
    target = full.call("session.create")["session_id"]
    full.call("endpoint.create_tone", tone="busy")
    return asked(client, "endpoint.transfer", endpoint_id=leg, target_session_id=target)


@provokes("INTERNAL_ERROR")
def _() -> dict[str, object] | None:
    client = bound()
    client.desk.workers[0].refuse = {ms.CreateTone: ms.Failed(code="OUT_OF_IDEAS", message="?")}
    return asked(client, "endpoint.create_tone", tone="busy")


@pytest.mark.parametrize("code", PROVOKED)
def test_the_code_is_sent(code: str) -> None:
    reply = PROVOKED[code]()
    assert reply is not None
    assert reply["error"]["code"] == code


def test_every_code_of_the_contract_is_provoked_or_reserved() -> None:
    assert set(PROVOKED) | RESERVED == CODES
    assert not set(PROVOKED) & RESERVED
