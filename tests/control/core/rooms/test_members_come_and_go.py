"""How calls come to rooms and go, once each."""

import pytest
from desk import OFFER, Desk
from gathering import AT_ONCE, CALLER, call, command, join, members, of_call, of_room, result, room_of, seats

from roomtone.engine import messages as ms


def test_a_call_joins_when_it_is_mixed_there_and_leaves(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    operation = join(desk, caller, room, command_uid="j-1")
    assert result(desk, operation) == (True, True, None)
    assert members(desk, room) == [caller]
    assert [seat.private for seat in seats(desk, room)] == [caller[6:]]
    left = command(desk, caller, "conference/leave")
    assert result(desk, left) == (True, True, None)
    assert desk.told("conference.member.joined") == [
        {
            "event": "conference.member.joined",
            "session_uuid": caller,
            "room_id": room,
            "caller_id": CALLER,
            "app_id": "app",
            "member_count": 1,
            "muted": False,
            "role": "participant",
        }
    ]
    assert desk.told("conference.member.left") == [
        {
            "event": "conference.member.left",
            "session_uuid": caller,
            "room_id": room,
            "reason": "removed",
            "caller_id": CALLER,
            "cause": "leave",
            "app_id": "app",
            "member_count": 0,
        }
    ]
    assert seats(desk, room) == []
    assert members(desk, room) == []
    assert (desk.core.counts().rooms, desk.core.counts().joins) == (1, {"joined": 1})


def test_nobody_has_joined_before_the_first_mixed_frame(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, room)
    assert members(desk, room) == []
    assert "member.joined" not in of_room(desk, room)
    (endpoint,) = desk.workers[0].endpoints
    desk.event(0, ms.Seated(session=caller[6:], endpoint=endpoint, room=room))
    assert result(desk, operation) == (True, True, None)
    assert of_room(desk, room) == ["created", "member.joined"]
    assert members(desk, room) == [caller]


def test_a_join_that_is_not_confirmed_within_two_seconds_is_undone(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, room)
    desk.advance(2)
    assert result(desk, operation) == (False, False, "timeout")
    assert desk.told("command.result")[-1]["timed_out"] is True
    assert seats(desk, room) == []
    assert desk.core.counts().joins == {"timeout": 1}
    (endpoint,) = desk.workers[0].endpoints
    desk.event(0, ms.Seated(session=caller[6:], endpoint=endpoint, room=room))  # too late
    assert of_room(desk, room) == ["created"]
    desk.workers[0].mute.clear()
    assert result(desk, join(desk, caller, room)) == (True, True, None)


def test_a_peer_that_has_sent_nothing_yet_joins_when_it_sits_there(desk: Desk) -> None:
    room = room_of(desk)
    caller = desk.rest("session.create", {"sdp": OFFER})[1]["session_uuid"]
    command(desk, caller, "answer")
    desk.workers[0].mute.add(ms.Seated)  # no packet goes to who knows where
    operation = join(desk, caller, room)
    desk.advance(1.7)
    assert members(desk, room) == []
    desk.advance(0.1)
    assert result(desk, operation) == (True, True, None)
    desk.advance(1)
    assert members(desk, room) == [caller]


def test_a_worker_that_wakes_up_too_late_does_not_seat_anybody(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.workers[0].stalled = True
    operation = join(desk, caller, room)
    desk.advance(2)
    assert result(desk, operation) == (False, False, "timeout")
    desk.workers[0].stalled = False
    desk.answer_late(0)
    desk.advance(1)
    assert seats(desk, room) == []
    assert of_room(desk, room) == ["created"]


def test_who_hangs_up_while_he_joins_has_neither_joined_nor_left(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, room)
    command(desk, caller, "hangup")
    assert result(desk, operation) == (False, False, "call_ended")
    assert of_room(desk, room) == ["created"]
    assert of_call(desk, caller)[-1] == "call.hangup"


def test_who_hangs_up_has_left_before_the_call_ends(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    command(desk, caller, "hangup")
    assert of_call(desk, caller)[-2:] == ["conference.member.left", "call.hangup"]
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"], left["member_count"]) == ("hangup", "api_hangup", 0)


@pytest.mark.parametrize(
    ("error", "wish"),
    [
        ("room_not_found", {"room_id": "{node}-room-550e8400-e29b-41d4-a716-446655440000"}),
        ("node_mismatch", {"room_id": "Zzzzz-room-550e8400-e29b-41d4-a716-446655440000"}),
        ("not_owner", {"room_id": "{foreign}"}),
        ("room_locked", {"room_id": "{locked}"}),
        ("room_full", {"room_id": "{full}"}),
        ("unknown_role", {"room_id": "{open}", "role": "king"}),
    ],
)
def test_preconditions_of_a_join_are_its_result(desk: Desk, error: str, wish: dict[str, str]) -> None:
    foreign = desk.rest("conference.create", {"name": "theirs"}, app="other")[1]["room_id"]
    rooms = {
        "node": desk.core.node,
        "foreign": foreign,
        "locked": room_of(desk, "locked", locked=True),
        "full": room_of(desk, "full", max_members=1),
        "open": room_of(desk, "open"),
    }
    join(desk, call(desk), rooms["full"])
    caller = call(desk)
    operation = command(
        desk, caller, "conference/join", {key: value.format(**rooms) for key, value in wish.items()}
    )
    assert result(desk, operation) == (False, False, error)
    assert len(desk.told("conference.member.joined")) == 1


def test_a_call_that_is_not_answered_cannot_join(desk: Desk) -> None:
    room = room_of(desk)
    caller = desk.rest("session.create", {"sdp": OFFER})[1]["session_uuid"]
    assert result(desk, join(desk, caller, room)) == (False, False, "not_answered")


def test_joining_the_same_room_again_changes_nothing(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    assert result(desk, join(desk, caller, room)) == (True, False, None)
    assert of_room(desk, room) == ["created", "member.joined"]


def test_joining_another_room_is_a_move(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first)
    assert result(desk, join(desk, caller, second)) == (True, True, None)
    assert of_call(desk, caller)[-4:] == [
        "command.result",
        "conference.member.left",
        "conference.member.joined",
        "command.result",
    ]
    (left,) = desk.told("conference.member.left")
    assert (left["room_id"], left["reason"], left["cause"]) == (first, "removed", "moved")
    assert not desk.workers[0].of(ms.LeaveSeat)  # straight from one seat to the other
    assert seats(desk, first) == [] and len(seats(desk, second)) == 1


def test_a_move_may_be_ruled_out(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first)
    assert result(desk, join(desk, caller, second, move=False)) == (False, False, "already_in_room")
    assert members(desk, first) == [caller]


def test_a_move_that_fails_leaves_everything_as_it_was(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first, muted=True)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, second)
    desk.advance(2)
    assert result(desk, operation) == (False, False, "timeout")
    assert members(desk, first) == [caller]
    (seat,) = seats(desk, first)
    assert not seat.speaks
    assert of_room(desk, first) == ["created", "member.joined"]
    assert of_room(desk, second) == ["created"]


def test_who_is_kicked_while_he_moves_has_left_once(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, second)
    assert desk.rest("conference.member.kick", room_id=first, member=caller)[0] == 200
    desk.advance(2)
    assert result(desk, operation)[0] is False
    assert [left["cause"] for left in desk.told("conference.member.left")] == ["kicked"]
    assert seats(desk, first) == seats(desk, second) == []


def test_only_a_member_can_move(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    operation = command(desk, caller, "conference/move", {"room_id": room})
    assert result(desk, operation) == (False, False, "not_in_conference")
    join(desk, caller, room)
    other = room_of(desk, "other")
    assert result(desk, command(desk, caller, "conference/move", {"room_id": other})) == (True, True, None)


def test_a_later_join_takes_the_place_of_one_on_its_way(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, first)
    desk.workers[0].mute.clear()
    later = join(desk, caller, second)
    assert result(desk, operation) == (False, False, "superseded")
    assert result(desk, later) == (True, True, None)
    assert members(desk, second) == [caller]
    assert of_room(desk, first) == ["created"]


def test_who_joins_again_while_he_joins_does_not_stand_in_his_own_way(desk: Desk) -> None:
    room, caller = room_of(desk, max_members=1), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    first = join(desk, caller, room)
    desk.workers[0].mute.clear()
    again = join(desk, caller, room)
    assert result(desk, first) == (False, False, "superseded")
    assert result(desk, again) == (True, True, None)
    assert members(desk, room) == [caller]


def test_what_a_member_makes_sits_there_from_the_start(desk: Desk) -> None:
    client = desk.connect("app")
    session = client.call("session.create", caller_id=CALLER)["session_id"]
    client.call("endpoint.create_from_offer", sdp=OFFER)
    room = room_of(desk)
    join(desk, f"{desk.core.node}-{session}", room)
    client.call("endpoint.create_tone", tone="beep")
    (tone,) = desk.workers[0].of(ms.CreateTone)
    assert (tone.room, tone.seat.private, tone.seat.hears) == (room, session, 0)
    client.call("endpoint.create_from_offer", sdp=OFFER)
    assert desk.workers[0].of(ms.CreateRtp)[-1].room == room
    assert len(seats(desk, room)) == 3
    command(desk, f"{desk.core.node}-{session}", "conference/leave")
    assert seats(desk, room) == []


def test_who_is_muted_while_an_endpoint_is_made_is_muted_there_too(desk: Desk) -> None:
    client = desk.connect("app")
    session = client.call("session.create", caller_id=CALLER)["session_id"]
    client.call("endpoint.create_from_offer", sdp=OFFER)
    room, caller = room_of(desk), f"{desk.core.node}-{session}"
    join(desk, caller, room)
    desk.workers[0].stalled = True
    client.send("endpoint.create_from_offer", sdp=OFFER)
    command(desk, caller, "conference/mute")
    desk.workers[0].stalled = False
    desk.answer_late(0)
    assert [seat.speaks for seat in seats(desk, room)] == [False, False]


def test_what_is_made_during_a_join_that_fails_sits_where_it_belongs(desk: Desk) -> None:
    client = desk.connect("app")
    session = client.call("session.create", caller_id=CALLER)["session_id"]
    client.call("endpoint.create_from_offer", sdp=OFFER)
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), f"{desk.core.node}-{session}"
    join(desk, caller, first)
    desk.workers[0].mute.add(ms.Seated)
    join(desk, caller, second)
    client.call("endpoint.create_tone", tone="beep")
    command(desk, caller, "conference/leave")
    assert seats(desk, first) == seats(desk, second) == []
    join(desk, caller, second)
    client.call("endpoint.create_tone", tone="busy")
    client.call("session.destroy")
    for room in (first, second):
        desk.rest("conference.delete", room_id=room)
    assert desk.core.workers.loads() == {0: 0}
    assert not desk.workers[0].rooms


def test_a_member_s_websocket_sees_what_happens_to_it(desk: Desk) -> None:
    client = desk.connect("app")
    session = client.call("session.create", caller_id=CALLER)["session_id"]
    client.call("endpoint.create_from_offer", sdp=OFFER)
    room, caller = room_of(desk), f"{desk.core.node}-{session}"
    join(desk, caller, room)
    command(desk, caller, "conference/mute")
    client.call("session.destroy")
    seen = [entry["event"] for entry in client.log if entry.get("event", "").startswith("conference.")]
    assert seen == ["conference.member.joined", "conference.member.muted", "conference.member.left"]
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"]) == ("hangup", "session_destroyed")


def test_a_session_without_its_client_leaves_when_its_time_is_over(desk: Desk) -> None:
    client = desk.connect("app")
    session = client.call("session.create")["session_id"]
    client.call("endpoint.create_from_offer", sdp=OFFER)
    room = room_of(desk)
    join(desk, f"{desk.core.node}-{session}", room)
    client.close()
    desk.advance(31)
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"]) == ("hangup", "control_lost")


def test_a_member_of_which_nothing_is_heard_is_an_orphan(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    for _ in range(20):
        desk.workers[0].last_us[caller[6:]] = desk.now_us  # muted or not: packets count
        desk.advance(10)
    assert members(desk, room) == [caller]
    desk.advance(135)
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"]) == ("orphan", "idle_120s")
    assert of_call(desk, caller)[-2:] == ["conference.member.left", "call.hangup"]


def test_an_endpoint_that_is_transferred_away_leaves_its_seat() -> None:
    desk = Desk(config=AT_ONCE)
    client, other = desk.connect("app"), desk.connect("app")
    session = client.call("session.create")["session_id"]
    target = other.call("session.create")["session_id"]
    endpoint = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    room = room_of(desk)
    join(desk, f"{desk.core.node}-{session}", room)
    client.call("endpoint.transfer", endpoint_id=endpoint, target_session_id=target)
    assert seats(desk, room) == []
    assert desk.workers[0].endpoints[endpoint] == target
    client.call("session.destroy")
    other.call("session.destroy")
    assert desk.core.workers.loads() == {0: 0}


def test_an_endpoint_that_is_transferred_to_a_member_sits_down(desk: Desk) -> None:
    client, other = desk.connect("app"), desk.connect("app")
    client.call("session.create")
    target = other.call("session.create")["session_id"]
    endpoint = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    other.call("endpoint.create_from_offer", sdp=OFFER)
    room = room_of(desk)
    join(desk, f"{desk.core.node}-{target}", room)
    client.call("endpoint.transfer", endpoint_id=endpoint, target_session_id=target)
    assert len(seats(desk, room)) == 2


def test_a_room_on_several_workers_is_spread_over_them() -> None:
    desk = Desk(workers=2, config=AT_ONCE)
    room = room_of(desk)
    callers = [call(desk) for _ in range(4)]
    for caller in callers:
        assert result(desk, join(desk, caller, room)) == (True, True, None)
    assert {len(worker.seats) for worker in desk.workers.values()} == {2}
    for worker in desk.workers.values():
        assert [peer.worker for peer in worker.peers[room]] == [1 - worker.index]
    for caller in callers:
        command(desk, caller, "conference/leave")
    assert all(room not in worker.peers for worker in desk.workers.values())
    desk.rest("conference.delete", room_id=room)
    assert all(room not in worker.rooms for worker in desk.workers.values())
    for caller in callers:
        command(desk, caller, "hangup")
    assert desk.core.workers.loads() == {0: 0, 1: 0}


def test_who_is_in_a_room_is_not_bridged_elsewhere(desk: Desk) -> None:
    """Its endpoints are on the room's bus: the bridge would be silent, and nobody would know why."""
    room = room_of(desk)
    anna, a = desk.session("app")
    _, b = desk.session("app")
    anna.call("endpoint.create_from_offer", sdp=OFFER)
    (endpoint,) = anna.call("session.info")["endpoints"]
    learned = ms.PeerLearned(session=a, endpoint=endpoint["endpoint_id"], remote_rtp_addr="192.0.2.7:4000")
    desk.event(0, learned)
    join(desk, f"{desk.core.node}-{a}", room)
    assert anna.refusal("session.bridge", target_session_id=b) == "ENDPOINT_ERROR"
    ben, _ = desk.session("app")
    assert ben.refusal("session.bridge", target_session_id=a) == "ENDPOINT_ERROR"
