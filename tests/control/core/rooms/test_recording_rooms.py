"""Recordings of rooms: begun, paused, ended, and what ends them otherwise."""

from typing import Any

import pytest
from desk import Desk
from gathering import AT_ONCE, call, join, of_room, room_of

from roomtone.engine import messages as ms

CONFIG = 'recording_dir = "/rec"\n' + AT_ONCE


@pytest.fixture
def desk() -> Desk:
    return Desk(workers=2, config=CONFIG)


def record(desk: Desk, room: str, **wishes: Any) -> tuple[int, Any]:
    return desk.rest("conference.record.start", wishes, room_id=room)


def test_a_room_is_recorded_with_a_pause_in_one_file(desk: Desk) -> None:
    room = room_of(desk)
    join(desk, call(desk), room)
    status, made = record(desk, room)
    assert status == 201
    started = next(body for worker in desk.workers.values() for body in worker.of(ms.StartRecording))
    assert (started.session, started.endpoint, len(started.legs)) == (room, None, 1)
    assert started.file_path == f"/rec{made['recording_url'].removeprefix('/recordings')}?mix"
    for operation, changed in (("pause", True), ("pause", False), ("resume", True), ("resume", False)):
        status, reply = desk.rest(f"conference.record.{operation}", room_id=room)
        assert (status, reply["changed"]) == (200, changed)
    status, stopped = desk.rest("conference.record.stop", room_id=room)
    assert (status, stopped) == (200, {**made, "duration_ms": 5})
    assert of_room(desk, room)[2:] == [
        f"recording.{what}" for what in ("started", "paused", "resumed", "stopped")
    ]
    assert desk.told("conference.recording.stopped")[0]["reason"] == "stopped"
    assert desk.rest("conference.record.stop", room_id=room)[1]["code"] == "not_recording"


def test_one_recording_of_a_room_at_a_time(desk: Desk) -> None:
    room = room_of(desk)
    _, made = record(desk, room)
    assert record(desk, room) == (
        409,
        {"code": "recording_active", "detail": {"recording_id": made["recording_id"]}},
    )


def test_each_member_has_a_track_when_asked_for(desk: Desk) -> None:
    room = room_of(desk)
    for _ in range(3):
        join(desk, call(desk), room)
    record(desk, room, multi_track=True)
    started = next(body for worker in desk.workers.values() for body in worker.of(ms.StartRecording))
    assert not started.file_path.endswith("?mix")
    assert len(started.legs) == 3
    assert any(worker.of(ms.StartFeed) for worker in desk.workers.values())
    assert record(desk, room_of(desk, "2"), multi_track=True, format="pcap")[0] == 400


def test_who_joins_on_another_worker_during_a_pause_is_paused_too(desk: Desk) -> None:
    room = room_of(desk)
    first, second = call(desk), call(desk)
    join(desk, first, room)
    record(desk, room)
    desk.rest("conference.record.pause", room_id=room)
    before = sum(len(worker.of(ms.PauseRecording)) for worker in desk.workers.values())
    join(desk, second, room)
    assert sum(len(worker.of(ms.PauseRecording)) for worker in desk.workers.values()) == before + 1


def test_a_recording_ends_before_its_room(desk: Desk) -> None:
    room = room_of(desk)
    join(desk, call(desk), room)
    record(desk, room)
    assert desk.rest("conference.delete", room_id=room)[0] == 200
    assert of_room(desk, room)[-3:] == ["member.left", "recording.stopped", "destroyed"]
    assert desk.told("conference.recording.stopped")[0]["reason"] == "room_destroyed"


def test_a_room_that_waits_for_its_file_takes_no_commands(desk: Desk) -> None:
    room, caller = room_of(desk), call(desk)
    record(desk, room)
    for worker in desk.workers.values():
        worker.mute.add(ms.StopRecording)
    n = desk.ask("conference.delete", room_id=room)
    assert n not in desk.replies
    assert desk.rest("conference.get", room_id=room)[1]["state"] == "destroying"
    assert desk.rest("conference.change", {"locked": True}, room_id=room)[1]["code"] == "room_destroying"
    join(desk, caller, room)
    assert desk.told("command.result")[-1]["error"] == "room_not_found"
    desk.advance(20)
    assert desk.reply(n)[0] == 200
    assert of_room(desk, room)[-2:] == ["recording.stopped", "destroyed"]


def test_a_dead_worker_s_recording_is_told_of_once(desk: Desk) -> None:
    room = room_of(desk)
    join(desk, call(desk), room)
    record(desk, room)
    keeper = next(worker.index for worker in desk.workers.values() if worker.of(ms.StartRecording))
    desk.kill(keeper)
    assert [event["reason"] for event in desk.told("conference.recording.stopped")] == ["worker_lost"]
    assert record(desk, room)[0] == 201


@pytest.mark.parametrize("workers", [1, 2])
def test_a_recording_goes_on_across_a_restart(workers: int) -> None:
    desk = Desk(workers=workers, config=CONFIG)
    room = room_of(desk)
    _, made = record(desk, room)
    desk.reboot()
    assert desk.rest("conference.record.stop", room_id=room) == (200, {**made, "duration_ms": 5})
    assert [event["reason"] for event in desk.told("conference.recording.stopped")] == ["stopped"]


def test_a_recording_of_which_no_worker_knows_after_a_restart_has_ended(desk: Desk) -> None:
    room = room_of(desk)
    record(desk, room)
    for worker in desk.workers.values():
        worker.commands.clear()
    desk.reboot()
    assert [event["reason"] for event in desk.told("conference.recording.stopped")] == ["restart"]


def home(desk: Desk, room: str) -> int:
    """The worker that keeps the room's file."""
    return int(next(n for n, worker in desk.workers.items() if worker.of(ms.StartRecording)))


@pytest.mark.parametrize(
    ("operation", "slow", "code"),
    [
        ("start", ms.StartRecording, "recording_error"),
        ("pause", ms.PauseRecording, "not_recording"),
        ("stop", ms.StopRecording, None),
    ],
)
def test_a_room_deleted_while_its_recording_is_changed_has_a_last_event(
    desk: Desk, operation: str, slow: type, code: str | None
) -> None:
    """And it does not come back with the next control process."""
    room = room_of(desk)
    for worker in desk.workers.values():
        worker.mute.add(slow)
    if operation != "start":
        record(desk, room)
    asked = desk.ask(f"conference.record.{operation}", room_id=room)
    deleted = desk.ask("conference.delete", room_id=room)
    desk.answer_late(home(desk, room))
    assert desk.reply(deleted)[0] == 200
    assert desk.reply(asked)[1].get("code") == code
    told = of_room(desk, room)
    assert (told[-1], told.count("recording.stopped")) == ("destroyed", told.count("recording.started"))
    desk.reboot()
    assert desk.rest("conference.get", room_id=room)[0] == 404


def test_a_room_waits_five_seconds_for_its_file(desk: Desk) -> None:
    room = room_of(desk)
    record(desk, room)
    desk.workers[home(desk, room)].mute.add(ms.StopRecording)
    deleted = desk.ask("conference.delete", room_id=room)
    desk.advance(5)
    assert desk.reply(deleted)[0] == 200
    desk.answer_late(home(desk, room))
    assert of_room(desk, room) == ["created", "recording.started", "recording.stopped", "destroyed"]


def test_a_recording_that_breaks_off_while_it_is_paused_is_not_paused(desk: Desk) -> None:
    room = room_of(desk)
    _, made = record(desk, room)
    worker = home(desk, room)
    desk.workers[worker].mute.add(ms.PauseRecording)
    paused = desk.ask("conference.record.pause", room_id=room)
    broken = ms.RecordingStopped(
        session=room,
        recording=made["recording_id"],
        file_path="/rec/a.wav",
        duration_ms=70,
        packets=3,
        dropped_packets=0,
        reason="write_error",
    )
    desk.event(worker, broken)
    desk.answer_late(worker)
    assert desk.reply(paused)[1]["code"] == "not_recording"
    assert of_room(desk, room)[-1] == "recording.stopped"


def test_a_recording_that_nobody_was_told_of_ends_with_the_control_process(desk: Desk) -> None:
    room = room_of(desk)
    for worker in desk.workers.values():
        worker.mute.add(ms.StartRecording)
    desk.ask("conference.record.start", room_id=room)
    (started,) = desk.workers[home(desk, room)].of(ms.StartRecording)
    desk.reboot()
    (stopped,) = desk.workers[home(desk, room)].of(ms.StopRecording)
    assert stopped.recording == started.recording
    assert of_room(desk, room) == ["created"]
    for worker in desk.workers.values():
        worker.mute.clear()
    assert record(desk, room)[0] == 201


def test_a_room_opened_without_an_answer_is_closed_with_its_end(desk: Desk) -> None:
    room = room_of(desk)
    for worker in desk.workers.values():
        worker.stalled = True
    asked = desk.ask("conference.record.start", room_id=room)
    desk.advance(6)
    assert desk.reply(asked)[0] == 503
    for worker in desk.workers.values():
        worker.stalled = False
        desk.answer_late(worker.index)
    desk.rest("conference.delete", room_id=room)
    assert not any(worker.rooms for worker in desk.workers.values())
