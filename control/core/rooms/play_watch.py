"""The watchdog of plays: looks at each when its deadlines say so, asks where it is, ends what is stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core.rooms import play_clock, play_life, play_media
from roomtone.control.core.rooms.play_clock import ASK_EVERY_US
from roomtone.control.core.rooms.play_machine import STOPPED, Input, State
from roomtone.control.core.rooms.play_model import Play
from roomtone.control.core.run import Ask, Work
from roomtone.engine.messages import AskFile, FilePosition

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

FRAME_US = 20_000


def fired(core: Core, room: Room, play: Play) -> None:
    play.watch.armed_us = None
    deadline_us, limit_us = play_clock.deadline_us(core, play), play_clock.pause_limit_us(play)
    if limit_us is not None and limit_us <= core.now_us:
        play_life.go(core, room, play, STOPPED, cause="pause_limit")
        play_life.next_waiting(core, room)
    elif deadline_us is not None and deadline_us <= core.now_us:
        play_life.reported(core, room, play, Input.WATCHDOG, urls=[_stuck(play)], error="playback_timeout")
    elif play.state is State.PLAYING and play.watch.ask_us <= core.now_us:
        play.watch.ask_us = core.now_us + ASK_EVERY_US
        if play.made:
            core.work(_ask(core, room, play))
    if not play.over:
        play_clock.arm(core, room, play)


def reported(core: Core, room: Room, play: Play, told: FilePosition) -> None:
    """A worker said where it is.  A loop may come round to the same place."""
    watch, seen = play.watch, (told.item, told.position_ms, told.decoded_ms)
    missed = told.underruns - watch.underruns
    if seen != watch.seen or (play.repeat and not missed):
        watch.moved_us = core.now_us
    if watch.ends_us is not None:
        watch.ends_us += max(0, missed) * FRAME_US
    watch.seen, watch.seen_us, watch.underruns = seen, core.now_us, told.underruns
    if told.item < len(play.items):
        play.item = told.item
        play.durations[play.items[told.item]] = told.duration_ms
    play_clock.plan_end(core, play)
    play_media.go_on(core, room, play)
    play_clock.arm(core, room, play)


def _ask(core: Core, room: Room, play: Play) -> Work:
    generation = play.endpoint
    answers = yield [Ask(play.worker, AskFile(generation), within_us=ASK_EVERY_US)]
    if play.over or play.endpoint != generation:
        core.counters.play_reports_stale += 1
    elif play.state is State.PLAYING and isinstance(answers[0], FilePosition):
        reported(core, room, play, answers[0])


def _stuck(play: Play) -> str:
    """The url at fault: of the list, the one that was not there in time."""
    length_ms = play.durations[play.url] if play.items else None
    at_end = not play.items or (length_ms is not None and play.watch.seen[1] >= length_ms)
    return play.urls[play.next - 1] if play.fetching and at_end else play.urls[play.url]
