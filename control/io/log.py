"""Control's log: the product's JSON lines (`roomtone.engine.log`), and libraries' warnings in the same form.

One line a change of state; never a secret, a digit or a phone number above debug.
"""

from __future__ import annotations

import logging

from roomtone.engine.log import Log

__all__ = ["Log", "forward_libraries"]


class _Forward(logging.Handler):
    """Takes the lines of libraries that use the standard logging package."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write("library", **fields)


def forward_libraries(log: Log) -> None:
    """Send what libraries log at warning and above to `log`."""
    root = logging.getLogger()
    root.handlers = [_Forward(log)]
    root.setLevel(logging.WARNING)
    # Its warnings quote the offered subprotocols, and those carry tokens.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
