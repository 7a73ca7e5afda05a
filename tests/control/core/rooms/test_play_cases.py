"""Room playback as the contract decides it in 2.4: which operation an event names, what is refused, who must
be there, what ends it from outside.
"""

from typing import Any

import pytest
from desk import Desk
from gathering import call, command, join
from stage import A, B, Stage

from roomtone.control.core.rooms import play
from roomtone.engine import messages as ms

# -- which operation an event names --------------------------------------------------------------------------


def test_an_event_carries_the_operation_that_caused_it_and_the_play(stage: Stage) -> None:
    begun = stage.begin()
    pause, resume, volume = stage.did("pause"), stage.did("pause"), stage.did("volume", volume=-6)
    stop = stage.did("stop")
    told = stage.news()
    assert [event["operation_id"] for event in told] == [begun, pause, resume, volume, stop]
    assert {event["play_operation_id"] for event in told} == {begun}
    assert {event["app_id"] for event in told} == {"app"}
    assert told[3]["volume"] == -6


def test_an_event_carries_the_request_that_caused_it(stage: Stage) -> None:
    stage.play()
    stage.did("volume", volume=-6)
    stage.desk.arrive(A)
    stage.first_frame()
    stage.did("pause")
    stage.end()
    told = [event.request_id for event in stage.desk.published if event.name.startswith("conference.play.")]
    assert told == ["req-2", "req-3", "req-4", None]


def test_an_end_of_its_own_carries_the_play(stage: Stage) -> None:
    begun = stage.begin(A)
    stage.end()
    started, finished = stage.news()
    assert started["operation_id"] == finished["operation_id"] == begun
    assert finished["urls"] == [A]


def test_events_have_the_documented_keys_in_their_order(stage: Stage) -> None:
    stage.begin()
    stage.did("pause")
    stage.did("pause")
    documented = [
        ["event", "room_id", "urls", "operation_id"],
        ["event", "room_id", "operation_id"],
        ["event", "app_id", "room_id", "operation_id"],
    ]
    for event, keys in zip(stage.news(), documented, strict=True):
        assert list(event)[: len(keys)] == keys


# -- checks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "urls_required"),
        ({"urls": []}, "urls_required"),
        ({"urls": "http://a/"}, "validation_error"),
        ({"urls": [f"http://a/{n}" for n in range(129)]}, "validation_error"),
        ({"urls": ["http://a/" + "x" * 2040]}, "validation_error"),
        *[
            ({"urls": [url]}, "validation_error")
            for url in (
                "ftp://a/b",
                "file:///etc/passwd",
                "hold.wav",
                "http://",
                "http://a b/",
                "http://[/",
                5,
            )
        ],
        *[({"urls": [A], "volume": v}, "validation_error") for v in (8, -51, 1.5, "3", True)],
        ({"urls": [A, B], "offset_sec": 3}, "validation_error"),
        ({"urls": [A], "on_busy": "wait"}, "validation_error"),
        ({"urls": [A], "loud": True}, "validation_error"),
    ],
    ids=str,
)
def test_a_bad_play_is_refused_and_changes_nothing(stage: Stage, body: dict[str, Any], code: str) -> None:
    status, reply = stage.ask("play", **body)
    assert (status, reply["code"]) == (400, code)
    assert stage.status == "stopped"
    assert not stage.news()


@pytest.mark.parametrize("volume", [8, -51, 1.5, "3", True, None])
def test_a_bad_volume_is_refused(stage: Stage, volume: Any) -> None:
    stage.begin()
    stage.news()
    assert stage.ask("volume", volume=volume)[1]["code"] == "validation_error"
    assert not stage.news()


def test_bodies_have_their_limits_and_their_own_keys(stage: Stage) -> None:
    many = [f"http://a/{n}" for n in range(128)]
    long = "http://a/" + "x" * 2039
    assert stage.ask("play", urls=[*many[:-1], long], x_note="ours")[0] == 202


def test_a_play_cannot_be_pushed_and_a_refused_one_does_not_slow_the_next() -> None:
    stage = Stage()
    desk = Desk()
    stage.desk, stage.room = desk, desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    assert stage.ask("volume", volume=1)[1]["code"] == "no_active_playback"
    stage.begin()
    stage.end()
    desk.advance(1.9)
    status, refused = stage.ask("play", urls=[A])
    assert (status, refused["code"]) == (429, "cooldown")
    desk.advance(0.2)
    assert stage.ask("play", urls=[A])[0] == 202
    stage.did("pause")
    desk.advance(0.1)
    assert stage.ask("volume", volume=1)[0] == 429
    desk.advance(0.11)
    assert stage.ask("volume", volume=1)[0] == 202


def test_whoever_hears_the_end_can_play_at_once(stage: Stage) -> None:
    """The status is `stopped` before the event can be seen."""
    stage.begin()
    stage.desk.disk_stalled = True
    stage.end()
    assert stage.names() == ["started"]
    assert play.status(stage.desk.core.rooms[stage.room]) == "stopped"
    stage.desk.write_on()
    assert stage.names() == ["finished"]


# -- members -------------------------------------------------------------------------------------------------


def test_an_empty_room_is_played_to_unless_members_are_required(stage: Stage) -> None:
    assert stage.ask("play", urls=[A], require_members=True)[1]["code"] == "room_empty"
    stage.begin()
    assert stage.status == "playing"


def test_members_that_are_required_are_there(stage: Stage) -> None:
    join(stage.desk, call(stage.desk), stage.room)
    assert stage.ask("play", urls=[A], require_members=True)[0] == 202


@pytest.mark.parametrize(("stops", "told"), [(False, ["started"]), (True, ["started", "stopped"])])
def test_it_plays_on_without_members_unless_told_to_stop(stage: Stage, stops: bool, told: list[str]) -> None:
    session = call(stage.desk)
    join(stage.desk, session, stage.room)
    begun = stage.begin(stop_when_empty=stops)
    stage.desk.advance(3)
    stage.file.position_ms += 20
    command(stage.desk, session, "conference/leave")
    events = stage.news()
    assert [event["event"].rpartition(".")[2] for event in events] == told
    if stops:
        assert (events[-1]["cause"], events[-1]["operation_id"]) == ("room_empty", begun)


def test_what_is_played_is_no_member_and_sits_as_an_announcement(stage: Stage) -> None:
    stage.begin()
    assert stage.ask("get")[1]["member_count"] == 0
    ((_, seat),) = stage.desk.workers[0].seats.values()
    assert (seat.role, seat.private) == (ms.ANNOUNCEMENTS, None)


# -- what becomes of the room and the worker -----------------------------------------------------------------


def test_a_room_that_goes_stops_everything_first(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    stage.ask("delete")
    told = stage.desk.told()[-3:]
    assert [(e["event"], e.get("operation_id"), e.get("cause")) for e in told] == [
        ("conference.play.stopped", first, "room_destroyed"),
        ("conference.play.stopped", second, "room_destroyed"),
        ("conference.destroyed", None, None),
    ]
    assert not stage.files


def test_a_worker_that_dies_fails_what_it_played_and_is_not_blamed_on_the_url(stage: Stage) -> None:
    stage.begin()
    stage.desk.kill(0)
    failed = stage.news()[-1]
    assert (failed["error"], failed["cause"], "error_detail" in failed) == (
        "playback_error",
        "worker_lost",
        False,
    )
    stage.desk.restart(0)
    stage.begin()
    assert stage.status == "playing"


def test_without_a_worker_nothing_is_accepted(stage: Stage) -> None:
    stage.desk.kill(0)
    assert stage.ask("play", urls=[A])[1]["code"] == "node_unavailable"


# -- what can be asked ---------------------------------------------------------------------------------------


def test_where_it_is_can_be_asked(stage: Stage) -> None:
    assert stage.ask("play.show")[1]["status"] == "stopped"
    begun = stage.begin(A, volume=-6)
    stage.move(0.5)
    shown = stage.ask("play.show")[1]
    assert shown == {
        "status": "playing",
        "operation_id": begun,
        "urls": [A],
        "item": 0,
        "position_ms": 500,
        "duration_ms": 1000,
        "volume": -6,
        "waiting": [],
        "overlays": [],
    }
    assert stage.ask("get")[1]["playback"]["position_ms"] == 500


def test_another_apps_room_is_not_played_to(stage: Stage) -> None:
    reply = stage.desk.rest("conference.play", {"urls": [A]}, app="other", room_id=stage.room)
    assert (reply[0], reply[1]["code"]) == (403, "not_owner")


def operation(stage: Stage, id: str) -> tuple[str, str | None]:
    told = stage.desk.rest("operation.get", operation_id=id)[1]
    return told["status"], told["error"]


def test_a_play_is_in_progress_until_it_has_ended(stage: Stage) -> None:
    begun = stage.begin(A)
    paused = stage.did("pause")
    assert (operation(stage, begun), operation(stage, paused)) == (("in_progress", None), ("completed", None))
    stage.did("pause")
    stage.end()
    assert operation(stage, begun) == ("completed", None)


def test_a_play_that_is_stopped_has_ended_and_one_that_cannot_be_fetched_has_failed(stage: Stage) -> None:
    begun = stage.begin(A)
    stopped = stage.did("stop")
    assert (operation(stage, begun), operation(stage, stopped)) == (("completed", None), ("completed", None))
    _, nothing = stage.ask("stop")
    assert operation(stage, nothing["operation_id"]) == ("completed", None)
    failing = stage.play(B)
    paused = stage.did("pause")
    stage.desk.fail(B)
    assert operation(stage, failing) == ("failed", "playback_error")
    assert operation(stage, paused) == ("failed", "aborted")
