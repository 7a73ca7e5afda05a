"""Who sits where, says what and when."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomtone.bench.load import tone
from roomtone.bench.load.figures import FRAME_NS
from roomtone.bench.load.payload import FORMATS, Format, encode, silence

LISTENED_ROOMS = 48  # rooms of which members are listened to
LISTENED_MEMBERS = 48  # members listened to, over all rooms
LISTENED_TALKERS = 2  # further members listened to in each of the first rooms
LISTENED_TALKER_ROOMS = 4
KINDS = ("relay", "transcode", "mix")
SAMPLES = ("auto", "all", "tenth")
SAMPLE_FROM = 2000  # streams from which on "auto" reads a tenth
SAMPLE_SHARE = 10  # one in so many, but
SAMPLE_LEAST = 200  # not fewer than these
SAMPLE_SEED = 0x726F6F6D  # the same sockets in every run of a scenario
OTHER_SIDE = {"PCMU": "PCMA", "PCMA": "PCMU"}  # what the second of a transcoded pair speaks


@dataclass(frozen=True)
class Scenario:
    """`rooms` sessions of `size` endpoints; the first `talkers` of each talk, the others send silence.

    A relay is a mix of rooms of two that the engine may forward; kind "relay" puts send times into payloads.
    In kind "transcode" the two of a room speak different codecs, and both talk.
    """

    kind: str  # one of KINDS
    rooms: int
    size: int
    codec: str = "PCMU"
    talkers: int = 2
    listen_only: bool = False  # who does not talk sends nothing: recvonly
    sample: str = "auto"  # which sockets are read: one of SAMPLES

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind != "mix" and (self.size != 2 or self.listen_only):
            raise ValueError(f"a {self.kind} joins two endpoints that both send")
        if self.codec not in FORMATS:
            raise ValueError(f"codec is one of {', '.join(FORMATS)}, not {self.codec!r}")
        if self.kind == "transcode" and self.codec not in OTHER_SIDE:
            raise ValueError(f"a transcode is between {' and '.join(OTHER_SIDE)}")
        if self.rooms < 1 or self.size < 1 or not 0 <= self.talkers <= self.size:
            raise ValueError("rooms and size are at least 1, talkers at most size")
        if self.sample not in SAMPLES:
            raise ValueError(f"sample is one of {', '.join(SAMPLES)}, not {self.sample!r}")

    @property
    def count(self) -> int:
        return self.rooms * self.size

    @property
    def format(self) -> Format:
        """The first member's; all formats of a scenario have one rate and one payload size."""
        return FORMATS[self.codec]

    def format_of(self, caller: int) -> Format:
        """What this caller sends and receives."""
        other = self.kind == "transcode" and self.member(caller) == 1
        return FORMATS[OTHER_SIDE[self.codec] if other else self.codec]

    def sends(self, caller: int) -> bool:
        return not self.listen_only or self.member(caller) < self.talkers

    @property
    def stamped(self) -> bool:
        """Payloads carry their send time: only what forwards them unchanged can bear that."""
        return self.kind == "relay"

    @property
    def name(self) -> str:
        if self.kind == "relay":
            return f"relay {self.count} {self.codec}"
        if self.kind == "transcode":
            return f"transcode {self.count} {self.codec}-{OTHER_SIDE[self.codec]}"
        said = "all" if self.talkers == self.size else str(self.talkers)
        others = ", others receive only" if self.listen_only else ""
        return f"mix {self.rooms}x{self.size} {self.codec}, {said} talking{others}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def room(self, caller: int) -> int:
        return caller // self.size

    def member(self, caller: int) -> int:
        return caller % self.size

    def phases_ns(self) -> NDArray[np.int64]:
        """Send phases, evenly over 20 ms; the members of a room are spread over the whole of it.

        In pairs neighbours in number are neighbours in time, as with calls that arrive one after another.
        """
        caller = np.arange(self.count)
        slot = caller if self.kind != "mix" else (caller % self.size) * self.rooms + caller // self.size
        return slot * FRAME_NS // self.count

    def payloads(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """(table uint8[T, MARKER_FRAMES, payload bytes], the row each caller sends); row 0 is silence."""
        fmt = self.format
        rows = [np.tile(silence(fmt), (tone.MARKER_FRAMES, 1))]
        known: dict[tuple[int, int], int] = {}
        which = np.zeros(self.count, dtype=np.int64)
        for caller in range(self.count):
            member, shift = self.member(caller), self.room(caller) % tone.ROOM_SHIFTS
            if member >= self.talkers:
                continue
            if (member, shift) not in known:
                known[member, shift] = len(rows)
                spoken = self.format_of(caller)
                pcm = tone.speech(spoken, self.talkers, member, shift)
                rows.append(encode(spoken, pcm).reshape(tone.MARKER_FRAMES, fmt.payload_bytes))
            which[caller] = known[member, shift]
        return np.stack(rows), which

    def listeners(self) -> list[int]:
        """Callers whose audio is kept: members of some rooms, evenly spaced, and some talkers."""
        if self.kind == "relay" or self.size == 1:
            return []
        rooms = spaced(self.rooms, LISTENED_ROOMS)
        each = spaced(self.size, max(1, LISTENED_MEMBERS // len(rooms)))
        some = {room * self.size + self.size - 1 - m for room in rooms for m in each}
        for room in range(min(self.rooms, LISTENED_TALKER_ROOMS)):
            some |= {room * self.size + m for m in range(min(self.size, LISTENED_TALKERS))}
        return sorted(some)

    def sampled(self) -> list[int]:
        """Callers whose sockets are read: all, or the listeners and so many others, drawn with a seed."""
        tenth = self.sample == "tenth" or (self.sample == "auto" and self.count >= SAMPLE_FROM)
        wanted = max(SAMPLE_LEAST, self.count // SAMPLE_SHARE)
        if not tenth or wanted >= self.count:
            return list(range(self.count))
        chosen = set(self.listeners())
        others = np.setdiff1d(np.arange(self.count), sorted(chosen))
        draw = np.random.default_rng(SAMPLE_SEED)
        chosen |= set(draw.choice(others, max(wanted - len(chosen), 0), replace=False).tolist())
        return sorted(chosen)


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of 0 .. count - 1, evenly spaced."""
    if count <= most:
        return list(range(count))
    return [i * count // most for i in range(most)]
