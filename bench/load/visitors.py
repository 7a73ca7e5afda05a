"""Those who come and go: joins and leaves at a given rate over a control connection.

A visitor's address is one of a few sockets with the smallest receive buffer, which nobody reads: what is sent
to visitors is dropped there.  One that speaks sends a few packets when it comes, so that the engine learns
its address and has something to play.
"""

import asyncio
import itertools
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np

from roomtone.bench.load.figures import percentile
from roomtone.bench.load.payload import Format, silence
from roomtone.bench.load.steer import SteerError, Steering, answered_address, offer

VISITOR_IP = "127.0.2.1"  # neither the servers' nor the callers'
SINKS = 32  # sockets shared by all visitors
SPOKEN = 5  # packets a speaking visitor sends: past probation, and into the playout line
RTP_VERSION_BYTE = 0x80  # RFC 3550 5.1: version 2, no padding, extension or CSRC
HEADER_WORDS = "!BBHII"


class Sinks:
    """Unread sockets; `next` gives each in turn."""

    def __init__(self) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SINKS)]
        for each in self.sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel takes its minimum
            each.setblocking(False)
            each.bind((VISITOR_IP, 0))
        self.turn = itertools.cycle(self.sockets)

    def next(self) -> socket.socket:
        return next(self.turn)

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def speak(sink: socket.socket, to: tuple[str, int], fmt: Format, ssrc: int) -> None:
    """A few packets of silence in sequence."""
    for number in range(SPOKEN):
        header = struct.pack(
            HEADER_WORDS, RTP_VERSION_BYTE, fmt.payload_type, number, number * fmt.samples, ssrc
        )
        with suppress(OSError):
            sink.sendto(header + silence(fmt).tobytes(), to)


class Visits:
    """What visiting one session was like: counts and round trips."""

    def __init__(self) -> None:
        self.joins = self.leaves = self.refused = 0
        self.join_ns: list[int] = []
        self.leave_ns: list[int] = []

    def figures(self, seconds: float) -> dict[str, Any]:
        out: dict[str, Any] = {
            "joins": self.joins,
            "leaves": self.leaves,
            "refused": self.refused,
            "joins_per_s": self.joins / seconds,
            "leaves_per_s": self.leaves / seconds,
        }
        for name, values in (("join", self.join_ns), ("leave", self.leave_ns)):
            if values:
                taken = np.array(values)
                out[f"{name}_p50_us"] = percentile(taken, 50.0) / 1000
                out[f"{name}_p99_us"] = percentile(taken, 99.0) / 1000
        return out


async def visit(
    steering: Steering,
    sinks: Sinks,
    fmt: Format,
    rate: float,
    until: float,
    visits: Visits,
    *,
    stay_s: float = 1.0,
    speaks: bool = False,
) -> None:
    """Let visitors join the connection's session `rate` times a second and leave stay_s later.

    until: monotonic seconds.  A session has one command at a time: what comes late is not left out, it comes
    late.  In the end everybody has left.
    """
    present: deque[tuple[float, str]] = deque()
    due = time.monotonic()
    direction = "sendrecv" if speaks else "recvonly"
    while time.monotonic() < until:
        sink = sinks.next()
        ip, port = sink.getsockname()
        began = time.monotonic_ns()
        try:
            made = await steering.call("endpoint.create_from_offer", sdp=offer(ip, port, fmt, direction))
        except SteerError:
            visits.refused += 1
        else:
            visits.join_ns.append(time.monotonic_ns() - began)
            visits.joins += 1
            if speaks:
                speak(sink, answered_address(made["sdp_answer"]), fmt, visits.joins)
            present.append((time.monotonic() + stay_s, made["endpoint_id"]))
        while present and present[0][0] <= time.monotonic():
            await _leave(steering, present.popleft()[1], visits)
        due += 1 / rate
        if (left := due - time.monotonic()) > 0:
            await asyncio.sleep(left)
    for _, endpoint_id in present:
        await _leave(steering, endpoint_id, visits)


async def _leave(steering: Steering, endpoint_id: str, visits: Visits) -> None:
    began = time.monotonic_ns()
    await steering.call("endpoint.remove", endpoint_id=endpoint_id)
    visits.leave_ns.append(time.monotonic_ns() - began)
    visits.leaves += 1
