"""Every cell of the contract's table 2.3: a state, an input, and what a client and the worker see of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from stage import A, Stage

from roomtone.control.core.rooms import play
from roomtone.control.core.rooms.play_machine import STATUS, TABLE, Input, State
from roomtone.engine import messages as ms


class Seen(NamedTuple):
    """reply: status and code or `status` member; None: no command.  told: events, in order.

    after: playback_status; None: there is no room.  dropped: the report was counted as stale.
    """

    reply: tuple[int, str] | None
    told: list[str]
    after: str | None
    dropped: bool = False


def accepted(told: list[str], after: str) -> Seen:
    return Seen((202, "in_progress"), told, after)


def refused(code: str, after: str) -> Seen:
    return Seen((409, code), [], after)


def report(told: list[str], after: str | None) -> Seen:
    return Seen(None, told, after)


def dropped(after: str) -> Seen:
    return Seen(None, [], after, dropped=True)


ACTIVE, IDLE, GOES = "playback_active", "no_active_playback", "room_destroying"
WAITING, FETCHING, HELD = "WAITING", "PLAYING fetching", "PAUSED fetching"
STOPPED, STREAMING, PAUSED, DESTROYING = "STOPPED", "PLAYING streaming", "PAUSED", "destroying"

CELLS: dict[tuple[str, str], Seen] = {
    (STOPPED, "play"): accepted([], "playing"),
    (STOPPED, "pause"): refused(IDLE, "stopped"),
    (STOPPED, "stop"): Seen((202, "completed"), [], "stopped"),
    (STOPPED, "volume"): refused(IDLE, "stopped"),
    (STOPPED, "first frame"): dropped("stopped"),
    (STOPPED, "end of last url"): dropped("stopped"),
    (STOPPED, "engine error"): dropped("stopped"),
    (STOPPED, "watchdog"): report([], "stopped"),
    (STOPPED, "room destroyed"): report([], None),
    (STOPPED, "worker lost"): report([], "stopped"),
    (FETCHING, "play"): refused(ACTIVE, "playing"),
    (FETCHING, "pause"): accepted([], "paused"),
    (FETCHING, "stop"): accepted(["stopped"], "stopped"),
    (FETCHING, "volume"): accepted([], "playing"),
    (FETCHING, "first frame"): report(["started"], "playing"),
    (FETCHING, "end of last url"): report(["finished"], "stopped"),
    (FETCHING, "engine error"): report(["failed/playback_error"], "stopped"),
    (FETCHING, "watchdog"): report(["failed/playback_timeout"], "stopped"),
    (FETCHING, "room destroyed"): report(["stopped"], None),
    (FETCHING, "worker lost"): report(["failed/playback_error"], "stopped"),
    (HELD, "play"): refused(ACTIVE, "paused"),
    (HELD, "pause"): accepted([], "playing"),
    (HELD, "stop"): accepted(["stopped"], "stopped"),
    (HELD, "volume"): accepted([], "paused"),
    (HELD, "first frame"): report(["started", "paused"], "paused"),
    (HELD, "engine error"): report(["failed/playback_error"], "stopped"),
    (HELD, "watchdog"): report(["failed/playback_timeout"], "stopped"),
    (HELD, "room destroyed"): report(["stopped"], None),
    (HELD, "worker lost"): report(["failed/playback_error"], "stopped"),
    (STREAMING, "play"): refused(ACTIVE, "playing"),
    (STREAMING, "pause"): accepted(["paused"], "paused"),
    (STREAMING, "stop"): accepted(["stopped"], "stopped"),
    (STREAMING, "volume"): accepted(["volume_changed"], "playing"),
    (STREAMING, "first frame"): report([], "playing"),
    (STREAMING, "end of last url"): report(["finished"], "stopped"),
    (STREAMING, "engine error"): report(["failed/playback_error"], "stopped"),
    (STREAMING, "watchdog"): report(["failed/playback_timeout"], "stopped"),
    (STREAMING, "room destroyed"): report(["stopped"], None),
    (STREAMING, "worker lost"): report(["failed/playback_error"], "stopped"),
    (PAUSED, "play"): refused(ACTIVE, "paused"),
    (PAUSED, "pause"): accepted(["resumed"], "playing"),
    (PAUSED, "stop"): accepted(["stopped"], "stopped"),
    (PAUSED, "volume"): accepted(["volume_changed"], "paused"),
    (PAUSED, "first frame"): report([], "paused"),
    (PAUSED, "end of last url"): report(["finished"], "stopped"),
    (PAUSED, "engine error"): report(["failed/playback_error"], "stopped"),
    (PAUSED, "watchdog"): report([], "paused"),
    (PAUSED, "room destroyed"): report(["stopped"], None),
    (PAUSED, "worker lost"): report(["failed/playback_error"], "stopped"),
    (DESTROYING, "play"): refused(GOES, "stopped"),
    (DESTROYING, "pause"): refused(GOES, "stopped"),
    (DESTROYING, "stop"): refused(GOES, "stopped"),
    (DESTROYING, "volume"): refused(GOES, "stopped"),
    (DESTROYING, "first frame"): dropped("stopped"),
    (DESTROYING, "end of last url"): dropped("stopped"),
    (DESTROYING, "engine error"): dropped("stopped"),
    (DESTROYING, "watchdog"): report([], "stopped"),
    (DESTROYING, "worker lost"): report([], "stopped"),
}


def held(stage: Stage) -> None:
    stage.play()
    stage.did("pause")


def destroying(stage: Stage) -> None:
    stage.begin()
    room = stage.desk.core.rooms[stage.room]
    room.state = "destroying"
    play.end_for_room(stage.desk.core, room)
    assert stage.ask("get")[0] == 200  # still there, for a moment


STATES: dict[str, Callable[[Stage], Any]] = {
    STOPPED: lambda stage: (stage.begin(), stage.did("stop")),
    FETCHING: lambda stage: stage.play(),
    HELD: held,
    STREAMING: lambda stage: stage.begin(),
    PAUSED: lambda stage: (stage.begin(), stage.did("pause")),
    DESTROYING: destroying,
}


def first_frame(stage: Stage) -> None:
    """Of what is to be played; else of what was."""
    if stage.desk.downloading:
        stage.desk.arrive(A)
    if stage.files:
        stage.first_frame()
    else:
        stage.desk.event(0, ms.FileStarted(session=stage.room, endpoint=stage.last, started_at_us=0))


def end(stage: Stage) -> None:
    if stage.desk.downloading:
        stage.desk.arrive(A)
    stage.end()


def error(stage: Stage) -> None:
    if stage.desk.downloading:
        stage.desk.fail(A)
    else:
        stage.break_off()


INPUTS: dict[str, Callable[[Stage], Any]] = {
    "play": lambda stage: stage.ask("play", urls=[A]),
    "pause": lambda stage: stage.ask("pause"),
    "stop": lambda stage: stage.ask("stop"),
    "volume": lambda stage: stage.ask("volume", volume=-6),
    "first frame": first_frame,
    "end of last url": end,
    "engine error": error,
    "watchdog": lambda stage: stage.desk.advance(12.1),
    "room destroyed": lambda stage: stage.ask("delete"),
    "worker lost": lambda stage: stage.desk.kill(0),
}


def told(stage: Stage) -> list[str]:
    return [
        event["event"].rpartition(".")[2] + (f"/{event['error']}" if "error" in event else "")
        for event in stage.news()
    ]


@pytest.mark.parametrize(("state", "given"), CELLS, ids=[f"{row} x {column}" for row, column in CELLS])
def test_cell(state: str, given: str) -> None:
    stage = Stage()
    STATES[state](stage)
    stage.news()
    stale = stage.desk.core.counters.play_reports_stale
    reply = INPUTS[given](stage)
    expected = CELLS[state, given]
    if expected.reply is not None:
        status, body = reply
        assert (status, body.get("code") or body["status"]) == expected.reply
        if expected.reply[1] == "completed":
            assert body["changed"] is False
    assert told(stage) == expected.told
    room = stage.desk.core.rooms.get(stage.room)
    assert (play.status(room) if room is not None else None) == expected.after
    assert (stage.desk.core.counters.play_reports_stale > stale) == expected.dropped
    if expected.after in (None, "stopped"):
        assert not stage.files and not stage.desk.downloading, "something of it is left"
        assert not [row for row in stage.desk.rows if row[0] == "play"]
        assert not [key for key in stage.desk.timers if key[0] == play.TIMER]


def test_the_table_is_whole() -> None:
    """Each state has a cell for every input, and none leads anywhere unknown."""
    assert set(TABLE) == set(State) == set(STATUS)
    for state, row in TABLE.items():
        assert set(row) == set(Input), state
