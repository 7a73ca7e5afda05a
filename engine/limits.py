"""The number of open files: one or two sockets an endpoint, once in the worker and once in the supervisor."""

from __future__ import annotations

import resource
from pathlib import Path

_NR_OPEN = Path("/proc/sys/fs/nr_open")  # the kernel's own ceiling


def raise_descriptor_limit() -> int:
    """Raise RLIMIT_NOFILE to the kernel's ceiling, or if refused to the hard limit.  Returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        ceiling = int(_NR_OPEN.read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, ceiling))
        return ceiling
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
