"""A room's mix on its way to an RTP address."""

from typing import Any

import pytest
from desk import Desk
from gathering import call, join, room_of, seats

from roomtone.engine import messages as ms

THERE = {"ip": "192.0.2.9", "port": 5004}


def forward(desk: Desk, room: str, **wishes: Any) -> tuple[int, Any]:
    return desk.rest("conference.forwarder.create", {"remote": THERE, **wishes}, room_id=room)


def test_a_forwarder_hears_the_room_and_says_nothing(desk: Desk) -> None:
    room = room_of(desk)
    status, made = forward(desk, room, codec="PCMA")
    assert status == 201
    assert made == {
        "forwarder_id": made["forwarder_id"],
        "remote": {"ip": "192.0.2.9", "port": 5004, "rtcp_port": 5005},
        "codec": "PCMA",
        "payload_type": 8,
        "local": {"ip": "127.0.0.1", "rtp_port": 30000, "rtcp_port": 30001, "ssrc": 30000},
    }
    (sent,) = desk.workers[0].of(ms.CreateRtp)
    assert (sent.session, sent.room, sent.is_source, sent.is_destination, sent.send_at_once) == (
        room,
        room,
        False,
        True,
        True,
    )
    assert not sent.seat.speaks
    listed = desk.rest("conference.forwarders", room_id=room)[1]
    assert [entry["forwarder_id"] for entry in listed["items"]] == [made["forwarder_id"]]
    gone = desk.rest("conference.forwarder.remove", room_id=room, forwarder_id=made["forwarder_id"])
    assert gone == (200, {"forwarder_id": made["forwarder_id"], "status": "removed"})
    assert seats(desk, room) == []
    assert desk.rest("conference.forwarder.get", room_id=room, forwarder_id=made["forwarder_id"])[0] == 404


def test_a_forwarder_does_not_hear_what_is_whispered(desk: Desk) -> None:
    room, coach = room_of(desk), call(desk)
    forward(desk, room)
    join(desk, coach, room, role="coach")
    heard = next(seat for seat in seats(desk, room) if seat.private is None)
    said = next(seat for seat in seats(desk, room) if seat.private is not None)
    assert not heard.hears >> said.role & 1
    roles = {"participant": {"hears": ["participant", "coach"]}, "coach": {"hears": ["participant"]}}
    assert (
        desk.rest("conference.routing.set", {"default": "participant", "roles": roles}, room_id=room)[0]
        == 200
    )
    heard = next(seat for seat in seats(desk, room) if seat.private is None)
    assert heard.hears >> said.role & 1


def test_forwarders_go_on_across_a_restart_and_end_with_the_room(desk: Desk) -> None:
    room = room_of(desk)
    _, made = forward(desk, room)
    desk.reboot()
    assert desk.rest("conference.forwarder.get", room_id=room, forwarder_id=made["forwarder_id"]) == (
        200,
        made,
    )
    desk.rest("conference.delete", room_id=room)
    assert not desk.workers[0].endpoints
    assert desk.core.workers.loads() == {0: 0}


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"remote": {"ip": "nowhere", "port": 1}}, "/remote/ip"),
        ({"remote": {"ip": "224.0.0.1", "port": 1}}, "/remote/ip"),
        ({"remote": {"ip": "192.0.2.9", "port": 65535}}, "/remote/port"),
        ({"payload_type": 8, "event_payload_type": 8}, "/event_payload_type"),
        ({"codec": "MP3"}, "/codec"),
        ({"ptime_ms": 7}, "/ptime_ms"),
        ({"srtp": True}, "/srtp"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(
    desk: Desk, wish: dict[str, Any], pointer: str
) -> None:
    room = room_of(desk)
    n = desk.ask("conference.forwarder.create", {"remote": THERE, **wish}, room_id=room)
    assert desk.reply(n) == (400, {"code": "validation_error", "detail": None})
    assert [fault.pointer for fault in desk.replies[n].refusal.faults] == [pointer]
    assert not desk.workers[0].endpoints


def test_a_forwarder_of_a_room_that_is_deleted_meanwhile_leaves_nothing(desk: Desk) -> None:
    room = room_of(desk)
    desk.workers[0].stalled = True
    asked = desk.ask("conference.forwarder.create", {"remote": THERE}, room_id=room)
    desk.rest("conference.delete", room_id=room)
    desk.workers[0].stalled = False
    desk.answer_late(0)
    assert desk.reply(asked) == (404, {"code": "room_not_found", "detail": None})
    assert not desk.workers[0].endpoints
    assert desk.core.workers.loads() == {0: 0}
