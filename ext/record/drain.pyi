"""The Python thread's side of the recorder (ext/record/__init__.py).

Order of use:
    id = drain.begin(writer, fd=..., ...)           # the descriptors are the writer's from now on
    drain.leg(id, handle, ...); media.capture(handle, True)
    ...
    drain.leg_end(id, handle, ...)
    drain.end(id, ...)                              # also after writer.take_news() said it failed
    (writer.take_news() says it is closed) -> drain.counts(id); drain.forget(id)

`position` is `Media.capture_position()`: the order stands there among the packets.  Positions do not go down.
"""

from typing import Any

from roomtone.ext.record.writer import Writer

LOSS_NAMES: tuple[str, ...]

class Drain:
    """Sorts what was captured into recordings.  Everything but `run` is the Python thread's."""

    def __init__(self, ring: int, endpoints: int) -> None:
        """ring: `Media.capture_ring_address()`; endpoints: slots of the arena."""
    def run(self) -> None:
        """The thread: until `stop`."""
    def step(self, now_us: int) -> None:
        """What is due until now_us (instead of a thread)."""
    def stop(self) -> None: ...
    def begin(
        self,
        writer: Writer,
        *,
        fd: int,  # the file, empty, open for reading and writing
        folder_fd: int,  # its directory
        name: bytes,  # in the directory
        rate_hz: int,  # of a WAV, 8000 or 16000; 0: a pcap
        channels: int,  # of a WAV to begin with
        mix: bool,  # a WAV of one channel with everybody
        started_us: int,
        wall_offset_us: int,  # CLOCK_REALTIME - CLOCK_MONOTONIC
        limit: int,  # packets that may wait for the disk
        position: int,
        feeding: bool = False,  # for another worker: fd is its pipe, there is no directory and no name
        counts_fd: int = -1,  # where it is noted what reached the file (engine/recording_counts.py),
        slot: int = 0,  # at which place
        public_id: bytes = b"",  # and under which name
    ) -> int:
        """Begin a recording; returns its id.  channels: kept for those whose `leg` names them."""
    def leg(
        self,
        id: int,
        handle: int,
        *,
        position: int,
        at_us: int,
        lost: tuple[int, int],
        made_here: bool,
        channel: int = -1,
    ) -> None:
        """An endpoint is recorded from now on.  lost: `Media.capture_lost`; made_here: a tone or a file.

        channel: -1, the next one.
        """
    def leg_end(self, id: int, handle: int, *, position: int, lost: tuple[int, int]) -> None: ...
    def pause(self, id: int, *, position: int, at_us: int) -> None:
        """What is heard from then on is left out, and no time passes in a WAV.  Not twice."""
    def resume(self, id: int, *, position: int, at_us: int) -> None:
        """After `pause`."""
    def end(self, id: int, *, position: int, stopped_us: int) -> None: ...
    def feed(self, id: int, fd: int, *, position: int) -> None:
        """What another worker sends belongs to it too.  fd: the drain's from now on, open without waiting."""
    def abandon(self, id: int) -> None:
        """What waits for the disk is not written any more."""
    def counts(self, id: int) -> dict[str, Any]:
        """packets and bytes in the file, waiting (packets that come yet), lost (that never will, by LOSS_NAMES),
        error (errno, 0: none).
        """
    def forget(self, id: int) -> None:
        """After it was closed."""
