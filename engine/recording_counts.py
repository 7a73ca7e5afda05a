"""What has reached the files of a worker's recordings, kept where it outlives the worker: in runtime_dir.

Behind every piece of a recording its writer (ext/record/writer) notes here how much there is of it now, a
slot a recording.  When the worker has died control takes that for the last word about its recordings.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import msgspec

NAME = "recordings-{worker}-{epoch}"
SLOT = struct.Struct("<40sQQq")  # note_t in ext/record/writer.pyx
NOWHERE = -1


class Left(msgspec.Struct, frozen=True):
    """Of one recording: packets in the file, packets that are not, and how much time the file covers."""

    packets: int = 0
    dropped_packets: int = 0
    duration_us: int = 0


class Counts:
    """The worker's side: the file, open for its writers, and its slots."""

    def __init__(self, runtime_dir: str, worker: int, epoch: int) -> None:
        """If the file cannot be made nothing is noted, and fd is NOWHERE."""
        self._path = os.path.join(runtime_dir, NAME.format(worker=worker, epoch=epoch))
        self.fd = NOWHERE
        with contextlib.suppress(OSError):
            self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._free: list[int] = []
        self._used = 0

    def take(self) -> int:
        """A slot for a recording; what an earlier one left there stands until the first note."""
        if self._free:
            return self._free.pop()
        self._used += 1
        return self._used - 1

    def give_back(self, slot: int) -> None:
        self._free.append(slot)

    def close(self) -> None:
        """The worker ends well: all has been told."""
        Path(self._path).unlink(missing_ok=True)


def take(runtime_dir: str, worker: int, epoch: int) -> dict[str, Left]:
    """What a dead worker's recordings came to, by their ids.

    Its file is removed, and those of its forerunners.
    """
    found: dict[str, Left] = {}
    for path in Path(runtime_dir).glob(NAME.format(worker=worker, epoch="*")):
        of = path.name.rpartition("-")[2]
        if not of.isdecimal() or int(of) > epoch:
            continue
        with contextlib.suppress(OSError):
            data = path.read_bytes() if int(of) == epoch else b""
            for id, *counts in SLOT.iter_unpack(data[: len(data) // SLOT.size * SLOT.size]):
                found[id.rstrip(b"\0").decode("ascii", "replace")] = Left(*counts)
            path.unlink()
    return found
