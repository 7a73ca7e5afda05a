"""A bot's audio WebSocket in core: token, dialling, who hears it when, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Client, Desk, Refused

from roomtone.control.core import effects as fx
from roomtone.engine import messages as ms
from roomtone.engine.codecs import Codec

BOT, PORT = 7, 50000  # the bot's socket as io numbers it, and io's end of the loopback pair


def created(client: Client, **params: Any) -> tuple[str, str]:
    made = client.call("endpoint.create_websocket", **params)
    return made["endpoint_id"], made["connect_token"]


def dial(desk: Desk, token: str, socket: int = BOT) -> None:
    desk.give(fx.AudioDialled(socket, token))
    if isinstance(desk.audio[-1], fx.OpenAudio):
        desk.give(fx.AudioBound(socket, PORT))


def connected(desk: Desk, client: Client, **params: Any) -> str:
    endpoint, token = created(client, **params)
    dial(desk, token)
    return endpoint


def listed(client: Client) -> list[dict[str, Any]]:
    return client.call("session.info")["endpoints"]


def states(client: Client, endpoint: str) -> list[str]:
    changes = client.events("endpoint.state_changed")
    return [change["new_state"] for change in changes if change["endpoint_id"] == endpoint]


def bus_membership(desk: Desk, worker: int = 0) -> tuple[bool | None, bool | None]:
    newest = desk.workers[worker].of(ms.UpdateRtp)[-1]
    return newest.is_source, newest.is_destination


def test_the_endpoint_is_listed_as_connecting_and_is_on_no_bus(desk: Desk, client: Client) -> None:
    endpoint, token = created(client, sample_rate=48000, flush_ms=100)
    assert len(token) >= 32, "128 random bits and more"
    (shown,) = listed(client)
    assert shown == {
        "endpoint_id": endpoint,
        "endpoint_type": "websocket",
        "direction": "sendrecv",
        "state": "connecting",
        "codec": "L16/48000",
        "local_rtp_addr": None,
        "remote_rtp_addr": None,
    }
    (made,) = desk.workers[0].of(ms.CreateRtp)
    assert (made.kind, made.rtcp_mux, made.is_source, made.is_destination) == (
        "websocket",
        True,
        False,
        False,
    )
    assert made.media is not None
    assert made.media.send_codec is Codec.L16_16K


@pytest.mark.parametrize(
    "params", [{"sample_rate": 44100}, {"flush_ms": 30}, {"flush_ms": -20}, {"direction": "both"}]
)
def test_what_cannot_be_is_refused(client: Client, params: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        client.call("endpoint.create_websocket", **params)
    assert refused.value.code == "INVALID_PARAMS"
    assert listed(client) == []


def test_a_dialled_bot_joins_the_bus_before_its_audio_is_let_go(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.UpdateRtp)
    endpoint, token = created(client, sample_rate=16000, flush_ms=40)
    dial(desk, token)
    port = desk.workers[0].of(ms.CreateRtp)[0]
    assert desk.audio == [fx.OpenAudio(BOT, 30000, 16000, 40)], port
    assert states(client, endpoint) == []
    desk.answer_late(0)
    assert desk.audio[1:] == [fx.StartAudio(BOT)]
    told = desk.workers[0].of(ms.UpdateRtp)[-1]
    assert told.remote == ms.Remote(ip="127.0.0.1", port=PORT, rtcp_port=PORT)
    assert (told.is_source, told.is_destination, told.send_at_once) == (True, True, True)
    assert states(client, endpoint) == ["connected"]
    assert client.events("endpoint.ws.connected") == [{"endpoint_id": endpoint}]


@pytest.mark.parametrize("direction, on_bus", [("sendonly", (True, False)), ("recvonly", (False, True))])
def test_the_direction_is_the_bots(
    desk: Desk, client: Client, direction: str, on_bus: tuple[bool, bool]
) -> None:
    endpoint = connected(desk, client, direction=direction)
    assert bus_membership(desk) == on_bus
    client.call("endpoint.update_direction", endpoint_id=endpoint, direction="sendrecv")
    assert bus_membership(desk) == (True, True)
    assert not desk.workers[0].of(ms.UpdateRtp)[-1].relearn


def test_a_direction_changed_before_the_bot_dials_holds_when_it_has(desk: Desk, client: Client) -> None:
    endpoint, token = created(client)
    client.call("endpoint.update_direction", endpoint_id=endpoint, direction="sendonly")
    assert desk.workers[0].of(ms.UpdateRtp) == []
    dial(desk, token)
    assert bus_membership(desk) == (True, False)


def test_a_token_is_good_once(desk: Desk, client: Client) -> None:
    _, token = created(client)
    dial(desk, token)
    dial(desk, token, socket=8)
    assert desk.audio[-1] == fx.CloseAudio(8, 1008, "unknown connect token")
    dial(desk, "guessed", socket=9)
    assert desk.audio[-1] == fx.CloseAudio(9, 1008, "unknown connect token")


def test_nobody_dials_in_time_and_the_endpoint_is_gone(desk: Desk, client: Client) -> None:
    endpoint, token = created(client)
    desk.advance(29)
    assert len(listed(client)) == 1
    desk.advance(2)
    assert client.events("endpoint.ws.connect_timeout") == [{"endpoint_id": endpoint}]
    assert listed(client) == []
    assert desk.workers[0].endpoints == {}
    dial(desk, token)
    assert desk.audio == [fx.CloseAudio(BOT, 1008, "unknown connect token")]


def test_a_connected_bot_stays_beyond_the_time_to_dial(desk: Desk, client: Client) -> None:
    endpoint = connected(desk, client)
    desk.advance(60)
    assert client.events("endpoint.ws.connect_timeout") == []
    assert listed(client)[0]["endpoint_id"] == endpoint


def test_a_bot_that_leaves_is_off_the_bus_and_listed_until_removed(desk: Desk, client: Client) -> None:
    endpoint = connected(desk, client)
    desk.give(fx.AudioEnded(BOT))
    assert states(client, endpoint) == ["connected", "disconnected"]
    assert client.events("endpoint.ws.disconnected") == [{"endpoint_id": endpoint}]
    assert bus_membership(desk) == (False, False)
    assert listed(client)[0]["state"] == "disconnected"
    client.call("endpoint.update_direction", endpoint_id=endpoint, direction="sendonly")
    assert bus_membership(desk) == (False, False)
    client.call("endpoint.remove", endpoint_id=endpoint)
    assert listed(client) == []
    assert len(client.events("endpoint.ws.disconnected")) == 1


def test_a_bot_that_has_left_is_not_listened_to(desk: Desk, client: Client) -> None:
    endpoint = connected(desk, client)
    client.call("vad.start", endpoint_id=endpoint)
    client.call("vad.stop", endpoint_id=endpoint)
    desk.give(fx.AudioEnded(BOT))
    assert client.refusal("vad.start", endpoint_id=endpoint) == "VAD_ERROR"
    assert client.refusal("fax_detect.start", endpoint_id=endpoint) == "FAX_DETECT_ERROR"
    info = client.call("session.info")
    assert info["vad_active"] == info["fax_detect_active"] == []


def test_a_bot_that_leaves_while_it_joins_ends_disconnected(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.UpdateRtp)
    endpoint, token = created(client)
    dial(desk, token)
    desk.give(fx.AudioEnded(BOT))
    desk.answer_late(0)
    assert states(client, endpoint) == ["disconnected"]
    assert bus_membership(desk) == (False, False)
    assert fx.StartAudio(BOT) not in desk.audio


def test_a_worker_that_does_not_answer_costs_the_bot_its_connection(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.UpdateRtp)
    endpoint, token = created(client)
    dial(desk, token)
    desk.advance(6)
    assert desk.audio[-1] == fx.CloseAudio(BOT, 1011, "the media worker did not answer")
    desk.give(fx.AudioEnded(BOT))
    desk.workers[0].mute.clear()
    desk.answer_late(0)
    assert states(client, endpoint) == ["disconnected"]
    assert bus_membership(desk) == (False, False)


def test_removing_the_endpoint_closes_the_socket(desk: Desk, client: Client) -> None:
    endpoint = connected(desk, client)
    client.call("endpoint.remove", endpoint_id=endpoint)
    assert desk.audio[-1] == fx.CloseAudio(BOT, 1000, "The endpoint was removed")
    desk.give(fx.AudioEnded(BOT))
    assert client.events("endpoint.ws.disconnected") == [], "the client knows"


def test_removing_an_endpoint_nobody_dialled_voids_its_token(desk: Desk, client: Client) -> None:
    endpoint, token = created(client)
    client.call("endpoint.remove", endpoint_id=endpoint)
    desk.advance(60)
    assert client.events("endpoint.ws.connect_timeout") == []
    dial(desk, token)
    assert desk.audio == [fx.CloseAudio(BOT, 1008, "unknown connect token")]


def test_the_sessions_end_is_the_bots(desk: Desk, client: Client) -> None:
    connected(desk, client)
    _, token = created(client)
    client.call("session.destroy")
    assert desk.audio[-1] == fx.CloseAudio(BOT, 1000, "The session has ended")
    dial(desk, token, socket=8)
    assert desk.audio[-1] == fx.CloseAudio(8, 1008, "unknown connect token")
    assert desk.core.audio.tokens == {}
    assert desk.core.audio.sockets == {}


def test_a_dead_worker_takes_its_bots_along(desk: Desk, client: Client) -> None:
    connected(desk, client)
    desk.kill(0)
    assert desk.audio[-1] == fx.CloseAudio(BOT, 1011, "The media process was lost")
    assert len(client.events("session.lost")) == 1


def test_an_orphaned_session_keeps_its_bot(desk: Desk, client: Client) -> None:
    session = client.call("session.info")["session_id"]
    endpoint = connected(desk, client)
    client.close()
    assert not any(isinstance(effect, fx.CloseAudio) for effect in desk.audio)
    desk.give(fx.AudioEnded(BOT))
    other = desk.connect()
    other.call("session.attach", session_id=session)
    assert other.events("endpoint.ws.disconnected") == [{"endpoint_id": endpoint}]


def test_a_silent_bot_is_not_reported_as_a_silent_peer(desk: Desk, client: Client) -> None:
    endpoint = connected(desk, client)
    session = client.call("session.info")["session_id"]
    desk.event(0, ms.MediaTimeout(session=session, endpoint=endpoint, duration_ms=5000))
    assert client.events("endpoint.media_timeout") == []


def held(desk: Desk, session: str) -> list[ms.SnapshotEndpoint]:
    """What a worker tells of the session: the newest note of each endpoint."""
    notes: dict[str, bytes] = {}
    for body in desk.workers[0].commands:
        if isinstance(body, ms.CreateRtp | ms.UpdateRtp) and body.note:
            notes[body.endpoint] = body.note
    return [
        ms.SnapshotEndpoint(session=session, endpoint=endpoint, kind="websocket", note=note)
        for endpoint, note in notes.items()
    ]


def test_after_a_restart_of_control_bots_are_told_as_gone(desk: Desk, client: Client) -> None:
    session = client.call("session.info")["session_id"]
    talking = connected(desk, client, sample_rate=16000)
    waiting, _ = created(client)
    left, token = created(client)
    dial(desk, token, socket=8)
    desk.give(fx.AudioEnded(8))
    fresh = Desk()
    fresh.workers[0].endpoints = dict(desk.workers[0].endpoints)
    fresh.give(fx.WorkerHolds(0, held(desk, session)))
    after = fresh.connect()
    after.call("session.attach", session_id=session)
    assert {shown["endpoint_id"]: shown["state"] for shown in listed(after)} == {
        talking: "disconnected",
        left: "disconnected",
    }
    assert listed(after)[0]["codec"] == "L16/16000"
    assert after.events("endpoint.ws.disconnected") == [{"endpoint_id": talking}]
    assert after.events("endpoint.ws.connect_timeout") == [{"endpoint_id": waiting}]
    assert bus_membership(fresh) == (False, False)
    assert waiting not in fresh.workers[0].endpoints
