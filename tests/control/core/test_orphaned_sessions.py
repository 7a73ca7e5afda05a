"""Sessions whose connection closed: kept for a time, attached by another, told what they missed."""

from desk import OFFER, Desk

from roomtone.control.core.effects import (
    ConnectionClosed,
    WorkerDied,
    WorkerHolds,
    WorkerStarted,
)
from roomtone.engine import messages as ms


def test_an_orphan_is_destroyed_after_the_timeout(desk: Desk) -> None:
    client, session_id = desk.session()
    client.call("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    watcher = desk.connect()
    desk.advance(29.9)
    (summary,) = watcher.call("session.list")["sessions"]
    assert (summary["state"], summary["endpoint_count"]) == ("orphaned", 1)
    desk.advance(0.2)
    assert watcher.call("session.list") == {"sessions": []}
    assert not desk.workers[0].endpoints
    assert watcher.refusal("session.attach", session_id=session_id) == "SESSION_NOT_FOUND"
    assert not desk.timers


def test_the_closing_socket_is_told_of_the_orphaning_if_it_still_takes_text(desk: Desk) -> None:
    client, _ = desk.session()
    client.close()
    assert client.events("session.orphaned") == [{"timeout_remaining_ms": 30000}]


def test_the_orphaning_is_not_told_to_a_later_connection(desk: Desk) -> None:
    client, session_id = desk.session()
    client.reading = False
    client.close()
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    client.read()
    assert not client.events() and not other.events()


def test_attach_keeps_the_session_alive_and_gives_back_control(desk: Desk) -> None:
    client, session_id = desk.session()
    endpoint_id = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    client.close()
    desk.advance(20)
    other = desk.connect()
    assert other.call("session.attach", session_id=session_id.upper()) == {}
    desk.advance(60)
    info = other.call("session.info")
    assert info["state"] == "active"
    assert [e["endpoint_id"] for e in info["endpoints"]] == [endpoint_id]
    desk.event(0, ms.KeyPressed(session=session_id, endpoint=endpoint_id, digit="5", duration_ms=100))
    assert len(other.events("dtmf")) == 1


def test_a_failed_attach_changes_nothing(desk: Desk) -> None:
    client, session_id = desk.session()
    bound, bound_id = desk.session()
    stranger = desk.connect("other-app")
    free = desk.connect()
    assert free.refusal("session.attach", session_id=session_id) == "SESSION_NOT_ORPHANED"
    client.close()
    desk.advance(29)
    assert bound.refusal("session.attach", session_id=session_id) == "SESSION_ALREADY_BOUND"
    assert stranger.refusal("session.attach", session_id=session_id) == "SESSION_NOT_FOUND"
    assert free.refusal("session.attach", session_id=bound_id) == "SESSION_NOT_ORPHANED"
    desk.advance(2)
    assert [s["session_id"] for s in free.call("session.list")["sessions"]] == [bound_id]


def test_nothing_is_said_to_be_unknown_before_every_worker_was_asked() -> None:
    """A control process that has just started finds its sessions by asking the workers."""
    desk = Desk(workers=2, started=False, unheard=2)
    client = desk.connect()
    unknown = "00000000-0000-4000-8000-000000000000"
    assert client.refusal("session.attach", session_id=unknown) == "SESSION_BUSY"
    desk.give(WorkerStarted(0, 1))
    desk.give(WorkerStarted(1, 7, running=True))
    assert client.refusal("session.attach", session_id=unknown) == "SESSION_BUSY"
    desk.give(WorkerHolds(1, []))
    assert client.refusal("session.attach", session_id=unknown) == "SESSION_NOT_FOUND"


def test_a_worker_that_died_holds_nothing() -> None:
    desk = Desk(started=False, unheard=1)
    desk.give(WorkerDied(0, 1))
    client = desk.connect()
    unknown = "00000000-0000-4000-8000-000000000000"
    assert client.refusal("session.attach", session_id=unknown) == "SESSION_NOT_FOUND"


def test_events_of_the_orphan_time_are_delivered_behind_the_attach_reply(desk: Desk) -> None:
    client, session_id = desk.session()
    endpoint_id = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    tone_id = client.call("endpoint.create_tone", tone="beep", duration_ms=100)["endpoint_id"]
    client.close()
    desk.event(0, ms.KeyPressed(session=session_id, endpoint=endpoint_id, digit="1", duration_ms=100))
    desk.event(0, ms.ToneFinished(session=session_id, endpoint=tone_id))
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    names = [m.get("event", "reply") for m in other.log]
    assert names == ["reply", "endpoint.state_changed", "dtmf", "endpoint.tone.finished"]


def test_what_was_given_out_and_not_taken_comes_before_what_was_kept(desk: Desk) -> None:
    client, session_id = desk.session()
    endpoint = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    client.reading = False
    for digit in "123":
        desk.event(0, ms.KeyPressed(session=session_id, endpoint=endpoint, digit=digit, duration_ms=9))
    given_out = [desk.core.next_message(client.id) for _ in "12"]
    desk.give(ConnectionClosed(client.id, [b'{"id":"r9","result":{}}', *given_out]))
    other = desk.connect()
    attach = other.send("session.attach", session_id=session_id)
    assert other.log[0] == {"id": attach, "result": {}}
    assert [data["digit"] for data in other.events("dtmf")] == ["1", "2", "3"]
    assert len(other.log) == 4


def test_what_an_orphan_could_not_keep_is_counted_behind_what_it_kept() -> None:
    desk = Desk(config="event_channel_size = 3")
    client, session_id = desk.session()
    endpoint_id = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    client.close()
    for digit in "123456789":
        desk.event(0, ms.KeyPressed(session=session_id, endpoint=endpoint_id, digit=digit, duration_ms=100))
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    assert [d["digit"] for d in other.events("dtmf")] == ["1", "2", "3"]
    assert other.log[-1] == {"event": "events.dropped", "data": {"count": 6}}
    assert desk.core.counts().events_dropped == 6


def test_replies_of_a_dead_connection_are_not_told_to_the_next_one(desk: Desk) -> None:
    client, session_id = desk.session()
    client.reading = False
    client.send("session.info")
    client.close()
    other = desk.connect()
    other.reading = False
    other.send("server.info")
    other.send("session.attach", session_id=session_id)
    other.read()
    assert [set(m) for m in other.log] == [{"id", "result"}, {"id", "result"}]
    assert other.log[0]["result"]["hostname"] == "desk" and other.log[1]["result"] == {}


def test_a_command_left_open_by_the_last_connection_is_done_before_the_next_ones(desk: Desk) -> None:
    client, session_id = desk.session()
    desk.workers[0].mute.add(ms.CreateRtp)
    client.send("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    asked = other.send("session.info")
    assert other.reply(asked) is None
    desk.answer_late(0)
    assert len(other.result(asked)["endpoints"]) == 1
    assert not [m for m in other.log if m.get("id") not in (asked, "r1")]


def test_destroy_does_not_wait_for_a_command_left_open(desk: Desk) -> None:
    client, session_id = desk.session()
    desk.workers[0].mute.add(ms.CreateRtp)
    client.send("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    assert other.call("session.destroy") == {}
    desk.answer_late(0)
    assert not desk.workers[0].endpoints
    assert desk.core.workers.loads() == {0: 0}


def test_too_many_commands_of_former_connections_make_the_session_busy(desk: Desk) -> None:
    client, session_id = desk.session()
    desk.workers[0].mute.add(ms.CreateRtp)
    client.send("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    for _ in range(8):
        client = desk.connect()
        client.call("session.attach", session_id=session_id)
        client.send("session.info")
        client.close()
    client = desk.connect()
    assert client.refusal("session.attach", session_id=session_id) == "SESSION_BUSY"
    desk.answer_late(0)
    assert client.call("session.attach", session_id=session_id) == {}
