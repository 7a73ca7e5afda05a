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


@dataclass(frozen=True)
class Scenario:
    """`rooms` sessions of `size` endpoints; the first `talkers` of each talk, the others send silence.

    A relay is a mix of rooms of two that the engine may forward; kind "relay" puts send times into payloads.
    """

    kind: str  # relay or mix
    rooms: int
    size: int
    codec: str = "PCMU"
    talkers: int = 2

    def __post_init__(self) -> None:
        if self.kind not in ("relay", "mix"):
            raise ValueError(f"kind is relay or mix, not {self.kind!r}")
        if self.kind == "relay" and self.size != 2:
            raise ValueError("a relay joins two endpoints")
        if self.codec not in FORMATS:
            raise ValueError(f"codec is one of {', '.join(FORMATS)}, not {self.codec!r}")
        if self.rooms < 1 or self.size < 1 or not 0 <= self.talkers <= self.size:
            raise ValueError("rooms and size are at least 1, talkers at most size")

    @property
    def count(self) -> int:
        return self.rooms * self.size

    @property
    def format(self) -> Format:
        return FORMATS[self.codec]

    @property
    def name(self) -> str:
        if self.kind == "relay":
            return f"relay {self.count} {self.codec}"
        said = "all" if self.talkers == self.size else str(self.talkers)
        return f"mix {self.rooms}x{self.size} {self.codec}, {said} talking"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def room(self, caller: int) -> int:
        return caller // self.size

    def member(self, caller: int) -> int:
        return caller % self.size

    def phases_ns(self) -> NDArray[np.int64]:
        """Send phases, evenly over 20 ms; the members of a room are spread over the whole of it.

        In a relay neighbours in number are neighbours in time, as with calls that arrive one after another.
        """
        caller = np.arange(self.count)
        slot = caller if self.kind == "relay" else (caller % self.size) * self.rooms + caller // self.size
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
                pcm = tone.speech(fmt, self.talkers, member, shift)
                rows.append(encode(fmt, pcm).reshape(tone.MARKER_FRAMES, fmt.payload_bytes))
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


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of 0 .. count - 1, evenly spaced."""
    if count <= most:
        return list(range(count))
    return [i * count // most for i in range(most)]
