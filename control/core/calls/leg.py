"""What a session is as a call, and what is written down of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from roomtone.control.core.calls.collecting import Collecting
    from roomtone.control.core.calls.commands import Command
    from roomtone.control.core.calls.endings import Ending
    from roomtone.control.core.calls.playing import Playback

HangupOn = Literal["rtcp_bye", "media_timeout"]


class Recorded(Struct):
    """The recording that a call asked for.  uid: of the command.  name: of the file.  id: once it runs."""

    uid: str
    name: str
    id: str = ""


class Owed(Struct, array_like=True):
    """A command without its result yet."""

    operation_id: str
    command: str
    uid: str


class Played(Struct):
    """A playback as it stood when it was written down.

    endpoint: "" until it is made.  at_ms, heard_ms, at_epoch_us: where it stood, how long it had been heard,
    and when (wall clock).  prompts: of play_and_get_digits.
    """

    uid: str
    urls: list[str]
    endpoint: str
    started: bool
    at_ms: int
    heard_ms: int
    at_epoch_us: int
    prompts: bool


class Collected(Struct):
    """A collection of digits as it stood when it was written down.

    asked_for: the body of its command.  state, digits, tries, answered: of its machine (digits.py).
    """

    uid: str
    operation_id: str
    request_id: str
    asked_for: dict[str, Any]
    state: str
    digits: str
    tries: int
    answered: bool


class Facts(Struct, kw_only=True):
    """What a call is as long as it lives, whichever process asks.

    leased: made over a WebSocket, whose loss begins a deadline.  answered: the peer can be heard (a network
    endpoint is connected), or the application has said so: of a call whose offer came over REST only that
    counts.  accepted: the command `answer` was carried out.  room_bound: it ends when it leaves its room.
    """

    leased: bool = True
    answered: bool = False
    accepted: bool = False
    did: str = ""
    metadata: dict[str, Any] | None = None
    hangup_on: tuple[HangupOn, ...] = ()
    room_bound: bool = False

    def facts(self) -> dict[str, Any]:
        """To make another of the same."""
        return {name: getattr(self, name) for name in Facts.__struct_fields__}


class Leg(Facts, kw_only=True, eq=False):
    """The call that a session is.

    told: call.new was; until then nobody has asked for what happens to it.  active_us: the last packet that
    a worker told of.  playback: what is played to it; played: by the process before this one, and its worker
    has not told of it yet.  collecting: the keys that are waited for; collected: by the process before this
    one, and not taken up yet.  recorded: its recording.  ending: the
    call has ended, and is told of once the recording is complete; over: it was told of.  owed: commands whose
    result is still to be told, in the order of their coming.
    """

    told: bool = False
    active_us: int = 0
    playback: Playback | None = None
    played: Played | None = None
    collecting: Collecting | None = None
    collected: Collected | None = None
    recorded: Recorded | None = None
    ending: Ending | None = None
    over: bool = False
    owed: dict[str, Command] = field(default_factory=dict)  # by operation id


class CallRow(Facts, kw_only=True, omit_defaults=True):
    """The record of a call that was told of: it stands in the store until its call.hangup does."""

    app_id: str
    caller_id: str
    created_epoch_us: int
    recorded: Recorded | None = None
    played: Played | None = None
    collected: Collected | None = None
    owed: list[Owed] = []
