"""Room playback as the rest of core sees it; what clients may ask of it is in play_requests.py.

Reading order: play_machine.py (what may follow what), play_model.py, play_clock.py (deadlines), play_life.py,
play_media.py (the worker's side), play_watch.py, play_restore.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from roomtone.control.core.rooms import play_clock, play_life, play_media, play_watch
from roomtone.control.core.rooms.play_machine import STOPPED, Input
from roomtone.control.core.rooms.play_model import main, status
from roomtone.control.core.rooms.play_restore import began_anew, heard, worker_lost
from roomtone.engine.messages import Event, FileFinished, FileNext, FileStarted

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

__all__ = (
    "TIMER", "began_anew", "emptied", "end_for_room", "heard", "lost", "status", "timer", "view",
    "worker_event",
)  # fmt: skip
TIMER = play_clock.TIMER


class Playback(Struct):
    """item: which of the urls.  position_ms: in it."""

    operation_id: str
    urls: list[str]
    item: int
    position_ms: int
    volume: int


def view(core: Core, room: Room) -> Playback | None:
    """The `playback` of a room; None: nothing plays."""
    play = main(room)
    if play is None:
        return None
    return Playback(play.operation_id, play.urls, play.url, play_clock.position_ms(core, play), play.volume)


def end_for_room(core: Core, room: Room) -> None:
    """The room goes: everything that plays or waits is stopped first."""
    for play in list(room.plays.values()):
        play_life.go(core, room, play, STOPPED, cause="room_destroyed")


def emptied(core: Core, room: Room) -> None:
    """The last member left."""
    for play in [play for play in room.plays.values() if play.stop_when_empty]:
        play_life.go(core, room, play, STOPPED, cause="room_empty")
    play_life.next_waiting(core, room)


def lost(core: Core, worker: int) -> None:
    """A worker died: what was played or is to be played there has failed."""
    for room in core.rooms.values():
        for play in list(room.plays.values()):
            if worker == (play.worker if play.asked else room.home):
                worker_lost(core, room, play)


def timer(core: Core, key: tuple[str, ...]) -> None:
    """A play's timer fired."""
    _, room_id, operation_id = key
    room = core.rooms.get(room_id)
    play = room.plays.get(operation_id) if room is not None else None
    if room is not None and play is not None:
        play_watch.fired(core, room, play)


def worker_event(core: Core, room: Room, worker: int, event: Event) -> bool:
    """What a worker tells of a room's own file; False: it is not about one.

    Of a playback that is over it says nothing, and is counted.
    """
    if not isinstance(event, FileStarted | FileNext | FileFinished):
        return False
    play = next((play for play in room.plays.values() if play.endpoint == event.endpoint), None)
    if play is None or not play.asked or play.worker != worker:
        core.counters.play_reports_stale += 1
        return True
    match event:
        case FileStarted():
            play_life.reported(core, room, play, Input.FIRST_FRAME)
        case FileNext():
            play_clock.went_on(core, play, event.item)
            play_media.go_on(core, room, play)
            play_clock.arm(core, room, play)
        case FileFinished(reason="completed"):
            play_life.reported(core, room, play, Input.END)
        case FileFinished():
            play_media.broke_off(core, room, play, event.item, event.code or "decode_error")
    return True
