"""The command play_and_get_digits: prompts for the machine of digits.py, its times, and what it tells."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from roomtone.control.core import file_requests
from roomtone.control.core.calls import commands, digits, events, playing, telling
from roomtone.control.core.calls.commands import PREFIX, Command, command
from roomtone.control.core.calls.digit_pattern import Pattern, PatternError
from roomtone.control.core.calls.digits import Action, Collector, Input, Rules, State
from roomtone.control.core.calls.leg import Collected
from roomtone.control.core.calls.playing import MAX_URLS, Playback, Url, Urls
from roomtone.control.core.rest.asked import URLS_BODY, Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

NAME = "play_and_get_digits"
TIMER = "digits"
MAX_DIGITS = 128
Wait = Annotated[int, Meta(ge=100, le=600_000)]
# Why prompts have ended, when keys may still be pressed.
_HEARD = (playing.FINISHED, playing.STOPPED)


class GetDigits(Struct, forbid_unknown_fields=True, kw_only=True):
    """urls: prompts; invalid_urls: before them, when what was pressed did not fit.

    timeout_ms: from the end of the prompts to the first key.  pattern: which keys fit (digit_pattern.py).
    """

    urls: Urls
    invalid_urls: Annotated[list[Url], Meta(max_length=MAX_URLS)] = []
    min_digits: Annotated[int, Meta(ge=0, le=MAX_DIGITS)] = 1
    max_digits: Annotated[int, Meta(ge=1, le=MAX_DIGITS)] = MAX_DIGITS
    terminators: Annotated[str, Meta(pattern=r"^[0-9*#A-D]*$(?!\n)", max_length=16)] = "#"
    timeout_ms: Wait = 5000
    inter_digit_timeout_ms: Wait = 3000
    tries: Annotated[int, Meta(ge=1, le=10)] = 1
    pattern: Annotated[str, Meta(max_length=256)] | None = None
    command_uid: str | None = None


class Collecting(Struct, eq=False):
    """A collection of a session.  accepted: the command.  prompts: of this try."""

    accepted: Command
    asked_for: GetDigits
    collector: Collector
    prompts: Playback | None = None

    def collected(self) -> Collected:
        """To be written down."""
        asked, collector = self.accepted.asked, self.collector
        return Collected(
            self.accepted.uid,
            asked.operation_id,
            asked.request_id,
            msgspec.to_builtins(self.asked_for),
            collector.state.name,
            collector.digits,
            collector.tries,
            collector.answered,
        )


def get_digits(core: Core, asked: Asked, body: GetDigits) -> Outcome:
    """What is played, or collected, ends."""
    _check(body)
    rules = _rules(body)
    session = asked.the_session
    stop(core, session, digits.UNKNOWN)
    accepted = commands.accept(core, asked)
    collecting = session.leg.collecting = Collecting(accepted, body, Collector(rules=rules))
    _do(core, session, collecting, [Action.PROMPT])
    return commands.accepted(core, asked)


def _check(body: GetDigits) -> None:
    """Raises `Problem`."""
    for name, urls in (("urls", body.urls), ("invalid_urls", body.invalid_urls)):
        for number, url in enumerate(urls):
            file_requests.check_url(url, f"{name}/{number}")
    if body.min_digits > body.max_digits:
        raise Refusal(400, "validation_error", "min_digits is above max_digits")


def _rules(body: GetDigits) -> Rules:
    """Raises `Refusal`: the pattern is none."""
    try:
        pattern = Pattern(body.pattern) if body.pattern is not None else None
    except PatternError as error:
        raise Refusal(400, "validation_error", f"pattern: {error}") from None
    return Rules(
        min_digits=body.min_digits,
        max_digits=body.max_digits,
        terminators=body.terminators,
        tries=body.tries,
        pattern=pattern,
    )


# What is done first when a collection is taken up again: how much had been heard, or waited, is not known.
_AGAIN = {
    State.PROMPTING: Action.PROMPT,
    State.WAITING: Action.WAIT_FIRST,
    State.COLLECTING: Action.WAIT_NEXT,
}


def take_up(core: Core, session: Session, kept: Collected) -> None:
    """Go on where the process before this one stood; the prompts, and each time, begin anew."""
    body = msgspec.convert(kept.asked_for, GetDigits)
    asked = Asked(
        n=0,
        operation=PREFIX + NAME,
        app_id=session.app_id,
        path={},
        query={},
        request_id=kept.request_id,
        operation_id=kept.operation_id,
        asked_us=core.now_us,
        command_uid=kept.uid,
        session=session,
    )
    collector = Collector(
        rules=_rules(body),
        state=State[kept.state],
        digits=kept.digits,
        tries=kept.tries,
        answered=kept.answered,
    )
    collecting = session.leg.collecting = Collecting(Command(asked, core.now_us), body, collector)
    _do(core, session, collecting, [_AGAIN[collector.state]])


def pressed(core: Core, session: Session, key: str) -> None:
    collecting = session.leg.collecting
    if collecting is not None:
        commands.succeed(core, collecting.accepted)  # one that comes before the prompts is an answer, too
        _do(core, session, collecting, collecting.collector.pressed(key))


def timeout(core: Core, session: Session) -> None:
    """The timer fired: no key came in time."""
    collecting = session.leg.collecting
    if collecting is not None:
        _do(core, session, collecting, collecting.collector.happened(Input.TIMEOUT))


def stop(core: Core, session: Session, status: str) -> None:
    """Something else has come between."""
    collecting = session.leg.collecting
    if collecting is not None:
        _do(core, session, collecting, collecting.collector.break_off(status))


def _do(core: Core, session: Session, collecting: Collecting, actions: list[Action]) -> None:
    for action in actions:
        match action:
            case Action.PROMPT:
                _prompt(core, session, collecting)
            case Action.STOP_PROMPTS:
                _stop_prompts(core, session, collecting)
            case Action.WAIT_FIRST:
                _wait(core, session, collecting.asked_for.timeout_ms)
            case Action.WAIT_NEXT:
                _wait(core, session, collecting.asked_for.inter_digit_timeout_ms)
            case Action.STOP_WAITING:
                core.cancel(session, TIMER)
            case Action.TELL:
                _tell(core, session, collecting)
    telling.remember(core, session)


def _wait(core: Core, session: Session, wait_ms: int) -> None:
    core.schedule(session, TIMER, core.now_us + wait_ms * 1000)


def _prompt(core: Core, session: Session, collecting: Collecting) -> None:
    asked_for = collecting.asked_for
    invalid = asked_for.invalid_urls if collecting.collector.answered else []
    collecting.prompts = Playback(
        id=core.next_id(),
        uid=collecting.accepted.uid,
        urls=[*invalid, *asked_for.urls],
        began=lambda _: commands.succeed(core, collecting.accepted),
        ended=partial(_prompts_ended, core, session, collecting),
    )
    playing.start(core, session, collecting.prompts)


def _stop_prompts(core: Core, session: Session, collecting: Collecting) -> None:
    prompts, collecting.prompts = collecting.prompts, None
    if prompts is not None and session.leg.playback is prompts:
        playing.stop(core, session, playing.STOPPED)


def _prompts_ended(
    core: Core, session: Session, collecting: Collecting, playback: Playback, cause: str
) -> None:
    if collecting.prompts is not playback:  # ended by us
        return
    collector = collecting.collector
    if cause in _HEARD:
        actions = collector.happened(Input.PROMPTS_ENDED)
    else:
        actions = collector.break_off(digits.FAILURE if cause == playing.FAILED else digits.UNKNOWN)
    _do(core, session, collecting, actions)


def _tell(core: Core, session: Session, collecting: Collecting) -> None:
    collector, accepted = collecting.collector, collecting.accepted
    session.leg.collecting = None
    if collector.status in (digits.SUCCESS, digits.TIMEOUT) or collector.answered:
        commands.succeed(core, accepted)
    else:
        commands.fail(core, accepted, "file_not_found" if collector.status == digits.FAILURE else "replaced")
    event = events.DigitsCollected(
        telling.uuid(core, session), accepted.uid, collector.digits, collector.terminator, collector.status
    )
    telling.tell(core, session, event, accepted.asked)


OPERATIONS: dict[str, Operation] = dict([
    command(
        NAME,
        get_digits,
        "Play prompts and collect the digits that are pressed",
        "digits.collected",
        "playback.file_not_found",
        body=GetDigits,
        max_body=URLS_BODY,
        group="heavy",
        timing="deferred",
    ),
])  # fmt: skip
