"""A loopback address of this process's own: whatever ports others use, here they are free."""

from __future__ import annotations

import contextlib
import os
import socket

_PID = os.getpid()  # below 2^22 on Linux
HERE = f"127.{64 + (_PID >> 16)}.{_PID >> 8 & 0xFF}.{_PID & 0xFF}"
FIRST_PORT = 20000  # below what the kernel gives to sockets bound to any address


def port_range(pairs: int) -> tuple[int, int]:
    """So many free UDP pairs of HERE: (first even port, last odd port)."""
    return FIRST_PORT, FIRST_PORT + 2 * pairs - 1


def close_all() -> None:
    """Close this process's sockets at HERE, as the kernel does when a worker ends."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # no socket
            one = socket.socket(fileno=fd)
            if one.family == socket.AF_INET and one.getsockname()[0] == HERE:
                one.close()
            else:
                one.detach()
