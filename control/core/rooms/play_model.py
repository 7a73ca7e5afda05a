"""A play: one accepted request to play into a room, as it is in memory and in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from roomtone.control.core.rooms.play_machine import STATUS, State

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

KIND = "play"  # of its row
SILENCE = -50  # the volume that is none at all


class Pending(Struct, array_like=True):
    """A command that was accepted while the play was fetched; told once it has begun."""

    told: Literal["paused", "resumed", "volume_changed"]
    operation_id: str
    request_id: str
    volume: int | None = None


class Watch(Struct, eq=False):
    """What the watchdog knows of a play; times in `now_us`.  It begins anew with every control process.

    fetched_by_us: when the first frame has to be there.  moved_us: when it was last seen to move, or began.
    ends_us: when it should have ended; None: not known.  literal_us: of the mode of that name.
    paused_us: since when it is paused.  seen: item, position and decoded of the last report.
    """

    fetched_by_us: int = 0
    moved_us: int = 0
    ends_us: int | None = None
    literal_us: int = 0
    paused_us: int | None = None
    ask_us: int = 0
    seen: tuple[int, int, int] = (0, 0, 0)
    seen_us: int = 0
    underruns: int = 0
    armed_us: int | None = None


class Play(Struct, kw_only=True, eq=False):
    """number: in the order of acceptance.  repeat: how often again after the first time; -1: for ever.

    started: that was told.  endpoint: of the worker's playback, new whenever one begins: reports that name
    another are of what is over.  asked: the worker was asked to make it, so loud and held or not; made: it
    has.  items: which urls are in its list, in order; item: which of these is played.  next: the url to be
    fetched next; fetching: it is on its way.  durations: in milliseconds, by url; None: not known (yet).
    recalled: from the store, and its worker has not said yet what it holds.
    """

    operation_id: str
    room_id: str
    urls: list[str]
    request_id: str = ""
    number: int = 0
    repeat: int = 0
    offset_ms: int = 0
    volume: int = 0
    skip_errors: bool = False
    stop_when_empty: bool = False
    max_pause_s: int = 0
    overlay: bool = False
    state: State = State.FETCHING
    started: bool = False
    pending: list[Pending] = field(default_factory=list)
    endpoint: str = ""
    worker: int = -1
    asked: bool = False
    made: bool = False
    made_volume: int = 0
    made_held: bool = False
    items: list[int] = field(default_factory=list)
    item: int = 0
    next: int = 0
    fetching: bool = False
    durations: list[int | None] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    recalled: bool = False
    watch: Watch = field(default_factory=Watch)

    @property
    def over(self) -> bool:
        return self.state is State.STOPPED

    @property
    def held(self) -> bool:
        return self.state in (State.PAUSED, State.HELD)

    @property
    def wish(self) -> str:
        """Under which name it waits for a download."""
        return f"{self.operation_id}/{self.endpoint}"

    @property
    def url(self) -> int:
        """Which url is played, or is to be the first."""
        if self.items:
            return self.items[self.item]
        return self.next - 1 if self.fetching else min(self.next, len(self.urls) - 1)


def main(room: Room) -> Play | None:
    """The play that is the room's status."""
    return next((p for p in room.plays.values() if not p.overlay and p.state is not State.WAITING), None)


def state(room: Room) -> State:
    """Of the room's playback."""
    if room.state != "open":
        return State.DESTROYING
    play = main(room)
    return play.state if play is not None else State.STOPPED


def status(room: Room) -> Literal["stopped", "playing", "paused"]:
    """The contract's `playback_status`."""
    play = main(room)
    return STATUS[play.state] if play is not None else "stopped"


def save(core: Core, play: Play) -> None:
    """Write it down as it is."""
    core.keep(KIND, play.operation_id, play)
    core.commits.concerns(play.room_id)
