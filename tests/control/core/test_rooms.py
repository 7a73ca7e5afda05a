"""Rooms over REST, in core."""

from desk import Desk


def test_a_room_is_made_shown_and_ended(desk: Desk) -> None:
    status, made = desk.rest("conference.create", {"name": "Team Standup"})
    assert status == 201
    room = made["room_id"]
    assert desk.rest("conference.get", room_id=room)[1]["name"] == "Team Standup"
    assert desk.rest("conference.create", {"name": "Team Standup"}) == (
        409,
        {"code": "name_taken", "detail": {"room_id": room}},
    )
    assert desk.rest("conference.delete", room_id=room) == (200, {"room_id": room, "status": "destroyed"})
    assert desk.rest("conference.get", room_id=room)[0] == 404
    assert desk.told() == [
        {"event": "conference.created", "app_id": "app", "room_id": room, "name": "Team Standup"},
        {"event": "conference.destroyed", "app_id": "app", "room_id": room},
    ]


def test_the_reply_waits_for_the_disk(desk: Desk) -> None:
    desk.disk_stalled = True
    n = desk.ask("conference.create", {"name": "r"})
    assert n not in desk.replies
    desk.write_on()
    assert desk.reply(n)[0] == 201


def test_the_room_of_another_app_is_not_touched(desk: Desk) -> None:
    room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    assert desk.rest("conference.delete", app="other", room_id=room) == (
        403,
        {"code": "not_owner", "detail": None},
    )
    assert desk.rest("conference.get", room_id=room)[0] == 200


def test_who_looks_at_a_room_waits_for_its_own_changes_alone(desk: Desk) -> None:
    quiet, busy = (desk.rest("conference.create", {"name": name})[1]["room_id"] for name in ("quiet", "busy"))
    desk.disk_stalled = True
    changing = desk.ask("conference.change", {"locked": True}, room_id=busy)
    assert desk.rest("conference.get", room_id=quiet)[0] == 200
    of_busy, of_all = desk.ask("conference.get", room_id=busy), desk.ask("conference.list")
    assert not {changing, of_busy, of_all} & set(desk.replies)
    desk.write_on()
    assert desk.reply(of_busy)[1]["locked"] is True
    assert {changing, of_all} <= set(desk.replies)
