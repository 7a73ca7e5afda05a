"""Media sockets: port pairs of `rtp_port_range`, and how a socket of ours is made.

Pair k is the k-th even port of the range (RTP) and the odd one above it (RTCP).  Worker w of W uses the
pairs with k mod W = w, so workers never compete.  Each local address has the whole range to itself.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from sys import intern

from roomtone.engine.errors import CommandError

PORT_REST_US = 2_000_000  # a freed pair rests so that late packets of the old call find no new one
BUSY_SKIPS = 64  # busy pairs skipped in one piece: at most a millisecond of system calls
SOCKET_BUFFER_BYTES = 65536  # the kernel doubles it: about 100 datagrams of 20 ms, 2 s
EPOCH_STRIDE = (
    0.381966  # golden section: where a restarted worker begins, away from ports its dead self still holds
)
_PAIR = 2
LOOPBACK = "127.0.0.1"
_OF_NO_POOL = -1
_FREE = b"\1"


class PortPair:
    """One pair in use: its number, address, ports and our descriptors (rtcp_fd -1 with rtcp-mux)."""

    __slots__ = ("ip", "number", "rtcp_fd", "rtcp_port", "rtp_fd", "rtp_port")

    def __init__(
        self, ip: str, number: int, rtp_port: int, rtcp_port: int, rtp_fd: int, rtcp_fd: int
    ) -> None:
        self.ip = ip
        self.number = number
        self.rtp_port = rtp_port
        self.rtcp_port = rtcp_port
        self.rtp_fd = rtp_fd
        self.rtcp_fd = rtcp_fd


class PortPool:
    """The pairs of one local address that are this worker's.

    They are used in a circle: one that was freed rests, and comes again when all others had their turn.
    """

    __slots__ = ("_family", "_first", "_free", "_ip", "_next", "_resting", "_step", "used")

    def __init__(
        self, ip: str, *, index: int, workers: int, epoch: int, port_min: int, port_max: int
    ) -> None:
        first_even = port_min + port_min % _PAIR
        whole = max(0, (port_max + 1 - first_even) // _PAIR)
        pairs = len(range(index, whole, workers))
        self._ip = intern(ip)
        self._family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self._first = first_even + _PAIR * index
        self._step = _PAIR * workers
        self._free = bytearray(_FREE * pairs)  # a byte a pair
        self._next = int(pairs * EPOCH_STRIDE * (epoch - 1)) % pairs if pairs else 0  # where to look
        self._resting: deque[tuple[int, int]] = deque()  # (ready at, number), ascending
        self.used = 0

    def take(self, now_us: int, rtcp_mux: bool) -> PortPair | None:
        """Bind the next free pair.  None: only busy ones so far, call again.

        Raises CommandError ENDPOINT_ERROR when no pair is left or the address is not ours.
        """
        for _ in range(BUSY_SKIPS):
            number = self._number(now_us)
            pair = self._bind(number, rtcp_mux, now_us)
            if pair is not None:
                self.used += 1
                return pair
        return None

    def give_back(self, pair: PortPair, now_us: int) -> None:
        """The pair's sockets, ours and the supervisor's duplicates, are closed: let it rest."""
        self.used -= 1
        self._rested(now_us)
        self._resting.append((now_us + PORT_REST_US, pair.number))

    @property
    def resting(self) -> int:
        """As of the last pair taken or given back."""
        return len(self._resting)

    def _rested(self, now_us: int) -> None:
        resting = self._resting
        while resting and resting[0][0] <= now_us:
            self._free[resting.popleft()[1]] = _FREE[0]

    def _number(self, now_us: int) -> int:
        self._rested(now_us)
        free = self._free
        number = free.find(_FREE, self._next)
        if number < 0:
            number = free.find(_FREE)
        if number < 0:
            raise CommandError("ENDPOINT_ERROR", f"no free RTP port pair on {self._ip}")
        free[number] = 0
        self._next = number + 1
        return number

    def _bind(self, number: int, rtcp_mux: bool, now_us: int) -> PortPair | None:
        port = self._first + self._step * number
        rtp = rtcp = None
        try:
            rtp = media_socket(self._family, self._ip, port)
            if not rtcp_mux:
                rtcp = media_socket(self._family, self._ip, port + 1)
        except OSError as error:
            if rtp is not None:
                rtp.close()
            self._resting.append((now_us + PORT_REST_US, number))
            if error.errno == errno.EADDRINUSE:
                return None
            reason = error.strerror or str(error)
            raise CommandError("ENDPOINT_ERROR", f"cannot bind {self._ip} port {port}: {reason}") from None
        rtcp_port, rtcp_fd = (port, -1) if rtcp is None else (port + 1, rtcp.detach())
        return PortPair(self._ip, number, port, rtcp_port, rtp.detach(), rtcp_fd)


class Ports:
    """The pools of all local addresses, made on first use."""

    __slots__ = ("_epoch", "_index", "_pools", "_port_max", "_port_min", "_workers")

    def __init__(self, *, index: int, workers: int, epoch: int, port_min: int, port_max: int) -> None:
        self._index = index
        self._workers = workers
        self._epoch = epoch
        self._port_min = port_min
        self._port_max = port_max
        self._pools: dict[str, PortPool] = {}

    def pool(self, ip: str) -> PortPool:
        pool = self._pools.get(ip)
        if pool is None:
            pool = self._pools[intern(ip)] = PortPool(
                ip,
                index=self._index,
                workers=self._workers,
                epoch=self._epoch,
                port_min=self._port_min,
                port_max=self._port_max,
            )
        return pool

    def give_back(self, pair: PortPair, now_us: int) -> None:
        if pair.number != _OF_NO_POOL:
            self._pools[pair.ip].give_back(pair, now_us)

    @property
    def used(self) -> int:
        return sum(pool.used for pool in self._pools.values())

    @property
    def resting(self) -> int:
        return sum(pool.resting for pool in self._pools.values())


def loopback_pair() -> PortPair:
    """A loopback port that the kernel chooses, RTCP on the same: for peers that are processes of ours.

    Raises CommandError ENDPOINT_ERROR.
    """
    try:
        made = media_socket(socket.AF_INET, LOOPBACK, 0)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError("ENDPOINT_ERROR", f"no socket on {LOOPBACK}: {reason}") from None
    port = int(made.getsockname()[1])
    return PortPair(LOOPBACK, _OF_NO_POOL, port, port, made.detach(), -1)


def media_socket(family: int, ip: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket.  The media thread asks for arrival times where it needs them."""
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((ip, port))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
    except OSError:
        made.close()
        raise
    return made
