"""Plays after a restart of control: their rows, and what the worker says it plays.

A play that a worker still holds goes on as if nothing had happened: it is brought to the state that was
accepted.  One that was not heard yet begins again.  One that should be heard and is not has failed, cause
`restart`; if the worker is a new one, too, cause `worker_lost`.  What a worker plays that nobody knows any
more is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import places
from roomtone.control.core.rooms import play_clock, play_life, play_media
from roomtone.control.core.rooms.play_machine import Input, State
from roomtone.control.core.rooms.play_model import Play, Watch
from roomtone.engine.messages import RemoveEndpoint, SnapshotEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

_decode = msgspec.msgpack.Decoder(Play).decode


def read(core: Core, id: str, body: bytes) -> None:
    """A row of the store; its room has been read."""
    play = _decode(body)
    room = core.rooms[play.room_id]
    play.watch, play.fetching, play.recalled = Watch(), False, True
    play.next = max([*play.items, *play.failed], default=-1) + 1
    room.plays[id] = play
    room.plays = dict(sorted(room.plays.items(), key=lambda item: item[1].number))
    play_clock.began(core, play)
    play_clock.arm(core, room, play)


def heard(core: Core, worker: int, held: list[SnapshotEndpoint]) -> None:
    """A worker said what it holds from the time before this process."""
    there = {entry.endpoint: entry for entry in held if entry.session in core.rooms and entry.kind == "file"}
    for room, play in _recalled(core, worker):
        places.settle_again(core, room, worker)
        if play.asked:
            places.reserve(core, room, worker, "file")
        entry = there.pop(play.endpoint, None)
        if entry is None and play.state in (State.PLAYING, State.PAUSED):
            urls = [play.urls[play.url]]
            play_life.reported(
                core, room, play, Input.ERROR, urls=urls, error="playback_error", cause="restart"
            )
        elif entry is None:
            _again(core, room, play)
        else:
            _take_up(core, room, play, entry)
        play_life.next_waiting(core, room)
    for entry in there.values():
        core.tell(worker, RemoveEndpoint(entry.endpoint))


def began_anew(core: Core, worker: int) -> None:
    """A worker of the time before has been replaced, and what it played is gone."""
    for room, play in _recalled(core, worker):
        if play.asked:
            play.asked = False
            worker_lost(core, room, play)
        else:
            _again(core, room, play)
        play_life.next_waiting(core, room)


def worker_lost(core: Core, room: Room, play: Play) -> None:
    urls = [play.urls[play.url]]
    fault = {"urls": urls, "error": "playback_error", "cause": "worker_lost"}
    play_life.reported(core, room, play, Input.WORKER_LOST, **fault)


def _recalled(core: Core, worker: int) -> list[tuple[Room, Play]]:
    """Those whose worker it is; from now on they are like any other."""
    found = []
    for room in core.rooms.values():
        home = room.was_home if room.home is None else room.home
        for play in room.plays.values():
            if play.recalled and (play.worker if play.asked else home) in (worker, None):
                play.recalled = False
                found.append((room, play))
    return found


def _again(core: Core, room: Room, play: Play) -> None:
    """It was not heard yet: all of it from the start."""
    if play.state is not State.WAITING:
        play.items, play.failed, play.next = [], [], 0
        play_media.begin(core, room, play)


def _take_up(core: Core, room: Room, play: Play, entry: SnapshotEndpoint) -> None:
    play.made = True
    if entry.finished:
        play_life.reported(core, room, play, Input.END)
        return
    if (play.state is State.FETCHING and entry.started) or play.state is State.HELD:
        play_life.reported(core, room, play, Input.FIRST_FRAME)
    play_media.set_volume(core, play)
    play_media.follow(core, play)
    play.watch.ask_us = core.now_us
    play_clock.arm(core, room, play)
    play_media.go_on(core, room, play)
