"""Directions, tones, keys, removal, limits, and what workers' events become."""

import pytest
from desk import OFFER, Client, Desk, Refused

from roomtone.engine import messages as ms

NO_SUCH = "00000000-0000-4000-8000-000000000000"


def rtp(client: Client, **params: object) -> str:
    return client.call("endpoint.rtp.create_from_offer", sdp=OFFER, **params)["endpoint_id"]


def shown(client: Client, endpoint_id: str) -> dict[str, object]:
    (found,) = [e for e in client.call("session.info")["endpoints"] if e["endpoint_id"] == endpoint_id]
    return found


def session_of(desk: Desk) -> str:
    (session_id,) = desk.core.sessions
    return session_id


# -- RTP -----------------------------------------------------------------------------------------------------


def test_an_endpoint_from_an_offer_is_connected_at_once_and_silently(client: Client) -> None:
    endpoint_id = rtp(client)
    assert shown(client, endpoint_id) == {
        "endpoint_id": endpoint_id,
        "endpoint_type": "rtp",
        "direction": "sendrecv",
        "state": "connected",
        "codec": "PCMU",
        "local_rtp_addr": "127.0.0.1:30000",
        "remote_rtp_addr": "192.0.2.7:4000",
        "local_rtcp_addr": "127.0.0.1:30001",
        "remote_rtcp_addr": "192.0.2.7:4001",
    }
    assert not client.events()


def test_a_direction_set_by_hand_lasts_until_auto(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    updates = desk.workers[0].of(ms.UpdateRtp)
    for direction, source, destination in (
        ("recvonly", False, True),
        ("inactive", False, False),
        ("sendonly", True, False),
        ("sendrecv", True, True),
    ):
        client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction=direction)
        last = desk.workers[0].of(ms.UpdateRtp)[-1]
        assert (last.is_source, last.is_destination) == (source, destination)
        assert (last.media, last.remote) == (None, None)
        assert shown(client, endpoint_id)["direction"] == direction
    assert not updates
    client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction="inactive")
    held = OFFER.replace("a=sendrecv", "a=sendonly")
    client.call("endpoint.rtp.reinvite", endpoint_id=endpoint_id, sdp=held)
    assert shown(client, endpoint_id)["direction"] == "inactive"
    client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction="auto")
    assert shown(client, endpoint_id)["direction"] == "sendonly"


def test_learning_opens_again_when_the_peer_may_send_again(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    for direction in ("recvonly", "sendrecv"):
        client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction=direction)
    assert [update.relearn for update in desk.workers[0].of(ms.UpdateRtp)] == [False, True]


def test_an_unchanged_direction_asks_no_worker(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction="sendrecv")
    client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction="auto")
    assert not desk.workers[0].of(ms.UpdateRtp)


def test_removal_is_dated_and_frees_the_slot() -> None:
    desk = Desk(config="max_endpoints_per_session = 2")
    client = desk.connect()
    client.call("session.create")
    first = rtp(client)
    client.call("endpoint.create_tone", tone="beep")
    with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*maximum of 2"):
        rtp(client)
    with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*maximum of 2"):
        client.call("endpoint.create_offer", type="rtp")
    with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*maximum of 2"):
        client.call("endpoint.create_tone", tone="beep")
    desk.advance(3)
    assert client.call("endpoint.remove", endpoint_id=first) == {"removed_at_epoch_ms": 1_700_000_004_000}
    assert desk.workers[0].of(ms.RemoveEndpoint)[0].endpoint == first
    assert rtp(client)
    assert not client.events()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("endpoint.remove", {}),
        ("endpoint.accept_answer", {"sdp": OFFER}),
        ("endpoint.rtp.reinvite", {"sdp": OFFER}),
        ("endpoint.update_direction", {"direction": "auto"}),
        ("endpoint.dtmf.inject", {"digit": "1"}),
        ("endpoint.dtmf.set_sensitive", {"enabled": True}),
    ],
)
def test_unknown_and_foreign_endpoints_are_errors(
    client: Client, method: str, params: dict[str, object]
) -> None:
    other = client.desk.connect()
    other.call("session.create")
    foreign = rtp(other)
    for endpoint_id in (NO_SUCH, foreign):
        with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*not found"):
            client.call(method, endpoint_id=endpoint_id, **params)
    tone = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    if method != "endpoint.remove":
        with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*tone"):
            client.call(method, endpoint_id=tone, **params)


# -- tones ---------------------------------------------------------------------------------------------------


def test_a_tone_plays_finishes_and_stays_listed(desk: Desk, client: Client) -> None:
    result = client.call("endpoint.create_tone", tone="sine", frequency=1000, duration_ms=200)
    tone_id = result["endpoint_id"]
    assert result == {"endpoint_id": tone_id, "tone": "sine"}
    (command,) = desk.workers[0].of(ms.CreateTone)
    assert (command.tone, command.frequency_hz, command.duration_ms) == ("sine", 1000.0, 200)
    assert shown(client, tone_id) == {
        "endpoint_id": tone_id,
        "endpoint_type": "tone",
        "direction": "sendonly",
        "state": "playing",
        "codec": None,
        "local_rtp_addr": None,
        "remote_rtp_addr": None,
    }
    finished = ms.ToneFinished(session=session_of(desk), endpoint=tone_id)
    desk.event(0, finished)
    desk.event(0, finished)
    assert client.events() == [
        {
            "event": "endpoint.state_changed",
            "data": {"endpoint_id": tone_id, "old_state": "playing", "new_state": "finished"},
        },
        {"event": "endpoint.tone.finished", "data": {"endpoint_id": tone_id}},
    ]
    assert shown(client, tone_id)["state"] == "finished"
    client.call("endpoint.remove", endpoint_id=tone_id)


def test_a_sine_without_frequency_has_440_hz_and_lasts(desk: Desk, client: Client) -> None:
    for tone in ("ringback", "ringing", "busy", "beep", "sine", "silence"):
        assert client.call("endpoint.create_tone", tone=tone)["tone"] == tone
    assert {(c.frequency_hz, c.duration_ms) for c in desk.workers[0].of(ms.CreateTone)} == {(440.0, None)}


# -- keys ----------------------------------------------------------------------------------------------------


def test_a_key_is_injected_with_its_defaults(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    assert client.call("endpoint.dtmf.inject", endpoint_id=endpoint_id, digit="#") == {}
    client.call("endpoint.dtmf.inject", endpoint_id=endpoint_id, digit="D", duration_ms=40, volume=0)
    assert desk.workers[0].of(ms.InjectKey) == [
        ms.InjectKey(endpoint=endpoint_id, digit="#", duration_ms=160, volume=10),
        ms.InjectKey(endpoint=endpoint_id, digit="D", duration_ms=40, volume=0),
    ]


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_nothing_is_injected_towards_a_peer_that_does_not_receive(
    desk: Desk, client: Client, direction: str
) -> None:
    made = client.call("endpoint.create_from_offer", sdp=OFFER, direction=direction)
    refused = client.refusal("endpoint.dtmf.inject", endpoint_id=made["endpoint_id"], digit="1")
    assert refused == "ENDPOINT_ERROR"
    client.call("endpoint.update_direction", endpoint_id=made["endpoint_id"], direction="recvonly")
    assert client.call("endpoint.dtmf.inject", endpoint_id=made["endpoint_id"], digit="1") == {}
    assert len(desk.workers[0].of(ms.InjectKey)) == 1


def test_nothing_is_injected_before_the_answer(client: Client) -> None:
    made = client.call("endpoint.create_offer", type="rtp")
    with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*not connected"):
        client.call("endpoint.dtmf.inject", endpoint_id=made["endpoint_id"], digit="1")


def test_a_pressed_key_is_told_and_masked_in_the_log_when_sensitive(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    press = ms.KeyPressed(session=session_of(desk), endpoint=endpoint_id, digit="5", duration_ms=160)
    desk.event(0, press)
    client.call("endpoint.dtmf.set_sensitive", endpoint_id=endpoint_id, enabled=True)
    desk.event(0, press)
    plain, masked = client.events("dtmf")
    expected = {"endpoint_id": endpoint_id, "digit": "5", "duration_ms": 160, "source": "rfc4733"}
    assert plain == expected | {"sensitive": False}
    assert masked == expected | {"sensitive": True}
    assert [log.fields["digit"] for log in desk.logs if log.event == "dtmf"] == ["5", "~"]


# -- other events --------------------------------------------------------------------------------------------


def test_silence_of_a_peer_that_may_send_is_told(desk: Desk, client: Client) -> None:
    endpoint_id, session = rtp(client), session_of(desk)
    timeout = ms.MediaTimeout(session=session, endpoint=endpoint_id, duration_ms=5012)
    desk.event(0, timeout)
    assert client.events() == [
        {"event": "endpoint.media_timeout", "data": {"endpoint_id": endpoint_id, "duration_ms": 5012}}
    ]
    client.call("endpoint.update_direction", endpoint_id=endpoint_id, direction="recvonly")
    desk.event(0, timeout)
    assert len(client.events()) == 1


@pytest.mark.parametrize("reason", ["User hung up", None])
def test_a_bye_is_told_and_changes_no_state(desk: Desk, client: Client, reason: str | None) -> None:
    endpoint_id = rtp(client)
    desk.event(
        0,
        ms.ByeReceived(session=session_of(desk), endpoint=endpoint_id, ssrcs=[1, 4294967295], reason=reason),
    )
    assert client.events() == [
        {
            "event": "endpoint.rtcp_bye",
            "data": {"endpoint_id": endpoint_id, "ssrc_list": [1, 4294967295], "reason": reason},
        }
    ]
    assert shown(client, endpoint_id)["state"] == "connected"


def test_a_slow_client_loses_events_but_no_replies_and_is_told_how_many() -> None:
    desk = Desk(config="event_channel_size = 4\ncritical_event_channel_size = 1")
    client = desk.connect()
    client.call("session.create")
    endpoint_id = rtp(client)
    tones = [client.call("endpoint.create_tone", tone="beep", duration_ms=1)["endpoint_id"] for _ in range(3)]
    session = session_of(desk)
    client.log.clear()
    client.reading = False
    for digit in "12":
        desk.event(0, ms.KeyPressed(session=session, endpoint=endpoint_id, digit=digit, duration_ms=1))
    for tone in tones:  # critical and normal each: 1 waits first, the rest falls back or is lost
        desk.event(0, ms.ToneFinished(session=session, endpoint=tone))
    client.send("server.info")
    client.read()
    client.reading = True
    told = [m.get("event", "reply") for m in client.log]
    assert told == [
        "endpoint.state_changed",
        "dtmf",
        "dtmf",
        "endpoint.tone.finished",
        "endpoint.state_changed",
        "events.dropped",
        "reply",
    ]
    assert client.log[-2]["data"] == {"count": 3}
    assert {e["state"] for e in client.call("session.info")["endpoints"][1:]} == {"finished"}


# -- statistics ----------------------------------------------------------------------------------------------


def test_a_snapshot_has_every_endpoint_in_the_order_of_making(desk: Desk, client: Client) -> None:
    first, tone, second = (
        rtp(client),
        client.call("endpoint.create_tone", tone="beep")["endpoint_id"],
        rtp(client),
    )
    desk.workers[0].counters[first] = {
        "rx_packets": 98,
        "rx_bytes": 15680,
        "rx_lost": 2,
        "rx_jitter_ms": 1.5,
        "rx_last_ms_ago": 7,
        "rx_raw_packets": 101,
        "rx_raw_bytes": 20000,
        "tx_packets": 5,
        "tx_bytes": 800,
        "rtt_ms": 30.0,
        "rtt_observed_ms_ago": 12,
        "remote_packets_lost": 3,
        "playout_delay_ms": 40.0,
        "playout_target_ms": 20.0,
        "rx_late": 1,
        "concealed_ms": 60,
        "local_rtp_addr": "127.0.0.1:30000",
        "remote_rtp_addr": "192.0.2.7:4000",
        "ssrc_rx": 11,
    }
    endpoints = client.call("stats.snapshot")["endpoints"]
    assert [e["endpoint_id"] for e in endpoints] == [first, tone, second]
    assert endpoints[0] == {
        "endpoint_id": first,
        "inbound": {
            "packets": 98, "bytes": 15680, "packets_lost": 2, "jitter_ms": 1.5, "last_received_ms_ago": 7,
            "raw_packets": 101, "raw_bytes": 20000, "dropped": 0, "duplicate": 0, "reordered": 0, "ssrc": 11,
        },
        "outbound": {"packets": 5, "bytes": 800, "remote_packets_lost": 3, "ssrc": 0},
        "rtt_ms": 30.0,
        "codec": "PCMU",
        "state": "connected",
        "playout": {"delay_ms": 40.0, "target_ms": 20.0, "concealed_ms": 60, "late": 1},
        "mos": endpoints[0]["mos"],
        "rtt_observed_ms_ago": 12,
        "local_rtp_addr": "127.0.0.1:30000",
        "remote_rtp_addr": "192.0.2.7:4000",
    }  # fmt: skip
    assert 3.9 < endpoints[0]["mos"] < 4.3
    assert (endpoints[1]["state"], endpoints[1]["mos"]) == ("playing", None)
    assert endpoints[2]["inbound"]["last_received_ms_ago"] is None and endpoints[2]["rtt_ms"] is None


def test_predicted_quality_falls_with_loss_and_delay() -> None:
    from roomtone.ext.event.stats_record import mos

    scores = [mos(0.0, 20), mos(0.01, 20), mos(0.05, 20), mos(0.05, 300), mos(0.5, 2000)]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 5
    assert scores[0] == pytest.approx(4.40, abs=0.01)  # R 92.7: G.107 annex B
    assert scores[-1] == 1.0


def test_statistics_come_at_the_interval_and_while_orphaned(desk: Desk, client: Client) -> None:
    endpoint_id = rtp(client)
    session = session_of(desk)
    client.call("stats.subscribe", interval_ms=1000)
    desk.advance(3.05)
    assert len(client.events("stats")) == 3
    (entry,) = client.events("stats")[0]["endpoints"]
    assert entry["endpoint_id"] == endpoint_id
    assert "dropped" not in entry["inbound"]
    client.close()
    desk.advance(2)
    other = desk.connect()
    other.call("session.attach", session_id=session)
    assert len(other.events("stats")) == 2
    other.call("stats.unsubscribe")
    desk.advance(10)
    assert len(other.events("stats")) == 2
    assert other.call("stats.unsubscribe") == {}


def test_a_new_interval_counts_from_the_last_event(desk: Desk, client: Client) -> None:
    client.call("stats.subscribe", interval_ms=10_000)
    desk.advance(4)
    client.call("stats.subscribe", interval_ms=5000, include_diagnostics=True)
    desk.advance(0.9)
    assert not client.events("stats")
    desk.advance(0.2)
    assert len(client.events("stats")) == 1
    desk.advance(3)
    client.call("stats.subscribe", interval_ms=500)
    desk.advance(0)
    assert len(client.events("stats")) == 2


def test_subscribing_over_and_over_does_not_starve_the_events(desk: Desk, client: Client) -> None:
    for _ in range(50):
        client.call("stats.subscribe", interval_ms=1000)
        desk.advance(0.1)
    assert len(client.events("stats")) == 5


def test_a_slow_worker_gets_one_question_at_a_time(desk: Desk, client: Client) -> None:
    rtp(client)
    desk.workers[0].mute.update((ms.GetStats, ms.PollStats))
    client.call("stats.subscribe", interval_ms=500)
    desk.advance(4)
    assert len(desk.workers[0].of(ms.PollStats)) == 1
    desk.answer_late(0)
    assert len(client.events("stats")) == 1
    with pytest.raises(AssertionError, match="no reply"):
        client.call("stats.snapshot")
    desk.advance(5.1)
    assert client.log[-1]["error"]["code"] == "SESSION_UNRESPONSIVE" or client.events("stats")
    assert any(m.get("error", {}).get("code") == "SESSION_UNRESPONSIVE" for m in client.log)


def test_no_statistics_after_the_session() -> None:
    desk = Desk()
    client = desk.connect()
    client.call("session.create")
    rtp(client)
    client.call("stats.subscribe", interval_ms=500)
    client.call("session.destroy")
    desk.advance(5)
    assert not client.events() and not desk.timers
