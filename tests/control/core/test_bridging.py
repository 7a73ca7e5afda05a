"""session.bridge: what clients see, and what workers are told."""

import pytest
from desk import Client, Desk, Refused

from roomtone.engine import messages as ms

NO_SUCH = "00000000-0000-4000-8000-000000000000"
REFUSAL = ms.Failed(code="ENDPOINT_ERROR", message="no slot")


def bridge(client: Client, target: str, **params: str) -> tuple[str, str]:
    made = client.call("session.bridge", target_session_id=target, **params)
    return made["endpoint_id"], made["target_endpoint_id"]


def listed(client: Client) -> list[tuple[str, str, str]]:
    endpoints = client.call("session.info")["endpoints"]
    return [(e["endpoint_id"], e["endpoint_type"], e["direction"]) for e in endpoints]


def idle(desk: Desk) -> bool:
    """No worker holds anything."""
    return not any(w.endpoints or w.buses or w.peers or w.feeds for w in desk.workers.values())


def brings(desk: Desk, end: str) -> list[int] | None:
    """From which workers an end of a bridge brings what it brings."""
    for worker in desk.workers.values():
        if end in worker.feeds:
            return [peer.worker for peer in worker.feeds[end].feeds]
    return None


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bridge_is_an_endpoint_in_each_session_fed_with_the_other(workers: int) -> None:
    desk = Desk(workers=workers)
    (anna, a), (ben, b) = desk.session(), desk.session()
    here, there = bridge(anna, b)
    assert listed(anna) == [(here, "bridge", "sendrecv")]
    assert listed(ben) == [(there, "bridge", "sendrecv")]
    homes = [desk.core.sessions[s].home for s in (a, b)]
    assert homes == [0, workers - 1]
    assert (brings(desk, here), brings(desk, there)) == ([homes[1]], [homes[0]])
    assert desk.workers[homes[0]].feeds[here].phase == desk.core.sessions[b].phase
    assert anna.events() == ben.events() == []


def test_the_direction_is_seen_from_the_other_session() -> None:
    for direction, mirrored, hears, is_heard in (
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", True, False),
        ("recvonly", "sendonly", False, True),
        ("inactive", "inactive", False, False),
    ):
        desk = Desk()
        (anna, _), (ben, b) = desk.session(), desk.session()
        here, there = bridge(anna, b, direction=direction)
        assert listed(anna) == [(here, "bridge", direction)]
        assert listed(ben) == [(there, "bridge", mirrored)]
        made = {body.endpoint: body.is_source for body in desk.workers[0].of(ms.CreateBridge)}
        assert made == {here: hears, there: is_heard}
        assert (brings(desk, here) is not None, brings(desk, there) is not None) == (hears, is_heard)


def hears(desk: Desk, end: str) -> bool:
    """The end is a source of its session, and is fed."""
    return any(worker.turned.get(end) for worker in desk.workers.values()) and brings(desk, end) is not None


@pytest.mark.parametrize("made", ["sendrecv", "recvonly"])
def test_each_end_has_a_direction_and_both_have_to_allow_what_is_heard(made: str) -> None:
    desk = Desk(workers=2)
    (anna, _), (ben, b) = desk.session(), desk.session()
    here, there = bridge(anna, b, direction=made)
    as_made = (made == "sendrecv", True)
    assert (hears(desk, here), hears(desk, there)) == as_made

    def turn(client: Client, direction: str) -> tuple[bool, bool]:
        """Whether anna's session hears ben's, and ben's anna's."""
        own = here if client is anna else there
        assert client.call("endpoint.update_direction", endpoint_id=own, direction=direction) == {}
        return hears(desk, here), hears(desk, there)

    turn(ben, "sendrecv")
    for direction, heard in (
        ("sendonly", (True, False)),
        ("inactive", (False, False)),
        ("recvonly", (False, True)),
        ("sendrecv", (True, True)),
    ):
        assert turn(anna, direction) == heard
        assert listed(anna) == [(here, "bridge", direction)]
        assert listed(ben) == [(there, "bridge", "sendrecv")]
    assert turn(ben, "inactive") == (False, False)
    assert turn(anna, "sendonly") == (False, False), "what ben has forbidden anna cannot allow"
    turn(ben, "auto")
    assert turn(anna, "auto") == as_made
    assert listed(anna) == [(here, "bridge", made)]
    assert anna.events() == ben.events() == []


@pytest.mark.parametrize("worker", [0, 1])
def test_a_direction_that_a_worker_does_not_take_is_as_it_was(worker: int) -> None:
    desk = Desk(workers=2)
    (anna, _), (_, b) = desk.session(), desk.session()
    here, there = bridge(anna, b)
    desk.workers[worker].stalled = True
    asked = anna.send("endpoint.update_direction", endpoint_id=here, direction="inactive")
    desk.advance(6)
    assert anna.reply(asked)["error"]["code"] == "SESSION_UNRESPONSIVE"
    assert listed(anna) == [(here, "bridge", "sendrecv")]
    desk.workers[worker].stalled = False
    desk.answer_late(worker)
    desk.advance(11)
    assert hears(desk, here) and hears(desk, there)


def test_the_direction_of_a_bridge_whose_session_ends_meanwhile_leaves_nothing() -> None:
    for ends in (0, 1):
        desk = Desk(workers=2)
        (anna, _), (ben, b) = desk.session(), desk.session()
        here, _ = bridge(anna, b)
        desk.workers[1].stalled = True
        asked = anna.send("endpoint.update_direction", endpoint_id=here, direction="inactive")
        (anna, ben)[ends].close()
        desk.advance(31)
        if ends:
            assert anna.reply(asked)["error"]["code"] == "SESSION_UNRESPONSIVE"
            assert listed(anna) == []
            assert (
                anna.refusal("endpoint.update_direction", endpoint_id=here, direction="auto")
                == "ENDPOINT_ERROR"
            )
        (ben, anna)[ends].close()
        desk.workers[1].stalled = False
        desk.advance(31)
        desk.answer_late(1)
        desk.advance(11)
        assert idle(desk)


def test_removing_either_end_removes_both_and_gives_everything_back() -> None:
    desk = Desk(workers=2)
    (anna, _), (ben, b) = desk.session(), desk.session()
    for client, which in ((anna, 0), (ben, 1)):
        ends = bridge(anna, b)
        assert client.call("endpoint.remove", endpoint_id=ends[which])["removed_at_epoch_ms"]
        assert listed(anna) == listed(ben) == []
        assert not any(w.endpoints or w.peers or w.feeds for w in desk.workers.values())
    assert desk.core.workers.loads() == {0: 0, 1: 0}


def test_the_end_of_a_session_removes_the_other_ends() -> None:
    desk = Desk(workers=2)
    (anna, _), (ben, b), (carl, c) = desk.session(), desk.session(), desk.session()
    bridge(anna, b)
    kept = bridge(ben, c)
    anna.call("session.destroy")
    assert listed(ben) == [(kept[0], "bridge", "sendrecv")]
    assert brings(desk, kept[1]) == [desk.core.sessions[b].home]
    carl.call("session.destroy")
    assert listed(ben) == []
    ben.call("session.destroy")
    assert idle(desk)
    assert desk.core.workers.loads() == {0: 0, 1: 0}


def test_two_sessions_may_be_bridged_twice_and_to_others() -> None:
    desk = Desk(workers=2)
    (anna, _), (_ben, b), (_carl, c) = desk.session(), desk.session(), desk.session()
    ends = [bridge(anna, target) for target in (b, b, c)]
    assert [end for end, _, _ in listed(anna)] == [end for end, _ in ends]
    assert all(brings(desk, end) for pair in ends for end in pair)


def test_who_hears_is_told_when_a_worker_joins_or_leaves_the_session_heard() -> None:
    desk = Desk(workers=3, config="session_spread_at = 2\nmax_endpoints_per_session = 0")
    (anna, _), (ben, b) = desk.session(), desk.session()
    here, _ = bridge(anna, b)
    home = desk.core.sessions[b].home
    assert brings(desk, here) == [home]
    tones = [ben.call("endpoint.create_tone", tone="beep")["endpoint_id"] for _ in range(3)]
    assert len(brings(desk, here) or []) > 1
    for tone in tones:
        ben.call("endpoint.remove", endpoint_id=tone)
    assert brings(desk, here) == [home]


def test_what_cannot_be_bridged_is_refused_by_name() -> None:
    desk = Desk(config="max_endpoints_per_session = 1")
    (anna, a), (ben, b) = desk.session(), desk.session()
    for target, code in ((a, "INVALID_PARAMS"), (NO_SUCH, "SESSION_NOT_FOUND")):
        with pytest.raises(Refused) as refused:
            bridge(anna, target)
        assert refused.value.code == code
    with pytest.raises(Refused, match="direction"):
        bridge(anna, b, direction="both")
    ben.call("endpoint.create_tone", tone="beep")
    for client, target in ((anna, b), (ben, a)):
        with pytest.raises(Refused, match="maximum of 1") as refused:
            bridge(client, target)
        assert refused.value.code == "ENDPOINT_ERROR"
    assert listed(anna) == [] and len(listed(ben)) == 1
    assert not desk.workers[0].peers


def test_another_apps_session_is_not_there() -> None:
    desk = Desk()
    (anna, _), (_, b) = desk.session("one"), desk.session("two")
    with pytest.raises(Refused) as refused:
        bridge(anna, b)
    assert refused.value.code == "SESSION_NOT_FOUND"


@pytest.mark.parametrize("refused_at", [0, 1])
@pytest.mark.parametrize("kind", [ms.OpenSpread, ms.CreateBridge])
def test_a_bridge_that_a_worker_refuses_leaves_nothing(refused_at: int, kind: type) -> None:
    desk = Desk(workers=2)
    (anna, _), (ben, b) = desk.session(), desk.session()
    desk.workers[refused_at].refuse[kind] = REFUSAL
    with pytest.raises(Refused, match="no slot"):
        bridge(anna, b)
    assert listed(anna) == listed(ben) == []
    assert not any(w.endpoints or w.peers for w in desk.workers.values())
    assert desk.core.workers.loads() == {0: 0, 1: 0}


@pytest.mark.parametrize("stalled", [0, 1])
def test_a_bridge_that_is_made_too_late_is_taken_back(stalled: int) -> None:
    desk = Desk(workers=2)
    (anna, _), (_, b) = desk.session(), desk.session()
    desk.workers[stalled].stalled = True
    asked = anna.send("session.bridge", target_session_id=b)
    desk.advance(11)
    assert anna.reply(asked)["error"]["code"] == "SESSION_UNRESPONSIVE"
    desk.workers[stalled].stalled = False
    desk.answer_late(stalled)
    desk.advance(11)
    assert not any(w.endpoints or w.peers for w in desk.workers.values())


def test_a_session_that_ends_while_it_is_bridged_leaves_nothing() -> None:
    for ends in (0, 1):
        desk = Desk(workers=2)
        (anna, _), (ben, b) = desk.session(), desk.session()
        desk.workers[1].stalled = True
        anna.send("session.bridge", target_session_id=b)
        (anna, ben)[ends].close()
        desk.advance(31)
        (ben, anna)[ends].close()
        desk.advance(31)
        desk.workers[1].stalled = False
        desk.answer_late(1)
        desk.advance(11)
        assert idle(desk)
