"""The edge cases of room playback that the contract decides in 2.4 and 2.5, a test each."""

from typing import Any

import pytest
from fake_worker import Desk
from gathering import call, command, join
from stage import A, B, C, Stage

from roomtone.control.core.rooms import play
from roomtone.engine import messages as ms


@pytest.fixture
def stage() -> Stage:
    return Stage()


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


# -- play while something plays ------------------------------------------------------------------------------


def test_busy_names_what_plays(stage: Stage) -> None:
    begun = stage.begin()
    stage.did("pause")
    assert stage.ask("play", urls=[B]) == (
        409,
        {"code": "playback_active", "detail": {"playback_status": "paused", "operation_id": begun}},
    )


def test_replace_stops_what_plays_and_what_waits_before_the_new_one_starts(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    third = stage.play(C, on_busy="replace")
    stage.desk.arrive(C)
    stage.first_frame()
    told = stage.news()
    assert [(e["event"].rpartition(".")[2], e["operation_id"], e.get("cause")) for e in told] == [
        ("started", first, None),
        ("stopped", first, "replaced"),
        ("stopped", second, "replaced"),
        ("started", third, None),
    ]


def test_queue_waits_for_the_end(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    assert stage.ask("play.show")[1]["waiting"] == [second]
    stage.end()
    assert stage.names() == ["started", "finished"]
    assert stage.status == "playing"
    stage.desk.arrive(B)
    stage.first_frame()
    stage.end()
    assert [event["operation_id"] for event in stage.news()] == [second, second]
    assert stage.status == "stopped"
    assert first != second


def test_a_failure_lets_the_next_one_begin(stage: Stage) -> None:
    stage.begin(A)
    second = stage.play(B, on_busy="queue")
    stage.break_off()
    stage.desk.arrive(B)
    stage.first_frame()
    assert stage.news()[-1]["operation_id"] == second


def test_stop_ends_what_waits_too_unless_one_is_named(stage: Stage) -> None:
    first, second, third = stage.begin(A), stage.play(B, on_busy="queue"), stage.play(C, on_busy="queue")
    stop = stage.did("stop", operation_id=second)
    assert stage.news()[-1]["play_operation_id"] == second
    assert stage.status == "playing"
    stop = stage.did("stop")
    assert [(e["play_operation_id"], e["operation_id"]) for e in stage.news()] == [
        (first, stop),
        (third, stop),
    ]
    assert stage.status == "stopped"


def test_stopping_what_plays_by_name_lets_the_next_one_begin(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    stage.did("stop", operation_id=first)
    assert stage.ask("play.show")[1]["operation_id"] == second


def test_an_overlay_plays_beside_and_leaves_the_status_alone(stage: Stage) -> None:
    first = stage.begin(A)
    overlay = stage.play(B, on_busy="overlay")
    stage.desk.arrive(B)
    stage.did("pause")
    file = next(f for f in stage.files if not f.started)
    stage.desk.event(0, ms.FileStarted(session=stage.room, endpoint=file.endpoint, started_at_us=0))
    assert stage.status == "paused"
    assert stage.ask("play.show")[1]["overlays"] == [overlay]
    stage.did("volume", volume=-20, operation_id=overlay)
    assert (file.gain_db, file.paused) == (-20, False)
    stage.did("stop")
    assert stage.status == "stopped"
    stage.desk.event(0, ms.FileFinished(session=stage.room, endpoint=file.endpoint, reason="completed"))
    told = stage.news()
    assert [e["event"].rpartition(".")[2] for e in told if e.get("overlay")] == [
        "started",
        "volume_changed",
        "finished",
    ]
    assert {e["play_operation_id"] for e in told if not e.get("overlay")} == {first}


def test_a_room_takes_only_so_many_plays(stage: Stage) -> None:
    stage.begin(A)
    taken = 1
    while stage.ask("play", urls=[B], on_busy="queue")[0] == 202:
        taken += 1
    assert taken == 32


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


# -- several urls --------------------------------------------------------------------------------------------


def test_urls_are_one_list_with_one_ready_ahead(stage: Stage) -> None:
    begun = stage.begin(A, B, C)
    assert list(stage.desk.requested) == [A, B]
    stage.desk.arrive(B)
    assert list(stage.desk.requested) == [A, B]
    stage.next_item()
    assert list(stage.desk.requested) == [A, B, C]
    stage.desk.arrive(C)
    assert (len(stage.file.paths), stage.file.more) == (3, False)
    stage.next_item()
    assert stage.ask("play.show")[1]["item"] == 2
    stage.end()
    started, finished = stage.news()
    assert started["urls"] == finished["urls"] == [A, B, C]
    assert finished["operation_id"] == begun


def test_one_that_fails_fails_all_and_is_named(stage: Stage) -> None:
    stage.begin(A, B, C)
    stage.desk.fail(B, code="http_404")
    (failed,) = stage.news()[1:]
    assert (failed["urls"], failed["error"], failed["error_detail"]) == ([B], "playback_error", "http_404")
    assert stage.status == "stopped"
    assert not stage.files


def test_skip_goes_on_without_what_cannot_be_played(stage: Stage) -> None:
    stage.begin(A, B, C, on_error="skip")
    stage.desk.fail(B)
    stage.desk.arrive(C)
    stage.next_item()
    stage.end()
    finished = stage.news()[-1]
    assert (finished["event"], finished["skipped_urls"]) == ("conference.play.finished", [B])


def test_skip_ends_the_list_where_nothing_follows(stage: Stage) -> None:
    stage.begin(A, B, on_error="skip")
    assert stage.file.more
    stage.desk.fail(B)
    assert not stage.file.more
    stage.end()
    assert stage.names() == ["started", "finished"]


def test_skip_goes_on_behind_a_file_that_breaks(stage: Stage) -> None:
    stage.begin(A, B, C, on_error="skip")
    stage.desk.arrive(B)
    stage.next_item()
    stage.break_off()
    assert stage.status == "playing"
    stage.desk.arrive(C)
    stage.first_frame()
    stage.end()
    started, finished = stage.news()
    assert (started["urls"], finished["skipped_urls"]) == ([A, B, C], [B])


def test_skip_of_all_is_a_failure(stage: Stage) -> None:
    stage.play(A, B, on_error="skip")
    stage.desk.fail(A)
    stage.desk.workers[0].refuse[ms.CreateFile] = ms.Failed(
        code="ENDPOINT_ERROR", message="no audio", detail="unsupported_media"
    )
    stage.desk.arrive(B)
    (failed,) = stage.news()
    assert (failed["urls"], failed["error_detail"]) == ([A, B], "unsupported_media")


def test_a_first_url_that_fails_was_never_started(stage: Stage) -> None:
    stage.play(A)
    stage.desk.fail(A)
    assert stage.names() == ["failed"]


def test_started_can_be_told_at_once() -> None:
    stage = Stage("[compat]\nstarted_on_dispatch = true\n")
    stage.play(A)
    stage.did("pause")
    assert stage.names() == ["started", "paused"]
    stage.did("pause")
    stage.desk.arrive(A)
    stage.first_frame()
    assert stage.names() == ["resumed"]


# -- while it is fetched -------------------------------------------------------------------------------------


def test_what_is_asked_while_it_is_fetched_is_told_behind_started_in_order(stage: Stage) -> None:
    stage.play(A)
    commands = [stage.did("volume", volume=3), stage.did("pause"), stage.did("pause"), stage.did("pause")]
    assert stage.status == "paused"
    assert stage.names() == []
    stage.desk.arrive(A)
    told = stage.news()
    assert [e["event"].rpartition(".")[2] for e in told] == [
        "started",
        "volume_changed",
        "paused",
        "resumed",
        "paused",
    ]
    assert [e["operation_id"] for e in told[1:]] == commands
    assert (stage.file.paused, stage.file.gain_db) == (True, 3)


def test_what_never_began_names_the_commands_that_went_with_it(stage: Stage) -> None:
    stage.play(A)
    commands = [stage.did("pause"), stage.did("volume", volume=-50)]
    stage.desk.fail(A)
    (failed,) = stage.news()
    assert failed["aborted_operations"] == commands


def test_a_command_while_the_worker_opens_the_file_is_not_lost(stage: Stage) -> None:
    stage.desk.workers[0].mute.add(ms.CreateFile)
    stage.play(A)
    stage.desk.arrive(A)
    stage.did("volume", volume=-50)
    stage.did("pause")
    stage.desk.answer_late(0)
    assert (stage.file.paused, stage.file.gain_db) == (True, None)


def test_a_stop_while_the_worker_opens_the_file_leaves_nothing(stage: Stage) -> None:
    stage.desk.workers[0].mute.add(ms.CreateFile)
    stage.play(A)
    stage.desk.arrive(A)
    stage.desk.workers[0].stalled = True
    stage.did("stop")
    stage.desk.answer_late(0)
    assert not stage.files
    assert stage.names() == ["stopped"]


def test_the_start_is_waited_for_while_a_pause_is_pending(stage: Stage) -> None:
    stage.play(A)
    stage.desk.advance(5)
    stage.did("pause")
    stage.desk.advance(5.1)
    (failed,) = stage.news()
    assert (failed["error"], failed["urls"]) == ("playback_timeout", [A])


# -- pause, stop, volume -------------------------------------------------------------------------------------


def test_a_pause_that_names_its_action_can_be_repeated(stage: Stage) -> None:
    stage.begin()
    stage.did("pause", action="pause")
    status, again = stage.ask("pause", action="pause")
    assert (status, again["status"], again["changed"]) == (202, "completed", False)
    stage.did("pause", action="resume")
    assert stage.ask("pause", action="resume")[1]["changed"] is False
    assert stage.names() == ["started", "paused", "resumed"]


def test_a_repeated_request_is_the_same_one(stage: Stage) -> None:
    stage.begin()
    first = stage.did("pause", command_uid="p-1")
    assert stage.did("pause", command_uid="p-1") == first
    assert stage.names() == ["started", "paused"]
    assert stage.ask("volume", volume=1, command_uid="p-1")[1]["code"] == "command_uid_conflict"


def test_the_second_stop_says_that_there_was_nothing_to_do(stage: Stage) -> None:
    stage.begin()
    stage.did("stop")
    status, again = stage.ask("stop")
    assert (status, again["status"], again["changed"]) == (202, "completed", False)
    assert stage.names() == ["started", "stopped"]


def test_a_stop_behind_the_end_does_nothing(stage: Stage) -> None:
    stage.begin()
    stage.end()
    assert stage.ask("stop")[1]["changed"] is False
    assert stage.names() == ["started", "finished"]


def test_an_end_behind_a_stop_says_nothing(stage: Stage) -> None:
    stage.begin()
    stage.did("stop")
    stage.end()
    assert stage.names() == ["started", "stopped"]
    assert stage.desk.core.counters.play_reports_stale == 1


def test_what_an_earlier_playback_reports_does_not_touch_the_next(stage: Stage) -> None:
    stage.begin()
    old = stage.last
    stage.did("stop")
    stage.begin()
    stage.desk.event(0, ms.FileFinished(session=stage.room, endpoint=old, reason="completed"))
    assert stage.status == "playing"


@pytest.mark.parametrize(("volume", "gain_db"), [(0, 0.0), (-50, None), (-49, -49.0), (7, 7.0)])
def test_volume_is_in_decibels_and_its_lowest_is_silence(
    stage: Stage, volume: int, gain_db: float | None
) -> None:
    stage.begin()
    stage.did("volume", volume=volume)
    assert stage.file.gain_db == gain_db


def test_a_volume_that_is_set_again_is_told_again(stage: Stage) -> None:
    stage.begin(volume=-3)
    stage.did("volume", volume=-3)
    assert stage.names() == ["started", "volume_changed"]


def test_the_volume_is_of_one_play(stage: Stage) -> None:
    stage.begin(volume=-50)
    assert stage.file.gain_db is None
    stage.did("stop")
    stage.begin()
    assert stage.file.gain_db == 0


def test_a_pause_may_last_for_ever(stage: Stage) -> None:
    stage.begin()
    stage.did("pause")
    stage.desk.advance(23 * 3600)
    assert stage.status == "paused"
    stage.did("pause")
    stage.move(2)
    stage.end()
    assert stage.names() == ["started", "paused", "resumed", "finished"]


def test_a_pause_can_have_a_limit(stage: Stage) -> None:
    begun = stage.begin(max_pause_s=60)
    stage.did("pause")
    stage.desk.advance(59)
    assert stage.status == "paused"
    stage.desk.advance(2)
    stopped = stage.news()[-1]
    assert (stopped["cause"], stopped["operation_id"]) == ("pause_limit", begun)
    assert not stage.files


def test_repeating_for_ever_never_ends_by_itself(stage: Stage) -> None:
    stage.begin(repeat=-1)
    created = stage.desk.workers[0].of(ms.CreateFile)[0]
    assert created.loop_count is None
    stage.desk.advance(100)  # it comes round to the same place all the time
    assert stage.status == "playing"


# -- seek ----------------------------------------------------------------------------------------------------


def test_seek_goes_to_a_place_in_what_is_played(stage: Stage) -> None:
    stage.begin()
    status, sought = stage.ask("seek", offset_ms=700)
    assert (status, sought["status"], sought["position_ms"]) == (200, "completed", 700)
    assert stage.file.position_ms == 700
    assert stage.ask("play.show")[1]["position_ms"] == 700


@pytest.mark.parametrize(
    "body", [{}, {"offset_sec": 1, "offset_ms": 1}, {"offset_ms": -1}, {"offset_sec": 5}], ids=str
)
def test_seek_refuses_what_is_no_place(stage: Stage, body: dict[str, int]) -> None:
    stage.begin()
    assert stage.ask("seek", **body)[1]["code"] == "validation_error"
    assert stage.file.position_ms == 0


def test_seek_needs_something_that_plays(stage: Stage) -> None:
    assert stage.ask("seek", offset_ms=1)[1]["code"] == "no_active_playback"
    stage.play()
    assert stage.ask("seek", offset_ms=1)[1]["code"] == "no_active_playback"


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


# -- the watchdog --------------------------------------------------------------------------------------------


def test_a_body_that_stalls_is_a_timeout(stage: Stage) -> None:
    stage.desk.workers[0].duration_ms = None
    stage.begin()
    for _ in range(3):
        stage.move(2)
    stage.desk.advance(9)
    assert stage.status == "playing"
    stage.desk.advance(3)
    assert stage.news()[-1]["error"] == "playback_timeout"
    assert not stage.files


def test_the_next_url_is_named_when_it_is_the_one_that_does_not_come(stage: Stage) -> None:
    stage.begin(A, B)
    stage.file.position_ms = 1000
    stage.desk.advance(15)
    assert stage.news()[-1]["urls"] == [B]


def test_what_should_be_over_is_a_timeout_though_it_moves(stage: Stage) -> None:
    stage.begin()
    for _ in range(6):
        stage.move(2)
    assert stage.news()[-1]["error"] == "playback_timeout"


def test_a_slow_origin_is_not_overdue_while_it_moves(stage: Stage) -> None:
    """A second of audio a millisecond at a time: silence in between is no time of the file."""
    stage.begin()
    for _ in range(20):
        stage.file.position_ms += 1
        stage.file.underruns += 100
        stage.desk.advance(2)
    assert stage.status == "playing"


def test_paused_time_does_not_count(stage: Stage) -> None:
    stage.begin()
    stage.desk.advance(5)
    stage.did("pause")
    stage.desk.advance(30)
    stage.did("pause")
    stage.desk.advance(4.9)
    assert stage.status == "playing"
    stage.desk.advance(2)
    assert stage.status == "stopped"


def test_the_literal_watchdog_knows_only_ten_seconds() -> None:
    stage = Stage('[watchdog]\nmode = "literal"\n')
    stage.begin(repeat=-1)
    for _ in range(4):
        stage.move(2)
    assert stage.status == "playing"
    stage.desk.advance(2.1)
    assert stage.news()[-1]["error"] == "playback_timeout"


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


# -- what an operation is asked for --------------------------------------------------------------------------


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
