"""JSON lines on standard error; a line is written when a state changes, never for a packet.

One line: ``{"timestamp": RFC 3339 UTC, "level", "event", ...bound fields, ...fields}``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import msgspec

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # numbers as in the standard library
_STDERR_FD = 2


class Log:
    """A bound logger: ``log.info("worker_started", worker=3)``."""

    __slots__ = ("_encode", "_fd", "_fields", "_threshold")

    def __init__(self, level: str = "info", *, fd: int = _STDERR_FD, **fields: Any) -> None:
        self._threshold = LEVELS.get(level.lower(), LEVELS["info"])
        self._fd = fd
        self._fields = fields
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def debug(self, event: str, **fields: Any) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] < self._threshold:
            return
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"timestamp": moment, "level": level, "event": event, **self._fields, **fields}
        try:
            os.write(self._fd, self._encode(line) + b"\n")
        except OSError:
            return  # nobody reads our standard error any more; work goes on
