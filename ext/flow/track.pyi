"""Decoded files in memory: what side threads fill, the Python thread publishes and the media thread plays.

A *track* is one decoded file, at 8 and at 16 kHz, mono, int16, in chunks of one second.  A *playback* is a list of
tracks and a place in it; `Media.file_open` (media.pyi) makes an endpoint that plays from there.  All methods are the
Python thread's.

Ownership: a slot of the pool belongs to who took it until it is published, then to the track until it is withdrawn and
the media thread has let go of it (`Media.fence`), or until the track itself is gone.  A playback keeps its tracks, and
Media keeps the playback of an endpoint until its slot is free.
"""

from collections.abc import Iterator

CHUNK_SAMPLES: int  # of a chunk at 8 kHz: one second; at 16 kHz twice as many
CHUNK_BYTES: int  # of memory a chunk takes
LIST_MAX: int  # tracks of a list

class ChunkPool:
    """Room for `count` chunks: memory only where one is in use."""

    count: int
    used: int
    def __init__(self, count: int) -> None: ...
    def take(self) -> int:
        """A slot; -1: none is left."""
    def room(self, slot: int) -> memoryview:
        """Where to write it: int16[8000] at 8 kHz, then int16[16000] at 16 kHz.  Valid as long as the pool."""
    def give_back(self, slot: int) -> None: ...

class Track:
    """len: seconds there is room for; `in`: whether that second is there; iteration: those that are, ascending."""

    samples: int | None  # at 8 kHz; None: not known yet
    held: int  # chunks
    def __init__(self, pool: ChunkPool, seconds: int) -> None: ...
    def __len__(self) -> int: ...
    def __contains__(self, second: int) -> bool: ...
    def __iter__(self) -> Iterator[int]: ...
    def publish(self, second: int, slot: int) -> None:
        """From now on it can be heard.  ValueError: no such second, or it is there.

        A last second that is not full: tell the end first.
        """
    def withdraw(self, second: int) -> int:
        """It is heard no more; returns the slot, to be given back after a fence.  KeyError: it is not there."""
    def end(self, samples: int, failed: bool) -> None:
        """It has so many samples at 8 kHz; failed: what should have followed could not be decoded.  Told once."""

class Playback:
    """len: tracks in its list."""

    more: bool  # another one will come: until it is there nothing ends
    item: int  # that plays, as the media thread last set it
    position: int  # in that item, in samples at 8 kHz
    loops: bool  # whether it begins again at the end
    ended: bool  # its end was played; it may not have been told yet
    def __init__(
        self, track: Track, *, position: int, loops: int | None, shared: bool, more: bool = False
    ) -> None:
        """loops: how often the list is played again, None: for ever.  shared: nobody's pause stops it."""
    def append(self, track: Track, *, more: bool) -> None:
        """It follows without a gap.  ValueError: no more was announced, or there are LIST_MAX."""
    def close(self) -> None:
        """No more will come, although it may have been announced."""
    def __len__(self) -> int: ...
