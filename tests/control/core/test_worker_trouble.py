"""Workers that are slow, refuse, or die."""

import pytest
from desk import OFFER, Client, Desk, Refused

from roomtone.control.core.effects import WorkerReply, WorkerStarted
from roomtone.engine import messages as ms


def test_no_answer_in_five_seconds_is_unresponsive_and_a_late_success_is_undone(
    desk: Desk, client: Client
) -> None:
    worker = desk.workers[0]
    worker.mute.add(ms.CreateRtp)
    asked = client.send("endpoint.create_from_offer", sdp=OFFER)
    desk.advance(4.9)
    assert client.reply(asked) is None
    desk.advance(0.2)
    with pytest.raises(Refused, match="SESSION_UNRESPONSIVE"):
        client.result(asked)
    assert client.call("session.info")["endpoints"] == []
    desk.answer_late(0)
    assert not worker.endpoints
    assert desk.core.workers.loads() == {0: 0}


def test_a_late_refusal_needs_no_undoing(desk: Desk, client: Client) -> None:
    worker = desk.workers[0]
    worker.mute.add(ms.CreateTone)
    client.send("endpoint.create_tone", tone="beep")
    desk.advance(6)
    ((n, _),) = worker.held
    before = len(worker.commands)
    desk.give(WorkerReply(0, n, ms.Failed(code="ENDPOINT_ERROR", message="too late")))
    assert len(worker.commands) == before


def test_a_late_removal_takes_the_endpoint_off_the_list(desk: Desk, client: Client) -> None:
    endpoint_id = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    desk.workers[0].mute.add(ms.RemoveEndpoint)
    asked = client.send("endpoint.remove", endpoint_id=endpoint_id)
    desk.advance(6)
    with pytest.raises(Refused, match="SESSION_UNRESPONSIVE"):
        client.result(asked)
    assert len(client.call("session.info")["endpoints"]) == 1
    desk.answer_late(0)
    assert client.call("session.info")["endpoints"] == []


def test_a_late_direction_change_is_turned_back(desk: Desk, client: Client) -> None:
    endpoint_id = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    worker = desk.workers[0]
    worker.mute.add(ms.UpdateRtp)
    client.send("endpoint.update_direction", endpoint_id=endpoint_id, direction="inactive")
    desk.advance(6)
    worker.mute.clear()
    desk.answer_late(0)
    turned, back = worker.of(ms.UpdateRtp)
    assert (turned.is_source, turned.is_destination) == (False, False)
    assert (back.is_source, back.is_destination) == (True, True)
    assert client.call("session.info")["endpoints"][0]["direction"] == "sendrecv"


def test_a_late_answer_is_silenced_until_it_is_given_again(desk: Desk, client: Client) -> None:
    made = client.call("endpoint.create_offer", type="rtp")
    worker = desk.workers[0]
    worker.mute.add(ms.UpdateRtp)
    client.send("endpoint.accept_answer", endpoint_id=made["endpoint_id"], sdp=OFFER)
    desk.advance(6)
    worker.mute.clear()
    desk.answer_late(0)
    assert worker.of(ms.UpdateRtp)[-1].is_source is False
    assert client.call("session.info")["endpoints"][0]["state"] == "connecting"
    client.call("endpoint.accept_answer", endpoint_id=made["endpoint_id"], sdp=OFFER)
    assert worker.of(ms.UpdateRtp)[-1].is_source is True
    assert client.call("session.info")["endpoints"][0]["state"] == "connected"


def test_a_workers_refusal_is_passed_on_and_changes_nothing(desk: Desk, client: Client) -> None:
    desk.workers[0].refuse[ms.CreateRtp] = ms.Failed(code="ENDPOINT_ERROR", message="no free ports")
    with pytest.raises(Refused) as refused:
        client.call("endpoint.create_from_offer", sdp=OFFER)
    assert (refused.value.code, refused.value.message) == ("ENDPOINT_ERROR", "no free ports")
    assert client.call("session.info")["endpoints"] == []
    assert desk.core.workers.loads() == {0: 0}


def test_an_unknown_code_of_a_worker_becomes_an_internal_error(desk: Desk, client: Client) -> None:
    desk.workers[0].refuse[ms.CreateRtp] = ms.Failed(code="WHATEVER", message="odd")
    assert client.refusal("endpoint.create_from_offer", sdp=OFFER) == "INTERNAL_ERROR"


def test_an_endpoint_the_worker_has_lost_can_be_removed(desk: Desk, client: Client) -> None:
    endpoint_id = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    desk.workers[0].endpoints.clear()
    assert client.call("endpoint.remove", endpoint_id=endpoint_id)["removed_at_epoch_ms"] > 0
    assert client.call("session.info")["endpoints"] == []


def test_sessions_of_a_dead_worker_are_lost_once_and_others_live() -> None:
    desk = Desk(workers=2)
    clients = [desk.connect() for _ in range(4)]
    ids = [client.call("session.create")["session_id"] for client in clients]
    for client in clients:
        client.call("endpoint.create_from_offer", sdp=OFFER)
    dead = [c for c in clients if desk.core.sessions[ids[clients.index(c)]].home == 0]
    assert len(dead) == 2
    desk.kill(0)
    desk.kill(0)
    for client, session_id in zip(clients, ids, strict=True):
        lost = client.events("session.lost")
        if client in dead:
            assert lost == [{"session_id": session_id, "reason": "worker_lost"}]
            assert client.refusal("session.info") == "SESSION_GONE"
        else:
            assert not lost and client.call("session.info")
    desk.restart(0)
    assert dead[0].call("session.create")
    assert dead[0].call("endpoint.create_from_offer", sdp=OFFER)
    assert len(dead[0].events("session.lost")) == 1


def test_open_commands_of_a_dead_worker_fail_before_the_loss_is_told(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.CreateRtp)
    asked = client.send("endpoint.create_from_offer", sdp=OFFER)
    desk.kill(0)
    assert client.log[-2]["id"] == asked
    assert client.log[-2]["error"]["code"] == "SESSION_UNRESPONSIVE"
    assert client.log[-1]["event"] == "session.lost"
    desk.restart(0)
    desk.advance(10)
    assert not desk.core.sessions and not desk.workers[0].commands


def test_a_worker_that_starts_again_unnoticed_has_lost_its_sessions(desk: Desk, client: Client) -> None:
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.give(WorkerStarted(0, 1))
    assert not client.events()
    desk.restart(0)
    assert len(client.events("session.lost")) == 1


def test_a_close_begun_too_late_is_sent_again(desk: Desk, client: Client) -> None:
    client.call("endpoint.create_from_offer", sdp=OFFER)
    worker = desk.workers[0]
    worker.mute.add(ms.CloseSession)
    client.call("session.destroy")
    ((n, _),) = worker.held
    worker.mute.clear()
    desk.give(WorkerReply(0, n, ms.Failed(code="SESSION_UNRESPONSIVE", message="the deadline had passed")))
    assert not worker.endpoints


def test_a_removal_that_fails_for_another_reason_keeps_the_endpoint(desk: Desk, client: Client) -> None:
    endpoint_id = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    desk.workers[0].refuse[ms.RemoveEndpoint] = ms.Failed(code="INTERNAL_ERROR", message="odd")
    assert client.refusal("endpoint.remove", endpoint_id=endpoint_id) == "INTERNAL_ERROR"
    assert len(client.call("session.info")["endpoints"]) == 1


def test_a_dead_worker_takes_orphans_with_it(desk: Desk, client: Client) -> None:
    client.call("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    desk.kill(0)
    assert not desk.core.sessions and not desk.timers


def test_without_workers_sessions_can_be_made_but_not_endpoints() -> None:
    desk = Desk(started=False)
    client = desk.connect()
    client.call("session.create")
    assert client.refusal("endpoint.create_from_offer", sdp=OFFER) == "SESSION_UNRESPONSIVE"
    desk.restart(0)
    assert client.call("endpoint.create_from_offer", sdp=OFFER)


def test_events_of_endpoints_that_are_gone_or_elsewhere_say_nothing() -> None:
    desk = Desk(workers=2)
    client = desk.connect()
    session = client.call("session.create")["session_id"]
    endpoint = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    key = ms.KeyPressed(session=session, endpoint=endpoint, digit="1", duration_ms=100)
    desk.event(1, key)
    desk.event(0, ms.KeyPressed(session="nobody", endpoint=endpoint, digit="1", duration_ms=100))
    desk.event(0, ms.WorkerUp(pid=1, scheduling="fifo", endpoints=10))
    desk.event(0, ms.Probe(ok=True))
    client.call("endpoint.remove", endpoint_id=endpoint)
    desk.event(0, key)
    assert client.events() == []
