"""play_and_get_digits: what callers press, and what the application is told."""

import contextlib
import re
from typing import Any

import pytest
from calling import command, made, names
from desk import Desk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from test_playback import begins, ends, start

from roomtone.control.core.calls.digit_pattern import Pattern, PatternError
from roomtone.control.core.calls.digits import TRANSITIONS, Action, Collector, Input, Rules, State
from roomtone.engine import messages as ms

PROMPT, SORRY = "https://media.example/prompt.wav", "https://media.example/sorry.wav"


def ask(desk: Desk, call: str, **body: Any) -> tuple[int, Any]:
    return command(desk, call, "play_and_get_digits", {"urls": [PROMPT], "command_uid": "d-1", **body})


def asked(desk: Desk, **body: Any) -> str:
    """A call that hears the prompt."""
    call = made(desk)
    assert ask(desk, call, **body)[0] == 202
    desk.arrive(PROMPT)
    begins(desk, call)
    return call


def press(desk: Desk, call: str, keys: str) -> None:
    session = call.partition("-")[2]
    endpoint = next(iter(desk.core.sessions[session].endpoints))
    for key in keys:
        desk.event(0, ms.KeyPressed(session=session, endpoint=endpoint, digit=key, duration_ms=100))


def collected(desk: Desk) -> list[tuple[str, str, str]]:
    return [(told["digits"], told["terminator"], told["status"]) for told in desk.told("digits.collected")]


def test_digits_are_collected_up_to_the_terminator(desk: Desk) -> None:
    call = asked(desk)
    press(desk, call, "42#7")
    assert desk.told("digits.collected") == [
        {
            "event": "digits.collected",
            "session_uuid": call,
            "command_uid": "d-1",
            "digits": "42",
            "terminator": "#",
            "status": "success",
        }
    ]
    told = [name for name in names(desk, call) if name != "dtmf"]
    assert told == ["call.new", "command.result", "digits.collected"]
    assert [key["digit"] for key in desk.told("dtmf")] == ["4", "2", "#", "7"]


def test_the_first_key_stops_the_prompt(desk: Desk) -> None:
    call = asked(desk)
    (prompt,) = desk.workers[0].of(ms.CreateFile)
    press(desk, call, "1")
    assert prompt.endpoint not in desk.workers[0].endpoints
    desk.advance(2.9)
    press(desk, call, "2")
    desk.advance(2.9)
    assert collected(desk) == []
    desk.advance(0.2)
    assert collected(desk) == [("12", "", "success")]


def test_a_key_that_comes_before_the_prompt_is_an_answer(desk: Desk) -> None:
    call = made(desk)
    ask(desk, call, max_digits=1)
    press(desk, call, "5")
    assert collected(desk) == [("5", "", "success")]
    assert [told["success"] for told in desk.told("command.result")] == [True]
    assert desk.downloading == {}


def test_nothing_pressed_is_a_timeout_behind_the_prompt(desk: Desk) -> None:
    call = asked(desk, timeout_ms=4000)
    desk.advance(30)
    assert collected(desk) == []
    ends(desk, call)
    desk.advance(3.9)
    assert collected(desk) == []
    desk.advance(0.2)
    assert collected(desk) == [("", "", "timeout")]


def test_the_last_digit_ends_it_at_once(desk: Desk) -> None:
    call = asked(desk, min_digits=4, max_digits=4)
    press(desk, call, "1234")
    assert collected(desk) == [("1234", "", "success")]


@pytest.mark.parametrize(("keys", "body"), [("12#", {"min_digits": 3}), ("12#", {"pattern": "[3-9]+"})])
def test_what_does_not_fit_is_a_failure(desk: Desk, keys: str, body: dict[str, Any]) -> None:
    call = asked(desk, **body)
    press(desk, call, keys)
    assert collected(desk) == [("12", "#", "failure")]


def test_another_try_begins_with_the_prompt_for_what_was_invalid(desk: Desk) -> None:
    call = asked(desk, invalid_urls=[SORRY], tries=3, pattern="1.")
    press(desk, call, "2#")
    desk.arrive(SORRY)
    (_, again) = desk.workers[0].of(ms.CreateFile)
    assert (again.more, len(desk.workers[0].of(ms.QueueFile))) == (True, 1)
    begins(desk, call)
    ends(desk, call, item=1)
    desk.advance(6)
    assert [body.more for body in desk.workers[0].of(ms.CreateFile)] == [False, True, False]
    begins(desk, call)
    press(desk, call, "19#")
    assert collected(desk) == [("19", "#", "success")]
    assert len(desk.told("command.result")) == 1


def test_only_so_many_tries_are_made(desk: Desk) -> None:
    call = asked(desk, tries=2)
    for _ in range(2):
        ends(desk, call)
        desk.advance(6)
        if not collected(desk):
            begins(desk, call)
    assert collected(desk) == [("", "", "timeout")]


def test_a_prompt_that_is_not_there_is_a_failure(desk: Desk) -> None:
    call = made(desk)
    ask(desk, call)
    desk.fail(PROMPT)
    assert names(desk, call) == ["call.new", "playback.file_not_found", "command.result", "digits.collected"]
    assert collected(desk) == [("", "", "failure")]
    assert desk.told("command.result")[0]["error"] == "file_not_found"


def test_a_stopped_prompt_leaves_the_caller_his_time(desk: Desk) -> None:
    call = asked(desk)
    command(desk, call, "playback/stop")
    press(desk, call, "1#")
    assert collected(desk) == [("1", "#", "success")]


def test_another_playback_ends_it(desk: Desk) -> None:
    call = asked(desk)
    press(desk, call, "1")
    start(desk, call, SORRY)
    assert collected(desk) == [("1", "", "success")]  # its time was over before
    desk.advance(3)
    ask(desk, call, command_uid="d-2")
    press(desk, call, "9")
    command(desk, call, "playback/silence")
    assert collected(desk)[1:] == [("9", "", "unknown")]


def test_a_hangup_ends_it(desk: Desk) -> None:
    call = asked(desk)
    press(desk, call, "1")
    command(desk, call, "hangup")
    assert names(desk, call)[-3:] == ["command.result", "digits.collected", "call.hangup"]
    assert collected(desk) == [("1", "", "unknown")]


def test_sensitive_keys_keep_their_mark(desk: Desk) -> None:
    call = made(desk)
    client = desk.connect("app")
    client.call("session.attach", session_id=call.partition("-")[2])
    (endpoint,) = client.call("session.info")["endpoints"]
    client.call("endpoint.dtmf.set_sensitive", endpoint_id=endpoint["endpoint_id"], enabled=True)
    press(desk, call, "7")
    (told,) = desk.told("dtmf")
    assert (told["digit"], told["sensitive"]) == ("7", True)
    assert len(client.events("dtmf")) == 1
    assert not [log for log in desk.logs if log.fields.get("digit") == "7"]


@pytest.mark.parametrize(
    "body",
    [
        {"urls": []},
        {"urls": ["hold.wav"]},
        {"invalid_urls": ["ftp://x/y"]},
        {"min_digits": 5, "max_digits": 4},
        {"max_digits": 129},
        {"terminators": "x"},
        {"tries": 0},
        {"timeout_ms": 5},
        {"pattern": "(1"},
        {"pattern": "((1{128}){128}){128}"},
        {"pattern": "[7-3]"},
        {"pattern": "a"},
        {"pattern": "1{2,1}"},
        {"pattern": "1{129}"},
        {"pattern": "\\w"},
        {"pattern": "(" * 30 + ")" * 30},
    ],
)
def test_a_wrong_body_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    call = made(desk)
    assert ask(desk, call, **body)[1]["code"] == "validation_error"
    assert names(desk, call) == ["call.new"]


# -- patterns ------------------------------------------------------------------------------------------------

KEY = st.sampled_from("0123456789#ABCD")
PATTERN = st.recursive(
    KEY | st.sampled_from(["\\*", "\\d", ".", "[1-4]", "[^2#]", "[*0-9]", "[A-C5]"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(PATTERN, st.text("0123456789*#ABCD", max_size=8))
def test_a_pattern_describes_what_a_regular_expression_does(text: str, keys: str) -> None:
    try:
        pattern = Pattern(text)
    except PatternError as error:
        assert "too large" in str(error) or "longer" in str(error)
        return
    assert pattern.describes(keys) == (re.fullmatch(text, keys) is not None)
    assert Pattern(f"^{text}$").describes(keys) == pattern.describes(keys)


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*#ABCD.|?+(){}[]^$\\,-d", max_size=20))
def test_whatever_stands_there_is_a_pattern_or_refused(text: str) -> None:
    with contextlib.suppress(PatternError):
        Pattern(text).describes("0123456789*#ABCD")


def test_a_pattern_that_ruins_others_is_matched_in_no_time() -> None:
    """Where each way is tried this would not end within the life of the test."""
    assert not Pattern("((1*)*)*((1|1)*)*2").describes("1" * 128)
    assert not Pattern("(1?){100}1{100}").describes("1" * 99)


# -- the machine ---------------------------------------------------------------------------------------------


def test_every_state_but_the_last_leads_on() -> None:
    assert set(TRANSITIONS) == set(State)
    assert [state for state, leads in TRANSITIONS.items() if not leads] == [State.OVER]


class Collections(RuleBasedStateMachine):
    """Any keys and times in any order, against what a person would say."""

    @initialize(
        least=st.integers(0, 3),
        more=st.integers(0, 3),
        tries=st.integers(1, 3),
        ends=st.sampled_from(["", "#", "*#"]),
    )
    def begin(self, least: int, more: int, tries: int, ends: str) -> None:
        self.rules = Rules(
            min_digits=least, max_digits=max(1, least + more), terminators=ends, tries=tries, pattern=None
        )
        self.machine = Collector(rules=self.rules)
        self.playing, self.waiting, self.told = True, False, 0
        self.prompts = 1
        self.pressed = ""

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            assert not self.told, "something after the end"
            match action:
                case Action.PROMPT:
                    self.playing, self.waiting = True, False
                    self.prompts += 1
                    self.pressed = ""
                case Action.STOP_PROMPTS:
                    self.playing = False
                case Action.STOP_WAITING:
                    self.waiting = False
                case Action.WAIT_FIRST | Action.WAIT_NEXT:
                    self.waiting = True
                case Action.TELL:
                    self.told += 1
        if self.told:
            self.over()
        else:
            assert self.playing != self.waiting
            assert self.machine.digits == self.pressed
            assert len(self.pressed) < self.rules.max_digits

    def over(self) -> None:
        machine = self.machine
        assert (self.told, self.playing, self.waiting) == (1, False, False)
        assert self.prompts <= self.rules.tries
        if machine.status == "success":
            assert self.rules.min_digits <= len(machine.digits) <= self.rules.max_digits
        if machine.status == "timeout":
            assert (machine.digits, machine.terminator, self.prompts) == ("", "", self.rules.tries)

    @rule(key=st.sampled_from("159*#"))
    def press(self, key: str) -> None:
        if not self.told and key not in self.rules.terminators:
            self.pressed += key
        self.do(self.machine.pressed(key))

    @precondition(lambda self: self.playing)
    @rule()
    def prompts_end(self) -> None:
        self.playing = False
        self.do(self.machine.happened(Input.PROMPTS_ENDED))

    @precondition(lambda self: self.waiting)
    @rule()
    def time_is_over(self) -> None:
        self.waiting = False
        self.do(self.machine.happened(Input.TIMEOUT))

    @rule()
    def hang_up(self) -> None:
        self.do(self.machine.break_off("unknown"))


TestCollections = Collections.TestCase
TestCollections.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
