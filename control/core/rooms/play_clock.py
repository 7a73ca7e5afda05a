"""The deadlines of plays: when each has to have begun, moved, ended (the contract's section 2.6).

Theory of operation
-------------------
Three deadlines of `W_US` each, the earliest wins: the first frame has to be there (`fetched_by_us`), the
place has to move (`moved_us`, by asking the worker every two seconds), and what has a known length has to be
over (`ends_us`).  Time that is paused does not count; a start goes on being waited for while a pause is
pending.  Silence for want of data does not count as played, so that a slow origin is not an overdue one: as
long as something moves.  With `watchdog.mode = "literal"` there is one deadline, from the request on.

A play has one timer, at the next thing to look at; play_watch.py looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import effects
from roomtone.control.core.rooms.play_machine import State
from roomtone.control.core.rooms.play_model import Play

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

TIMER = "play"
US_PER_MS = 1000
US_PER_S = 1_000_000
W_US = 10 * US_PER_S
ASK_EVERY_US = 2 * US_PER_S


# -- what happened -------------------------------------------------------------------------------------------


def began(core: Core, play: Play) -> None:
    """It is being fetched, or taken up again after a restart."""
    watch = play.watch
    watch.fetched_by_us = watch.literal_us = core.now_us + W_US
    watch.seen = (0, play.offset_ms, 0)
    moving(core, play)


def moving(core: Core, play: Play) -> None:
    """It is heard from now on."""
    play.watch.ask_us = core.now_us + ASK_EVERY_US
    if play.held:
        play.watch.paused_us = core.now_us
    moved(core, play)
    plan_end(core, play)


def moved(core: Core, play: Play) -> None:
    play.watch.moved_us = play.watch.seen_us = core.now_us


def paused(core: Core, play: Play, now_held: bool) -> None:
    """It was paused, or goes on: the deadlines of what is heard move by the time between."""
    watch = play.watch
    if now_held:
        item, _, decoded_ms = watch.seen
        watch.seen = (item, position_ms(core, play), decoded_ms)
        watch.paused_us = core.now_us
        return
    assert watch.paused_us is not None
    held_us, watch.paused_us = core.now_us - watch.paused_us, None
    watch.moved_us += held_us
    watch.literal_us += held_us
    watch.ask_us += held_us
    watch.seen_us = core.now_us
    if watch.ends_us is not None:
        watch.ends_us += held_us


def went_on(core: Core, play: Play, item: int) -> None:
    """The next of the list began."""
    play.item = item
    play.watch.seen = (item, 0, 0)
    moved(core, play)


def sought(core: Core, play: Play, to_ms: int) -> None:
    item, _, decoded_ms = play.watch.seen
    if play.watch.ends_us is not None:
        play.watch.ends_us += (position_ms(core, play) - to_ms) * US_PER_MS
    play.watch.seen = (item, to_ms, decoded_ms)
    moved(core, play)


def plan_end(core: Core, play: Play) -> None:
    """When everything should have been heard, once all lengths are known."""
    watch, known = play.watch, [play.durations[index] for index in play.items]
    listed = play.next == len(play.urls) and not play.fetching
    if watch.ends_us is not None or play.repeat < 0 or not listed or not play.items or None in known:
        return
    lengths = [length for length in known if length is not None]
    left_ms = sum(lengths[play.item :]) - position_ms(core, play) + play.repeat * sum(lengths)
    watch.ends_us = core.now_us + left_ms * US_PER_MS + W_US


def position_ms(core: Core, play: Play) -> int:
    """Where it is in the url that is played, as far as it can be told without asking."""
    _, at_ms, _ = play.watch.seen
    if play.state is not State.PLAYING:
        return at_ms
    at_ms += (core.now_us - play.watch.seen_us) // US_PER_MS
    length_ms = play.durations[play.url] if play.items else None
    return at_ms if length_ms is None else min(at_ms, length_ms)


# -- the timer -----------------------------------------------------------------------------------------------


def arm(core: Core, room: Room, play: Play) -> None:
    """Set the timer to what is to be looked at next."""
    when_us, watch = _due_us(core, play), play.watch
    if when_us == watch.armed_us:
        return
    watch.armed_us, key = when_us, (TIMER, room.id, play.operation_id)
    if when_us is None:
        core.effect(effects.CancelTimer(key))
    else:
        core.effect(effects.ScheduleAt(when_us, key))


def forget(core: Core, room: Room, play: Play) -> None:
    if play.watch.armed_us is not None:
        core.effect(effects.CancelTimer((TIMER, room.id, play.operation_id)))


def _due_us(core: Core, play: Play) -> int | None:
    wanted = [deadline_us(core, play), pause_limit_us(play)]
    if play.state is State.PLAYING:
        wanted.append(play.watch.ask_us)
    return min((when_us for when_us in wanted if when_us is not None), default=None)


def deadline_us(core: Core, play: Play) -> int | None:
    watch, literal = play.watch, core.config.watchdog.mode == "literal"
    match play.state:
        case State.FETCHING | State.HELD:
            return watch.fetched_by_us
        case State.PLAYING if literal:
            return watch.literal_us
        case State.PLAYING:
            return min(watch.moved_us + W_US, watch.ends_us or watch.moved_us + W_US)
    return None


def pause_limit_us(play: Play) -> int | None:
    if not play.max_pause_s or not play.held or play.watch.paused_us is None:
        return None
    return play.watch.paused_us + play.max_pause_s * US_PER_S
