"""Rooms when a worker dies, or the control process does and comes again."""

import pytest
from desk import OFFER, Desk
from gathering import AT_ONCE, call, command, join, members, of_call, of_room, result, room_of, seats

from roomtone.engine import messages as ms

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def two() -> Desk:
    return Desk(workers=2, config=AT_ONCE)


def test_who_was_on_a_dead_worker_has_left_and_the_others_stay(two: Desk) -> None:
    room = room_of(two)
    callers = [call(two) for _ in range(4)]
    for caller in callers:
        join(two, caller, room)
    lost = [caller for caller in callers if caller[6:] in two.workers[0].endpoints.values()]
    two.kill(0)
    assert [left["session_uuid"] for left in two.told("conference.member.left")] == lost
    assert {(left["reason"], left["cause"]) for left in two.told("conference.member.left")} == {
        ("orphan", "worker_lost")
    }
    assert of_call(two, lost[0])[-2:] == ["conference.member.left", "call.hangup"]
    assert members(two, room) == [caller for caller in callers if caller not in lost]
    assert room not in two.workers[1].peers or two.workers[1].peers[room] == []
    two.restart(0)
    late = call(two)
    assert result(two, join(two, late, room)) == (True, True, None)
    assert len(seats(two, room)) == 3


def test_members_are_in_their_room_after_a_restart(two: Desk) -> None:
    room = room_of(two, metadata={"team": 7}, max_members=9)
    callers = [call(two) for _ in range(3)]
    for caller in callers:
        join(two, caller, room)
    command(two, callers[0], "conference/mute")
    before = two.rest("conference.get", room_id=room)[1]
    told = len(two.published)
    two.reboot()
    after = two.rest("conference.get", room_id=room)[1]
    after["members"].sort(key=lambda member: member["joined_at"])
    assert after | {"members": 0} == before | {"members": 0}
    assert sorted(map(str, after["members"])) == sorted(map(str, before["members"]))
    assert len(two.published) == told
    command(two, callers[0], "conference/unmute")
    assert all(seat.speaks for seat in seats(two, room))
    late = call(two)
    assert result(two, join(two, late, room)) == (True, True, None)
    assert len({peer.worker for worker in two.workers.values() for peer in worker.peers[room]}) == 2
    two.rest("conference.delete", room_id=room)
    assert all(room not in worker.rooms and not worker.seats for worker in two.workers.values())


def test_a_member_that_no_worker_holds_after_a_restart_has_left(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    desk.workers[0].endpoints.clear()
    desk.workers[0].seats.clear()
    desk.reboot()
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"], left["member_count"]) == ("orphan", "restart", 0)
    assert of_call(desk, caller)[-2:] == ["conference.member.left", "call.hangup"]
    assert members(desk, room) == []


def test_a_room_that_ends_before_workers_were_heard_tells_of_every_member(desk: Desk) -> None:
    room, callers = room_of(desk), [call(desk), call(desk)]
    for caller in callers:
        join(desk, caller, room)
    desk.reboot(heard=False)
    desk.rest("conference.delete", room_id=room)
    left = desk.told("conference.member.left")
    assert [(each["session_uuid"], each["cause"], each["member_count"]) for each in left] == [
        (callers[0], "room_destroyed", 1),
        (callers[1], "room_destroyed", 0),
    ]
    assert of_room(desk, room)[-1] == "destroyed"
    desk.hear()
    assert seats(desk, room) == []
    assert len(desk.told("conference.member.left")) == 2
    command(desk, callers[0], "hangup")
    assert of_call(desk, callers[0])[-1] == "call.hangup"


def test_a_join_that_a_restart_interrupts_gets_its_result_and_no_seat(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, room)
    assert len(seats(desk, room)) == 1
    desk.reboot()
    assert result(desk, operation) == (False, False, "interrupted")
    assert seats(desk, room) == []
    assert members(desk, room) == []
    desk.reboot()
    desk.rest("conference.delete", room_id=room)
    assert not desk.workers[0].rooms


def test_a_leaving_that_was_told_holds_after_a_restart(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    desk.workers[0].stalled = True
    command(desk, caller, "conference/leave")
    desk.workers[0].stalled = False
    desk.reboot()
    assert seats(desk, room) == []
    assert of_room(desk, room).count("member.left") == 1


def test_a_mute_that_was_told_holds_after_a_restart(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    desk.workers[0].stalled = True
    command(desk, caller, "conference/mute")
    desk.workers[0].stalled = False
    desk.reboot()
    (seat,) = seats(desk, room)
    assert not seat.speaks


def test_a_room_deleted_is_gone_after_a_restart_and_its_name_is_free(desk: Desk) -> None:
    room = room_of(desk, "standup")
    desk.rest("conference.delete", room_id=room)
    desk.reboot()
    assert desk.rest("conference.get", room_id=room)[0] == 404
    room_of(desk, "standup")


def test_a_room_is_gone_after_its_time_also_across_a_restart(desk: Desk) -> None:
    room = room_of(desk, empty_timeout_s=60)
    desk.advance(50)
    desk.reboot()
    desk.advance(9)
    assert desk.rest("conference.get", room_id=room)[0] == 200
    desk.advance(1)
    assert desk.told("conference.destroyed") == [
        {"event": "conference.destroyed", "app_id": "app", "room_id": room, "cause": "empty_timeout"}
    ]


def test_a_session_of_a_websocket_is_still_a_member_after_a_restart(desk: Desk) -> None:
    client = desk.connect("app")
    session = client.call("session.create")["session_id"]
    client.call("endpoint.create_from_offer", sdp=OFFER)
    client.call("endpoint.create_tone", tone="silence")
    room = room_of(desk)
    caller = f"{desk.core.node}-{session}"
    join(desk, caller, room)
    desk.reboot()
    assert members(desk, room) == [caller]
    assert len(seats(desk, room)) == 2
    again = desk.connect("app")
    again.call("session.attach", session_id=session)
    again.call("session.destroy")
    (left,) = desk.told("conference.member.left")
    assert left["cause"] == "session_destroyed"
    assert desk.core.workers.loads() == {0: 0}


def test_until_workers_were_heard_nothing_is_said_of_who_is_there(desk: Desk) -> None:
    """Neither that a call is gone, which may go on, nor that all are muted, of whom some come back."""
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room, role="coach")
    desk.reboot(heard=False)
    of_member = {"room_id": room, "member": caller}
    asked = [
        desk.rest("session.get", session_uuid=caller),
        desk.rest("command.hangup", session_uuid=caller),
        desk.rest("conference.member.change", {"muted": True}, **of_member),
        desk.rest("conference.members.bulk", {"action": "mute"}, room_id=room),
        desk.rest("conference.routing.change", {"roles": {"coach": None}}, room_id=room),
    ]
    assert {(status, refused["code"]) for status, refused in asked} == {(503, "node_unavailable")}
    desk.hear()
    assert desk.rest("conference.member.change", {"muted": True}, **of_member)[1]["role"] == "coach"
    assert desk.rest("session.get", session_uuid=f"{desk.core.node}-{UNKNOWN}")[0] == 404


def test_what_a_lost_call_was_played_ends_before_it_leaves(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    command(desk, caller, "playback/silence")
    desk.workers[0].endpoints.clear()
    desk.workers[0].seats.clear()
    desk.reboot()
    assert of_call(desk, caller)[-3:] == ["playback.stopped", "conference.member.left", "call.hangup"]


@pytest.mark.parametrize("lost", [False, True])
def test_who_talked_before_a_restart_is_told_to_have_stopped(desk: Desk, lost: bool) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    (endpoint,) = desk.workers[0].endpoints
    desk.event(0, ms.SpeechStarted(session=caller[6:], endpoint=endpoint))
    if lost:
        desk.workers[0].endpoints.clear()
    desk.reboot()
    if not lost:
        assert desk.rest("conference.member.get", room_id=room, member=caller)[1]["talking"] is True
        desk.event(0, ms.Silent(session=caller[6:], endpoint=endpoint, duration_ms=820))
    assert of_room(desk, room)[2:] == [
        "member.talking_started",
        "active_speaker",
        "member.talking_stopped",
        *(["member.left"] if lost else []),
    ]
