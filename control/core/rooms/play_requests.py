"""What clients ask of room playback (the contract's sections 1.5 and 2.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from roomtone.control.core.problems import INVALID_PARAMS
from roomtone.control.core.rest.asked import PLAY_BODY, Accepted, Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rooms import play_clock, play_life, play_media, play_watch
from roomtone.control.core.rooms.model import Room
from roomtone.control.core.rooms.play_machine import STATUS, TABLE, Go, Input, Refused, State
from roomtone.control.core.rooms.play_model import Play, main, state, status
from roomtone.control.core.run import Ask, Unanswered
from roomtone.engine.messages import AskFile, Failed, FilePosition, SeekFile

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

MAX_URLS = 128
MAX_URL = 2048
MAX_OFFSET_S = 86_400
MAX_PLAYS = 32  # in a room at once: the one that plays, those that wait, overlays
MS_PER_S = 1000

Volume = Annotated[int, Meta(ge=-50, le=7)]
Uid = Annotated[str, Meta(max_length=128)]


class PlayBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """on_busy: what happens when something plays.  repeat: how often again; -1: until it is stopped.

    offset_sec: where the only url begins.  on_error skip: go on without what cannot be played.
    require_members: refuse in a room without any.  stop_when_empty: with its last member.
    max_pause_s: a longer pause ends it; 0: none does.
    """

    urls: Annotated[list[Annotated[str, Meta(max_length=MAX_URL)]], Meta(max_length=MAX_URLS)]
    on_busy: Literal["reject", "replace", "queue", "overlay"] = "reject"
    volume: Volume = 0
    repeat: Annotated[int, Meta(ge=-1, le=10_000)] = 0
    offset_sec: Annotated[int, Meta(ge=0, le=MAX_OFFSET_S)] = 0
    on_error: Literal["fail", "skip"] = "fail"
    require_members: bool = False
    stop_when_empty: bool = False
    max_pause_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 0
    command_uid: Uid | None = None

    def __post_init__(self) -> None:
        check_urls(self.urls)
        if self.offset_sec and len(self.urls) > 1:
            raise Refusal(400, "validation_error", "offset_sec is for a single url")


class OfPlay(Struct, forbid_unknown_fields=True, kw_only=True):
    """operation_id: of the play that is meant; absent: the room's own."""

    operation_id: Annotated[str, Meta(max_length=64)] | None = None
    command_uid: Uid | None = None


class PauseBody(OfPlay, kw_only=True):
    """action: absent: the other way round."""

    action: Literal["pause", "resume"] | None = None


class VolumeBody(OfPlay, kw_only=True):
    """In dB, 0 as it is; -50: digital silence."""

    volume: Volume


class SeekBody(OfPlay, kw_only=True):
    """Where to go on in the url that is played; one of the two."""

    offset_sec: Annotated[int, Meta(ge=0, le=MAX_OFFSET_S)] | None = None
    offset_ms: Annotated[int, Meta(ge=0, le=MAX_OFFSET_S * MS_PER_S)] | None = None

    def __post_init__(self) -> None:
        if (self.offset_sec is None) == (self.offset_ms is None):
            raise Refusal(400, "validation_error", "Either offset_sec or offset_ms")

    @property
    def to_ms(self) -> int:
        return (self.offset_sec or 0) * MS_PER_S if self.offset_ms is None else self.offset_ms


class Sought(Struct):
    operation_id: str
    status: str
    item: int
    position_ms: int


class Playing(Struct):
    """item: which of the urls.  position_ms: in it.  waiting, overlays: other plays of the room."""

    status: Literal["stopped", "playing", "paused"]
    operation_id: str | None
    urls: list[str]
    item: int
    position_ms: int
    duration_ms: int | None
    volume: int
    waiting: list[str]
    overlays: list[str]


def check_urls(urls: list[str]) -> None:
    """Raises `Refusal` when there is none, or one is not http or https."""
    if not urls:
        raise refuse("urls_required")
    for url in urls:
        try:
            parts = urlsplit(url)
            valid = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or re.search(r"[\x00-\x20\x7f]", url):
            raise Refusal(400, "validation_error", "urls must be valid http or https URLs")


# -- play ----------------------------------------------------------------------------------------------------


def play(core: Core, asked: Asked, body: PlayBody) -> Outcome:
    room = asked.the_room
    _check(core, room, body)
    cell = TABLE[state(room)][Input.PLAY]
    if isinstance(cell, Refused) and (cell.code != "playback_active" or body.on_busy == "reject"):
        _refuse(room, main(room), cell.code)
    busy = isinstance(cell, Refused)
    if len(room.plays) >= MAX_PLAYS and body.on_busy != "replace":
        _refuse(room, main(room), "playback_active")
    if busy and body.on_busy == "replace":
        _stop(core, room, _own(room), cause="replaced")
    accepted = Play(
        operation_id=asked.operation_id,
        room_id=room.id,
        request_id=asked.request_id,
        urls=body.urls,
        repeat=body.repeat,
        offset_ms=body.offset_sec * MS_PER_S,
        volume=body.volume,
        skip_errors=body.on_error == "skip",
        stop_when_empty=body.stop_when_empty,
        max_pause_s=body.max_pause_s,
        overlay=busy and body.on_busy == "overlay",
    )
    play_life.accept(core, room, accepted)
    return _accepted(asked, play_clock.W_US)


def _check(core: Core, room: Room, body: PlayBody) -> None:
    """What does not depend on what plays.  Raises `Refusal`."""
    if body.require_members and not room.member_count:
        raise refuse("room_empty")
    if not len(core.workers):
        raise refuse("node_unavailable")


# -- what is asked of a play ---------------------------------------------------------------------------------


def pause(core: Core, asked: Asked, body: PauseBody) -> Outcome:
    room = asked.the_room
    found = _named(room, body.operation_id)
    cell = _decide(room, found, Input.PAUSE)
    assert found is not None and isinstance(cell, Go)
    if body.action is not None and (body.action == "pause") == found.held:
        return Outcome(Accepted(asked.operation_id, "completed", changed=False))
    play_life.go(core, room, found, cell, **_caused(asked))
    return _accepted(asked)


def stop(core: Core, asked: Asked, body: OfPlay) -> Outcome:
    """The room's own play ends and with it those that wait for it; one that is named ends alone."""
    room = asked.the_room
    found = _named(room, body.operation_id)
    if not isinstance(_decide(room, found, Input.STOP), Go):
        return Outcome(Accepted(asked.operation_id, "completed", changed=False))
    assert found is not None
    ending = [found] if body.operation_id is not None else _own(room)
    _stop(core, room, ending, **_caused(asked))
    play_life.next_waiting(core, room)
    return _accepted(asked)


def volume(core: Core, asked: Asked, body: VolumeBody) -> Outcome:
    room = asked.the_room
    found = _named(room, body.operation_id)
    cell = _decide(room, found, Input.VOLUME)
    assert found is not None and isinstance(cell, Go)
    found.volume = body.volume
    play_media.set_volume(core, found)
    play_life.go(core, room, found, cell, **_caused(asked), volume=body.volume)
    return _accepted(asked)


def seek(core: Core, asked: Asked, body: SeekBody) -> Steps:
    """Done when the reply says so: no event tells it."""
    room = asked.the_room
    found = _named(room, body.operation_id)
    if found is None or found.state not in (State.PLAYING, State.PAUSED) or not found.made:
        _refuse(room, found, "no_active_playback")
    generation = found.endpoint
    answers = yield [Ask(found.worker, SeekFile(endpoint=generation, position_ms=body.to_ms))]
    if found.over or found.endpoint != generation:
        _refuse(room, found, "no_active_playback")
    match answers[0]:
        case Failed(code=code, message=message) if code == INVALID_PARAMS:
            raise Refusal(400, "validation_error", f"Behind the end: {message}")
        case Failed():
            _refuse(room, found, "no_active_playback")
        case Unanswered():
            raise refuse("node_unavailable")
    play_clock.sought(core, found, body.to_ms)
    play_clock.arm(core, room, found)
    return Outcome(Sought(asked.operation_id, "completed", found.url, body.to_ms))


def show(core: Core, asked: Asked, body: Struct) -> Steps:
    room = asked.the_room
    found = main(room)
    if found is not None and found.made:
        generation = found.endpoint
        answers = yield [Ask(found.worker, AskFile(generation))]
        current = found.state is State.PLAYING and found.endpoint == generation
        if current and isinstance(answers[0], FilePosition):
            play_watch.reported(core, room, found, answers[0])
    return Outcome(_playing(core, room, main(room)))


def _playing(core: Core, room: Room, found: Play | None) -> Playing:
    plays = room.plays.values()
    return Playing(
        status=status(room),
        operation_id=found.operation_id if found is not None else None,
        urls=found.urls if found is not None else [],
        item=found.url if found is not None else 0,
        position_ms=play_clock.position_ms(core, found) if found is not None else 0,
        duration_ms=found.durations[found.url] if found is not None else None,
        volume=found.volume if found is not None else 0,
        waiting=[play.operation_id for play in plays if play.state is State.WAITING],
        overlays=[play.operation_id for play in plays if play.overlay],
    )


# -- parts ---------------------------------------------------------------------------------------------------


def _named(room: Room, operation_id: str | None) -> Play | None:
    """Raises `Refusal`: a play of that id is not there."""
    if operation_id is None:
        return main(room)
    found = room.plays.get(operation_id)
    if found is None and room.state == "open":
        raise refuse("operation_not_found")
    return found


def _own(room: Room) -> list[Play]:
    """The room's play and those that wait for it."""
    return [play for play in room.plays.values() if not play.overlay]


def _decide(room: Room, found: Play | None, given: Input) -> Any:
    """The cell of the table.  Raises `Refusal`."""
    at = found.state if found is not None and room.state == "open" else state(room)
    cell = TABLE[at][given]
    if isinstance(cell, Refused):
        _refuse(room, found, cell.code)
    return cell


def _refuse(room: Room, found: Play | None, code: str) -> NoReturn:
    detail: dict[str, Any] = {"playback_status": STATUS[found.state] if found is not None else status(room)}
    if found is not None and not found.over:
        detail["operation_id"] = found.operation_id
    raise refuse(code, detail)


def _caused(asked: Asked) -> dict[str, str]:
    """Of the event that a command causes."""
    return {"operation_id": asked.operation_id, "request_id": asked.request_id}


def _stop(core: Core, room: Room, ending: list[Play], **keys: Any) -> None:
    for play in ending:
        cell = TABLE[play.state][Input.STOP]
        assert isinstance(cell, Go)
        play_life.go(core, room, play, cell, **keys)


def _accepted(asked: Asked, timeout_us: int = 2 * 1_000_000) -> Outcome:
    return Outcome(Accepted(asked.operation_id, "in_progress", timeout_us // 1000))


ROOM = "/api/v1/conferences/{room_id}"
OPERATIONS: dict[str, Operation] = {
    "conference.play": Operation(
        method="POST",
        path=ROOM + "/play",
        handler=play,
        summary="Play to everybody in a room",
        body=PlayBody,
        max_body=PLAY_BODY,
        result=Accepted,
        status=202,
        group="conference_play",
        timing="deferred",
        emits=(
            "conference.play.started",
            "conference.play.finished",
            "conference.play.failed",
            "conference.play.stopped",
        ),
    ),
    "conference.play.show": Operation(
        method="GET",
        path=ROOM + "/play",
        handler=show,
        summary="What plays in a room, and where it is",
        result=Playing,
    ),
    "conference.pause": Operation(
        method="POST",
        path=ROOM + "/pause",
        handler=pause,
        summary="Hold the playback of a room, or let it go on",
        body=PauseBody,
        result=Accepted,
        status=202,
        group="conference_control",
        emits=("conference.play.paused", "conference.play.resumed"),
    ),
    "conference.stop": Operation(
        method="POST",
        path=ROOM + "/stop",
        handler=stop,
        summary="End the playback of a room",
        body=OfPlay,
        result=Accepted,
        status=202,
        group="conference_control",
        emits=("conference.play.stopped",),
    ),
    "conference.volume": Operation(
        method="POST",
        path=ROOM + "/volume",
        handler=volume,
        summary="How loud the playback of a room is",
        body=VolumeBody,
        result=Accepted,
        status=202,
        group="conference_control",
        emits=("conference.play.volume_changed",),
    ),
    "conference.seek": Operation(
        method="POST",
        path=ROOM + "/seek",
        handler=seek,
        summary="Go on at another place of the url that is played",
        body=SeekBody,
        result=Sought,
        group="conference_control",
    ),
}
