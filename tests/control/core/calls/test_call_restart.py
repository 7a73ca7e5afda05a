"""Control dies in the middle of a call: what was played goes on or has ended, what was owed is told."""

import pytest
from calling import command, made, names
from desk import Desk
from fake_worker import held
from test_digits import PROMPT, asked, collected, press
from test_playback import ONE, TWO, begins, endpoint, ends, playing, results, start, status

from roomtone.control.core import effects as fx
from roomtone.engine import messages as ms


def stopped(desk: Desk) -> list[tuple[str, str]]:
    return [(told["command_uid"], told["cause"]) for told in desk.told("playback.stopped")]


def test_a_file_plays_on(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.advance(2)
    desk.workers[0].files[endpoint(desk)].position_ms = 1980
    desk.reboot()
    assert (status(desk, call), stopped(desk)) == ("playing", [])
    desk.advance(3)
    ends(desk, call)
    (told,) = desk.told("playback.stopped")
    assert (told["command_uid"], told["cause"], told["offset_ms"]) == ("p-1", "finished", 4980)
    assert told["duration_ms"] == 5000
    assert len(desk.told("playback.started")) == 1


def test_a_paused_file_stays_paused_and_can_be_steered(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.advance(1)
    command(desk, call, "playback/pause")
    desk.reboot()
    assert status(desk, call) == "paused"
    desk.advance(3)
    command(desk, call, "playback/resume")
    desk.advance(1)
    assert command(desk, call, "playback/restart")[0] == 202
    desk.arrive(ONE)
    begins(desk, call)
    desk.advance(1)
    command(desk, call, "playback/stop")
    (told,) = desk.told("playback.stopped")
    assert (told["cause"], told["offset_ms"]) == ("stopped", 1000)


def test_a_file_that_ended_meanwhile_is_told_of(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.workers[0].files[endpoint(desk)].ended = True
    desk.reboot()
    assert (stopped(desk), status(desk, call)) == ([("p-1", "finished")], "stopped")
    assert endpoint(desk) not in desk.workers[0].endpoints


def test_a_list_ends(desk: Desk) -> None:
    call = playing(desk, ONE, TWO)
    desk.reboot()
    assert (stopped(desk), status(desk, call)) == ([("p-1", "restart")], "stopped")
    assert endpoint(desk) not in desk.workers[0].endpoints
    assert start(desk, call, ONE)[0] == 202


def test_a_playback_that_was_being_fetched_is_told_not_to_come(desk: Desk) -> None:
    call = made(desk)
    start(desk, call, ONE, command_uid="p-1")
    desk.reboot()
    assert results(desk) == [("playback/start", False, False, "interrupted")]
    assert [told["error"] for told in desk.told("playback.file_not_found")] == ["restart"]
    assert stopped(desk) == []
    desk.reboot()
    assert len(results(desk)) == len(desk.told("playback.file_not_found")) == 1


def test_digits_that_were_pressed_before_a_restart_count(desk: Desk) -> None:
    call = asked(desk, tries=2, pattern="4.+")
    press(desk, call, "4")
    desk.reboot()
    press(desk, call, "2#")
    assert collected(desk) == [("42", "#", "success")]
    assert results(desk) == [("play_and_get_digits", True, True, None)]


def test_a_prompt_begins_again_after_a_restart(desk: Desk) -> None:
    call = asked(desk, tries=2)
    desk.reboot()
    assert desk.workers[0].files == {}
    desk.arrive(PROMPT)
    begins(desk, call)
    ends(desk, call)
    desk.advance(5)
    desk.reboot()  # during the second try
    desk.arrive(PROMPT)
    begins(desk, call)
    ends(desk, call)
    desk.advance(4.9)
    assert collected(desk) == []
    desk.advance(0.1)
    assert collected(desk) == [("", "", "timeout")]


def test_the_time_for_a_key_begins_again_with_a_restart(desk: Desk) -> None:
    call = asked(desk)
    ends(desk, call)
    desk.advance(4)
    desk.reboot()
    desk.advance(4.9)
    assert collected(desk) == []
    desk.advance(0.1)
    assert collected(desk) == [("", "", "timeout")]


def test_digits_of_a_call_that_nobody_holds_are_told_before_its_end(desk: Desk) -> None:
    call = asked(desk)
    press(desk, call, "7")
    desk.workers[0].endpoints.clear()
    desk.reboot()
    assert collected(desk) == [("7", "", "unknown")]
    assert names(desk, call)[-2:] == ["digits.collected", "call.hangup"]


def test_digits_whose_prompt_was_not_heard_yet_are_not_collected_any_more(desk: Desk) -> None:
    """The command has failed."""
    call = made(desk)
    command(desk, call, "play_and_get_digits", {"urls": [PROMPT]})
    desk.reboot()
    assert collected(desk) == [("", "", "unknown")]
    assert results(desk) == [("play_and_get_digits", False, False, "interrupted")]


def test_a_command_that_waits_for_its_worker_is_told_to_have_failed(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.workers[0].mute.add(ms.PauseFile)
    command(desk, call, "playback/pause")
    desk.workers[0].mute.clear()
    desk.reboot()
    assert results(desk)[1:] == [("playback/pause", False, False, "interrupted")]
    desk.advance(5)
    assert len(results(desk)) == 2


def test_a_join_that_was_under_way_is_told_to_have_failed(desk: Desk) -> None:
    call = made(desk)
    command(desk, call, "answer")
    room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    desk.workers[0].mute.add(ms.Seated)
    command(desk, call, "conference/join", {"room_id": room})
    desk.reboot()
    assert results(desk)[1:] == [("conference/join", False, False, "interrupted")]


@pytest.mark.parametrize("lost", [False, True])
def test_a_call_that_nobody_holds_is_told_to_the_end(desk: Desk, lost: bool) -> None:
    call = playing(desk, ONE) if not lost else made(desk)
    if lost:
        command(desk, call, "play_and_get_digits", {"urls": [PROMPT]})
    desk.workers[0].endpoints.clear()
    desk.reboot()
    last = ["command.result", "call.hangup"] if lost else ["playback.stopped", "call.hangup"]
    assert sorted(names(desk, call)[-2:]) == sorted(last)
    assert names(desk, call)[-1] == "call.hangup"


def test_a_call_that_was_told_to_be_over_does_not_come_back(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].stalled = True
    command(desk, call, "hangup")
    desk.workers[0].stalled = False
    assert desk.workers[0].endpoints
    desk.reboot()
    assert names(desk, call)[-1] == "call.hangup"
    assert desk.rest("session.get", session_uuid=call)[0] == 404
    assert not desk.workers[0].endpoints


def test_a_file_that_was_about_to_be_heard_is_not_heard_after_a_restart(desk: Desk) -> None:
    """Its command has failed, so the application plays something else."""
    call = made(desk)
    start(desk, call, ONE)
    desk.arrive(ONE)
    desk.reboot()
    assert desk.workers[0].files == {}
    assert results(desk) == [("playback/start", False, False, "interrupted")]


def test_a_call_that_ends_before_all_workers_were_heard_closes_what_was_open() -> None:
    """Nobody will claim it any more."""
    desk = Desk(workers=2, config='recording_dir = "/rec"')
    call = asked(desk)
    desk.advance(3)
    command(desk, call, "record/start", {"command_uid": "r-1"})
    press(desk, call, "7")
    worker = desk.workers[0]
    desk.reboot(heard=False)
    desk.give(fx.WorkerStarted(0, 1, running=True))
    desk.give(fx.WorkerHolds(0, [e for e in held(worker) if e.kind == "rtp"], []))
    command(desk, call, "hangup")
    assert names(desk, call)[-4:] == [
        "command.result",
        "digits.collected",
        "recording.completed",
        "call.hangup",
    ]
    assert {kind for kind, _ in desk.rows} <= {"uid"}
