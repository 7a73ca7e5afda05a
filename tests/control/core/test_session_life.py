"""Sessions: created, timed out, destroyed, shut down; whose they are; how many may be."""

import json

import msgspec
from desk import OFFER, Client, Desk

from roomtone.control.core.effects import (
    ShutdownBegan,
)
from roomtone.control.core.views import array
from roomtone.engine import messages as ms


def test_a_new_session_is_active_empty_and_dated(desk: Desk) -> None:
    client, session_id = desk.session()
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
    client, _ = desk.session()
    client.call("endpoint.create_from_offer", sdp=OFFER)
    assert desk.workers[0].endpoints
    assert client.call("session.destroy") == {}
    assert not desk.workers[0].endpoints
    assert client.refusal("session.info") == "NO_SESSION"
    assert client.call("session.create")["session_id"]


def test_a_close_the_worker_does_not_answer_is_asked_again(desk: Desk) -> None:
    client, _ = desk.session()
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
    first, _ = desk.session()
    second, _ = desk.session()
    third = desk.connect()
    assert third.refusal("session.create") == "MAX_SESSIONS_REACHED"
    second.close()
    assert third.refusal("session.create") == "MAX_SESSIONS_REACHED"
    first.call("session.destroy")
    assert third.call("session.create")


def test_zero_means_no_limit_of_sessions_and_endpoints() -> None:
    desk = Desk(config="max_sessions = 0\nmax_endpoints_per_session = 0")
    clients = [desk.session()[0] for _ in range(3)]
    for _ in range(25):
        clients[0].call("endpoint.create_tone", tone="beep")
    assert len(clients[0].call("session.info")["endpoints"]) == 25


# -- time-outs -----------------------------------------------------------------------------------------------


def test_a_session_without_commands_and_rtp_is_idle() -> None:
    desk = Desk(config="session_idle_timeout_secs = 60")
    client, session_id = desk.session()
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
    assert client.refusal("session.info") == "SESSION_GONE"


def test_a_worker_that_does_not_say_leaves_an_idle_session_alive() -> None:
    desk = Desk(config="session_idle_timeout_secs = 10")
    client, _ = desk.session()
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
    client, _ = desk.session()
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.workers[0].mute.add(ms.GetActivity)
    desk.advance(11)
    client.call("session.info")
    desk.answer_late(0)
    assert not client.events()


def test_an_orphan_can_be_idle_too() -> None:
    desk = Desk(config="session_idle_timeout_secs = 10")
    client, _ = desk.session()
    client.close()
    desk.advance(11)
    assert not desk.core.sessions


def test_a_session_without_endpoints_ends_empty() -> None:
    desk = Desk(config="empty_session_timeout_secs = 20")
    client, session_id = desk.session()
    desk.advance(19)
    endpoint_id = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    desk.advance(100)
    client.call("endpoint.remove", endpoint_id=endpoint_id)
    desk.advance(19)
    assert client.call("session.info")
    desk.advance(1.1)
    assert client.events("session.empty_timeout") == [{"session_id": session_id, "empty_timeout_secs": 20}]
    assert client.refusal("session.info") == "SESSION_GONE"


def test_an_endpoint_being_made_keeps_a_session_from_being_empty() -> None:
    desk = Desk(config="empty_session_timeout_secs = 3")
    client, _ = desk.session()
    desk.workers[0].mute.add(ms.CreateTone)
    desk.advance(2)
    asked = client.send("endpoint.create_tone", tone="beep")
    desk.advance(4)
    assert not client.events()
    desk.answer_late(0)
    assert client.result(asked)


def test_a_failed_creation_leaves_the_session_empty_and_counting() -> None:
    desk = Desk(config="empty_session_timeout_secs = 3")
    client, _ = desk.session()
    desk.workers[0].refuse[ms.CreateTone] = ms.Failed(code="ENDPOINT_ERROR", message="no room")
    desk.advance(2)
    assert client.refusal("endpoint.create_tone", tone="beep") == "ENDPOINT_ERROR"
    desk.advance(3.1)
    assert client.events("session.empty_timeout")


def test_by_default_nothing_ends_an_idle_empty_session(desk: Desk, client: Client) -> None:
    desk.advance(1_000_000)
    assert client.call("session.info")["state"] == "active"


def test_after_the_end_commands_say_gone_until_something_new_begins() -> None:
    desk = Desk(config="empty_session_timeout_secs = 1")
    for way_out in ("session.destroy", "session.create", "session.attach"):
        client, _ = desk.session()
        orphan, orphan_id = desk.session()
        orphan.call("endpoint.create_tone", tone="beep")
        orphan.close()
        desk.advance(1.1)
        assert client.refusal("stats.snapshot") == "SESSION_GONE"
        assert client.refusal("endpoint.remove", endpoint_id=1) == "SESSION_GONE"
        assert client.call("session.list")
        client.call(way_out, **({"session_id": orphan_id} if way_out == "session.attach" else {}))
        if way_out == "session.destroy":
            assert client.refusal("session.info") == "NO_SESSION"
        else:
            assert client.call("session.info")["state"] == "active"


# -- long lists ----------------------------------------------------------------------------------------------


def test_a_long_list_is_made_in_pieces_and_others_are_answered_in_between() -> None:
    desk = Desk(config="max_sessions = 0")
    made = [desk.session() for _ in range(1600)]
    watcher, other = desk.connect(), desk.connect()
    asked = watcher.send("session.list")
    next_one = watcher.send("server.info")
    assert watcher.reply(asked) is None
    assert other.call("server.info")
    made[-1][0].call("session.destroy")
    late = desk.session()[1]
    desk.advance(0)
    listed = [entry["session_id"] for entry in watcher.result(asked)["sessions"]]
    assert listed == [session_id for _, session_id in made[:-1]] and late not in listed
    assert [message["id"] for message in watcher.log] == [asked, next_one]


def test_nobody_misses_a_list_asked_for_by_a_connection_that_closed() -> None:
    desk = Desk(config="max_sessions = 0")
    made = [desk.session() for _ in range(1600)]
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
    red, red_id = desk.session("red")
    blue, blue_id = desk.session("blue")
    assert [s["session_id"] for s in red.call("session.list")["sessions"]] == [red_id]
    blue.close()
    newcomer = desk.connect("red")
    assert newcomer.refusal("session.attach", session_id=blue_id) == "SESSION_NOT_FOUND"
    assert desk.core.session(blue_id, "red") is None
    assert desk.core.session(blue_id, "blue").state == "orphaned"
    (entry,) = json.loads(array(list(desk.core.session_list("blue"))))
    assert entry["session_id"] == blue_id
    assert len(json.loads(array(list(desk.core.session_list())))) == 2


def test_the_time_from_a_request_to_its_reply_is_counted(desk: Desk) -> None:
    client, _ = desk.session()
    desk.workers[0].stalled = True
    client.send("endpoint.create_tone", tone="beep")
    desk.advance(2)
    desk.workers[0].stalled = False
    desk.answer_late(0)
    took = desk.core.counts().command_duration["endpoint.create_tone"]
    assert (sum(took.counts), took.sum_us) == (1, 2_000_000)


# -- shutdown ------------------------------------------------------------------------------------------------


def begin_shutdown(desk: Desk) -> None:
    desk.give(ShutdownBegan())


def test_shutdown_refuses_new_sessions_and_waits_for_the_running_ones(desk: Desk) -> None:
    client, _ = desk.session()
    fresh = desk.connect()
    begin_shutdown(desk)
    assert fresh.refusal("session.create", caller_id=7) == "SHUTTING_DOWN"
    assert client.refusal("session.create") == "SHUTTING_DOWN"
    assert client.call("endpoint.create_tone", tone="beep")
    desk.advance(200)
    assert not desk.drained
    client.call("session.destroy")
    assert desk.drained == 1
    assert fresh.closed is not None and fresh.closed[0] == 1001


def test_an_orphan_may_be_attached_during_shutdown(desk: Desk) -> None:
    client, session_id = desk.session()
    client.close()
    begin_shutdown(desk)
    other = desk.connect()
    assert other.call("session.attach", session_id=session_id) == {}
    other.close()
    desk.advance(31)
    assert desk.drained == 1


def test_after_the_wait_running_sessions_are_closed(desk: Desk) -> None:
    client, _ = desk.session()
    client.call("endpoint.create_from_offer", sdp=OFFER)
    begin_shutdown(desk)
    desk.advance(299)
    assert not desk.drained
    desk.advance(2)
    assert desk.drained == 1
    assert not desk.workers[0].endpoints
    assert client.closed == (1001, "The server is shutting down")


def test_a_worker_that_does_not_close_cannot_stop_the_shutdown(desk: Desk) -> None:
    client, _ = desk.session()
    client.call("endpoint.create_from_offer", sdp=OFFER)
    desk.workers[0].mute.add(ms.CloseSession)
    begin_shutdown(desk)
    desk.advance(305)
    assert not desk.drained
    desk.advance(10)
    assert desk.drained == 1


def test_a_session_that_was_never_closed_by_its_worker_cannot_stop_the_shutdown(desk: Desk) -> None:
    client, _ = desk.session()
    client.call("endpoint.create_tone", tone="beep")
    desk.workers[0].mute.add(ms.CloseSession)
    client.call("session.destroy")
    begin_shutdown(desk)
    assert not desk.drained
    desk.advance(11)
    assert desk.drained == 1


def test_without_sessions_shutdown_is_done_at_once(desk: Desk) -> None:
    begin_shutdown(desk)
    begin_shutdown(desk)
    assert desk.drained == 1


def test_views_are_the_words_of_session_info(desk: Desk) -> None:
    client, session_id = desk.session()
    client.call("endpoint.create_from_offer", sdp=OFFER)
    shown = json.loads(msgspec.json.encode(desk.core.session(session_id)))
    assert shown == client.call("session.info")
    counts = desk.core.counts()
    assert (counts.sessions, counts.orphaned, counts.connections) == (1, 0, 1)
    assert counts.endpoints == {"rtp": 1} and counts.codecs == {"PCMU": 1} and counts.workers == {0: 1}
    assert counts.commands["session.create", "ok"] == 1
