"""Periodic statistics: what an event says, who is asked how often, and what a slow client gets."""

import json
from typing import Any

import pytest
from desk import OFFER, Client, Desk
from hypothesis import given
from hypothesis import strategies as st

from roomtone.control.core import api, frame
from roomtone.control.core.polling import CODECS, SESSIONS_A_POLL
from roomtone.control.core.session import Endpoint
from roomtone.control.core.stats import endpoint_stats
from roomtone.engine import messages as ms
from roomtone.ext.event.stats_record import record, stats_event

counts = st.integers(0, 2**53)
small = st.integers(0, 2**32 - 1)
milliseconds = st.integers(0, 10**9).map(lambda us: us / 1000)
addresses = st.sampled_from(["", "192.0.2.7:4000", "[2001:db8::7]:65535"])
counters = st.fixed_dictionaries(
    {
        "rx_packets": counts, "rx_bytes": counts, "rx_lost": st.integers(-1000, 2**31),
        "rx_jitter_ms": milliseconds, "rx_last_ms_ago": st.none() | counts,
        "rx_raw_packets": counts, "rx_raw_bytes": counts,
        "rx_dropped": small, "rx_late": small, "rx_duplicate": small, "rx_reordered": small,
        "playout_delay_ms": milliseconds, "playout_target_ms": st.none() | milliseconds,
        "concealed_ms": counts, "tx_packets": counts, "tx_bytes": counts,
        "local_rtp_addr": addresses, "remote_rtp_addr": addresses,
        "ssrc_rx": small, "ssrc_tx": small,
    }
)  # fmt: skip
round_trips = st.just({}) | st.fixed_dictionaries({"rtt_ms": milliseconds, "rtt_observed_ms_ago": counts})
reports = st.just({}) | st.fixed_dictionaries(
    {"remote_packets_lost": st.integers(-(2**31), 2**31), "remote_jitter_ms": milliseconds}
)


def talker(desk: Desk, interval_ms: int = 1000) -> Client:
    client = desk.connect()
    client.call("session.create")
    client.call("endpoint.create_from_offer", sdp=OFFER)
    client.call("stats.subscribe", interval_ms=interval_ms)
    return client


@given(counters, round_trips, reports, st.integers(0, len(CODECS) - 1), st.booleans())
def test_a_record_says_what_a_snapshot_says(
    counted: dict[str, Any], trip: dict[str, Any], report: dict[str, Any], codec: int, diagnostics: bool
) -> None:
    values = counted | trip | report
    endpoint = Endpoint(id="11111111-2222-4333-8444-555555555555", kind="rtp", worker=0, state="connected")
    told = ms.EndpointStats(endpoint=endpoint.id, kind="rtp", codec=CODECS[codec], **values)
    snapshot = json.loads(frame.encode_event(api.Stats([endpoint_stats(endpoint, told, diagnostics)])))
    text = stats_event(
        {endpoint.id: endpoint}, [endpoint.id], record(codec=codec, **values), 0, CODECS, diagnostics
    )
    event = json.loads(text)
    for each in (snapshot, event):
        each["mos"] = pytest.approx(each["data"]["endpoints"][0].pop("mos"), abs=0.011)  # both are rounded
    assert event == snapshot


def test_a_large_session_is_told_whole_in_its_own_order() -> None:
    endpoints = {
        f"{n:08}-0000-4000-8000-000000000000": Endpoint(id=str(n), kind="rtp", worker=0) for n in range(200)
    }
    counted = list(reversed(list(endpoints)[:-1]))  # another order, and one nobody tells of
    records = record(rx_packets=9999) + b"".join(record(rx_packets=int(id[:8])) for id in counted)
    event = json.loads(stats_event(endpoints, counted, records, 1, CODECS, False))
    told = event["data"]["endpoints"]
    assert [entry["endpoint_id"] for entry in told] == list(endpoints)
    assert [entry["inbound"]["packets"] for entry in told] == [*range(199), 0]
    assert told[-1]["inbound"]["last_received_ms_ago"] is None


def test_what_cannot_be_told_is_refused() -> None:
    endpoint = Endpoint(id="e", kind="rtp", worker=0)
    with pytest.raises(ValueError, match="records"):
        stats_event({"e": endpoint}, ["e", "f"], record(), 0, CODECS, False)
    with pytest.raises(ValueError, match="codec"):
        stats_event({"e": endpoint}, ["e"], record(codec=len(CODECS)), 0, CODECS, False)
    with pytest.raises(ValueError, match="64 bytes"):
        stats_event({"e" * 65: endpoint}, [], b"", 0, CODECS, False)


def test_many_sessions_are_asked_about_in_one_question() -> None:
    desk = Desk(config="max_sessions = 0")
    clients = [talker(desk) for _ in range(SESSIONS_A_POLL + 3)]
    desk.advance(1.1)
    questions = [len(poll.sessions) for poll in desk.workers[0].of(ms.PollStats)]
    assert questions == [SESSIONS_A_POLL, 3]
    for client in clients:
        (event,) = client.events("stats")
        assert len(event["endpoints"]) == 1


def test_a_session_on_two_workers_is_told_whole_and_delays_nobody_elsewhere() -> None:
    desk = Desk(workers=3, config="session_spread_at = 1")
    wide, near = talker(desk), talker(desk)
    wide.call("endpoint.create_from_offer", sdp=OFFER)
    first, second = [entry["endpoint_id"] for entry in wide.call("session.info")["endpoints"]]
    desk.workers[0].counters[first] = {"rx_packets": 1}
    desk.workers[2].counters[second] = {"rx_packets": 2}
    desk.advance(1)
    (event,) = wide.events("stats")
    told = {entry["endpoint_id"]: entry["inbound"]["packets"] for entry in event["endpoints"]}
    assert told == {first: 1, second: 2}
    desk.workers[0].mute.add(ms.PollStats)
    desk.advance(1)
    assert (len(wide.events("stats")), len(near.events("stats"))) == (1, 2)


def test_a_worker_that_does_not_answer_leaves_zeros() -> None:
    desk = Desk()
    client = talker(desk)
    desk.workers[0].mute.add(ms.PollStats)
    desk.advance(7)
    (event,) = client.events("stats")
    assert event["endpoints"][0]["inbound"]["packets"] == 0


def test_events_keep_to_the_interval_when_time_was_lost() -> None:
    desk = Desk()
    quick, slow = talker(desk, 700), talker(desk, 1400)
    desk.now_us += 10_050_000  # control stood still
    desk.advance(0)
    assert (len(quick.events("stats")), len(slow.events("stats"))) == (1, 1)
    desk.advance(7.1)
    assert (len(quick.events("stats")), len(slow.events("stats"))) == (11, 6)


def test_a_client_that_does_not_read_loses_events_and_is_told_how_many() -> None:
    desk = Desk(config="event_channel_size = 3")
    client = talker(desk)
    client.reading = False
    desk.advance(5)
    client.reading = True
    client.read()
    told = [message["event"] for message in client.log if "event" in message]
    assert told == ["stats"] * 3 + ["events.dropped"]
    assert client.events("events.dropped") == [{"count": 2}]
    assert desk.core.counts().events["stats"] == 3
    assert desk.core.counts().events_dropped == 2


def test_what_waits_for_a_client_is_not_overtaken_by_statistics() -> None:
    desk = Desk()
    client = talker(desk)
    endpoint = client.call("session.info")["endpoints"][0]["endpoint_id"]
    session = next(iter(desk.core.sessions))
    client.reading = False
    desk.event(
        0, ms.KeyPressed(session=session, endpoint=endpoint, digit="1", duration_ms=80, source="rfc4733")
    )
    desk.advance(1)
    client.reading = True
    client.read()
    assert [message["event"] for message in client.log if "event" in message] == ["dtmf", "stats"]
