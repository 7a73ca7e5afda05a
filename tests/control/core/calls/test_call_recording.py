"""record/start and record/stop: one file of the call, complete before its last event."""

from typing import Any

import pytest
from calling import command, made, names
from desk import Desk
from fake_worker import held

from roomtone.control.core import effects as fx
from roomtone.engine import messages as ms
from roomtone.engine.recording_counts import Left


@pytest.fixture
def desk() -> Desk:
    return Desk(config='recording_dir = "/rec"')


def recorded(desk: Desk, **body: Any) -> tuple[str, ms.StartRecording]:
    """A call that is recorded, and what its worker was asked."""
    call = made(desk)
    assert command(desk, call, "record/start", {"command_uid": "r-1", **body})[0] == 202
    return call, desk.workers[0].of(ms.StartRecording)[-1]


def ended(desk: Desk, body: ms.StartRecording, reason: str) -> None:
    """The worker's last word, unasked."""
    last = ms.RecordingStopped(
        session=body.session,
        recording=body.recording,
        file_path=body.file_path,
        duration_ms=2500,
        packets=1,
        dropped_packets=0,
        reason=reason,
    )
    desk.event(0, last)


def completed(desk: Desk) -> list[tuple[str, str, float, str]]:
    return [
        (told["command_uid"], told["recording_url"], told["duration"], told["cause"])
        for told in desk.told("recording.completed")
    ]


def test_a_call_is_recorded_from_start_to_stop(desk: Desk) -> None:
    call, body = recorded(desk)
    assert body.file_path.startswith("/rec/") and body.file_path.endswith(".wav?mix")
    name = body.file_path.removeprefix("/rec/").removesuffix("?mix")
    assert (body.endpoint, body.app_id) == (None, "app")
    assert command(desk, call, "record/stop")[0] == 202
    assert completed(desk) == [("r-1", f"/recordings/{name}", 0.005, "stopped")]
    assert names(desk, call) == ["call.new", "command.result", "recording.completed", "command.result"]
    desk.advance(3)
    command(desk, call, "record/start", {"format": "pcap"})
    assert desk.workers[0].of(ms.StartRecording)[-1].file_path.endswith(".pcap")


def test_what_is_not_recorded_is_not_stopped_and_what_is_not_started_twice(desk: Desk) -> None:
    call, _ = recorded(desk)
    desk.advance(3)
    assert command(desk, call, "record/start")[1]["code"] == "recording_active"
    command(desk, call, "record/stop")
    desk.advance(3)
    assert command(desk, call, "record/stop")[1]["code"] == "not_recording"
    assert command(desk, call, "record/start", {"format": "mp3"})[1]["code"] == "validation_error"


def test_recording_that_is_off_is_refused() -> None:
    desk = Desk()
    assert command(desk, made(desk), "record/start") == (409, {"code": "recording_error", "detail": None})


def test_a_recording_that_does_not_begin_is_told_by_its_result(desk: Desk) -> None:
    desk.workers[0].refuse[ms.StartRecording] = ms.Failed(code="RECORDING_ERROR", message="disk full")
    call, _ = recorded(desk)
    assert [(told["success"], told["error"]) for told in desk.told("command.result")] == [
        (False, "recording_error")
    ]
    desk.workers[0].refuse.clear()
    desk.advance(3)
    assert command(desk, call, "record/start")[0] == 202
    assert completed(desk) == []


def test_a_recording_that_breaks_off_is_completed(desk: Desk) -> None:
    call, body = recorded(desk)
    ended(desk, body, "write_error")
    assert [told[2:] for told in completed(desk)] == [(2.5, "write_error")]
    desk.advance(3)
    assert command(desk, call, "record/start")[0] == 202


def test_the_recording_is_complete_before_the_call_is_told_to_be_over(desk: Desk) -> None:
    call, body = recorded(desk)
    command(desk, call, "hangup")
    assert desk.rest("session.get", session_uuid=call)[0] == 404
    assert names(desk, call)[-1] == "command.result"
    ended(desk, body, "session_destroyed")
    assert names(desk, call)[-2:] == ["recording.completed", "call.hangup"]
    assert desk.rows == {key: row for key, row in desk.rows.items() if key[0] != "call"}


def test_a_hangup_while_the_recording_begins(desk: Desk) -> None:
    desk.workers[0].mute.add(ms.StartRecording)
    call, _ = recorded(desk)
    command(desk, call, "hangup")
    assert names(desk, call) == ["call.new", "command.result", "command.result", "call.hangup"]


def test_a_hangup_before_the_recording_has_its_turn(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].stalled = True
    command(desk, call, "playback/silence")
    assert command(desk, call, "record/start")[0] == 202
    command(desk, call, "hangup")
    assert names(desk, call)[-1] == "call.hangup"
    assert [told["error"] for told in desk.told("command.result")] == [None, "call_ended", "call_ended"]


def test_what_was_told_of_a_call_whose_recording_is_not_whole_yet_is_not_told_again(desk: Desk) -> None:
    call, _ = recorded(desk)
    command(desk, call, "playback/silence")
    assert names(desk, call)[-2:] == ["playback.started", "command.result"]
    desk.workers[0].stalled = True
    command(desk, call, "hangup")
    desk.workers[0].stalled = False
    desk.workers[0].endpoints.clear()
    desk.reboot()
    told = names(desk, call)
    assert (told.count("playback.stopped"), told.count("command.result")) == (1, 3)
    assert told[-2:] == ["recording.completed", "call.hangup"]


def test_a_worker_that_dies_takes_its_recording_with_it(desk: Desk) -> None:
    call, body = recorded(desk)
    left = {body.recording: Left(packets=5, duration_us=1_500_000, dropped_packets=0)}
    desk.give(fx.WorkerDied(0, 1, left))
    assert [told[2:] for told in completed(desk)] == [(1.5, "worker_lost")]
    assert names(desk, call)[-2:] == ["recording.completed", "call.hangup"]


def test_a_recording_outlives_a_restart_of_control(desk: Desk) -> None:
    call, _ = recorded(desk)
    desk.reboot()
    desk.advance(3)
    assert command(desk, call, "record/stop")[0] == 202
    assert [(told[0], told[3]) for told in completed(desk)] == [("r-1", "stopped")]


def test_a_recording_that_no_worker_keeps_after_a_restart_has_ended(desk: Desk) -> None:
    call, body = recorded(desk)
    desk.workers[0].commands.append(ms.StopRecording(body.recording))
    desk.reboot()
    assert [(told[0], told[3]) for told in completed(desk)] == [("r-1", "restart")]
    assert desk.rest("session.get", session_uuid=call)[0] == 200


def test_a_recorded_call_that_no_worker_holds_after_a_restart_ends_in_order(desk: Desk) -> None:
    call, body = recorded(desk)
    desk.workers[0].endpoints.clear()
    desk.workers[0].commands.append(ms.StopRecording(body.recording))
    desk.reboot()
    assert names(desk, call)[-2:] == ["recording.completed", "call.hangup"]


def test_a_recording_whose_end_was_asked_for_before_the_call_ended_is_forgotten(desk: Desk) -> None:
    """And its file may be written again."""
    call, _ = recorded(desk)
    desk.workers[0].mute.add(ms.StopRecording)
    command(desk, call, "record/stop")
    command(desk, call, "hangup")
    desk.answer_late(0)
    assert names(desk, call)[-2:] == ["recording.completed", "call.hangup"]
    assert desk.core.departed == {}


def test_commands_under_way_when_their_call_ends_say_so(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].mute.add(ms.StartRecording)
    command(desk, call, "record/start")
    command(desk, call, "record/stop")  # waits for its turn
    command(desk, call, "hangup")
    assert [r["error"] for r in desk.told("command.result")] == [None, "call_ended", "call_ended"]


def test_a_recording_that_was_not_told_of_ends_with_the_control_process(desk: Desk) -> None:
    """One that a client of the WebSocket has begun goes on."""
    call = made(desk)
    client = desk.connect("app")
    client.call("session.attach", session_id=call.partition("-")[2])
    theirs = client.call("recording.start", file_path="/rec/theirs.pcap")["recording_id"]
    desk.workers[0].mute.add(ms.StartRecording)
    command(desk, call, "record/start", {"command_uid": "r-1"})
    ours = desk.workers[0].of(ms.StartRecording)[-1].recording
    desk.reboot()
    assert [body.recording for body in desk.workers[0].of(ms.StopRecording)] == [ours]
    assert [told["error"] for told in desk.told("command.result")] == ["interrupted"]
    assert theirs in {
        recording.id for session in desk.core.sessions.values() for recording in session.recordings.values()
    }


def test_a_recording_that_died_while_no_control_process_ran_is_completed() -> None:
    """Else its call would never be told to have ended."""
    desk = Desk(workers=2, config='recording_dir = "/rec"')
    call, _ = recorded(desk)
    desk.reboot(heard=False)
    desk.give(fx.WorkerStarted(0, 1, running=True))
    desk.give(fx.WorkerHolds(0, held(desk.workers[0]), []))
    assert completed(desk) == []
    desk.kill(1)
    assert [cause for *_, cause in completed(desk)] == ["restart"]
    command(desk, call, "hangup")
    assert names(desk, call)[-1] == "call.hangup"
