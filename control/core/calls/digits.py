"""The machine that collects digits: prompts, keys and times in; what is to be done out.

Theory of operation
-------------------
A collection is a number of *tries*.  In each the prompts are played; the first key stops them (barge-in).
Without a key within `timeout_ms` after the prompts, or the next one within `inter_digit_timeout_ms`, or with
a terminator, or with the last of `max_digits`, the try is judged: what was pressed fits when it has at least
`min_digits` and the pattern, if there is one, describes it whole.  If it does not, the next try begins, after
something was pressed with the prompts for what is invalid; behind the last one the collection is over.

                 prompts ended            timeout
    PROMPTING -----------------> WAITING ---------+
        |                           |             |       fits, or it was the last try
        +----------- key -----------+             +--> JUDGING ------------------------> OVER
                                    v             |       |
                                COLLECTING -------+       | next try
                    (key)  ^-----------|  timeout, last   v
                                          key, terminator PROMPTING
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from roomtone.control.core.calls.digit_pattern import Pattern

State = Enum("State", "PROMPTING WAITING COLLECTING JUDGING OVER")
Input = Enum("Input", "KEY LAST_KEY TERMINATOR PROMPTS_ENDED TIMEOUT FITS NEXT_TRY NO_MORE BROKEN_OFF")
Action = Enum("Action", "PROMPT STOP_PROMPTS WAIT_FIRST WAIT_NEXT STOP_WAITING TELL")

_JUDGED = {Input.LAST_KEY: State.JUDGING, Input.TERMINATOR: State.JUDGING, Input.BROKEN_OFF: State.OVER}
TRANSITIONS: dict[State, dict[Input, State]] = {
    State.PROMPTING: {Input.KEY: State.COLLECTING, Input.PROMPTS_ENDED: State.WAITING, **_JUDGED},
    State.WAITING: {Input.KEY: State.COLLECTING, Input.TIMEOUT: State.JUDGING, **_JUDGED},
    State.COLLECTING: {Input.KEY: State.COLLECTING, Input.TIMEOUT: State.JUDGING, **_JUDGED},
    State.JUDGING: {Input.FITS: State.OVER, Input.NEXT_TRY: State.PROMPTING, Input.NO_MORE: State.OVER},
    State.OVER: {},
}
# What is done on the way into a state.
ENTERING: dict[State, tuple[Action, ...]] = {
    State.PROMPTING: (Action.PROMPT,),
    State.WAITING: (Action.WAIT_FIRST,),
    State.COLLECTING: (Action.STOP_PROMPTS, Action.WAIT_NEXT),
    State.JUDGING: (Action.STOP_PROMPTS, Action.STOP_WAITING),
    State.OVER: (Action.STOP_PROMPTS, Action.STOP_WAITING, Action.TELL),
}

SUCCESS, TIMEOUT, FAILURE, UNKNOWN = "success", "timeout", "failure", "unknown"


class Rules(Struct, frozen=True, kw_only=True):
    """What is asked for."""

    min_digits: int
    max_digits: int
    terminators: str
    tries: int
    pattern: Pattern | None = None


class Collector(Struct, kw_only=True, eq=False):
    """One collection.  tries: begun.  answered: keys were pressed in the try that was judged last.

    status: once it is over.
    """

    rules: Rules
    state: State = State.PROMPTING
    digits: str = ""
    terminator: str = ""
    tries: int = 1
    answered: bool = False
    status: str = UNKNOWN

    def pressed(self, key: str) -> list[Action]:
        """A key; what is to be done, in order."""
        if self.state is State.OVER:
            return []
        if key in self.rules.terminators:
            self.terminator = key
            return self._take(Input.TERMINATOR)
        self.digits += key
        return self._take(Input.LAST_KEY if len(self.digits) >= self.rules.max_digits else Input.KEY)

    def happened(self, fact: Input) -> list[Action]:
        """Prompts or time have ended; what does not concern the state any more is nothing."""
        return self._take(fact) if fact in TRANSITIONS[self.state] else []

    def break_off(self, status: str) -> list[Action]:
        if self.state is State.OVER:
            return []
        self.status = status
        return self._take(Input.BROKEN_OFF)

    def _take(self, given: Input) -> list[Action]:
        self.state = TRANSITIONS[self.state][given]
        actions = [*ENTERING[self.state]]
        if self.state is State.JUDGING:
            actions += self._take(self._judge())
        return actions

    def _judge(self) -> Input:
        rules = self.rules
        self.answered = bool(self.digits or self.terminator)
        fits = rules.pattern is None or rules.pattern.describes(self.digits)
        if self.answered and fits and len(self.digits) >= rules.min_digits:
            self.status = SUCCESS
            return Input.FITS
        self.status = FAILURE if self.answered else TIMEOUT
        if self.tries >= rules.tries:
            return Input.NO_MORE
        self.tries += 1
        self.digits = self.terminator = ""
        return Input.NEXT_TRY
