"""Every code of the list is provoked, and told in both formats as the OpenAPI document says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from desk import OFFER, Desk
from jsonschema import Draft202012Validator

from roomtone.control.core import effects as fx
from roomtone.control.core.rest.codes import CODES
from roomtone.control.core.rest.refusal import refuse
from roomtone.control.io import rest_errors
from roomtone.control.spec_rest import TITLES, document
from roomtone.engine import messages as ms

DOCUMENT = document("0")
RECORDING = 'recording_dir = "/rec"'
NO_COOLDOWN = "\n[limits]\nconference_play_ms = 0\nheavy_ms = 0\nseek_ms = 0"
PLAY = {"urls": ["https://media.example/a.wav"]}
HOOK = {"url": "https://hooks.example/"}
KEY = {"api_key": "0123456789abcdef"}

# Of the outcome of a command that was accepted: its `command.result` tells them (tests/control/core/rooms).
OF_RESULTS = {"not_in_conference", "already_in_room", "room_full", "room_locked", "node_mismatch"}
# Before or without core: tests/control/io/test_rest_front.py.
OF_HTTP = {
    "missing_app_id", "missing_api_key", "invalid_api_key", "missing_admin_key", "invalid_admin_key",
    "admin_disabled", "not_found", "method_not_allowed", "invalid_command", "body_too_large",
    "unsupported_media_type", "rate_limited", "internal_error",
}  # fmt: skip

Scene = Callable[[Desk], int]  # what is done, and the number of the request that is refused
SCENES: dict[str, tuple[str, Scene]] = {}


def scene(code: str, config: str = RECORDING + NO_COOLDOWN) -> Callable[[Scene], Scene]:
    def note(act: Scene) -> Scene:
        SCENES[code] = config, act
        return act

    return note


def ask(code: str, operation: str, body: Any = None, config: str = "", **more: Any) -> None:
    """A scene of one request."""
    SCENES[code] = config, lambda desk: desk.ask(operation, body, **more)


def room(desk: Desk, name: str = "r") -> str:
    return str(desk.rest("conference.create", {"name": name})[1]["room_id"])


def call(desk: Desk, **body: Any) -> str:
    return str(desk.rest("session.create", {"sdp": OFFER, **body})[1]["session_uuid"])


ask("invalid_app_id", "app.put", KEY, app="", app_id="a b")
ask("invalid_body", "conference.create", b"{")
ask("validation_error", "conference.create", {"name": 1})
ask("invalid_command_uid", "conference.create", {"name": "r", "command_uid": "?"})
ask("session_not_found", "session.get", session_uuid="abcde-1")
ask("room_not_found", "conference.get", room_id="abcde-room-1")
ask("operation_not_found", "operation.get", operation_id="none")
ask("app_not_found", "app.get", app="", app_id="none")
ask("endpoint_not_found", "webhook.get", endpoint_id="none")
ask("delivery_not_found", "delivery.get", delivery_id="none")


@scene("urls_required")
def play_nothing(desk: Desk) -> int:
    return desk.ask("conference.play", {}, room_id=room(desk))


@scene("not_owner")
def look_into_anothers_room(desk: Desk) -> int:
    return desk.ask("conference.get", app="other", room_id=room(desk))


@scene("member_not_found")
def look_for_a_stranger(desk: Desk) -> int:
    return desk.ask("conference.member.get", room_id=room(desk), member=call(desk))


@scene("forwarder_not_found")
def look_for_no_forwarder(desk: Desk) -> int:
    return desk.ask("conference.forwarder.get", room_id=room(desk), forwarder_id="none")


@scene("name_taken")
def make_a_room_twice(desk: Desk) -> int:
    room(desk)
    return desk.ask("conference.create", {"name": "r"})


@scene("playback_active")
def play_twice(desk: Desk) -> int:
    one = room(desk)
    desk.ask("conference.play", PLAY, room_id=one)
    return desk.ask("conference.play", PLAY, room_id=one)


@scene("no_active_playback")
def pause_nothing(desk: Desk) -> int:
    return desk.ask("conference.pause", {}, room_id=room(desk))


@scene("room_empty")
def play_to_nobody(desk: Desk) -> int:
    return desk.ask("conference.play", {**PLAY, "require_members": True}, room_id=room(desk))


@scene("room_destroying")
def change_a_room_that_waits_for_its_file(desk: Desk) -> int:
    one = room(desk)
    desk.rest("conference.record.start", {}, room_id=one)
    desk.workers[0].mute.add(ms.StopRecording)
    desk.ask("conference.delete", room_id=one)
    return desk.ask("conference.change", {"locked": True}, room_id=one)


@scene("command_uid_conflict")
def ask_for_two_things_under_one_uid(desk: Desk) -> int:
    desk.ask("conference.create", {"name": "r"}, key="u")
    return desk.ask("conference.create", {"name": "s"}, key="u")


@scene("not_answered")
def answer_before_the_peer(desk: Desk) -> int:
    return desk.ask("command.answer", session_uuid=call(desk, sdp=None))


@scene("no_open_offer")
def answer_what_was_not_offered(desk: Desk) -> int:
    return desk.ask("session.answer", {"sdp": OFFER}, session_uuid=call(desk))


@scene("recording_error", config="")
def record_without_a_directory(desk: Desk) -> int:
    return desk.ask("command.record/start", session_uuid=call(desk))


@scene("recording_active")
def record_twice(desk: Desk) -> int:
    one = call(desk)
    desk.ask("command.record/start", session_uuid=one)
    return desk.ask("command.record/start", session_uuid=one)


@scene("not_recording")
def stop_no_recording(desk: Desk) -> int:
    return desk.ask("command.record/stop", session_uuid=call(desk))


@scene("too_many_endpoints")
def make_many_endpoints(desk: Desk) -> int:
    return [desk.ask("webhook.create", HOOK) for _ in range(21)][-1]


@scene("endpoint_disabled")
def try_an_endpoint_without_url(desk: Desk) -> int:
    desk.ask("app.put", KEY, app="", app_id="app")
    return desk.ask("webhook.test", endpoint_id="default")


@scene("app_in_use")
def remove_an_app_with_a_room(desk: Desk) -> int:
    desk.ask("app.put", KEY, app="", app_id="app")
    room(desk)
    return desk.ask("app.delete", app="", app_id="app")


@scene("cooldown", config="")
def play_too_soon(desk: Desk) -> int:
    one = room(desk)
    desk.ask("conference.play", PLAY, room_id=one)
    return desk.ask("conference.play", PLAY, room_id=one)


@scene("shutting_down")
def make_a_room_at_the_end(desk: Desk) -> int:
    desk.session()
    desk.give(fx.ShutdownBegan())
    return desk.ask("conference.create", {"name": "r"})


@scene("node_unavailable")
def call_through_a_deaf_worker(desk: Desk) -> int:
    desk.workers[0].mute.add(ms.CreateRtp)
    n = desk.ask("session.create", {"sdp": OFFER})
    desk.advance(6)
    return n


@scene("overloaded")
def make_a_room_on_a_full_disk(desk: Desk) -> int:
    desk.give(fx.StoreTrouble("overloaded"))
    return desk.ask("conference.create", {"name": "r"})


@scene("store_unavailable")
def make_a_room_without_a_disk(desk: Desk) -> int:
    desk.give(fx.StoreTrouble("store_unavailable"))
    return desk.ask("conference.create", {"name": "r"})


@pytest.mark.parametrize("code", SCENES)
def test_a_code_is_provoked(code: str) -> None:
    config, act = SCENES[code]
    desk = Desk(config=config)
    reply = desk.replies[act(desk)]
    assert reply.refusal is not None, reply
    assert (reply.refusal.code, reply.refusal.status, reply.status) == (
        code,
        CODES[code].status,
        CODES[code].status,
    )
    follows_the_document(
        reply.status,
        rest_errors.envelope(reply.refusal, "r"),
        rest_errors.problem(reply.refusal, "r", "/api/v1/x"),
    )


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_two_forms(code: str) -> None:
    refusal = refuse(code, {"room_id": "r", "status": "of the room", "code": "its own"})
    envelope, problem = rest_errors.envelope(refusal, "r"), rest_errors.problem(refusal, "r", "/p")
    follows_the_document(refusal.status, envelope, problem)
    shown = msgspec.json.decode(problem)
    assert (shown["room_id"], shown["status"], shown["code"]) == ("r", refusal.status, code)
    assert msgspec.json.decode(envelope)["detail"]["status"] == "of the room"


def follows_the_document(status: int, envelope: bytes, problem: bytes) -> None:
    contents = DOCUMENT["components"]["responses"][TITLES[status]]["content"]
    for kind, text in ((rest_errors.JSON, envelope), (rest_errors.PROBLEM, problem)):
        schema = {**contents[kind]["schema"], "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(msgspec.json.decode(text))


def test_no_code_is_left_out() -> None:
    assert {*SCENES} | OF_HTTP | OF_RESULTS == set(CODES)
    assert not {*SCENES} & (OF_HTTP | OF_RESULTS)


def test_a_full_disk_lets_run_what_runs() -> None:
    desk = Desk(config=NO_COOLDOWN)
    one, caller = room(desk), call(desk)
    desk.give(fx.StoreTrouble("overloaded"))
    joining = desk.rest("command.conference/join", {"room_id": one}, session_uuid=caller)
    assert (joining[0], joining[1]["code"]) == (503, "overloaded")
    assert desk.rest("conference.play", PLAY, room_id=one)[0] == 202
    assert desk.rest("command.hangup", session_uuid=caller)[0] == 202
