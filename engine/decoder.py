"""Audio files as the worker takes them: which it opens, how long they are, why they end.  For side threads.

    decoder = Decoder(open_file(path))
    decoder.run(0, rooms)               -> samples made of each second, and why there are no more

The work is done in ext/file, without the GIL.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from roomtone.engine.id3 import HEADER_BYTES, tag_bytes
from roomtone.ext.file.decoder import ANY_SIZE, Growing, SoundFile

SECOND = 8000  # samples
MAX_SECONDS = 24 * 3600  # of one file; what is behind is an error when it is reached
SHORT_S = 0.1  # a file may end so much earlier than its header says: encoders' padding
LONGER = 64  # the highest bit rate of MP3 is 40 times the lowest
NO_SIZE = 0  # OGG has its length at its end, and is not looked for it there
_OGG = b"OggS"
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC", _OGG)
_MP3_SYNC = 0xFFE0  # the first 11 bits of an MPEG audio frame
_MP3_FRAMES_COUNTED = (b"Xing", b"Info", b"VBRI")  # in the first frame: how many there are
_MP3_FRAME_BEGIN = 192  # bytes of a frame within which that stands
_MP3_SIZE = slice(12, 16)  # of it: how many bytes they take, where that is told

# Device, inode, time of change in ns, size: a file that was replaced is another one.  A copy's: its path.
Identity = tuple[int, int, int, int] | tuple[str]


UNSUPPORTED, BROKEN, INCOMPLETE = "unsupported_media", "decode_error", "incomplete"


class FileError(Exception):
    """The file cannot be opened or decoded.

    The text is for the caller's eyes; code: `Failed.detail`, or none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Opened(NamedTuple):
    file: Growing
    fd: int  # the receiver closes it
    identity: Identity


def open_file(path: str) -> Opened:
    """Open a regular file that is no link; FileError otherwise."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise FileError(f"the file cannot be opened: {getattr(error, 'strerror', error)}") from None
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise FileError("not a regular file")
    file = Growing(fd)
    # Names of copies are never used again; what they hold changes while it comes.
    identity = (path,) if file.copy else (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size)
    return Opened(file, fd, identity)


class Decoder:
    """One file.  Used by one thread at a time.  Owns the descriptor: `close` it.

    duration_ms: as the header says; None: it does not say.  seconds: how many there can be.
    """

    def __init__(self, opened: Opened) -> None:
        """FileError: not a file of these formats, rates and channels; the descriptor is closed."""
        self._fd = opened.fd
        self._file = opened.file
        try:
            self._sound = _sound_file(opened)
        except BaseException as error:
            os.close(self._fd)
            if isinstance(error, (OSError, ValueError)):
                code = INCOMPLETE if self._file.broke else UNSUPPORTED
                raise FileError(f"the file cannot be read: {error}", code) from None
            raise
        frames, rate = self._sound.frames, self._sound.rate_hz
        self.duration_ms = None if frames is None else frames * 1000 // rate
        self.seconds = MAX_SECONDS if frames is None else min(-(-frames // rate) + 1, MAX_SECONDS)

    def run(self, first: int, rooms: list[memoryview]) -> tuple[list[int], FileError | None]:
        """Seconds from `first` on, each into a room (ext/flow/track.pyi).

        Returns the samples at 8 kHz made of each, the last of them possibly short, and what is wrong with the
        place where they end.
        """
        made = self._sound.run(first, rooms)
        return made, self._fault() if made[-1] < SECOND else None

    def close(self) -> None:
        self._sound.close()
        os.close(self._fd)

    def _fault(self) -> FileError | None:
        sound = self._sound
        if self._file.broke:
            return FileError(f"the download broke off after {sound.read / sound.rate_hz:.1f} s", INCOMPLETE)
        if sound.error is not None:
            return FileError(f"the file cannot be decoded: {sound.error}", BROKEN)
        missing = 0 if sound.frames is None else sound.frames - sound.read
        if missing <= sound.rate_hz * SHORT_S:
            return None
        found, said = sound.read / sound.rate_hz, (sound.read + missing) / sound.rate_hz
        return FileError(f"the file ends after {found:.1f} of {said:.1f} s", BROKEN)


def _sound_file(opened: Opened) -> SoundFile:
    """What cannot be opened without its end is opened when that has come.  ValueError, FileError."""
    file, fd = opened.file, opened.fd
    size_tells, size = _look(file)
    if file.grows:
        try:
            return SoundFile(file, size=size, size_tells=size_tells)
        except ValueError:
            file.settle()
    size = os.fstat(fd).st_size
    return SoundFile(file, size=size if size_tells else size * LONGER, size_tells=size_tells)


def _look(file: Growing) -> tuple[bool, int]:
    """Whether its length may be concluded from its size; the size libsndfile is told as long as it grows.

    Not that of an MP3 that was made as a stream: the first frame's bit rate says nothing of the others', and
    libsndfile has to be told that it is much larger, or it would stop where it thinks that it ends.
    FileError: none of the formats.
    """
    head = file.read(HEADER_BYTES, 0)
    at = tag_bytes(head)
    if at:
        head = file.read(HEADER_BYTES, at)
    elif not head.startswith(_MAGIC) and not _is_frame(head):
        raise FileError("not a WAV, MP3, OGG, Opus or FLAC file", UNSUPPORTED)
    if not _is_frame(head):
        return True, NO_SIZE if head.startswith(_OGG) else ANY_SIZE
    frame = file.read(_MP3_FRAME_BEGIN, at)
    counted = [frame[frame.index(tag) :] for tag in _MP3_FRAMES_COUNTED if tag in frame]
    size = int.from_bytes(counted[0][_MP3_SIZE], "big") if counted else 0
    return bool(counted), at + size if size else ANY_SIZE


def _is_frame(head: bytes) -> bool:
    return int.from_bytes(head[:2], "big") & _MP3_SYNC == _MP3_SYNC
