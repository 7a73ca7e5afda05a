"""Playback to one call: from the command to its last event."""

from typing import Any

import pytest
from calling import command, made, names
from desk import Desk

from roomtone.engine import messages as ms

ONE, TWO = "https://media.example/one.wav", "https://media.example/two.wav"


def endpoint(desk: Desk) -> str:
    """What the worker was asked last to make of files."""
    return str(desk.workers[0].of(ms.CreateFile)[-1].endpoint)


def begins(desk: Desk, call: str) -> None:
    desk.event(
        0, ms.FileStarted(session=call.partition("-")[2], endpoint=endpoint(desk), started_at_us=desk.now_us)
    )


def ends(desk: Desk, call: str, **how: Any) -> None:
    how = {"reason": "completed", **how}
    desk.event(0, ms.FileFinished(session=call.partition("-")[2], endpoint=endpoint(desk), **how))


def start(desk: Desk, call: str, *urls: str, **more: Any) -> tuple[int, Any]:
    desk.advance(3)
    return command(desk, call, "playback/start", {"urls": list(urls), **more})


def playing(desk: Desk, *urls: str, **more: Any) -> str:
    """A call to which that is played."""
    call = made(desk)
    assert start(desk, call, *urls, command_uid="p-1", **more)[0] == 202
    for url in urls:
        desk.arrive(url)
    begins(desk, call)
    return call


def results(desk: Desk) -> list[tuple[str, bool, bool, str | None]]:
    return [(r["command"], r["success"], r["changed"], r["error"]) for r in desk.told("command.result")]


def status(desk: Desk, call: str) -> str:
    return str(desk.rest("session.get", session_uuid=call)[1]["playback_status"])


def test_a_file_is_fetched_played_and_told_of(desk: Desk) -> None:
    call = made(desk)
    assert start(desk, call, ONE, command_uid="p-1", offset_sec=2)[0] == 202
    assert not desk.workers[0].of(ms.CreateFile)
    desk.arrive(ONE)
    (body,) = desk.workers[0].of(ms.CreateFile)
    assert (body.start_ms, body.more) == (2000, False)
    assert (status(desk, call), names(desk, call)) == ("playing", ["call.new"])
    begins(desk, call)
    desk.advance(5)
    ends(desk, call)
    told = {"session_uuid": call, "command_uid": "p-1", "urls": [ONE], "file_path": ONE}
    assert desk.told("playback.started") == [{"event": "playback.started", **told}]
    assert desk.told("playback.stopped") == [
        {
            "event": "playback.stopped",
            **told,
            "offset_ms": 7000,
            "duration_ms": 5000,
            "cause": "finished",
        }
    ]
    assert names(desk, call) == ["call.new", "playback.started", "command.result", "playback.stopped"]
    assert results(desk) == [("playback/start", True, True, None)]
    assert status(desk, call) == "stopped"
    assert desk.workers[0].of(ms.RemoveEndpoint)[-1].endpoint == body.endpoint
    desk.advance(600)
    assert desk.disk == set()


def test_several_files_are_all_fetched_and_then_queued_one_ahead(desk: Desk) -> None:
    three = "https://media.example/three.wav"
    call = made(desk)
    start(desk, call, ONE, TWO, three)
    desk.arrive(TWO)
    desk.arrive(three)
    assert not desk.workers[0].of(ms.CreateFile)
    desk.arrive(ONE)
    worker = desk.workers[0]
    assert [body.more for body in worker.of(ms.CreateFile)] == [True]
    assert [body.more for body in worker.of(ms.QueueFile)] == [True]
    begins(desk, call)
    desk.advance(10)
    desk.event(0, ms.FileNext(session=call.partition("-")[2], endpoint=endpoint(desk), item=1))
    assert [body.more for body in worker.of(ms.QueueFile)] == [True, False]
    desk.advance(4)
    command(desk, call, "playback/stop")
    (stopped,) = desk.told("playback.stopped")
    assert (stopped["offset_ms"], stopped["duration_ms"], stopped["cause"]) == (4000, 14000, "stopped")
    assert len(desk.told("playback.started")) == 1


def test_the_last_of_two_playbacks_wins(desk: Desk) -> None:
    call = playing(desk, ONE)
    first = endpoint(desk)
    start(desk, call, TWO, command_uid="p-2")
    assert [(s["command_uid"], s["cause"]) for s in desk.told("playback.stopped")] == [("p-1", "replaced")]
    assert first not in desk.workers[0].endpoints
    desk.arrive(TWO)
    begins(desk, call)
    assert [s["command_uid"] for s in desk.told("playback.started")] == ["p-1", "p-2"]


def test_a_playback_that_never_began_is_replaced_without_a_word_but_its_result(desk: Desk) -> None:
    call = made(desk)
    start(desk, call, ONE)
    desk.advance(1)
    command(desk, call, "playback/start", {"urls": [TWO]})
    assert desk.downloading and ONE not in [effect.url for effect in desk.downloading.values()]
    assert names(desk, call) == ["call.new", "command.result"]
    assert results(desk) == [("playback/start", False, False, "replaced")]


def test_a_file_that_is_not_there_is_told_of(desk: Desk) -> None:
    call = made(desk)
    start(desk, call, ONE, TWO, command_uid="p-1")
    desk.fail(TWO)
    (told,) = desk.told("playback.file_not_found")
    assert (told["session_uuid"], told["command_uid"], told["urls"]) == (call, "p-1", [TWO])
    assert names(desk, call) == ["call.new", "playback.file_not_found", "command.result"]
    assert results(desk) == [("playback/start", False, False, "file_not_found")]
    assert (status(desk, call), desk.downloading) == ("stopped", {})


def test_a_file_that_cannot_be_decoded_is_told_of(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].refuse[ms.CreateFile] = ms.Failed(code="ENDPOINT_ERROR", message="noise")
    start(desk, call, ONE)
    desk.arrive(ONE)
    assert names(desk, call) == ["call.new", "playback.file_not_found", "command.result"]


def test_a_file_that_breaks_off_ends_the_playback(desk: Desk) -> None:
    call = playing(desk, ONE)
    ends(desk, call, reason="error", error="noise", code="decode_error")
    assert [(told["error"], told["urls"]) for told in desk.told("playback.file_not_found")] == [
        ("decode_error", [ONE])
    ]
    assert [told["cause"] for told in desk.told("playback.stopped")] == ["error"]


def test_a_slow_file_is_out_of_time_but_played_when_it_comes(desk: Desk) -> None:
    call = made(desk)
    start(desk, call, ONE)
    desk.advance(2.5)
    (result,) = desk.told("command.result")
    assert (result["success"], result["error"], result["timed_out"]) == (False, "timeout", True)
    desk.arrive(ONE)
    begins(desk, call)
    assert names(desk, call) == ["call.new", "command.result", "playback.started"]


def test_a_place_behind_the_end_is_not_gone_to(desk: Desk) -> None:
    call = playing(desk, ONE)
    command(desk, call, "playback/seek", {"offset_sec": 30})
    assert results(desk)[1:] == [("playback/seek", False, False, "validation_error")]
    assert status(desk, call) == "playing"


def test_pause_resume_seek_and_restart(desk: Desk) -> None:
    worker = desk.workers[0]
    worker.duration_ms = 90_000
    call = playing(desk, ONE)
    desk.advance(3)
    assert command(desk, call, "playback/pause")[0] == 202
    assert (status(desk, call), len(worker.of(ms.PauseFile))) == ("paused", 1)
    desk.advance(3)
    command(desk, call, "playback/pause")
    desk.advance(1)
    command(desk, call, "playback/resume")
    assert (status(desk, call), len(worker.of(ms.ResumeFile))) == ("playing", 1)
    desk.advance(2)
    command(desk, call, "playback/seek", {"offset_sec": 30})
    assert worker.of(ms.SeekFile)[0].position_ms == 30_000
    desk.advance(1)
    command(desk, call, "playback/seek", {"offset_ms": 60_500})
    desk.advance(1)
    command(desk, call, "playback/stop")
    (stopped,) = desk.told("playback.stopped")
    assert (stopped["offset_ms"], stopped["duration_ms"]) == (61_500, 7000)
    assert results(desk)[1:] == [
        ("playback/pause", True, True, None),
        ("playback/pause", True, False, None),
        ("playback/resume", True, True, None),
        ("playback/seek", True, True, None),
        ("playback/seek", True, True, None),
        ("playback/stop", True, True, None),
    ]


def test_a_restarted_playback_begins_with_its_first_file(desk: Desk) -> None:
    call = playing(desk, ONE, TWO)
    first = endpoint(desk)
    desk.event(0, ms.FileNext(session=call.partition("-")[2], endpoint=first, item=1))
    desk.advance(2)
    assert command(desk, call, "playback/restart")[0] == 202
    assert endpoint(desk) != first
    assert first not in desk.workers[0].endpoints
    begins(desk, call)
    desk.advance(1)
    command(desk, call, "playback/stop")
    (stopped,) = desk.told("playback.stopped")
    assert (stopped["command_uid"], stopped["offset_ms"], stopped["duration_ms"]) == ("p-1", 1000, 3000)
    assert len(desk.told("playback.started")) == 1


def test_silence_flows_until_its_time_is_over(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.advance(3)
    assert command(desk, call, "playback/silence", {"duration_ms": 1000})[0] == 202
    (tone,) = desk.workers[0].of(ms.CreateTone)
    assert (tone.tone, tone.duration_ms) == ("silence", 1000)
    assert [told["urls"] for told in desk.told("playback.started")] == [[ONE], []]
    desk.advance(1)
    desk.event(0, ms.ToneFinished(session=call.partition("-")[2], endpoint=tone.endpoint))
    assert [(told["urls"], told["cause"]) for told in desk.told("playback.stopped")] == [
        ([ONE], "replaced"),
        ([], "finished"),
    ]


def test_a_stop_with_nothing_to_stop_changes_nothing(desk: Desk) -> None:
    call = made(desk)
    assert command(desk, call, "playback/stop")[0] == 202
    assert results(desk) == [("playback/stop", True, False, None)]


@pytest.mark.parametrize("name", ["pause", "resume", "restart", "seek"])
@pytest.mark.parametrize("fetching", [False, True])
def test_what_is_not_played_cannot_be_changed(desk: Desk, name: str, fetching: bool) -> None:
    call = made(desk)
    if fetching:
        start(desk, call, ONE)
    body = {"offset_ms": 5} if name == "seek" else None
    assert command(desk, call, f"playback/{name}", body)[1]["code"] == "no_active_playback"


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("start", {}, "urls_required"),
        ("start", {"urls": []}, "validation_error"),
        ("start", {"urls": [ONE] * 129}, "validation_error"),
        ("start", {"urls": ["https://media.example/" + "a" * 2048]}, "validation_error"),
        ("start", {"urls": ["hold.wav"]}, "validation_error"),
        ("start", {"urls": ["file:///etc/passwd"]}, "validation_error"),
        ("start", {"urls": ["http://"]}, "validation_error"),
        ("start", {"urls": [ONE, TWO], "offset_sec": 1}, "validation_error"),
        ("start", {"urls": [ONE], "offset_sec": 86401}, "validation_error"),
        ("start", {"urls": [ONE], "offset_sec": -1}, "validation_error"),
        ("seek", {}, "validation_error"),
        ("seek", {"offset_ms": 1, "offset_sec": 1}, "validation_error"),
        ("silence", {"duration_ms": -1}, "validation_error"),
        ("stop", {"urls": [ONE]}, "validation_error"),
    ],
)
def test_a_wrong_body_is_refused_and_changes_nothing(
    desk: Desk, name: str, body: dict[str, Any], code: str
) -> None:
    call = playing(desk, ONE)
    before = names(desk, call)
    desk.advance(3)
    assert command(desk, call, f"playback/{name}", body)[1]["code"] == code
    assert (names(desk, call), status(desk, call)) == (before, "playing")


def test_a_hangup_ends_what_is_played_first(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.advance(1)
    command(desk, call, "hangup")
    assert names(desk, call)[-3:] == ["command.result", "playback.stopped", "call.hangup"]
    assert desk.told("playback.stopped")[0]["duration_ms"] == 1000


def test_the_janitor_ends_what_is_played_first(desk: Desk) -> None:
    call = playing(desk, ONE)
    desk.advance(140)
    assert names(desk, call)[-2:] == ["playback.stopped", "call.hangup"]


def test_a_hangup_while_the_worker_is_asked_leaves_nothing(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].mute.add(ms.CreateFile)
    start(desk, call, ONE)
    desk.arrive(ONE)
    command(desk, call, "hangup")
    assert names(desk, call) == ["call.new", "command.result", "command.result", "call.hangup"]
    desk.advance(1)
    desk.workers[0].mute.clear()
    desk.answer_late(0)
    assert not desk.workers[0].endpoints
    assert names(desk, call)[-1] == "call.hangup"


def test_a_playback_replaced_while_its_worker_is_asked_is_removed(desk: Desk) -> None:
    call = made(desk)
    worker = desk.workers[0]
    worker.mute.add(ms.CreateFile)
    start(desk, call, ONE)
    desk.arrive(ONE)
    first = endpoint(desk)
    desk.advance(1)
    command(desk, call, "playback/start", {"urls": [TWO]})
    desk.arrive(TWO)
    worker.mute.clear()
    desk.answer_late(0)
    assert (endpoint(desk) == first, first in worker.endpoints) == (False, False)
    begins(desk, call)
    assert [told["urls"] for told in desk.told("playback.started")] == [[TWO]]


def test_an_attached_client_sees_and_can_remove_what_is_played(desk: Desk) -> None:
    call = playing(desk, ONE)
    client = desk.connect("app")
    client.call("session.attach", session_id=call.partition("-")[2])
    kinds = {e["endpoint_type"]: e["endpoint_id"] for e in client.call("session.info")["endpoints"]}
    client.call("endpoint.remove", endpoint_id=kinds["file"])
    assert [told["cause"] for told in client.events("playback.stopped")] == ["removed"]
    assert status(desk, call) == "stopped"


def test_in_a_room_only_the_call_hears_what_is_played_to_it(desk: Desk) -> None:
    call = made(desk)
    command(desk, call, "answer")
    room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    command(desk, call, "conference/join", {"room_id": room})
    start(desk, call, ONE)
    desk.arrive(ONE)
    (body,) = desk.workers[0].of(ms.CreateFile)
    assert body.room == room
    assert (body.seat.private, body.seat.hears) == (call.partition("-")[2], 0)
