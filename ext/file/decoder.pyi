"""Audio files into seconds of PCM at 8 and 16 kHz, mono.  Every method may block; none of them holds the GIL meanwhile.

One thread at a time.  A second that does not follow the last one is decoded from a little before it, so that decoder
and filters have settled: what is heard does not depend on how one came there.
"""

SECOND_BYTES: int  # of a room: int16[8000] at 8 kHz, then int16[16000] at 16 kHz
RUN_MAX: int  # seconds decoded in one call
ANY_SIZE: int  # that no file has: what its header says counts

class Growing:
    """A file.  One with the sticky bit is a copy that somebody else may still be writing: as long as its owner may write
    it it grows, as soon as he may not it is whole, and when he may not even read it it never will be.

    The descriptor stays the caller's.
    """

    copy: bool
    grows: bool  # as last seen
    broke: bool
    def __init__(self, fd: int) -> None: ...
    def give_up(self) -> None:
        """Whoever waits for more of it, on whatever thread, goes on with what there is."""
    def read(self, count: int, at: int) -> bytes:
        """These bytes, waiting for them if need be; fewer at the end."""
    def settle(self) -> None:
        """Wait until it grows no more."""

class SoundFile:
    """frames: as the header says, None: it does not say.  read: the frame that is decoded next."""

    rate_hz: int
    channels: int
    frames: int | None
    read: int
    error: str | None  # libsndfile's words for why decoding failed
    def __init__(self, file: Growing, *, size: int, size_tells: bool) -> None:
        """size: as libsndfile is told; it reads no further.  size_tells: what it thinks of the length is so.

        While it is opened only what follows what was read is waited for: a jump to the end finds nothing there.

        ValueError: libsndfile does not read it, or it has more than 16 channels, or not 4 to 192 kHz.
        """
    def run(self, first: int, rooms: list[memoryview]) -> list[int]:
        """Seconds from `first` on, each into a room of SECOND_BYTES, at most RUN_MAX of them.

        Returns how many samples at 8 kHz there are in each; the first that has fewer than 8000 is the last.  What is
        behind them is silence.
        """
    def close(self) -> None: ...
