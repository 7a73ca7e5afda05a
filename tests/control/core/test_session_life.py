"""Sessions: bound, orphaned, attached, timed out, destroyed, shut down; whose they are; how many may be."""

import json

import msgspec
import pytest
from fake_worker import OFFER, Client, Desk, Refused

from roomtone.control.core.effects import (
    ConnectionClosed,
    ShutdownBegan,
    WorkerDied,
    WorkerHolds,
    WorkerStarted,
)
from roomtone.control.core.views import array
from roomtone.engine import messages as ms


def refusal(client: Client, method: str, **params: object) -> str:
    with pytest.raises(Refused) as refused:
        client.call(method, **params)
    return refused.value.code


def in_session(desk: Desk, app_id: str | None = None) -> tuple[Client, str]:
    client = desk.connect(app_id)
    return client, client.call("session.create")["session_id"]


def test_a_new_session_is_active_empty_and_dated(desk: Desk) -> None:
    client, session_id = in_session(desk)
    assert client.call("session.info") == {
        "session_id": session_id,
        "state": "active",
        "created_at": "2023-11-14T22:13:21.000Z",
        "endpoints": [],
        "recordings": [],
        "vad_active": [],
        "fax_detect_active": [],
    }
    summary = {
        "session_id": session_id,
        "state": "active",
        "endpoint_count": 0,
        "created_at": "2023-11-14T22:13:21.000Z",
    }
    assert client.call("session.list") == {"sessions": [summary]}


def test_destroy_frees_the_connection_and_the_workers_endpoints(desk: Desk) -> None:
    client, _ = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    assert desk.workers[0].endpoints
    assert client.call("session.destroy") == {}
    assert not desk.workers[0].endpoints
    assert refusal(client, "session.info") == "NO_SESSION"
    assert client.call("session.create")["session_id"]


def test_a_close_the_worker_does_not_answer_is_asked_again(desk: Desk) -> None:
    client, _ = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.workers[0].mute.add(ms.CloseSession)
    client.call("session.destroy")
    desk.advance(6)
    desk.workers[0].mute.clear()
    desk.advance(6)
    assert not desk.workers[0].endpoints
    assert len(desk.workers[0].of(ms.CloseSession)) == 3


def test_max_sessions_counts_orphans_and_a_slot_is_free_at_once() -> None:
    desk = Desk(config="max_sessions = 2")
    first, _ = in_session(desk)
    second, _ = in_session(desk)
    third = desk.connect()
    assert refusal(third, "session.create") == "MAX_SESSIONS_REACHED"
    second.close()
    assert refusal(third, "session.create") == "MAX_SESSIONS_REACHED"
    first.call("session.destroy")
    assert third.call("session.create")


def test_zero_means_no_limit_of_sessions_and_endpoints() -> None:
    desk = Desk(config="max_sessions = 0\nmax_endpoints_per_session = 0")
    clients = [in_session(desk)[0] for _ in range(3)]
    for _ in range(25):
        clients[0].call("endpoint.create_tone", tone="beep")
    assert len(clients[0].call("session.info")["endpoints"]) == 25


# -- orphaned and attached -----------------------------------------------------------------------------------


def test_an_orphan_is_destroyed_after_the_timeout(desk: Desk) -> None:
    client, session_id = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    watcher = desk.connect()
    desk.advance(29.9)
    (summary,) = watcher.call("session.list")["sessions"]
    assert (summary["state"], summary["endpoint_count"]) == ("orphaned", 1)
    desk.advance(0.2)
    assert watcher.call("session.list") == {"sessions": []}
    assert not desk.workers[0].endpoints
    assert refusal(watcher, "session.attach", session_id=session_id) == "SESSION_NOT_FOUND"
    assert not desk.timers


def test_the_closing_socket_is_told_of_the_orphaning_if_it_still_takes_text(desk: Desk) -> None:
    client, _ = in_session(desk)
    client.close()
    assert client.events("session.orphaned") == [{"timeout_remaining_ms": 30000}]


def test_the_orphaning_is_not_told_to_a_later_connection(desk: Desk) -> None:
    client, session_id = in_session(desk)
    client.reading = False
    client.close()
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    client.read()
    assert not client.events() and not other.events()


def test_attach_keeps_the_session_alive_and_gives_back_control(desk: Desk) -> None:
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
    bound, bound_id = in_session(desk)
    stranger = desk.connect("other-app")
    free = desk.connect()
    assert refusal(free, "session.attach", session_id=session_id) == "SESSION_NOT_ORPHANED"
    client.close()
    desk.advance(29)
    assert refusal(bound, "session.attach", session_id=session_id) == "SESSION_ALREADY_BOUND"
    assert refusal(stranger, "session.attach", session_id=session_id) == "SESSION_NOT_FOUND"
    assert refusal(free, "session.attach", session_id=bound_id) == "SESSION_NOT_ORPHANED"
    desk.advance(2)
    assert [s["session_id"] for s in free.call("session.list")["sessions"]] == [bound_id]


def test_nothing_is_said_to_be_unknown_before_every_worker_was_asked() -> None:
    """A control process that has just started finds its sessions by asking the workers."""
    desk = Desk(workers=2, started=False, unheard=2)
    client = desk.connect()
    unknown = "00000000-0000-4000-8000-000000000000"
    assert refusal(client, "session.attach", session_id=unknown) == "SESSION_BUSY"
    desk.give(WorkerStarted(0, 1))
    desk.give(WorkerStarted(1, 7, running=True))
    assert refusal(client, "session.attach", session_id=unknown) == "SESSION_BUSY"
    desk.give(WorkerHolds(1, []))
    assert refusal(client, "session.attach", session_id=unknown) == "SESSION_NOT_FOUND"


def test_a_worker_that_died_holds_nothing() -> None:
    desk = Desk(started=False, unheard=1)
    desk.give(WorkerDied(0, 1))
    client = desk.connect()
    unknown = "00000000-0000-4000-8000-000000000000"
    assert refusal(client, "session.attach", session_id=unknown) == "SESSION_NOT_FOUND"


def test_events_of_the_orphan_time_are_delivered_behind_the_attach_reply(desk: Desk) -> None:
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
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
    client, session_id = in_session(desk)
    desk.workers[0].mute.add(ms.CreateRtp)
    client.send("endpoint.create_from_offer", sdp=OFFER)
    client.close()
    for _ in range(8):
        client = desk.connect()
        client.call("session.attach", session_id=session_id)
        client.send("session.info")
        client.close()
    client = desk.connect()
    assert refusal(client, "session.attach", session_id=session_id) == "SESSION_BUSY"
    desk.answer_late(0)
    assert client.call("session.attach", session_id=session_id) == {}


# -- time-outs -----------------------------------------------------------------------------------------------


def test_a_session_without_commands_and_rtp_is_idle() -> None:
    desk = Desk(config="session_idle_timeout_secs = 60")
    client, session_id = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.advance(59)
    client.call("session.info")
    desk.advance(59)
    desk.workers[0].last_us[session_id] = desk.now_us
    desk.advance(59)
    assert not client.events()
    desk.advance(1.1)
    assert client.events() == [
        {"event": "session.idle_timeout", "data": {"session_id": session_id, "idle_timeout_secs": 60}}
    ]
    assert not desk.workers[0].endpoints
    assert refusal(client, "session.info") == "SESSION_GONE"


def test_a_worker_that_does_not_say_leaves_an_idle_session_alive() -> None:
    desk = Desk(config="session_idle_timeout_secs = 10")
    client, _ = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.workers[0].mute.add(ms.GetActivity)
    desk.advance(30)
    assert not client.events()
    desk.workers[0].mute.clear()
    desk.workers[0].held.clear()
    desk.advance(16)
    assert len(client.events("session.idle_timeout")) == 1


def test_a_command_during_the_idle_question_keeps_the_session() -> None:
    desk = Desk(config="session_idle_timeout_secs = 10")
    client, _ = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.workers[0].mute.add(ms.GetActivity)
    desk.advance(11)
    client.call("session.info")
    desk.answer_late(0)
    assert not client.events()


def test_an_orphan_can_be_idle_too() -> None:
    desk = Desk(config="session_idle_timeout_secs = 10")
    client, _ = in_session(desk)
    client.close()
    desk.advance(11)
    assert not desk.core.sessions


def test_a_session_without_endpoints_ends_empty() -> None:
    desk = Desk(config="empty_session_timeout_secs = 20")
    client, session_id = in_session(desk)
    desk.advance(19)
    endpoint_id = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    desk.advance(100)
    client.call("endpoint.remove", endpoint_id=endpoint_id)
    desk.advance(19)
    assert client.call("session.info")
    desk.advance(1.1)
    assert client.events("session.empty_timeout") == [{"session_id": session_id, "empty_timeout_secs": 20}]
    assert refusal(client, "session.info") == "SESSION_GONE"


def test_an_endpoint_being_made_keeps_a_session_from_being_empty() -> None:
    desk = Desk(config="empty_session_timeout_secs = 3")
    client, _ = in_session(desk)
    desk.workers[0].mute.add(ms.CreateTone)
    desk.advance(2)
    asked = client.send("endpoint.create_tone", tone="beep")
    desk.advance(4)
    assert not client.events()
    desk.answer_late(0)
    assert client.result(asked)


def test_a_failed_creation_leaves_the_session_empty_and_counting() -> None:
    desk = Desk(config="empty_session_timeout_secs = 3")
    client, _ = in_session(desk)
    desk.workers[0].refuse[ms.CreateTone] = ms.Failed(code="ENDPOINT_ERROR", message="no room")
    desk.advance(2)
    assert refusal(client, "endpoint.create_tone", tone="beep") == "ENDPOINT_ERROR"
    desk.advance(3.1)
    assert client.events("session.empty_timeout")


def test_by_default_nothing_ends_an_idle_empty_session(desk: Desk, client: Client) -> None:
    desk.advance(1_000_000)
    assert client.call("session.info")["state"] == "active"


def test_after_the_end_commands_say_gone_until_something_new_begins() -> None:
    desk = Desk(config="empty_session_timeout_secs = 1")
    for way_out in ("session.destroy", "session.create", "session.attach"):
        client, _ = in_session(desk)
        orphan, orphan_id = in_session(desk)
        orphan.call("endpoint.create_tone", tone="beep")
        orphan.close()
        desk.advance(1.1)
        assert refusal(client, "stats.snapshot") == "SESSION_GONE"
        assert refusal(client, "endpoint.remove", endpoint_id=1) == "SESSION_GONE"
        assert client.call("session.list")
        client.call(way_out, **({"session_id": orphan_id} if way_out == "session.attach" else {}))
        if way_out == "session.destroy":
            assert refusal(client, "session.info") == "NO_SESSION"
        else:
            assert client.call("session.info")["state"] == "active"


# -- long lists ----------------------------------------------------------------------------------------------


def test_a_long_list_is_made_in_pieces_and_others_are_answered_in_between() -> None:
    desk = Desk(config="max_sessions = 0")
    made = [in_session(desk) for _ in range(1600)]
    watcher, other = desk.connect(), desk.connect()
    asked = watcher.send("session.list")
    next_one = watcher.send("server.info")
    assert watcher.reply(asked) is None
    assert other.call("server.info")
    made[-1][0].call("session.destroy")
    late = in_session(desk)[1]
    desk.advance(0)
    listed = [entry["session_id"] for entry in watcher.result(asked)["sessions"]]
    assert listed == [session_id for _, session_id in made[:-1]] and late not in listed
    assert [message["id"] for message in watcher.log] == [asked, next_one]


def test_nobody_misses_a_list_asked_for_by_a_connection_that_closed() -> None:
    desk = Desk(config="max_sessions = 0")
    made = [in_session(desk) for _ in range(1600)]
    asker, session_id = made[0]
    asker.send("session.list")
    asker.close()
    other = desk.connect()
    other.call("session.attach", session_id=session_id)
    desk.advance(0)
    assert other.call("session.info")["state"] == "active"
    assert not desk.core.paused


# -- tenants -------------------------------------------------------------------------------------------------


def test_an_app_sees_only_its_own_sessions() -> None:
    desk = Desk()
    red, red_id = in_session(desk, "red")
    blue, blue_id = in_session(desk, "blue")
    assert [s["session_id"] for s in red.call("session.list")["sessions"]] == [red_id]
    blue.close()
    newcomer = desk.connect("red")
    assert refusal(newcomer, "session.attach", session_id=blue_id) == "SESSION_NOT_FOUND"
    assert desk.core.session(blue_id, "red") is None
    assert desk.core.session(blue_id, "blue").state == "orphaned"
    (entry,) = json.loads(array(list(desk.core.session_list("blue"))))
    assert entry["session_id"] == blue_id
    assert len(json.loads(array(list(desk.core.session_list())))) == 2


# -- shutdown ------------------------------------------------------------------------------------------------


def begin_shutdown(desk: Desk) -> None:
    desk.give(ShutdownBegan())


def test_shutdown_refuses_new_sessions_and_waits_for_the_running_ones(desk: Desk) -> None:
    client, _ = in_session(desk)
    fresh = desk.connect()
    begin_shutdown(desk)
    assert refusal(fresh, "session.create", caller_id=7) == "SHUTTING_DOWN"
    assert refusal(client, "session.create") == "SHUTTING_DOWN"
    assert client.call("endpoint.create_tone", tone="beep")
    desk.advance(200)
    assert not desk.drained
    client.call("session.destroy")
    assert desk.drained == 1
    assert fresh.closed is not None and fresh.closed[0] == 1001


def test_an_orphan_may_be_attached_during_shutdown(desk: Desk) -> None:
    client, session_id = in_session(desk)
    client.close()
    begin_shutdown(desk)
    other = desk.connect()
    assert other.call("session.attach", session_id=session_id) == {}
    other.close()
    desk.advance(31)
    assert desk.drained == 1


def test_after_the_wait_running_sessions_are_closed(desk: Desk) -> None:
    client, _ = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    begin_shutdown(desk)
    desk.advance(299)
    assert not desk.drained
    desk.advance(2)
    assert desk.drained == 1
    assert not desk.workers[0].endpoints
    assert client.closed == (1001, "The server is shutting down")


def test_a_worker_that_does_not_close_cannot_stop_the_shutdown(desk: Desk) -> None:
    client, _ = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.workers[0].mute.add(ms.CloseSession)
    begin_shutdown(desk)
    desk.advance(305)
    assert not desk.drained
    desk.advance(10)
    assert desk.drained == 1


def test_without_sessions_shutdown_is_done_at_once(desk: Desk) -> None:
    begin_shutdown(desk)
    begin_shutdown(desk)
    assert desk.drained == 1


def test_views_are_the_words_of_session_info(desk: Desk) -> None:
    client, session_id = in_session(desk)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    shown = json.loads(msgspec.json.encode(desk.core.session(session_id)))
    assert shown == client.call("session.info")
    counts = desk.core.counts()
    assert (counts.sessions, counts.orphaned, counts.connections) == (1, 0, 1)
    assert counts.endpoints == {"rtp": 1} and counts.codecs == {"PCMU": 1} and counts.workers == {0: 1}
    assert counts.commands["session.create", "ok"] == 1
