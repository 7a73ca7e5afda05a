"""What may follow what in a room's playback: the contract's section 2.3 as a table.

Theory of operation
-------------------
A *play* is one accepted request.  It is `FETCHING` until its first frame is mixed, `PLAYING` then, and
`PAUSED` while its place is held; `HELD` is fetching with a pause asked for.  `WAITING` is a play behind
another one.  A room whose play there is none, or none but overlays, is `STOPPED`, and so is a play that has
ended; `DESTROYING` is the room's.  Clients see three words of it (`STATUS`).

One owner, control, takes every input in the order of arrival; workers only report.  Each cell says one of

- `Go`: to that state, and the event that tells it.  While fetching, what a command does is told behind
  `started`; the state changes at once.
- `Refused`: the command is answered 409 with that code.
- `NOTHING_TO_DO`: the command is accepted, changes nothing and raises no event; its reply says so.
- `DROPPED`: a report of something that is over; counted.
- `IGNORED`: it says nothing new.

A play leaves the table once: every way to `STOPPED` tells exactly one of `finished`, `failed`, `stopped`.
There is no state between the end of decoding and the last frame: workers report the last frame itself.  An
end that crosses with a pause is an end; one while fetching is that of a file of which nothing was left.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from msgspec import Struct

Told = Literal["started", "paused", "resumed", "volume_changed", "finished", "failed", "stopped"]


class State(Enum):
    STOPPED = "stopped"
    WAITING = "waiting"
    FETCHING = "fetching"
    HELD = "held"
    PLAYING = "playing"
    PAUSED = "paused"
    DESTROYING = "destroying"


class Input(Enum):
    """Commands first, then reports, then what becomes of the surroundings."""

    PLAY = "play"
    PAUSE = "pause"
    STOP = "stop"
    VOLUME = "volume"
    FIRST_FRAME = "first frame"
    END = "end of last url"
    ERROR = "engine error"
    WATCHDOG = "watchdog"
    ROOM_DESTROYED = "room destroyed"
    WORKER_LOST = "worker lost"


class Go(Struct, frozen=True):
    to: State
    told: Told | None


class Refused(Struct, frozen=True):
    code: str


class Otherwise(Enum):
    NOTHING_TO_DO = "nothing to do"
    DROPPED = "dropped"
    IGNORED = "ignored"


Cell = Go | Refused | Otherwise

NOTHING_TO_DO, DROPPED, IGNORED = Otherwise.NOTHING_TO_DO, Otherwise.DROPPED, Otherwise.IGNORED
NOT_ACTIVE, ACTIVE = Refused("no_active_playback"), Refused("playback_active")
ROOM_GOES = Refused("room_destroying")
STOPPED, FINISHED, FAILED = (Go(State.STOPPED, told) for told in ("stopped", "finished", "failed"))

TABLE: dict[State, dict[Input, Cell]] = {
    State.STOPPED: {
        Input.PLAY: Go(State.FETCHING, None),
        Input.PAUSE: NOT_ACTIVE,
        Input.STOP: NOTHING_TO_DO,
        Input.VOLUME: NOT_ACTIVE,
        Input.FIRST_FRAME: DROPPED,
        Input.END: DROPPED,
        Input.ERROR: DROPPED,
        Input.WATCHDOG: IGNORED,
        Input.ROOM_DESTROYED: Go(State.DESTROYING, None),
        Input.WORKER_LOST: IGNORED,
    },
    State.WAITING: {
        Input.PLAY: Go(State.FETCHING, None),  # its turn has come
        Input.PAUSE: NOT_ACTIVE,
        Input.STOP: STOPPED,
        Input.VOLUME: NOT_ACTIVE,
        Input.FIRST_FRAME: DROPPED,
        Input.END: DROPPED,
        Input.ERROR: DROPPED,
        Input.WATCHDOG: IGNORED,
        Input.ROOM_DESTROYED: STOPPED,
        Input.WORKER_LOST: FAILED,
    },
    State.FETCHING: {
        Input.PLAY: ACTIVE,
        Input.PAUSE: Go(State.HELD, "paused"),
        Input.STOP: STOPPED,
        Input.VOLUME: Go(State.FETCHING, "volume_changed"),
        Input.FIRST_FRAME: Go(State.PLAYING, "started"),
        Input.END: FINISHED,
        Input.ERROR: FAILED,
        Input.WATCHDOG: FAILED,
        Input.ROOM_DESTROYED: STOPPED,
        Input.WORKER_LOST: FAILED,
    },
    State.HELD: {
        Input.PLAY: ACTIVE,
        Input.PAUSE: Go(State.FETCHING, "resumed"),
        Input.STOP: STOPPED,
        Input.VOLUME: Go(State.HELD, "volume_changed"),
        Input.FIRST_FRAME: Go(State.PAUSED, "started"),
        Input.END: FINISHED,
        Input.ERROR: FAILED,
        Input.WATCHDOG: FAILED,
        Input.ROOM_DESTROYED: STOPPED,
        Input.WORKER_LOST: FAILED,
    },
    State.PLAYING: {
        Input.PLAY: ACTIVE,
        Input.PAUSE: Go(State.PAUSED, "paused"),
        Input.STOP: STOPPED,
        Input.VOLUME: Go(State.PLAYING, "volume_changed"),
        Input.FIRST_FRAME: IGNORED,
        Input.END: FINISHED,
        Input.ERROR: FAILED,
        Input.WATCHDOG: FAILED,
        Input.ROOM_DESTROYED: STOPPED,
        Input.WORKER_LOST: FAILED,
    },
    State.PAUSED: {
        Input.PLAY: ACTIVE,
        Input.PAUSE: Go(State.PLAYING, "resumed"),
        Input.STOP: STOPPED,
        Input.VOLUME: Go(State.PAUSED, "volume_changed"),
        Input.FIRST_FRAME: IGNORED,
        Input.END: FINISHED,
        Input.ERROR: FAILED,
        Input.WATCHDOG: IGNORED,
        Input.ROOM_DESTROYED: STOPPED,
        Input.WORKER_LOST: FAILED,
    },
    State.DESTROYING: {
        **dict.fromkeys((Input.PLAY, Input.PAUSE, Input.STOP, Input.VOLUME), ROOM_GOES),
        **dict.fromkeys((Input.FIRST_FRAME, Input.END, Input.ERROR), DROPPED),
        **dict.fromkeys((Input.WATCHDOG, Input.ROOM_DESTROYED, Input.WORKER_LOST), IGNORED),
    },
}

STATUS: dict[State, Literal["stopped", "playing", "paused"]] = {
    State.STOPPED: "stopped",
    State.WAITING: "stopped",
    State.FETCHING: "playing",
    State.HELD: "paused",
    State.PLAYING: "playing",
    State.PAUSED: "paused",
    State.DESTROYING: "stopped",
}
