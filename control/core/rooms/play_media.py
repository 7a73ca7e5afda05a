"""The worker's side of a play: its files fetched one ahead, made into one playback of a list, and removed.

Theory of operation
-------------------
A play is one file endpoint that the room owns, seated as an announcement on the room's home.  The first file
makes it, the others are queued behind while the one before them plays, so that one follows the other without
a gap.  A playback that breaks off in the middle of a list can be followed by another one of the same play.
Each has an id of its own, and what is reported or answered under another id is of one that is over.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

from roomtone.control.core import places, spreading
from roomtone.control.core.downloads import Copy, Reason, Source
from roomtone.control.core.problems import SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.rooms import play_clock
from roomtone.control.core.rooms.play_machine import Input, State
from roomtone.control.core.rooms.play_model import SILENCE, Play, save
from roomtone.control.core.run import Answer, Ask, Unanswered, Work
from roomtone.engine.messages import (
    ANNOUNCEMENTS,
    CommandBody,
    CreateFile,
    EndList,
    Failed,
    FileCreated,
    PauseFile,
    QueueFile,
    RemoveEndpoint,
    ResumeFile,
    Seat,
    SetFileGain,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

US_PER_S = 1_000_000
COPY_TTL_US = 300 * US_PER_S  # as endpoint.create_with_file's cache_ttl_secs where it is not given
# How long a file may take is the watchdog's business, which looks at what is heard.
PATIENCE_US = 24 * 3600 * US_PER_S
QUIETEST_DB = -60.0  # a beginning that is silent at once afterwards

Steps = Generator[list[Ask], list[Answer], Answer | None]


# -- files ---------------------------------------------------------------------------------------------------


def begin(core: Core, room: Room, play: Play) -> None:
    """A new playback, from the next url on."""
    places.settle(core, room)
    drop(core, room, play)
    play.endpoint = core.next_id()
    play.items, play.item = [], 0
    fetch(core, room, play)


def fetch(core: Core, room: Room, play: Play) -> None:
    """Get the next file."""
    index, play.next, play.fetching = play.next, play.next + 1, True
    core.downloads.want(
        play.wish,
        Source(play.urls[index]),
        ttl_us=COPY_TTL_US,
        timeout_us=PATIENCE_US,
        now_us=core.now_us,
        then=partial(_fetched, core, room, play, index),
    )


def go_on(core: Core, room: Room, play: Play) -> None:
    """One file is kept ready behind the one that is played."""
    if play.fetching or not play.items:
        return
    if play.next < len(play.urls):
        if play.item == len(play.items) - 1:
            fetch(core, room, play)
    elif play.items[-1] != len(play.urls) - 1:  # those behind it could not be played
        core.tell(play.worker, EndList(play.endpoint))


def drop(core: Core, room: Room, play: Play) -> None:
    """Nothing of it is fetched or played any more."""
    core.downloads.leave(play.wish)
    play.fetching = False
    if play.asked:
        play.asked = play.made = False
        core.tell(play.worker, RemoveEndpoint(play.endpoint))
        if not play.recalled:
            places.release(core, room, play.worker, "file")


def _fetched(core: Core, room: Room, play: Play, index: int, copy: Copy | None, reason: Reason) -> None:
    if copy is None:
        unusable(core, room, play, index, reason.code)
    else:
        core.work(_load(core, room, play, index, copy))


def _load(core: Core, room: Room, play: Play, index: int, copy: Copy) -> Work:
    """Make the playback of a file, or queue it there."""
    generation = play.endpoint
    try:
        answer = yield from (_queue if play.items else _make)(core, room, play, index, copy)
    finally:
        core.downloads.release(copy, core.now_us)
    if play.over or play.endpoint != generation:
        core.counters.play_reports_stale += 1
    elif isinstance(answer, FileCreated):
        play.fetching = False
        _loaded(core, room, play, index, answer)
    elif isinstance(answer, Failed):
        play.fetching = False
        play.items = [item for item in play.items if item != index]
        unusable(core, room, play, index, answer.detail or "no_room")
    else:  # the worker is dead, which is told elsewhere, or does not answer, which the watchdog sees
        assert isinstance(answer, Unanswered | None), answer


def _make(core: Core, room: Room, play: Play, index: int, copy: Copy) -> Steps:
    generation = play.endpoint
    if room.home is None:
        return Failed(code="", message="no worker")
    play.worker = room.home
    play.asked = True
    places.reserve(core, room, play.worker, "file")
    try:
        yield from spreading.join(core, room)
    except Problem as refused:
        if refused.code == SESSION_UNRESPONSIVE:
            return Unanswered(refused.message)
        return Failed(code=refused.code, message=refused.message)
    if play.over or play.endpoint != generation:
        return None
    play.made_volume, play.made_held = play.volume, play.held
    play.items = [index]
    save(core, play)
    body = CreateFile(
        session=room.id,
        endpoint=play.endpoint,
        phase=room.phase,
        path=copy.path,
        key=copy.name,
        start_ms=play.offset_ms,
        loop_count=None if play.repeat < 0 else play.repeat,
        gain_db=QUIETEST_DB if play.volume == SILENCE else float(play.volume),
        more=index + 1 < len(play.urls),
        paused=play.held,
        note=play.operation_id.encode(),
        room=room.id,
        seat=Seat(role=ANNOUNCEMENTS),
    )
    worker = play.worker
    late = partial(_remove, core, worker, generation)
    answers = yield [Ask(worker, body, late, within_us=PATIENCE_US)]
    return answers[0]


def _remove(core: Core, worker: int, endpoint: str, _: object) -> None:
    core.tell(worker, RemoveEndpoint(endpoint))


def _queue(core: Core, room: Room, play: Play, index: int, copy: Copy) -> Steps:
    play.items.append(index)  # as it is in a moment: who restarts now must not queue it again
    save(core, play)
    body = QueueFile(endpoint=play.endpoint, path=copy.path, key=copy.name, more=index + 1 < len(play.urls))
    answers = yield [Ask(play.worker, body, within_us=PATIENCE_US)]
    return answers[0]


def _loaded(core: Core, room: Room, play: Play, index: int, created: FileCreated) -> None:
    play.durations[index] = created.duration_ms
    if not play.made:
        play.made = True
        if play.volume != play.made_volume or play.volume == SILENCE:
            set_volume(core, play)
        if play.held != play.made_held:
            follow(core, play)
        if play.state is State.HELD:
            core.play_happened(room, play, Input.FIRST_FRAME)
    play_clock.plan_end(core, play)
    play_clock.arm(core, room, play)
    go_on(core, room, play)


def unusable(core: Core, room: Room, play: Play, index: int, detail: str) -> None:
    """A url cannot be played: the play fails, or goes on without it."""
    play.fetching = False
    if index not in play.failed:
        play.failed.append(index)
    core.log("info", "play_url_failed", play=play.operation_id, index=index, detail=detail)
    if play.skip_errors and play.next < len(play.urls):
        (fetch if play.items else begin)(core, room, play)
    elif play.skip_errors and play.items:
        go_on(core, room, play)
    elif play.skip_errors and len(play.failed) < len(play.urls):
        core.play_happened(room, play, Input.END)
    else:
        urls = play.urls if play.skip_errors else [play.urls[index]]
        fault = {"urls": urls, "error": "playback_error", "error_detail": detail}
        core.play_happened(room, play, Input.ERROR, **fault)


def broke_off(core: Core, room: Room, play: Play, item: int, detail: str) -> None:
    """The file that was played is broken, and what was queued behind it went with it."""
    index = play.items[item]
    play.items, play.item, play.next = [], 0, index + 1
    play_clock.moved(core, play)
    unusable(core, room, play, index, detail)


# -- what is played ------------------------------------------------------------------------------------------


def follow(core: Core, play: Play) -> None:
    """The worker's playback is held, or goes on, as the play does."""
    if not play.made:
        return
    held, endpoint = play.held, play.endpoint
    body: CommandBody = PauseFile(endpoint) if held else ResumeFile(endpoint)
    core.tell(play.worker, body, lambda: play.endpoint == endpoint and play.held == held)


def set_volume(core: Core, play: Play) -> None:
    """The worker's playback is as loud as the play is to be: 1 to 7 louder, 0 as it is, -50 silent."""
    if play.made:
        volume, endpoint = play.volume, play.endpoint
        core.tell(
            play.worker,
            SetFileGain(endpoint=endpoint, gain_db=None if volume == SILENCE else float(volume)),
            lambda: play.endpoint == endpoint and play.volume == volume,
        )
