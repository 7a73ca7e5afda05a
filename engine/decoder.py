"""Audio files as the worker takes them: which it opens, how long they are, why they end.  For side threads.

    decoder = Decoder(open_file(path).fd)
    decoder.run(0, rooms)               -> samples made of each second, and why there are no more

The work is done in ext/file, without the GIL.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from roomtone.ext.file.decoder import SoundFile

SECOND = 8000  # samples
MAX_SECONDS = 24 * 3600  # of one file; what is behind is an error when it is reached
SHORT_S = 0.1  # a file may end so much earlier than its header says: encoders' padding
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"OggS", b"fLaC")
_MP3_SYNC = 0xFFE0  # the first 11 bits of an MPEG audio frame
_ID3_HEADER = 10  # bytes; the last four are the size of what follows, seven bits each
_MP3_FRAMES_COUNTED = (b"Xing", b"Info", b"VBRI")  # in the first frame: how many there are
_MP3_FRAME_BEGIN = 192  # bytes of a frame within which that stands

# Device, inode, time of change in ns, size: a file that was replaced is another one.
Identity = tuple[int, int, int, int]


UNSUPPORTED, BROKEN, INCOMPLETE = "unsupported_media", "decode_error", "incomplete"


class FileError(Exception):
    """The file cannot be opened or decoded.

    The text is for the caller's eyes; code: `Failed.detail`, or none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Opened(NamedTuple):
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
    return Opened(fd, (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size))


class Decoder:
    """One file.  Used by one thread at a time.  Owns the descriptor: `close` it.

    duration_ms: as the header says; None: it does not say.  seconds: how many there can be.
    """

    def __init__(self, fd: int) -> None:
        """FileError: not a file of these formats, rates and channels; the descriptor is closed."""
        self._fd = fd
        try:
            self._sound = SoundFile(fd, size_tells=_size_tells(fd))
        except BaseException as error:
            os.close(fd)
            if isinstance(error, (OSError, ValueError)):
                raise FileError(f"the file cannot be read: {error}", UNSUPPORTED) from None
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
        if sound.error is not None:
            return FileError(f"the file cannot be decoded: {sound.error}", BROKEN)
        missing = 0 if sound.frames is None else sound.frames - sound.read
        if missing <= sound.rate_hz * SHORT_S:
            return None
        found, said = sound.read / sound.rate_hz, (sound.read + missing) / sound.rate_hz
        return FileError(f"the file ends after {found:.1f} of {said:.1f} s", BROKEN)


def _size_tells(fd: int) -> bool:
    """Whether its length may be concluded from its size.

    Not that of an MP3 that was made as a stream: the first frame's bit rate says nothing of the others'.
    FileError: none of the formats.
    """
    head, at = os.pread(fd, _ID3_HEADER, 0), 0
    if head.startswith(b"ID3"):
        at = _ID3_HEADER + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:])))
        head = os.pread(fd, _ID3_HEADER, at)
    elif not head.startswith(_MAGIC) and not _is_frame(head):
        raise FileError("not a WAV, MP3, OGG, Opus or FLAC file", UNSUPPORTED)
    frame = os.pread(fd, _MP3_FRAME_BEGIN, at)
    return not _is_frame(head) or any(tag in frame for tag in _MP3_FRAMES_COUNTED)


def _is_frame(head: bytes) -> bool:
    return int.from_bytes(head[:2], "big") & _MP3_SYNC == _MP3_SYNC
