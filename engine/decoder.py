"""Audio files into seconds of PCM at 8 and 16 kHz.  Used on side threads: every call here may block.

    decoder = Decoder(open_file(path).fd)
    decoder.second(0, pcm8, pcm16)          -> samples at 8 kHz; fewer than a second: that was the end

libsndfile decodes, libsoxr resamples; both work without the GIL.  A second that does not follow the last one
is decoded from a little before it, so that decoder and filters have settled: what is heard does not depend on
how one came there.
"""

from __future__ import annotations

import math
import os
import stat
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's linear algebra would start threads nobody needs

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

NARROW_HZ, WIDE_HZ = 8000, 16000
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 192_000
MAX_CHANNELS = 16
MAX_SECONDS = 24 * 3600  # of one file; what is behind is an error when it is reached
BLOCKS_A_SECOND = 5  # decoded in one piece: 200 ms
SETTLE_S = 0.1  # decoded before a second that does not follow the last one
SHORT_S = 0.1  # a file may end so much earlier than its header says: encoders' padding
FULL_SCALE = 32768
UNKNOWN_FRAMES = 1 << 62  # libsndfile says 2^63 - 1 when a stream does not tell its length
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"OggS", b"fLaC", b"ID3")
_MP3_SYNC, _MP3_SYNC_MASK = 0xFFE0, 0xFFE0  # the first 11 bits of an MPEG audio frame

# Device, inode, time of change in ns, size: a file that was replaced is another one.
Identity = tuple[int, int, int, int]
Floats = NDArray[np.float32]
Samples = NDArray[np.int16]


class FileError(Exception):
    """The file cannot be opened or decoded; the text is for the caller's eyes."""


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


class _Sound(soundfile.SoundFile):
    """soundfile seeks after every read to where it is: needless, and decoders begin anew there."""

    def seekable(self) -> bool:
        return False


class _Line:
    """Mono samples on their way to one rate."""

    def __init__(self, source_hz: int, target_hz: int) -> None:
        self._resampler = (
            soxr.ResampleStream(source_hz, target_hz, 1, dtype="float32", quality="HQ")
            if source_hz != target_hz
            else None
        )
        self._blocks: list[Floats] = []
        self.waiting = 0
        self._skip = 0

    def skip(self, samples: int) -> None:
        """The first so many are not wanted."""
        self._skip = samples

    def put(self, pcm: Floats, last: bool) -> None:
        out = self._resampler.resample_chunk(pcm, last=last) if self._resampler is not None else pcm
        skipped = min(self._skip, len(out))
        self._skip -= skipped
        self._blocks.append(out[skipped:])
        self.waiting += len(out) - skipped

    def take(self, out: Samples) -> int:
        """Fill `out` as far as there is something, the rest with silence; returns how far."""
        pcm = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)
        n = min(len(pcm), len(out))
        scaled = np.rint(pcm[:n] * FULL_SCALE)
        out[:n] = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1)
        out[n:] = 0
        self._blocks = [pcm[n:]]
        self.waiting = len(pcm) - n
        return n


class Decoder:
    """One file.  Used by one thread at a time.  Owns the descriptor: `close` it.

    duration_ms: as the header says; None: it does not say.  seconds: how many there can be.
    """

    def __init__(self, fd: int) -> None:
        """FileError: not a file of these formats, rates and channels; the descriptor is closed."""
        self._fd = fd
        self._sound: _Sound | None = None
        try:
            self._sound = sound = _open_sound(fd)
            if not MIN_RATE_HZ <= sound.samplerate <= MAX_RATE_HZ:
                raise FileError(f"a sample rate of {sound.samplerate} Hz is not supported")
            if not 1 <= sound.channels <= MAX_CHANNELS:
                raise FileError(f"{sound.channels} channels are not supported")
        except BaseException:
            self.close()
            raise
        self._rate = rate = sound.samplerate
        known = 0 <= sound.frames < UNKNOWN_FRAMES
        self._declared = sound.frames if known else None
        self.duration_ms = sound.frames * 1000 // rate if known else None
        self.seconds = min(-(-sound.frames // rate) + 1, MAX_SECONDS) if known else MAX_SECONDS
        # Outputs begin on a sample only where input and output samples coincide: every so many input frames.
        grid = rate // math.gcd(rate, NARROW_HZ)
        self._settle = -(-int(rate * SETTLE_S) // grid) * grid
        self._block = np.empty((-(-rate // BLOCKS_A_SECOND), sound.channels), np.float32)
        self._next = 0  # the second that follows what was decoded
        self._read = 0  # source frames decoded
        self._over = False
        self._error: FileError | None = None
        self._lines = self._fresh_lines(0)

    def second(self, number: int, pcm8: Samples, pcm16: Samples) -> int:
        """Decode one second.  Returns its samples at 8 kHz; fewer than there is room for: the end.

        Shapes: pcm8 int16[8000], pcm16 int16[16000].  What is behind the end is silence.
        """
        if number != self._next:
            self._seek(number)
        narrow, wide = self._lines
        while not self._over and (narrow.waiting < len(pcm8) or wide.waiting < len(pcm16)):
            self._decode()
        self._next = number + 1
        wide.take(pcm16)
        made = narrow.take(pcm8)
        if made < len(pcm8):
            pcm16[2 * made :] = 0
        return made

    @property
    def error(self) -> FileError | None:
        """Why the end was reached before the file's own."""
        return self._error

    def close(self) -> None:
        if self._sound is not None:
            self._sound.close()
            self._sound = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fresh_lines(self, unwanted: int) -> tuple[_Line, _Line]:
        """unwanted: source frames that are decoded only to settle."""
        lines = _Line(self._rate, NARROW_HZ), _Line(self._rate, WIDE_HZ)
        for line, rate in zip(lines, (NARROW_HZ, WIDE_HZ), strict=True):
            line.skip(unwanted * rate // self._rate)
        return lines

    def _seek(self, number: int) -> None:
        assert self._sound is not None
        target = number * self._rate
        begin = max(0, target - self._settle)
        self._over = self._declared is not None and target >= self._declared
        self._error = None
        self._lines = self._fresh_lines(target - begin)
        if self._over:
            return
        try:
            self._sound.seek(begin)
        except soundfile.LibsndfileError as error:
            self._fail(error)
        self._read = begin

    def _decode(self) -> None:
        assert self._sound is not None
        try:
            block = self._sound.read(len(self._block), dtype="float32", always_2d=True, out=self._block)
        except soundfile.LibsndfileError as error:
            self._fail(error)
            block = self._block[:0]
        self._read += len(block)
        if len(block) == 0:
            self._over = True
            self._check_length()
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        mono = np.nan_to_num(mono, nan=0.0, posinf=1.0, neginf=-1.0)
        for line in self._lines:
            line.put(mono, last=self._over)

    def _check_length(self) -> None:
        missing = 0 if self._declared is None else self._declared - self._read
        if self._error is None and missing > self._rate * SHORT_S:
            total = self._read + missing
            self._error = FileError(
                f"the file ends after {self._read / self._rate:.1f} of {total / self._rate:.1f} s"
            )

    def _fail(self, error: soundfile.LibsndfileError) -> None:
        self._over = True
        self._error = FileError(f"the file cannot be decoded: {error.error_string.rstrip('.')}")


def decode_run(decoder: Decoder, first: int, rooms: list[memoryview]) -> tuple[list[int], str | None]:
    """Seconds from `first` on, each into a room (ext/flow/track.pyi).

    Returns the samples at 8 kHz made of each, the last of them possibly short, and why there are no more.
    """
    made = []
    for second, room in enumerate(rooms, first):
        pcm = np.frombuffer(room, np.int16)
        made.append(decoder.second(second, pcm[:NARROW_HZ], pcm[NARROW_HZ:]))
        if made[-1] < NARROW_HZ:
            break
    return made, str(decoder.error) if decoder.error is not None else None


def _open_sound(fd: int) -> _Sound:
    head = os.pread(fd, 4, 0)
    sync = int.from_bytes(head[:2], "big")
    if not head.startswith(_MAGIC) and sync & _MP3_SYNC_MASK != _MP3_SYNC:
        raise FileError("not a WAV, MP3, OGG, Opus or FLAC file")
    try:
        return _Sound(fd, closefd=False)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        text = error.error_string.rstrip(".") if isinstance(error, soundfile.LibsndfileError) else str(error)
        raise FileError(f"the file cannot be read: {text}") from None
