"""The order of checks of a REST request, cooldowns, repeated commands, operations and pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from desk import OFFER, Desk
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from roomtone.control.core import effects as fx
from roomtone.control.core.rest import body, cooldown, operations, query
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.codes import CODES
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rest.routes import Found, Routes
from roomtone.control.core.run import Ask, expect
from roomtone.engine import messages as ms

MINUTE = 60.0


class Nudge(Struct, kw_only=True):
    """A body with limits of several kinds."""

    volume: Annotated[int, Meta(ge=-50, le=7)]
    fail: bool = False
    slow: bool = False
    tags: list[Annotated[str, Meta(max_length=3)]] = []
    mode: Literal["a", "b"] = "a"
    command_uid: str | None = None


class Nudges:
    """Stands for a command of a room; counts how often it took effect."""

    def __init__(self) -> None:
        self.done = 0

    def handle(self, core: Any, asked: Asked, given: Nudge) -> Any:
        if given.slow:
            return self._slow(asked)
        if given.fail:
            raise refuse("no_active_playback")
        return self._accept(asked)

    def _accept(self, asked: Asked) -> Outcome:
        self.done += 1
        return Outcome({"operation_id": asked.operation_id, "status": "in_progress"})

    def _slow(self, asked: Asked) -> Any:
        (answer,) = yield [Ask(0, ms.CloseSession("none"))]
        expect(answer, ms.Done)
        return self._accept(asked)


@pytest.fixture
def nudges(monkeypatch: pytest.MonkeyPatch) -> Nudges:
    nudges = Nudges()
    operation = Operation(
        method="POST",
        path="/nudge/{room_id}",
        handler=nudges.handle,
        summary="",
        body=Nudge,
        status=202,
        group="conference_control",
    )
    monkeypatch.setitem(operations.OPERATIONS, "nudge", operation)
    return nudges


@pytest.fixture
def room(desk: Desk) -> str:
    return str(desk.rest("conference.create", {"name": "r"})[1]["room_id"])


def faults(desk: Desk, n: int) -> list[tuple[str, str]]:
    refusal = desk.replies[n].refusal
    assert refusal is not None and refusal.code == "validation_error"
    return [(fault.pointer, fault.detail) for fault in refusal.faults]


# -- bodies --------------------------------------------------------------------------------------------------


def test_everything_that_is_wrong_with_a_body_is_told_at_once(desk: Desk, nudges: Nudges, room: str) -> None:
    n = desk.ask("nudge", {"volume": 8, "tags": ["ok", "long"], "mode": "c", "a/b": 1}, room_id=room)
    assert desk.reply(n)[0] == 400
    assert faults(desk, n) == [
        ("/a~1b", "Unknown member"),
        ("/volume", "Expected `int` <= 7"),
        ("/tags/1", "Expected `str` of length <= 3"),
        ("/mode", "Invalid enum value 'c'"),
    ]
    assert faults(desk, desk.ask("nudge", {}, room_id=room)) == [("/volume", "Required")]


@pytest.mark.parametrize("volume", [1.0, "1", True, None, [1], 2**70])
def test_a_number_is_a_number(desk: Desk, nudges: Nudges, room: str, volume: Any) -> None:
    assert desk.rest("nudge", {"volume": volume}, room_id=room)[1]["code"] == "validation_error"


def nested(levels: int) -> list[Any]:
    return [nested(levels - 1)] if levels else []


@pytest.mark.parametrize("metadata", [10**30, -(10**19), {"a": [2**64]}, nested(64)], ids=str)
def test_what_cannot_be_written_down_is_not_taken(desk: Desk, metadata: Any) -> None:
    for operation in ("conference.create", "session.create"):
        n = desk.ask(operation, {"name": "r", "metadata": {"a": metadata}})
        assert ("/metadata", 400) in [(pointer, desk.reply(n)[0]) for pointer, _ in faults(desk, n)]
    taken = {"long": 2**64 - 1, "deep": nested(62)}
    assert desk.rest("conference.create", {"name": "r", "metadata": taken})[0] == 201


def test_members_of_the_clients_own_are_let_pass(desk: Desk, nudges: Nudges, room: str) -> None:
    assert desk.rest("nudge", {"volume": 1, "x_trace": {"a": 1}}, room_id=room)[0] == 202


@pytest.mark.parametrize("uid", ["", "a b", "ü", "a" * 129, 7, ["a"]])
def test_a_command_uid_has_a_form(desk: Desk, nudges: Nudges, room: str, uid: Any) -> None:
    status, told = desk.rest("nudge", {"volume": 1, "command_uid": uid}, room_id=room)
    assert (status, told["code"]) == (400, "invalid_command_uid")
    if isinstance(uid, str) and uid:
        n = desk.ask("nudge", {"volume": 1}, key=uid, room_id=room)
        assert desk.reply(n)[1]["code"] == "invalid_command_uid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["volume", "tags", "mode", "command_uid", "x_", "y"]), JSON))
def test_any_body_is_taken_or_refused_with_pointers_into_it(members: dict[str, Any]) -> None:
    try:
        taken = body.convert({k: v for k, v in members.items() if k != "x_"}, Nudge)
    except Refusal as refusal:
        assert refusal.status == 400 and refusal.code in CODES
        for fault in refusal.faults:
            assert fault.pointer.split("/")[1] in {*members, "volume"}
    else:
        assert -50 <= taken.volume <= 7


# -- cooldowns -----------------------------------------------------------------------------------------------


def test_commands_of_a_group_keep_their_distance(desk: Desk, nudges: Nudges, room: str) -> None:
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 202
    desk.advance(0.1993)
    n = desk.ask("nudge", {"volume": 1}, room_id=room)
    status, told = desk.reply(n)
    assert (status, told["code"]) == (429, "cooldown")
    assert told["detail"] == {"group": "conference_control", "scope": "room"}
    assert desk.replies[n].refusal.retry_after_ms == 1  # type: ignore[union-attr]
    other = desk.rest("conference.create", {"name": "other"})[1]["room_id"]
    assert desk.rest("nudge", {"volume": 1}, room_id=other)[0] == 202
    desk.advance(0.0007)
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 202


@pytest.mark.parametrize("refused", [{"volume": 9}, {"volume": 1, "fail": True}])
def test_a_refused_command_makes_nobody_wait(
    desk: Desk, nudges: Nudges, room: str, refused: dict[str, Any]
) -> None:
    assert desk.rest("nudge", refused, room_id=room)[0] in (400, 409)
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 202


def test_nor_does_one_whose_worker_refused(desk: Desk, nudges: Nudges, room: str) -> None:
    desk.workers[0].mute.add(ms.CloseSession)
    slow = desk.ask("nudge", {"volume": 1, "slow": True}, room_id=room)
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 429, "its turn is taken"
    desk.workers[0].refuse[ms.CloseSession] = ms.Failed(code="INTERNAL_ERROR", message="no")
    desk.answer_late(0)
    assert desk.reply(slow)[1]["code"] == "internal_error"
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 202


def test_a_group_of_none_milliseconds_does_not_wait(nudges: Nudges) -> None:
    desk = Desk(config="[limits]\nconference_control_ms = 0")
    room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    assert [desk.rest("nudge", {"volume": 1}, room_id=room)[0] for _ in range(3)] == [202] * 3


def test_every_operation_has_a_group_that_there_is_and_that_its_path_names() -> None:
    for name, operation in operations.OPERATIONS.items():
        if operation.group is not None:
            scope = cooldown.GROUPS[operation.group].scope
            assert {"room": "{room_id}", "session": "{session_uuid}"}[scope] in operation.path, name
        assert set(operation.query) <= set(query.PARAMETERS), name


# -- repeated commands ---------------------------------------------------------------------------------------


def test_a_repeated_command_gets_the_first_answer_and_does_nothing(
    desk: Desk, nudges: Nudges, room: str
) -> None:
    first = desk.rest("nudge", {"volume": 1, "command_uid": "u"}, room_id=room)
    assert first[0] == 202
    assert desk.rest("nudge", {"command_uid": "u", "volume": 1, "x_": 1}, room_id=room) == first
    again = desk.ask("nudge", {"volume": 1}, key="u", room_id=room)
    assert desk.reply(again) == first
    assert desk.replies[again].headers == (("Location", f"/api/v1/operations/{first[1]['operation_id']}"),)
    assert nudges.done == 1


def test_body_and_header_name_the_same(desk: Desk, nudges: Nudges, room: str) -> None:
    asked = {"volume": 1, "command_uid": "u"}
    assert desk.reply(desk.ask("nudge", asked, key="u", room_id=room))[0] == 202
    differing = desk.ask("nudge", asked, key="v", room_id=room)
    assert desk.reply(differing)[1]["code"] == "invalid_command_uid"


def test_a_uid_is_not_for_two_commands(desk: Desk, nudges: Nudges, room: str) -> None:
    desk.rest("nudge", {"volume": 1, "command_uid": "u"}, room_id=room)
    status, told = desk.rest("nudge", {"volume": 2, "command_uid": "u"}, room_id=room)
    assert (status, told["code"]) == (409, "command_uid_conflict")
    other = desk.rest("conference.create", {"name": "other"})[1]["room_id"]
    assert desk.rest("nudge", {"volume": 2, "command_uid": "u"}, room_id=other)[0] == 202


def test_a_refused_command_may_be_sent_again_under_its_uid(desk: Desk, nudges: Nudges, room: str) -> None:
    asked = {"volume": 1, "slow": True, "command_uid": "u"}
    desk.workers[0].refuse[ms.CloseSession] = ms.Failed(code="SESSION_UNRESPONSIVE", message="late")
    assert desk.rest("nudge", asked, room_id=room)[1]["code"] == "node_unavailable"
    desk.workers[0].refuse.clear()
    assert desk.rest("nudge", asked, room_id=room)[0] == 202


@pytest.mark.parametrize("well", [True, False])
def test_what_is_repeated_too_soon_gets_the_same_answer_when_it_is_there(
    desk: Desk, nudges: Nudges, room: str, well: bool
) -> None:
    asked = {"volume": 1, "slow": True, "command_uid": "u"}
    desk.workers[0].mute.add(ms.CloseSession)
    numbers = [desk.ask("nudge", asked, room_id=room) for _ in range(3)]
    assert not set(numbers) & set(desk.replies)
    if not well:
        desk.workers[0].refuse[ms.CloseSession] = ms.Failed(code="INTERNAL_ERROR", message="no")
    desk.answer_late(0)
    assert len({str(desk.reply(n)) for n in numbers}) == 1
    assert (desk.reply(numbers[0])[0], nudges.done) == ((202, 1) if well else (500, 0))


def test_a_repeated_command_is_known_after_a_restart(desk: Desk) -> None:
    first = desk.rest("conference.create", {"name": "kept", "command_uid": "u"})
    desk.reboot()
    assert desk.rest("conference.create", {"name": "kept", "command_uid": "u"}) == first


@pytest.mark.parametrize("restarted", [False, True])
def test_what_ended_its_room_or_call_may_be_asked_for_twice(desk: Desk, room: str, restarted: bool) -> None:
    call = desk.rest("session.create", {"sdp": OFFER})[1]["session_uuid"]
    ends = [("conference.delete", {"room_id": room}), ("command.hangup", {"session_uuid": call})]
    uid = {"command_uid": "u"}
    first = [desk.rest(name, uid, **path) for name, path in ends]
    assert [status for status, _ in first] == [200, 202]
    if restarted:
        desk.reboot()
    assert [desk.rest(name, uid, **path) for name, path in ends] == first
    for name, path in ends:
        assert desk.rest(name, {"command_uid": "another"}, **path)[0] == 404
        assert desk.rest(name, uid, app="other", **path)[0] == 404
        assert desk.rest(name, b"{", **path)[0] == 404
    for _ in range(13):
        desk.advance(MINUTE)
        desk.rest("conference.list")
    assert [desk.rest(name, uid, **path)[0] for name, path in ends] == [404, 404]


def test_answers_are_kept_ten_minutes_longer_than_their_room(desk: Desk, nudges: Nudges, room: str) -> None:
    desk.rest("nudge", {"volume": 1, "command_uid": "u"}, room_id=room)
    desk.advance(30 * MINUTE)
    uids = lambda: [id for kind, id in desk.rows if kind == "uid"]  # noqa: E731
    desk.rest("conference.get", room_id=room)
    assert len(uids()) == 1
    desk.rest("conference.delete", room_id=room)
    for _ in range(10):
        desk.advance(1.0 * MINUTE)
        desk.rest("conference.get", room_id=room)
        assert len(uids()) == 1
    desk.advance(1.1 * MINUTE)
    desk.rest("conference.get", room_id=room)
    assert uids() == [] and not desk.core.remembered.uses and not desk.core.remembered.operations


def test_what_names_no_room_is_kept_for_at_least_ten_minutes(desk: Desk) -> None:
    desk.advance(9.5 * MINUTE)
    made = desk.rest("conference.create", {"name": "kept", "command_uid": "u"})
    for _ in range(10):
        desk.advance(1.0 * MINUTE)
        assert desk.rest("conference.create", {"name": "kept", "command_uid": "u"}) == made
    for _ in range(12):
        desk.advance(1.0 * MINUTE)
        desk.rest("conference.list")
    assert desk.rest("conference.create", {"name": "kept", "command_uid": "u"})[1]["code"] == "name_taken"
    assert desk.core.remembered.subjects == {}


# -- what may be done now ------------------------------------------------------------------------------------


def test_without_a_store_nothing_is_changed(desk: Desk, nudges: Nudges, room: str) -> None:
    desk.give(fx.StoreTrouble("disk full"))
    status, told = desk.rest("nudge", {"volume": 1}, room_id=room)
    assert (status, told["code"]) == (503, "store_unavailable")
    assert desk.rest("conference.get", room_id=room)[0] == 200
    desk.give(fx.StoreTrouble(None))
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 202


def test_while_the_store_is_nearly_full_rooms_can_only_end(desk: Desk, room: str) -> None:
    desk.give(fx.StoreTrouble("overloaded"))
    assert desk.rest("conference.create", {"name": "another"})[:2] == (
        503,
        {"code": "overloaded", "detail": {"reason": "outbox"}},
    )
    assert desk.rest("conference.delete", room_id=room)[0] == 200
    desk.give(fx.StoreTrouble(None))
    assert desk.rest("conference.create", {"name": "another"})[0] == 201


def test_nothing_new_is_made_while_the_server_drains(desk: Desk, nudges: Nudges, room: str) -> None:
    desk.session()
    desk.give(fx.ShutdownBegan())
    assert desk.rest("conference.create", {"name": "late"})[1]["code"] == "shutting_down"
    assert desk.rest("nudge", {"volume": 1}, room_id=room)[0] == 202


def test_what_is_anothers_is_refused_before_anything_else_is_looked_at(nudges: Nudges) -> None:
    for config, code in (("", "not_owner"), ("[tenancy]\nhide_foreign = true", "room_not_found")):
        desk = Desk(config=config)
        room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
        assert desk.rest("nudge", b"{", app="other", room_id=room)[1]["code"] == code
        assert desk.rest("nudge", b"{", room_id="x-room-1")[1]["code"] == "room_not_found"
        assert desk.rest("nudge", b"{", room_id=room)[1]["code"] == "invalid_body"


# -- operations ----------------------------------------------------------------------------------------------


def test_an_operation_can_be_asked_for(desk: Desk, nudges: Nudges, room: str) -> None:
    operation_id = desk.rest("nudge", {"volume": 1, "command_uid": "u"}, room_id=room)[1]["operation_id"]
    status, told = desk.rest("operation.get", operation_id=operation_id)
    assert status == 200
    assert told.pop("created_at")
    assert told == {
        "operation_id": operation_id,
        "operation": "nudge",
        "status": "in_progress",
        "error": None,
        "command_uid": "u",
        "room_id": room,
        "completed_at": None,
    }
    foreign = desk.rest("operation.get", app="other", operation_id=operation_id)
    assert (foreign[0], foreign[1]["code"]) == (403, "not_owner")
    assert desk.rest("operation.get", operation_id="none")[1]["code"] == "operation_not_found"


def test_a_room_remembers_its_last_hundred_operations(desk: Desk, nudges: Nudges, room: str) -> None:
    ids = []
    for _ in range(101):
        ids.append(desk.rest("nudge", {"volume": 1}, room_id=room)[1]["operation_id"])
        desk.advance(0.2)
    known = [desk.rest("operation.get", operation_id=id)[0] for id in ids]
    assert known == [404] + [200] * 100


def test_what_was_made_says_where_it_is(desk: Desk) -> None:
    made: list[tuple[str, Any, str, dict[str, str]]] = [
        ("app.put", {"api_key": "0123456789abcdef"}, "", {"app_id": "app"}),
        ("conference.create", {"name": "r"}, "app", {}),
        ("session.create", {}, "app", {}),
        ("webhook.create", {"url": "https://hooks.example/"}, "app", {}),
    ]
    for operation, members, app, path in made:
        n = desk.ask(operation, members, app=app, **path)
        status, told = desk.reply(n)
        assert status == 201, told
        (location,) = (value for name, value in desk.replies[n].headers if name == "Location")
        found = Routes(operations.OPERATIONS).find("GET", location)
        assert isinstance(found, Found)
        assert desk.rest(found.operation, app=app, **found.path)[0] == 200


# -- pages ---------------------------------------------------------------------------------------------------


def asked(**parameters: str) -> Asked:
    return Asked(0, "list", "app", {}, parameters, "r", "o", 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=3)), unique=True), st.integers(1, 5))
def test_pages_together_are_the_list(entries: list[tuple[int, str]], limit: int) -> None:
    found: list[tuple[int, str]] = []
    parameters = {"limit": str(limit)}
    while True:
        part, cursor = query.page(asked(**parameters), entries, lambda entry: entry)
        found += part
        assert len(part) == limit or cursor is None
        if cursor is None:
            break
        parameters["cursor"] = cursor
    assert found == sorted(entries)


def test_a_page_can_begin_anywhere() -> None:
    entries = [(n, "") for n in range(100)]
    part, cursor = query.page(asked(offset="10"), entries, lambda entry: entry)
    assert part == entries[10:60] and cursor is not None
    assert query.page(asked(offset="99"), entries, lambda entry: entry) == ([(99, "")], None)


@pytest.mark.parametrize("cursor", ["", "!", "é", "AAAA", "W10", "WyJhIiwxXQ"])
def test_a_cursor_of_no_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Refusal) as refused:
        query.page(asked(cursor=cursor), [], lambda entry: (0, ""))
    assert refused.value.code == "validation_error"


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"offset": "-1"},
        {"created_after": "now"},
        {"created_after": "0.5"},
        {"created_after": "2026-01-01T00:00:00"},
        {"nam": "x"},
    ],
)
def test_parameters_are_looked_at(desk: Desk, parameters: dict[str, str]) -> None:
    operation = Operation(
        method="GET",
        path="/",
        handler=lambda *_: Outcome({}),
        summary="",
        query=(*query.PAGE, "created_after"),
    )
    with pytest.raises(Refusal) as refused:
        query.check(operation, parameters)
    assert refused.value.code == "validation_error" and len(refused.value.faults) == 1
    assert query.check(operation, {"limit": "7", "x_mine": "?"}) == {"limit": "7"}
