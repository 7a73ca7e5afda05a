"""What is told to something that plays in a room, or is about to: pause, stop, volume, seek."""

import pytest
from stage import A, Stage

from roomtone.engine import messages as ms

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
