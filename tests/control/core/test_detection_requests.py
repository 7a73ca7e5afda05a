"""vad.*, fax_detect.*, sensitive keys: what clients may ask, and what they are told."""

from __future__ import annotations

import pytest
from desk import OFFER, Client, Desk, Refused

from roomtone.control.core.effects import WorkerHolds
from roomtone.engine import messages as ms

NO_SUCH = "00000000-0000-4000-8000-000000000000"
METHODS = {
    "vad.start": "VAD_ERROR",
    "vad.stop": "VAD_ERROR",
    "fax_detect.start": "FAX_DETECT_ERROR",
    "fax_detect.stop": "FAX_DETECT_ERROR",
}


def rtp(client: Client, **params: object) -> str:
    return client.call("endpoint.rtp.create_from_offer", sdp=OFFER, **params)["endpoint_id"]


def active(client: Client) -> tuple[list[str], list[str]]:
    info = client.call("session.info")
    return info["vad_active"], info["fax_detect_active"]


def test_speech_is_watched_as_asked_and_the_session_says_so(desk: Desk, client: Client) -> None:
    first, second = rtp(client), rtp(client)
    assert client.call("vad.start", endpoint_id=first) == {}
    asked = {"silence_interval_ms": 100, "speech_threshold": 1, "model": "neural"}
    assert client.call("vad.start", endpoint_id=second.upper(), **asked) == {}
    assert [start.vad for start in desk.workers[0].of(ms.StartVad)] == [
        ms.Vad(silence_interval_ms=1000, speech_threshold=0.5, neural=False),
        ms.Vad(silence_interval_ms=100, speech_threshold=1.0, neural=True),
    ]
    assert active(client) == ([first, second], [])
    assert client.call("vad.start", endpoint_id=first) == {}
    assert client.call("vad.stop", endpoint_id=first) == {}
    assert active(client) == ([second], [])
    client.call("endpoint.remove", endpoint_id=second)
    assert active(client) == ([], [])


def test_fax_tones_are_watched_beside_speech(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    client.call("vad.start", endpoint_id=endpoint_id)
    assert client.call("fax_detect.start", endpoint_id=endpoint_id) == {}
    assert active(client) == ([endpoint_id], [endpoint_id])
    assert client.call("fax_detect.stop", endpoint_id=endpoint_id) == {}
    assert [body.enabled for body in desk.workers[0].of(ms.DetectFax)] == [True, False]
    assert active(client) == ([endpoint_id], [])


@pytest.mark.parametrize("method", METHODS)
def test_an_endpoint_that_is_not_there_or_says_nothing_is_the_methods_own_error(
    client: Client, method: str
) -> None:
    tone = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    listener = rtp(client, direction="recvonly")
    expected = {NO_SUCH: "not found", tone: "tone endpoint", listener: "recvonly"}
    for endpoint_id, words in expected.items():
        reason = words if method.endswith("start") or endpoint_id == NO_SUCH else "watched"
        with pytest.raises(Refused, match=f"{METHODS[method]}.*{reason}"):
            client.call(method, endpoint_id=endpoint_id)
    assert active(client) == ([], [])


@pytest.mark.parametrize("method", ["vad.stop", "fax_detect.stop"])
def test_stopping_what_was_not_started_is_an_error(desk: Desk, client: Client, method: str) -> None:
    endpoint_id = rtp(client)
    with pytest.raises(Refused, match=f"{METHODS[method]}.*watched"):
        client.call(method, endpoint_id=endpoint_id)
    assert not desk.workers[0].of(ms.StopVad) + desk.workers[0].of(ms.DetectFax)


@pytest.mark.parametrize(
    "wrong",
    [
        {"silence_interval_ms": 99},
        {"silence_interval_ms": 3_600_001},
        {"speech_threshold": -0.01},
        {"speech_threshold": 1.01},
        {"model": "loud"},
    ],
)
def test_values_out_of_range_are_invalid(client: Client, wrong: dict[str, object]) -> None:
    with pytest.raises(Refused, match="INVALID_PARAMS"):
        client.call("vad.start", endpoint_id=rtp(client), **wrong)


def test_what_the_worker_refuses_is_not_active(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    desk.workers[0].refuse[ms.StartVad] = ms.Failed(code="VAD_ERROR", message="the model is not installed")
    with pytest.raises(Refused, match=r"VAD_ERROR.*not installed"):
        client.call("vad.start", endpoint_id=endpoint_id, model="neural")
    assert active(client) == ([], [])


def test_a_start_that_succeeds_too_late_is_undone(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    client.call("vad.start", endpoint_id=endpoint_id, silence_interval_ms=700)
    worker = desk.workers[0]
    worker.mute.add(ms.StartVad)
    asked = client.send("vad.start", endpoint_id=endpoint_id)
    desk.advance(6)
    with pytest.raises(Refused, match="SESSION_UNRESPONSIVE"):
        client.result(asked)
    worker.mute.clear()
    desk.answer_late(0)
    assert worker.of(ms.StartVad)[-1].vad.silence_interval_ms == 700


def test_events_of_the_worker_are_told_in_their_order(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    (session,) = desk.core.sessions
    who = {"session": session, "endpoint": endpoint_id}
    for event in (
        ms.SpeechStarted(**who),
        ms.Silent(**who, duration_ms=1320),
        ms.VadFailed(**who, error="overload"),
        ms.FaxTone(**who, tone="cng"),
        ms.FaxTone(**who, tone="ced"),
        ms.FaxFailed(**who, error="overload"),
        ms.KeyPressed(**who, digit="5", duration_ms=80, source="inband"),
    ):
        desk.event(0, event)
    told = [
        (event["event"], {k: v for k, v in event["data"].items() if k != "endpoint_id"})
        for event in client.events()
    ]
    assert told == [
        ("vad.speech_started", {}),
        ("vad.silence", {"silence_duration_ms": 1320}),
        ("vad.error", {"error": "overload"}),
        ("fax.cng_detected", {}),
        ("fax.ced_detected", {}),
        ("fax.error", {"error": "overload"}),
        ("dtmf", {"digit": "5", "duration_ms": 80, "sensitive": False, "source": "inband"}),
    ]
    assert {event["data"]["endpoint_id"] for event in client.events()} == {endpoint_id}


def test_the_worker_is_told_whose_keys_are_sensitive(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    client.call("endpoint.dtmf.set_sensitive", endpoint_id=endpoint_id, enabled=True)
    client.call("endpoint.dtmf.set_sensitive", endpoint_id=endpoint_id, enabled=False)
    assert [body.enabled for body in desk.workers[0].of(ms.SetSensitive)] == [True, False]


def test_a_control_that_was_restarted_knows_what_is_watched(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    (created,) = desk.workers[0].of(ms.CreateRtp)
    held = ms.SnapshotEndpoint(
        session=created.session,
        endpoint=endpoint_id,
        kind="rtp",
        note=created.note,
        created=desk.workers[0].answer(created),
        vad=ms.Vad(silence_interval_ms=700),
        fax=True,
        sensitive=True,
    )
    restarted = Desk()
    restarted.give(WorkerHolds(0, [held]))
    again = restarted.connect()
    again.call("session.attach", session_id=created.session)
    assert active(again) == ([endpoint_id], [endpoint_id])
    restarted.event(
        0, ms.KeyPressed(session=created.session, endpoint=endpoint_id, digit="5", duration_ms=80)
    )
    assert again.events("dtmf")[0]["sensitive"] is True
    assert again.call("vad.stop", endpoint_id=endpoint_id) == {}


def test_what_is_watched_goes_along_to_another_session(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    client.call("vad.start", endpoint_id=endpoint_id)
    other = desk.connect()
    target = other.call("session.create")["session_id"]
    client.call("endpoint.transfer", endpoint_id=endpoint_id, target_session_id=target)
    assert (active(client), active(other)) == (([], []), ([endpoint_id], []))
    desk.event(0, ms.SpeechStarted(session=target, endpoint=endpoint_id))
    assert other.events("vad.speech_started") == [{"endpoint_id": endpoint_id}]
    assert other.call("vad.stop", endpoint_id=endpoint_id) == {}
