"""The clients of `roomtone bench sockets`, in a process of their own: raw sockets, no WebSocket library.

JSON lines on standard input, one JSON line back for each:

{"open": {"count", "ip", "port", "offers": [sdp, ...], "interval_ms"}}   -> {"open"}
{"count": {}}                                                            -> {"events", "bytes", ...}

One session a connection, with one endpoint for each offer, subscribed to `stats`.  Between the requests the
events are read and counted and pings are answered.  "count" answers the totals since the last "count".
"""

import json
import os
import select
import socket
import sys
import time
from typing import Any

from roomtone.bench.load import proc
from roomtone.bench.load.websocket import (
    CLOSE,
    FIN_TEXT,
    HEAD_END,
    PING,
    PONG,
    SWITCHED,
    frame,
    split,
    upgrade,
)

TOGETHER = 25  # connections set up at a time
SETUP_WAIT_S = 20.0  # for one answer
SWEEP_S = 0.01  # how often arrivals are looked at: nobody is woken for each
READ_BYTES = 65536
MOST_READY = 16384  # sockets taken from one epoll call
NS_PER_MS = 1_000_000


class HolderError(RuntimeError):
    """The server refused, closed or did not answer in time."""


def request(number: int, method: str, **params: Any) -> bytes:
    return frame(FIN_TEXT, json.dumps({"id": str(number), "method": method, "params": params}).encode())


class Holder:
    """All connections, and what came on them."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.parts: dict[int, bytes] = {}  # frames that are not all there yet, by descriptor
        self.last_ns: dict[int, int] = {}  # when the last event came, by descriptor
        self.interval_ns = 0
        self.reset()

    def reset(self) -> None:
        self.events = 0
        self.bytes = 0
        self.pings = 0
        self.worst_gap_ns = 0  # the longest time between two events of a connection

    def open(self, count: int, ip: str, port: int, offers: list[str], interval_ms: int) -> dict[str, Any]:
        self.interval_ns = interval_ms * NS_PER_MS
        for made in range(0, count, TOGETHER):
            self._open_some(min(TOGETHER, count - made), ip, port, offers, interval_ms)
            self.sweep()
        return {"open": len(self.sockets)}

    def _open_some(self, count: int, ip: str, port: int, offers: list[str], interval_ms: int) -> None:
        some = [socket.create_connection((ip, port), timeout=SETUP_WAIT_S) for _ in range(count)]
        for each in some:
            each.sendall(upgrade(ip))
        for each in some:
            if self._upgraded(each):
                raise HolderError("the server speaks first")
        asked = [request(0, "session.create")]
        for sdp in offers:
            asked.append(request(len(asked), "endpoint.create_from_offer", sdp=sdp))
        asked.append(request(len(asked), "stats.subscribe", interval_ms=interval_ms))
        for each in some:
            each.sendall(b"".join(asked))
        for each in some:
            self._answered(each, len(asked))
            each.setblocking(False)
            self.sockets[each.fileno()] = each
            self.epoll.register(each.fileno(), select.EPOLLIN | select.EPOLLET)

    def _upgraded(self, each: socket.socket) -> bytes:
        """What came behind the answer's head."""
        head = b""
        while HEAD_END not in head:
            head += self._more(each)
        if not head.startswith(SWITCHED):
            raise HolderError(head.split(b"\r\n", 1)[0].decode())
        return head.partition(HEAD_END)[2]

    def _answered(self, each: socket.socket, replies: int) -> None:
        data, at = b"", 0
        while replies:
            found = split(data, at)
            if found is None:
                data, at = data[at:] + self._more(each), 0
                continue
            _, begin, at = found
            message = json.loads(data[begin:at])
            if "error" in message:
                raise HolderError(f"{message['error']['code']}: {message['error']['message']}")
            replies -= "id" in message
        if at != len(data):
            raise HolderError("an event right behind the last reply")

    def _more(self, each: socket.socket) -> bytes:
        data = each.recv(READ_BYTES)
        if not data:
            raise HolderError("the server closed a connection")
        return data

    def sweep(self) -> None:
        """Take what came since the last one."""
        now_ns = time.monotonic_ns()
        for number, _ in self.epoll.poll(0, MOST_READY):
            while True:
                try:
                    data = os.read(number, READ_BYTES)
                except BlockingIOError:
                    break
                if not data:
                    raise HolderError("the server closed a connection")
                self._take(number, data, now_ns)
                if len(data) < READ_BYTES:
                    break

    def _take(self, number: int, data: bytes, now_ns: int) -> None:
        self.bytes += len(data)
        data = self.parts.pop(number, b"") + data
        at = 0
        while at < len(data):
            found = split(data, at)
            if found is None:
                self.parts[number] = data[at:]
                break
            first, begin, at = found
            if first == FIN_TEXT:
                self._event(number, now_ns)
            elif first == PING:
                self.pings += 1
                self.sockets[number].send(frame(PONG, data[begin:at]))
            elif first == CLOSE:
                raise HolderError("the server sent a close frame")

    def _event(self, number: int, now_ns: int) -> None:
        self.events += 1
        last_ns = self.last_ns.get(number, 0)
        if last_ns and now_ns - last_ns > self.worst_gap_ns:
            self.worst_gap_ns = now_ns - last_ns
        self.last_ns[number] = now_ns

    def totals(self) -> dict[str, Any]:
        out = {
            "events": self.events,
            "bytes": self.bytes,
            "pings": self.pings,
            "worst_gap_ms": self.worst_gap_ns / NS_PER_MS,
            "at_ns": time.monotonic_ns(),
        }
        self.reset()
        return out


def main() -> int:
    proc.end_with_parent()
    proc.raise_descriptors()
    holder = Holder()
    asked = select.poll()
    asked.register(sys.stdin, select.POLLIN)
    while True:
        time.sleep(SWEEP_S)
        holder.sweep()
        if asked.poll(0):
            line = sys.stdin.readline()
            if not line:
                return 0
            order = json.loads(line)
            answer = holder.open(**order["open"]) if "open" in order else holder.totals()
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
