"""Audio files into seconds of PCM at 8 and 16 kHz, mono.  Every method may block; none of them holds the GIL meanwhile.

One thread at a time.  A second that does not follow the last one is decoded from a little before it, so that decoder
and filters have settled: what is heard does not depend on how one came there.
"""

SECOND_BYTES: int  # of a room: int16[8000] at 8 kHz, then int16[16000] at 16 kHz
RUN_MAX: int  # seconds decoded in one call

class SoundFile:
    """frames: as the header says, None: it does not say.  read: the frame that is decoded next."""

    rate_hz: int
    channels: int
    frames: int | None
    read: int
    error: str | None  # libsndfile's words for why decoding failed
    def __init__(self, fd: int, *, size_tells: bool) -> None:
        """size_tells: how long it is may be concluded from its size, where the header does not say.  False, for an MP3:
        libsndfile is told that the file is much larger, or it would stop where it thinks that it ends.

        The descriptor stays the caller's, and open.

        ValueError: libsndfile does not read it, or it has more than 16 channels, or not 4 to 192 kHz.
        """
    def run(self, first: int, rooms: list[memoryview]) -> list[int]:
        """Seconds from `first` on, each into a room of SECOND_BYTES, at most RUN_MAX of them.

        Returns how many samples at 8 kHz there are in each; the first that has fewer than 8000 is the last.  What is
        behind them is silence.
        """
    def close(self) -> None: ...
