"""The media thread in virtual time, for tests and benchmarks."""

from roomtone.ext.flow.media import Media

class LabMedia(Media):
    """`LabMedia(arena, fact_fd=-1, lab=True)`: datagrams are fed, what would be sent is read back."""

    def feed(
        self, handle: int, data: bytes, source: tuple[str, int], now_us: int, rtcp: bool = False
    ) -> None: ...
    def step(self, now_us: int) -> None:
        """One loop turn at that time: edits, due phases, RTCP."""
    def drive(self, handles: list[int], data: bytes, now_us: int, ticks: int, turns: int = 1) -> int:
        """A call by itself, for benchmarks: each tick every handle gets `data` moved on by a packet; returns the time."""
    def sent(self) -> list[tuple[int, int, bytes, bool]]:
        """Drain what would have been sent: (now_us, handle, datagram, is_rtcp)."""
    def check(self) -> list[str]:
        """What contradicts itself in lists, counts and flags; only between steps."""
