"""Members that are nothing but an RTP stream."""

from typing import Any

import pytest
from desk import Desk
from gathering import AT_ONCE, call, join, members, of_call, of_room, room_of, seats

from roomtone.engine import messages as ms

THERE = {"ip": "192.0.2.9", "port": 5004}


def add(desk: Desk, room: str, **wishes: Any) -> tuple[int, Any]:
    return desk.rest("conference.rtp_member.create", {"remote": THERE, **wishes}, room_id=room)


def test_an_rtp_stream_is_a_member_until_it_leaves(desk: Desk) -> None:
    room = room_of(desk)
    status, made = add(desk, room, codec="PCMA", event_payload_type=101, caller_id="door", muted=True)
    assert status == 201
    member = made["session_uuid"]
    assert made == {
        "session_uuid": member,
        "endpoint_id": made["endpoint_id"],
        "remote": {"ip": "192.0.2.9", "port": 5004, "rtcp_port": 5005},
        "codec": "PCMA",
        "payload_type": 8,
        "local": {"ip": "127.0.0.1", "rtp_port": 30000, "rtcp_port": 30001, "ssrc": 30000},
    }
    assert members(desk, room) == [member]
    (seat,) = seats(desk, room)
    assert not seat.speaks
    desk.rest("conference.member.kick", room_id=room, member=member)
    assert of_call(desk, member) == [
        "call.new",
        "call.answered",
        "conference.member.joined",
        "conference.member.left",
        "call.hangup",
    ]
    assert not desk.workers[0].endpoints
    assert desk.core.workers.loads() == {0: 0}


def test_an_rtp_member_ends_with_its_room(desk: Desk) -> None:
    room = room_of(desk)
    _, made = add(desk, room)
    desk.rest("conference.delete", room_id=room)
    assert of_call(desk, made["session_uuid"])[-2:] == ["conference.member.left", "call.hangup"]
    assert of_room(desk, room)[-2:] == ["member.left", "destroyed"]
    assert not desk.core.sessions


def test_a_room_that_is_deleted_with_its_calls_ends_each_once(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    add(desk, room)
    assert desk.reply(desk.ask("conference.delete", room_id=room, query={"hangup": "true"}))[0] == 200
    assert of_room(desk, room)[-1] == "destroyed"
    assert [ended["cause"] for ended in desk.told("call.hangup")] == ["room_destroyed", "api_hangup"]


def test_an_rtp_member_is_pointed_to_another_address_and_codec(desk: Desk) -> None:
    room = room_of(desk)
    _, made = add(desk, room)
    path = {"room_id": room, "member": made["session_uuid"]}
    new = {"remote": {"ip": "192.0.2.10", "port": 6000, "rtcp_port": 6000}, "codec": "L16/16000"}
    status, shown = desk.rest("conference.rtp_member.point", new, **path)
    assert (status, shown["remote"], shown["codec"], shown["payload_type"]) == (
        200,
        new["remote"],
        "L16/16000",
        97,
    )
    (told,) = desk.workers[0].of(ms.UpdateRtp)
    assert (told.remote.ip, told.remote.port, told.relearn) == ("192.0.2.10", 6000, True)
    assert desk.rest("conference.rtp_member.get", **path)[1] == shown
    other = desk.rest("conference.rtp_member.point", {"remote": {"ip": "2001:db8::1", "port": 6000}}, **path)
    assert other[0] == 400  # there is no address of that family here
    assert desk.rest("conference.rtp_member.get", **path)[1] == shown


def test_rtp_members_are_there_after_a_restart(desk: Desk) -> None:
    room = room_of(desk)
    _, made = add(desk, room)
    desk.reboot()
    assert members(desk, room) == [made["session_uuid"]]
    path = {"room_id": room, "member": made["session_uuid"]}
    assert desk.rest("conference.rtp_member.get", **path) == (200, made)
    desk.rest("conference.member.kick", **path)
    assert of_call(desk, made["session_uuid"])[-1] == "call.hangup"


def test_a_stream_that_had_not_joined_before_a_restart_is_over(desk: Desk) -> None:
    room = room_of(desk)
    desk.workers[0].mute.add(ms.Seated)
    _, made = add(desk, room)
    desk.reboot()
    assert of_call(desk, made["session_uuid"])[-1] == "call.hangup"
    assert not desk.workers[0].endpoints


def test_a_call_is_no_rtp_member(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    join(desk, caller, room)
    assert (
        desk.rest("conference.rtp_member.get", room_id=room, member=caller)[1]["code"] == "member_not_found"
    )


@pytest.mark.parametrize(
    ("code", "settings", "wish"),
    [
        ("room_locked", {"locked": True}, {}),
        ("room_full", {"max_members": 1}, {}),
        ("validation_error", {}, {"role": "king"}),
        ("validation_error", {}, {"codec": "MP3"}),
    ],
)
def test_who_cannot_come_in_is_told_at_once(
    code: str, settings: dict[str, Any], wish: dict[str, Any]
) -> None:
    desk = Desk(config=AT_ONCE)
    room = room_of(desk)
    add(desk, room)
    desk.rest("conference.change", settings, room_id=room)
    assert add(desk, room, **wish)[1]["code"] == code
    assert len(members(desk, room)) == 1
    assert len(desk.core.sessions) == 1
