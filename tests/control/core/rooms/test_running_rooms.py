"""Rooms as their makers see them: names, lists, limits, roles, mute, talk, and their end."""

from typing import Any

import pytest
from desk import OFFER, Desk
from gathering import AT_ONCE, call, command, join, members, of_room, result, room_of, seats

from roomtone.engine import messages as ms
from roomtone.engine.overload import Level


def test_a_room_is_shown_with_its_members(desk: Desk) -> None:
    room, caller = room_of(desk, metadata={"team": 7}), call(desk)
    join(desk, caller, room, muted=True)
    shown = desk.rest("conference.get", room_id=room)[1]
    assert shown == {
        "room_id": room,
        "app_id": "app",
        "name": "r",
        "created_at": "2023-11-14T22:13:21.000Z",
        "playback_status": "stopped",
        "playback": None,
        "member_count": 1,
        "state": "open",
        "locked": False,
        "max_members": 0,
        "empty_timeout_s": 86400,
        "departure_timeout_s": 86400,
        "time_limit_s": 0,
        "talk_events": True,
        "metadata": {"team": 7},
        "active_speaker": None,
        "members": [
            {
                "session_uuid": caller,
                "caller_id": "+15551234567",
                "muted": True,
                "deaf": False,
                "role": "participant",
                "talking": False,
                "joined_at": "2023-11-14T22:13:21.000Z",
            }
        ],
    }


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "x" * 65])
def test_a_name_has_1_to_64_printable_characters(desk: Desk, name: str) -> None:
    assert desk.rest("conference.create", {"name": name})[0] == 400


def test_names_may_be_narrowed() -> None:
    desk = Desk(config="[rooms]\nstrict_names = true\n")
    assert desk.rest("conference.create", {"name": "Team Standup"})[0] == 400
    assert desk.rest("conference.create", {"name": "team-standup_7"})[0] == 201


def test_no_room_is_made_while_every_worker_is_overloaded(desk: Desk) -> None:
    desk.event(0, ms.WorkerLoad(busy=1.0, waiting=0.0, late=0.0, level=Level.NEW_ENDPOINTS))
    assert desk.rest("conference.create", {"name": "r"})[1]["code"] == "overloaded"


def test_rooms_are_listed_by_page_and_filter(desk: Desk) -> None:
    made = []
    for n in range(3):
        made.append(room_of(desk, f"room {n}"))
        desk.advance(1)
    desk.rest("conference.create", {"name": "theirs"}, app="other")

    def listed(**query: str) -> tuple[list[str], Any]:
        n = desk.ask("conference.list", query=query)
        page = desk.reply(n)[1]
        return [room["room_id"] for room in page["items"]], page["next_cursor"]

    assert listed() == (made, None)
    first, cursor = listed(limit="2")
    assert first == made[:2]
    assert listed(limit="2", cursor=cursor) == (made[2:], None)
    assert listed(name="room 1")[0] == made[1:2]
    assert listed(playback_status="playing")[0] == []
    assert listed(created_after="2023-11-14T22:13:21.500Z")[0] == made[1:]


def test_a_locked_room_is_opened_again(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.rest("conference.change", {"locked": True}, room_id=room)
    assert result(desk, join(desk, caller, room))[2] == "room_locked"
    desk.rest("conference.change", {"locked": False}, room_id=room)
    assert result(desk, join(desk, caller, room))[0]


# -- how long it lasts ---------------------------------------------------------------------------------------


def test_a_room_that_nobody_comes_to_ends(desk: Desk) -> None:
    room = room_of(desk, empty_timeout_s=60)
    desk.advance(60)
    assert of_room(desk, room) == ["created", "destroyed"]


def test_a_room_that_all_have_left_ends_later(desk: Desk) -> None:
    room, caller = room_of(desk, empty_timeout_s=5, departure_timeout_s=10), call(desk)
    join(desk, caller, room)
    desk.advance(60)
    command(desk, caller, "conference/leave")
    desk.advance(9)
    assert desk.rest("conference.get", room_id=room)[0] == 200
    join(desk, caller, room)
    command(desk, caller, "conference/leave")
    desk.advance(10)
    assert desk.told("conference.destroyed")[0]["cause"] == "departure_timeout"


def test_a_room_waits_from_its_last_member_on_even_if_one_was_joining(desk: Desk) -> None:
    room = room_of(desk, departure_timeout_s=60)
    member, late = call(desk), call(desk)
    join(desk, member, room)
    desk.advance(100)
    desk.workers[0].mute.add(ms.Seated)
    join(desk, late, room)
    command(desk, member, "conference/leave")
    desk.advance(59)
    assert desk.rest("conference.get", room_id=room)[0] == 200
    desk.advance(1)
    assert desk.told("conference.destroyed")[0]["cause"] == "departure_timeout"


def test_a_room_has_an_end_when_it_was_given_one(desk: Desk) -> None:
    room, caller = room_of(desk, time_limit_s=3600), call(desk)
    join(desk, caller, room)
    for _ in range(360):
        desk.workers[0].last_us[caller[6:]] = desk.now_us
        desk.advance(10)
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"]) == ("removed", "time_limit")
    assert of_room(desk, room)[-2:] == ["member.left", "destroyed"]


def test_deleting_a_room_leaves_the_calls_alone_or_ends_them(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    desk.rest("conference.delete", room_id=room)
    (left,) = desk.told("conference.member.left")
    assert (left["reason"], left["cause"]) == ("removed", "room_destroyed")
    assert desk.rest("session.get", session_uuid=caller)[1]["room_id"] is None
    again = room_of(desk)
    join(desk, caller, again)
    desk.ask("conference.delete", query={"hangup": "true"}, room_id=again)
    assert desk.rest("session.get", session_uuid=caller)[0] == 404


def test_who_is_joining_a_room_that_is_deleted_learns_that(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    desk.workers[0].mute.add(ms.Seated)
    operation = join(desk, caller, room)
    desk.rest("conference.delete", room_id=room)
    assert result(desk, operation) == (False, False, "room_not_found")
    assert of_room(desk, room) == ["created", "destroyed"]


# -- muted, deaf, roles --------------------------------------------------------------------------------------


def test_muting_is_told_on_a_change_only(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    assert result(desk, command(desk, caller, "conference/mute"))[2] == "not_in_conference"
    join(desk, caller, room)
    assert result(desk, command(desk, caller, "conference/mute")) == (True, True, None)
    assert result(desk, command(desk, caller, "conference/mute")) == (True, False, None)
    assert not seats(desk, room)[0].speaks and seats(desk, room)[0].hears
    command(desk, caller, "conference/unmute")
    assert of_room(desk, room)[2:] == ["member.muted", "member.unmuted"]


def test_who_joins_muted_has_never_been_heard(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room, muted=True)
    assert [body.seat.speaks for body in desk.workers[0].of(ms.TakeSeat)] == [False]
    command(desk, caller, "conference/leave")
    join(desk, caller, room)
    assert seats(desk, room)[0].speaks  # leaving resets it


def test_a_move_keeps_who_is_muted(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first, muted=True)
    join(desk, caller, second)
    assert not seats(desk, second)[0].speaks


def test_who_is_muted_while_he_moves_is_muted_there(desk: Desk) -> None:
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first)
    desk.workers[0].mute.add(ms.Seated)
    join(desk, caller, second)
    assert result(desk, command(desk, caller, "conference/mute")) == (True, True, None)
    command(desk, caller, "conference/deaf")
    (seat,) = seats(desk, second)
    assert (seat.speaks, seat.hears) == (False, 0)
    (endpoint,) = desk.workers[0].endpoints
    desk.event(0, ms.Seated(session=caller[6:], endpoint=endpoint, room=second))
    assert desk.told("conference.member.joined")[-1]["muted"] is True
    assert desk.rest("session.get", session_uuid=caller)[1]["muted"] is True


def test_who_is_muted_before_his_move_begins_is_muted_where_he_is(desk: Desk) -> None:
    """The other room has first to be made on his worker."""
    first, second, caller = room_of(desk, "1"), room_of(desk, "2"), call(desk)
    join(desk, caller, first)
    desk.workers[0].mute.add(ms.OpenRoom)
    join(desk, caller, second)
    command(desk, caller, "conference/mute")
    assert [seat.speaks for seat in seats(desk, first)] == [False]
    desk.answer_late(0)
    assert [seat.speaks for seat in seats(desk, second)] == [False]


def test_who_is_deaf_hears_nothing(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    command(desk, caller, "conference/deaf")
    assert seats(desk, room)[0].hears == 0
    command(desk, caller, "conference/undeaf")
    assert seats(desk, room)[0].hears
    assert of_room(desk, room)[2:] == ["member.deafened", "member.undeafened"]


def test_members_are_changed_one_or_all(desk: Desk) -> None:
    room, callers = room_of(desk), [call(desk) for _ in range(3)]
    for caller in callers:
        join(desk, caller, room)
    status, view = desk.rest(
        "conference.member.change", {"muted": True, "role": "agent"}, room_id=room, member=callers[0]
    )
    assert (status, view["muted"], view["role"]) == (200, True, "agent")
    body = {"action": "mute", "except_roles": ["agent"]}
    assert desk.rest("conference.members.bulk", body, room_id=room) == (200, {"changed": callers[1:]})
    assert desk.rest("conference.members.bulk", {"action": "kick"}, room_id=room)[1]["changed"] == callers
    assert [left["cause"] for left in desk.told("conference.member.left")] == ["kicked"] * 3
    assert members(desk, room) == []
    assert (
        desk.rest("conference.member.get", room_id=room, member=callers[0])[1]["code"] == "member_not_found"
    )


def hears(listener: ms.Seat, speaker: ms.Seat) -> bool:
    return bool(listener.hears >> speaker.role & 1)


def test_presets_of_roles_say_who_hears_whom(desk: Desk) -> None:
    room = room_of(desk)
    seat = {}
    for role in ("participant", "agent", "coach", "whisper", "monitor"):
        caller = call(desk)
        join(desk, caller, room, role=role)
        seat[role] = next(seat for seat in seats(desk, room) if seat.private == caller[6:])
    heard = {listener: {s for s in seat if hears(seat[listener], seat[s])} for listener in seat}
    assert heard == {
        "participant": {"participant", "agent"},
        "agent": {"participant", "agent", "coach", "whisper"},
        "coach": {"participant", "agent", "coach"},
        "whisper": {"participant", "agent"},
        "monitor": {"participant", "agent"},
    }


def test_a_room_tells_roles_apart_before_the_first_one_sits_down(desk: Desk) -> None:
    room = room_of(desk)
    join(desk, call(desk), room)
    assert [opened.roles for opened in desk.workers[0].of(ms.OpenRoom)] == [False]
    join(desk, call(desk), room, role="coach")
    kinds = [body for body in desk.workers[0].commands if isinstance(body, ms.OpenRoom | ms.TakeSeat)]
    assert [getattr(body, "roles", None) for body in kinds] == [False, None, True, None]


def test_a_role_that_is_given_is_kept_apart_before_it_is_heard(desk: Desk) -> None:
    """Else everybody would hear what a coach whispers to the agent."""
    room, agent, coach = room_of(desk), call(desk), call(desk)
    for caller in (agent, coach):
        join(desk, caller, room)
    assert desk.rest("conference.member.change", {"role": "coach"}, room_id=room, member=coach)[0] == 200
    asked = [body for body in desk.workers[0].commands if isinstance(body, ms.OpenRoom | ms.TakeSeat)]
    assert [getattr(body, "roles", None) for body in asked[-2:]] == [True, None]
    assert asked[-1].seat.role == 2


def test_a_role_that_no_worker_can_keep_apart_is_not_given(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    desk.workers[0].refuse[ms.OpenRoom] = ms.Failed(code="ENDPOINT_ERROR", message="no slot left")
    wish = {"role": "coach", "muted": True}
    assert desk.rest("conference.member.change", wish, room_id=room, member=caller)[0] == 503
    assert [(seat.role, seat.speaks) for seat in seats(desk, room)] == [(0, True)]


def test_a_matrix_is_replaced_and_changed(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room, role="agent")
    matrix = {"default": "guest", "roles": {"guest": {"hears": ["agent"]}, "agent": {"hears": ["guest"]}}}
    assert desk.rest("conference.routing.set", matrix, room_id=room) == (200, matrix)
    number = seats(desk, room)[0].role
    other = call(desk)
    join(desk, other, room)
    guest = next(seat for seat in seats(desk, room) if seat.private == other[6:])
    assert guest.hears >> number & 1
    change = {"roles": {"guest": {"hears": ["guest"]}}}
    assert desk.rest("conference.routing.change", change, room_id=room)[0] == 200
    guest = next(seat for seat in seats(desk, room) if seat.private == other[6:])
    assert not guest.hears >> number & 1
    assert desk.rest("conference.routing.get", room_id=room)[1]["roles"]["guest"] == {"hears": ["guest"]}
    assert desk.rest("conference.routing.change", {"roles": {"agent": None}}, room_id=room)[0] == 400
    desk.rest("conference.member.kick", room_id=room, member=caller)
    assert desk.rest("conference.routing.change", {"roles": {"agent": None}}, room_id=room)[0] == 200


@pytest.mark.parametrize(
    "matrix",
    [
        {"default": "a", "roles": {}},
        {"default": "b", "roles": {"a": {"hears": []}}},
        {"default": "a", "roles": {"a": {"hears": ["b"]}}},
        {"default": "r0", "roles": {f"r{n}": {"hears": []} for n in range(8)}},
        {"default": "agent", "roles": {"agent": {"hears": []}}},
        {"default": "a", "roles": {"a": {"hears": []}, "participant": {"hears": []}}},
    ],
)
def test_a_matrix_that_says_nothing_definite_is_refused(desk: Desk, matrix: dict[str, Any]) -> None:
    room = room_of(desk)
    assert desk.rest("conference.routing.set", matrix, room_id=room)[0] == 400


# -- who talks -----------------------------------------------------------------------------------------------


def says(desk: Desk, session: str, speaks: bool) -> None:
    endpoint = next(e for e, owner in desk.workers[0].endpoints.items() if owner == session[6:])
    who = {"session": session[6:], "endpoint": endpoint}
    desk.event(0, ms.SpeechStarted(**who) if speaks else ms.Silent(**who, duration_ms=500))


def test_who_talks_is_told_and_who_has_the_floor(desk: Desk) -> None:
    room, first, second = room_of(desk), call(desk), call(desk)
    join(desk, first, room)
    join(desk, second, room)
    says(desk, first, True)
    says(desk, first, True)
    says(desk, second, True)
    says(desk, first, False)
    says(desk, second, False)
    says(desk, second, True)
    assert of_room(desk, room)[3:] == [
        "member.talking_started",
        "active_speaker",
        "member.talking_started",
        "member.talking_stopped",
        "active_speaker",
        "member.talking_stopped",
        "member.talking_started",
    ]
    assert [told["session_uuid"] for told in desk.told("conference.active_speaker")] == [first, second]
    assert desk.rest("conference.get", room_id=room)[1]["active_speaker"] == second


def test_who_is_muted_stops_talking_at_once_and_goes_on_when_he_is_not(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    says(desk, caller, True)
    command(desk, caller, "conference/mute")
    command(desk, caller, "conference/unmute")
    command(desk, caller, "conference/leave")
    assert of_room(desk, room)[2:] == [
        "member.talking_started",
        "active_speaker",
        "member.muted",
        "member.talking_stopped",
        "member.unmuted",
        "member.talking_started",
        "member.talking_stopped",
        "member.left",
    ]


def test_a_room_may_keep_quiet_about_who_talks(desk: Desk) -> None:
    room, caller = room_of(desk, talk_events=False), call(desk)
    join(desk, caller, room)
    assert not desk.workers[0].of(ms.StartVad)
    desk.rest("conference.change", {"talk_events": True}, room_id=room)
    assert len(desk.workers[0].of(ms.StartVad)) == 1
    desk.rest("conference.change", {"talk_events": False}, room_id=room)
    assert len(desk.workers[0].of(ms.StopVad)) == 1


def test_a_client_s_own_watching_goes_before_the_room_s() -> None:
    desk = Desk(config=AT_ONCE)
    client = desk.connect("app")
    session = client.call("session.create")["session_id"]
    endpoint = client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]
    room, caller = room_of(desk), f"{desk.core.node}-{session}"
    join(desk, caller, room)
    says(desk, caller, True)
    assert not client.events("vad.speech_started")
    client.call("vad.start", endpoint_id=endpoint, silence_interval_ms=2000)
    says(desk, caller, False)
    says(desk, caller, True)
    assert len(client.events("vad.speech_started")) == 1
    client.call("vad.stop", endpoint_id=endpoint)
    (*_, last) = desk.workers[0].of(ms.StartVad)
    assert last.vad.silence_interval_ms == 500 and not desk.workers[0].of(ms.StopVad)
    command(desk, caller, "conference/leave")
    assert len(desk.workers[0].of(ms.StopVad)) == 1
