"""One recording as the worker knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roomtone.engine import recording_path
    from roomtone.engine.plan import Endpoint
    from roomtone.engine.replies import Later


class Recording:
    """One recording.  id: public; number: the drain's.  endpoint None: of the whole session.

    target None: it feeds another worker's.  channels: by endpoint id, of those it begins with.
    """

    __slots__ = (
        "answer",
        "channels",
        "endpoint",
        "feeders",
        "id",
        "legs",
        "number",
        "paused_us",
        "pauses_us",
        "reason",
        "session",
        "slot",
        "started_us",
        "stopped_us",
        "target",
        "told",
        "wall_offset_us",
        "wide",
    )

    def __init__(
        self,
        id: str,
        session: str,
        endpoint: Endpoint | None,
        target: recording_path.Target | None,
        legs: list[str],
        *,
        wide: bool = False,
    ) -> None:
        self.id = id
        self.session = session
        self.endpoint = endpoint
        self.target = target
        self.channels = {leg: channel for channel, leg in enumerate(legs)}
        self.wide = wide
        self.feeders: dict[int, str] = {}  # path of the pipe, by worker
        self.number = 0
        self.slot = 0  # where its counts are kept (recording_counts.py)
        self.legs: dict[int, Endpoint] = {}  # by handle
        self.reason = ""  # why it ended
        self.answer: Later | None = None  # of the recording.stop that waits
        self.told = False
        self.started_us = self.stopped_us = self.wall_offset_us = 0
        self.paused_us: int | None = None  # since when
        self.pauses_us = 0  # how long those were that have ended

    def duration_us(self, until_us: int) -> int:
        """Without its pauses."""
        until_us = until_us if self.paused_us is None else self.paused_us
        return until_us - self.started_us - self.pauses_us
