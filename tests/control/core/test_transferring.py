"""endpoint.transfer: what both clients see, what workers are told, and what is left when it fails."""

import pytest
from desk import OFFER, Client, Desk, Refused

from roomtone.control.core import effects as fx
from roomtone.engine import messages as ms

NO_SUCH = "00000000-0000-4000-8000-000000000000"


def rtp(client: Client, **params: str) -> str:
    return client.call("endpoint.create_from_offer", sdp=OFFER, **params)["endpoint_id"]


def transfer(client: Client, endpoint: str, target: str) -> dict[str, str]:
    return client.call("endpoint.transfer", endpoint_id=endpoint, target_session_id=target)


def listed(client: Client) -> list[str]:
    return [e["endpoint_id"] for e in client.call("session.info")["endpoints"]]


def test_the_endpoint_is_the_targets_and_both_are_told() -> None:
    desk = Desk()
    (anna, a), (ben, b) = desk.session(), desk.session()
    leg = rtp(anna, direction="sendonly")
    before = anna.call("session.info")["endpoints"]
    assert transfer(anna, leg, b) == {"endpoint_id": leg, "target_session_id": b}
    assert [m.get("id") or m["event"] for m in anna.log[-2:]] == ["r4", "endpoint.transferred_out"]
    assert anna.events() == [
        {"event": "endpoint.transferred_out", "data": {"endpoint_id": leg, "target_session_id": b}}
    ]
    assert ben.events("endpoint.transferred_in") == [
        {
            "endpoint_id": leg,
            "source_session_id": a,
            "endpoint_type": "rtp",
            "direction": "sendonly",
            "state": "connected",
        }
    ]
    assert listed(anna) == [] and ben.call("session.info")["endpoints"] == before
    with pytest.raises(Refused):
        anna.call("endpoint.remove", endpoint_id=leg)
    ben.call("endpoint.update_direction", endpoint_id=leg, direction="auto")
    ben.call("endpoint.remove", endpoint_id=leg)
    assert desk.core.workers.loads() == {0: 0}


def test_what_its_worker_tells_afterwards_goes_to_the_targets_client() -> None:
    desk = Desk()
    (anna, a), (ben, b) = desk.session(), desk.session()
    leg = rtp(anna)
    transfer(anna, leg, b)
    for told in (a, b):
        desk.event(0, ms.KeyPressed(session=told, endpoint=leg, digit="1", duration_ms=100))
    assert anna.events("dtmf") == [] and len(ben.events("dtmf")) == 1
    assert [e["endpoint_id"] for e in ben.call("stats.snapshot")["endpoints"]] == [leg]


def test_an_orphaned_target_is_told_after_the_attach() -> None:
    desk = Desk()
    (anna, a), (ben, b) = desk.session(), desk.session()
    leg = rtp(anna)
    ben.close()
    transfer(anna, leg, b)
    back = desk.connect()
    back.call("session.attach", session_id=b)
    assert [e["source_session_id"] for e in back.events("endpoint.transferred_in")] == [a]
    assert listed(back) == [leg]


def test_an_unanswered_offer_may_be_answered_in_the_target() -> None:
    desk = Desk()
    (anna, _), (ben, b) = desk.session(), desk.session()
    leg = anna.call("endpoint.create_offer", type="rtp")["endpoint_id"]
    transfer(anna, leg, b)
    assert ben.events("endpoint.transferred_in")[0]["state"] == "connecting"
    ben.call("endpoint.accept_answer", endpoint_id=leg, sdp=OFFER.replace("0 8 101", "8 101"))
    assert len(ben.events("endpoint.state_changed")) == 1


def test_an_endpoint_keeps_its_worker_and_the_target_is_spread_until_it_leaves() -> None:
    desk = Desk(workers=2)
    (anna, a), (ben, b) = desk.session(), desk.session()
    mine, leg, theirs = rtp(anna), rtp(anna), rtp(ben)
    assert desk.workers[1].endpoints == {theirs: b}
    transfer(anna, leg, b)
    assert desk.workers[0].endpoints == {mine: a, leg: b}
    assert [p.worker for p in desk.workers[0].peers[b]] == [1]
    assert [p.worker for p in desk.workers[1].peers[b]] == [0]
    opened = desk.workers[0].of(ms.OpenSpread)
    assert [body.phase for body in opened] == [desk.core.sessions[b].phase]
    move = desk.workers[0].of(ms.MoveEndpoint)[0]
    assert move.phase == desk.core.sessions[b].phase
    assert desk.workers[0].commands.index(opened[0]) < desk.workers[0].commands.index(move)
    assert desk.core.workers.loads() == {0: 2, 1: 1}
    transfer(ben, leg, a)
    assert desk.workers[0].endpoints == {mine: a, leg: a}
    assert not desk.workers[0].peers and not desk.workers[1].peers
    assert desk.workers[0].buses == {a} and desk.workers[1].buses == {b}


def test_a_target_without_endpoints_moves_to_the_worker_instead_of_being_spread() -> None:
    desk = Desk(workers=2)
    (anna, _), (ben, b) = desk.session(), desk.session()
    leg = rtp(anna)
    ben.call("endpoint.remove", endpoint_id=rtp(ben))
    transfer(anna, leg, b)
    assert desk.core.sessions[b].home == 0
    assert not any(worker.of(ms.OpenSpread) for worker in desk.workers.values())
    assert desk.workers[1].buses == set()


def test_a_spread_session_that_is_left_on_one_worker_is_at_home_there() -> None:
    desk = Desk(workers=2)
    (anna, _), (ben, b) = desk.session(), desk.session()
    leg, theirs = rtp(anna), rtp(ben)
    transfer(anna, leg, b)
    assert desk.workers[0].peers[b]
    ben.call("endpoint.remove", endpoint_id=theirs)
    assert desk.core.sessions[b].home == 0
    assert not desk.workers[0].peers and desk.workers[1].buses == set()


@pytest.mark.parametrize("kind", ["endpoint.create_tone", "session.bridge"])
def test_only_rtp_endpoints_can_go(kind: str) -> None:
    desk = Desk()
    (anna, _), (_ben, b) = desk.session(), desk.session()
    params = {"tone": "beep"} if "tone" in kind else {"target_session_id": b}
    made = anna.call(kind, **params)["endpoint_id"]
    with pytest.raises(Refused, match="cannot be transferred") as refused:
        transfer(anna, made, b)
    assert refused.value.code == "INVALID_PARAMS"


def test_what_is_not_there_is_refused_by_name() -> None:
    desk = Desk()
    (anna, a), (_ben, b) = desk.session(), desk.session()
    leg = rtp(anna)
    for endpoint, target, code in (
        (leg, a, "INVALID_PARAMS"),
        (leg, NO_SUCH, "SESSION_NOT_FOUND"),
        (NO_SUCH, b, "ENDPOINT_ERROR"),
        ("x", b, "INVALID_PARAMS"),
    ):
        with pytest.raises(Refused) as refused:
            transfer(anna, endpoint, target)
        assert refused.value.code == code
    other, c = desk.session("other app")
    with pytest.raises(Refused) as refused:
        transfer(anna, leg, c)
    assert refused.value.code == "SESSION_NOT_FOUND"
    assert listed(anna) == [leg] and listed(other) == []


def test_a_full_target_refuses_and_nothing_has_changed() -> None:
    desk = Desk(workers=2, config="max_endpoints_per_session = 1")
    (anna, a), (ben, b) = desk.session(), desk.session()
    leg, theirs = rtp(anna), rtp(ben)
    with pytest.raises(Refused, match="maximum of 1") as refused:
        transfer(anna, leg, b)
    assert refused.value.code == "TRANSFER_FAILED"
    assert (listed(anna), listed(ben)) == ([leg], [theirs])
    assert not desk.workers[0].of(ms.MoveEndpoint) and desk.workers[0].endpoints == {leg: a}
    assert anna.events() == ben.events() == []


@pytest.mark.parametrize("kind", [ms.OpenSpread, ms.MoveEndpoint])
@pytest.mark.parametrize("where", [0, 1])
def test_a_worker_that_cannot_take_part_refuses_and_everything_is_given_back(kind: type, where: int) -> None:
    if (kind, where) == (ms.MoveEndpoint, 1):
        return
    desk = Desk(workers=2)
    (anna, a), (ben, b) = desk.session(), desk.session()
    leg, theirs = rtp(anna), rtp(ben)
    desk.workers[where].refuse[kind] = ms.Failed(code="ENDPOINT_ERROR", message="no slot")
    with pytest.raises(Refused, match="no slot") as refused:
        transfer(anna, leg, b)
    assert refused.value.code == "TRANSFER_FAILED"
    assert (listed(anna), listed(ben)) == ([leg], [theirs])
    assert desk.workers[0].endpoints == {leg: a} and desk.workers[1].endpoints == {theirs: b}
    assert not desk.workers[0].peers and not desk.workers[1].peers and desk.workers[0].buses == {a}
    assert desk.core.workers.loads() == {0: 1, 1: 1}
    desk.workers[where].refuse.clear()
    transfer(anna, leg, b)
    assert desk.workers[0].endpoints == {leg: b}


def test_a_move_that_comes_too_late_is_undone_and_a_retry_is_not() -> None:
    desk = Desk(workers=2)
    (anna, a), (ben, b) = desk.session(), desk.session()
    leg = rtp(anna)
    rtp(ben)
    desk.workers[0].mute.add(ms.MoveEndpoint)
    asked = anna.send("endpoint.transfer", endpoint_id=leg, target_session_id=b)
    desk.advance(6)
    assert anna.reply(asked)["error"]["code"] == "SESSION_UNRESPONSIVE"
    assert listed(anna) == [leg] and ben.events() == []
    desk.workers[0].mute.clear()
    transfer(anna, leg, b)
    desk.answer_late(0)  # the first move, and the one that undoes it
    desk.advance(11)
    assert desk.workers[0].endpoints == {leg: b} and leg in listed(ben)
    assert desk.workers[0].moves[leg] == 3
    transfer(ben, leg, a)
    assert desk.workers[0].endpoints == {leg: a}


@pytest.mark.parametrize("who", ["source", "target", "worker of the target"])
def test_whoever_ends_meanwhile_nothing_is_left_behind(who: str) -> None:
    desk = Desk(workers=2, config="disconnect_timeout_secs = 1")
    (anna, _), (ben, b) = desk.session(), desk.session()
    leg, theirs = rtp(anna), rtp(ben)
    desk.workers[0].stalled = True
    asked = anna.send("endpoint.transfer", endpoint_id=leg, target_session_id=b)
    if who == "worker of the target":
        desk.kill(1)
    else:
        (anna if who == "source" else ben).close()
    desk.advance(2)
    desk.workers[0].stalled = False
    desk.answer_late(0)
    held = {
        **desk.workers[0].endpoints,
        **(desk.workers[1].endpoints if who != "worker of the target" else {}),
    }
    if who == "source":
        assert held == {theirs: b} and listed(ben) == [theirs]
        assert ben.events("endpoint.transferred_in") == []
        assert not desk.workers[0].peers and not desk.workers[1].peers
    else:
        assert anna.reply(asked)["error"]["code"] == "TRANSFER_FAILED"
        assert list(held) == [leg] == listed(anna)
    loads = {index: sum(1 for w in held.values() if w) for index in (0,)}
    assert desk.core.workers.loads()[0] == (0 if who == "source" else loads[0])


def test_a_target_that_ends_while_the_endpoint_is_moved_gives_it_back() -> None:
    for answered_within_s in (1, 7):
        desk = Desk()
        (anna, a), (ben, b) = desk.session(), desk.session()
        leg = rtp(anna)
        desk.workers[0].stalled = True
        asked = anna.send("endpoint.transfer", endpoint_id=leg, target_session_id=b)
        ben.call("session.destroy")
        desk.advance(answered_within_s)
        desk.workers[0].stalled = False
        desk.answer_late(0)
        desk.advance(6)
        assert anna.reply(asked)["error"]["code"] == "TRANSFER_FAILED"
        assert desk.workers[0].endpoints == {leg: a} and listed(anna) == [leg]
        assert desk.workers[0].buses == {a} and desk.core.workers.loads() == {0: 1}


def test_over_a_restart_of_control_the_endpoint_is_the_targets() -> None:
    desk = Desk(workers=2)
    (anna, a), (ben, b) = desk.session(), desk.session()
    mine, leg = rtp(anna), rtp(anna)
    theirs = rtp(ben)
    transfer(anna, leg, b)
    notes = {
        (index, body.endpoint): body.note
        for index, worker in desk.workers.items()
        for body in worker.commands
        if isinstance(body, ms.CreateRtp | ms.MoveEndpoint)
    }
    fresh = Desk(workers=2)
    for index, worker in desk.workers.items():
        fresh.workers[index] = worker
        held = [
            ms.SnapshotEndpoint(
                session=s, endpoint=e, kind="rtp", note=notes[index, e], moves=worker.moves.get(e, 0)
            )
            for e, s in worker.endpoints.items()
        ]
        fresh.give(fx.WorkerHolds(index, held))
    assert {e.id: s.id for s in fresh.core.sessions.values() for e in s.endpoints.values()} == {
        mine: a, leg: b, theirs: b,
    }  # fmt: skip
    back = fresh.connect()
    back.call("session.attach", session_id=b)
    assert listed(back) == [theirs, leg]
    transfer(back, leg, a)
    assert fresh.workers[0].endpoints == {mine: a, leg: a}
    assert not fresh.workers[0].peers and not fresh.workers[1].peers
