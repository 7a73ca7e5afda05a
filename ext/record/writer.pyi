"""The threads that write files."""

class Writer:
    """Writes the recordings of one file system; what holds up one of them holds up those behind it, and nothing else."""

    def __init__(self, news_fd: int) -> None:
        """news_fd: an eventfd that is written to when there is news."""
    def run(self) -> None:
        """The thread: writes until `stop`, and what waits then."""
    def step(self) -> None:
        """Write what waits (instead of a thread)."""
    def stop(self) -> None: ...
    def take_news(self) -> list[tuple[int, bool]]:
        """(recording, failed): failed, its file could not be written and it should be ended; else it is closed."""
