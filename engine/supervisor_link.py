"""A SOCK_SEQPACKET socket that carries one MessagePack struct and a few descriptors a datagram.

Used by the supervisor, its workers, control and `roomtone inspect`.  Sending never blocks: what the kernel
does not take waits here, in order, until `flush`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

DATAGRAM_BYTES = 16384  # more than the longest message: a `Release` of KEYS_A_MESSAGE keys
KEYS_A_MESSAGE = 1000  # 5 bytes a key in MessagePack
SOCKETS_A_MESSAGE = 200  # (key, address, port): at most 60 bytes each
HELD_A_MESSAGE = 64  # endpoints in a `Hold`
_MAX_FDS = 2 * HELD_A_MESSAGE  # an RTP and an RTCP socket each; the kernel takes 253 (SCM_MAX_FD)

_INT = struct.Struct("i")
_CONTROL_BYTES = socket.CMSG_SPACE(_MAX_FDS * _INT.size)
_RETRY = frozenset(
    {errno.ENOBUFS, errno.ETOOMANYREFS, errno.EINTR}
)  # the kernel is short of something; later

_encode = msgspec.msgpack.Encoder().encode


class SupervisorLink:
    """One end.  Owns its socket; `receive` hands descriptors over to the caller.

    union: the message type (or union) this end may receive; what is not of it is counted in `undecodable`.
    """

    __slots__ = ("_decode", "_queue", "_socket", "broken", "closed", "truncated", "undecodable")

    def __init__(self, end: socket.socket, union: Any) -> None:
        end.setblocking(False)
        self._socket = end
        self._decode = msgspec.msgpack.Decoder(union).decode
        # (datagram, descriptors to pass, descriptors to close just before)
        self._queue: deque[tuple[bytes, tuple[int, ...], tuple[int, ...]]] = deque()
        self.closed = False  # everything was received, nothing more will come
        self.broken = False  # nothing can be sent any more
        self.truncated = 0  # datagrams whose descriptors did not fit our limit (RLIMIT_NOFILE)
        self.undecodable = 0

    @classmethod
    def of_fd(cls, fd: int, union: Any) -> SupervisorLink:
        """The end that was inherited as descriptor `fd`."""
        os.set_inheritable(fd, False)
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd), union)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """Datagrams wait for `flush`; poll for writability."""
        return bool(self._queue)

    def send(self, message: Any, fds: tuple[int, ...] = (), close_first: tuple[int, ...] = ()) -> None:
        """Send or queue.  `fds` must stay open until they left: close them by a later send's `close_first`.

        close_first: our descriptors to close just before this datagram leaves (all earlier ones have left).
        """
        self._queue.append((_encode(message), fds, close_first))
        if len(self._queue) == 1:
            self.flush()

    def flush(self) -> None:
        """Send what waits.  Once the other end is gone everything is dropped (and closed)."""
        queue = self._queue
        while queue:
            data, fds, close_first = queue[0]
            if close_first:
                for fd in close_first:
                    os.close(fd)
                queue[0] = (data, fds, ())
            if not self.broken:
                try:
                    if fds:
                        socket.send_fds(self._socket, [data], fds)
                    else:
                        self._socket.send(data)
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno in _RETRY:
                        return
                    self.broken = True
            queue.popleft()

    def receive(self, limit: int = 64) -> Iterator[tuple[Any, list[int]]]:
        """At most `limit` messages that are there, with their descriptors (the caller's to close).

        At the end of the stream `closed` becomes True.
        """
        for _ in range(limit):
            try:
                # Not socket.recv_fds: it drops its flags, and every child would inherit the descriptors.
                data, control, flags, _ = self._socket.recvmsg(
                    DATAGRAM_BYTES, _CONTROL_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return
            if not data:
                self.closed = True
                return
            fds = _passed(control)
            if flags & socket.MSG_CTRUNC:
                self.truncated += 1
            try:
                message = self._decode(data)
            except msgspec.DecodeError:
                self.undecodable += 1
                for fd in fds:
                    os.close(fd)
                continue
            yield message, fds

    def close(self) -> None:
        self.closed = self.broken = True
        self.flush()  # closes what waited to be closed
        self._socket.close()


def _passed(control: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(data) - len(data) % _INT.size
            fds.extend(fd for (fd,) in _INT.iter_unpack(data[:whole]))
    return fds


def pair(union: Any) -> tuple[SupervisorLink, socket.socket]:
    """(our end, the end to be inherited by a child)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return SupervisorLink(ours, union), theirs
