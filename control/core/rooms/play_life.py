"""What becomes of plays: begun, changed, ended, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roomtone.control.core.rooms import play_clock, play_media
from roomtone.control.core.rooms.play_events import EVENTS
from roomtone.control.core.rooms.play_machine import DROPPED, TABLE, Go, Input, State
from roomtone.control.core.rooms.play_model import KIND, Pending, Play, main, save

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room


def accept(core: Core, room: Room, play: Play) -> None:
    """A new play: it begins, or waits for the room's own to end."""
    play.number = core.now_us + core.epoch_offset_us
    play.durations = [None] * len(play.urls)
    waits = not play.overlay and main(room) is not None
    room.plays[play.operation_id] = play
    play.state = State.WAITING if waits else State.STOPPED
    if core.config.compat.started_on_dispatch:
        _started(core, room, play)
    core.log("info", "play_accepted", room=room.id, play=play.operation_id, urls=len(play.urls))
    if waits:
        save(core, play)
    else:
        begin(core, room, play)


def begin(core: Core, room: Room, play: Play) -> None:
    """Its turn has come: its first file is fetched."""
    cell = TABLE[play.state][Input.PLAY]
    assert isinstance(cell, Go)
    play.state = cell.to
    play_clock.began(core, play)
    play_media.begin(core, room, play)
    if not play.over:
        save(core, play)
        play_clock.arm(core, room, play)


def next_waiting(core: Core, room: Room) -> None:
    """Whoever waits has his turn when nothing plays."""
    if room.state == "open" and main(room) is None:
        waiting = next((play for play in room.plays.values() if play.state is State.WAITING), None)
        if waiting is not None:
            begin(core, room, waiting)


def reported(core: Core, room: Room, play: Play, given: Input, **keys: Any) -> None:
    """Something happened to a play that no command brought about."""
    cell = TABLE[play.state][given]
    if isinstance(cell, Go):
        go(core, room, play, cell, **keys)
        if play.over:
            next_waiting(core, room)
    elif cell is DROPPED:
        core.counters.play_reports_stale += 1


def go(core: Core, room: Room, play: Play, cell: Go, **keys: Any) -> None:
    """Take a step of the table; keys: of the event that tells it.

    Of a play that ends the next one is not begun yet.
    """
    play.state = cell.to
    if play.over:
        _end(core, room, play, cell, keys)
        return
    if cell.told == "started":
        _first_frame(core, room, play)
    elif cell.told is not None and play.started:
        _tell(core, room, play, cell.told, **keys)
    elif cell.told is not None:
        play.pending.append(Pending(cell.told, **keys))  # type: ignore[arg-type]
    if cell.told in ("paused", "resumed"):
        play_clock.paused(core, play, cell.told == "paused")
        play_media.follow(core, play)
    save(core, play)
    play_clock.arm(core, room, play)


def _first_frame(core: Core, room: Room, play: Play) -> None:
    play_clock.moving(core, play)
    if not play.started:
        _started(core, room, play)
    pending, play.pending = play.pending, []
    for command in pending:
        keys: dict[str, Any] = {} if command.volume is None else {"volume": command.volume}
        keys |= {"operation_id": command.operation_id, "request_id": command.request_id}
        _tell(core, room, play, command.told, **keys)


def _started(core: Core, room: Room, play: Play) -> None:
    play.started = True
    _tell(core, room, play, "started", urls=play.urls, request_id=play.request_id)


def _end(core: Core, room: Room, play: Play, cell: Go, keys: dict[str, Any]) -> None:
    """It is over for everybody before its event can be seen."""
    del room.plays[play.operation_id]
    play_media.drop(core, room, play)
    play_clock.forget(core, room, play)
    core.keep(KIND, play.operation_id, None)
    if play.pending:
        keys["aborted_operations"] = [command.operation_id for command in play.pending]
    if cell.told == "finished":
        keys["urls"] = play.urls
        if play.failed:
            keys["skipped_urls"] = [play.urls[index] for index in play.failed]
    assert cell.told is not None
    core.counters.plays[cell.told] += 1
    _tell(core, room, play, cell.told, **keys)
    core.log("info", "play_ended", room=room.id, play=play.operation_id, outcome=cell.told)


def _tell(
    core: Core,
    room: Room,
    play: Play,
    told: str,
    *,
    operation_id: str | None = None,
    request_id: str | None = None,
    **keys: Any,
) -> None:
    if play.overlay:
        keys["overlay"] = True
    event = EVENTS[told](
        room_id=room.id,
        app_id=room.app_id,
        operation_id=operation_id or play.operation_id,
        play_operation_id=play.operation_id,
        **keys,
    )
    core.publish(event, room.app_id, room=room, request_id=request_id)
