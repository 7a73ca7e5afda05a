"""What clients notice while media workers are overloaded."""

import pytest
from desk import OFFER, Client, Desk, Refused

from roomtone.engine import messages as ms
from roomtone.engine.overload import Level


def load(desk: Desk, worker: int, level: Level) -> None:
    desk.event(worker, ms.WorkerLoad(busy=0.9, waiting=0.0, late=0.0, level=int(level)))


def caller(desk: Desk) -> Client:
    client = desk.connect()
    client.call("session.create")
    return client


def test_new_endpoints_are_refused_with_a_reason_and_a_hint_and_nothing_else_is(desk: Desk) -> None:
    client = caller(desk)
    made = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    load(desk, 0, Level.NEW_ENDPOINTS)
    for method, params in (
        ("endpoint.create_from_offer", {"sdp": OFFER}),
        ("endpoint.create_offer", {"type": "rtp"}),
        ("endpoint.create_tone", {"tone": "beep"}),
    ):
        with pytest.raises(Refused, match=r"Overload.*retry in \d+ seconds") as refused:
            client.call(method, **params)
        assert refused.value.code == "ENDPOINT_ERROR"
    assert desk.core.counts().endpoints_refused == 3
    client.call("endpoint.update_remote_sdp", endpoint_id=made, sdp=OFFER)
    client.call("endpoint.dtmf.inject", endpoint_id=made, digit="1")
    assert [e["endpoint_id"] for e in client.call("stats.snapshot")["endpoints"]] == [made]
    assert desk.core.workers.loads() == {0: 1}
    load(desk, 0, Level.INBAND_KEYS)
    client.call("endpoint.create_tone", tone="beep")


def test_a_session_made_during_an_overload_works_when_it_is_over(desk: Desk) -> None:
    load(desk, 0, Level.NEW_ENDPOINTS)
    client = caller(desk)
    with pytest.raises(Refused, match="ENDPOINT_ERROR"):
        client.call("endpoint.create_tone", tone="beep")
    load(desk, 0, Level.NORMAL)
    client.call("endpoint.create_tone", tone="beep")


def test_nobody_is_refused_while_one_worker_has_room() -> None:
    desk = Desk(workers=3)
    sessions = [caller(desk) for _ in range(3)]
    for client in sessions:
        client.call("endpoint.create_from_offer", sdp=OFFER)
    load(desk, 0, Level.NEW_ENDPOINTS)
    load(desk, 1, Level.STATISTICS)
    for client in sessions:
        client.call("endpoint.create_from_offer", sdp=OFFER)
    assert desk.core.workers.loads() == {0: 1, 1: 2, 2: 3}
    assert desk.workers[0].of(ms.OpenSpread) and desk.workers[2].of(ms.OpenSpread)  # the first one's bus
    for worker in (1, 2):
        load(desk, worker, Level.NEW_ENDPOINTS)
    with pytest.raises(Refused, match="Overload"):
        sessions[2].call("endpoint.create_from_offer", sdp=OFFER)


def test_new_sessions_go_where_least_was_given_up() -> None:
    desk = Desk(workers=3)
    load(desk, 0, Level.STATISTICS)
    load(desk, 1, Level.VOICE_DETECTION)
    for _ in range(3):
        caller(desk).call("endpoint.create_tone", tone="beep")
    assert desk.core.workers.loads() == {0: 0, 1: 0, 2: 3}


def test_a_session_without_endpoints_moves_whole_instead_of_being_spread() -> None:
    desk = Desk(workers=2)
    client = caller(desk)
    load(desk, 0, Level.NEW_ENDPOINTS)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    client.call("endpoint.create_tone", tone="beep")
    assert desk.core.workers.loads() == {0: 0, 1: 2}
    assert not any(worker.of(ms.OpenSpread) for worker in desk.workers.values())
    rtp, tone = desk.workers[1].of(ms.CreateRtp)[0], desk.workers[1].of(ms.CreateTone)[0]
    assert rtp.phase == tone.phase
    desk.kill(0)
    assert not client.events("session.lost")
    desk.kill(1)
    assert client.events("session.lost")


def test_a_worker_that_starts_again_has_given_up_nothing(desk: Desk) -> None:
    load(desk, 0, Level.NEW_ENDPOINTS)
    desk.kill(0)
    desk.restart(0)
    caller(desk).call("endpoint.create_tone", tone="beep")


def test_periodic_statistics_come_less_often_and_are_counted_and_asked_ones_come_always() -> None:
    desk = Desk(workers=2)
    near, far = caller(desk), caller(desk)
    for client in (near, far):
        client.call("endpoint.create_tone", tone="beep")
        client.call("stats.subscribe", interval_ms=1000)
    desk.advance(10)
    assert (len(near.events("stats")), len(far.events("stats"))) == (10, 10)
    load(desk, 0, Level.STATISTICS)
    desk.advance(10)
    assert (len(near.events("stats")), len(far.events("stats"))) == (12, 20)
    assert len(near.call("stats.snapshot")["endpoints"]) == 1
    assert desk.core.counts().stats_withheld == 8
    assert not near.events("events.dropped")
    load(desk, 0, Level.NORMAL)
    desk.advance(3)
    assert len(near.events("stats")) == 15
