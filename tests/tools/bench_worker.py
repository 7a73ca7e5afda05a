"""A worker's Python thread on a bench: fake media and ZeroMQ, a socket to a fake supervisor, virtual time."""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import zmq
from fake_media import FakeArena, FakeMedia
from loopback import HERE, close_all

from roomtone.engine import messages as m
from roomtone.engine import process_messages as pm
from roomtone.engine.codecs import Codec
from roomtone.engine.log import Log
from roomtone.engine.retirement import TELL_US
from roomtone.engine.supervisor_link import SupervisorLink
from roomtone.engine.worker import Worker

START_US = 1_000_000_000
PATIENCE_S = 30
PCMU_AND_KEYS = m.Media(
    receive=[m.PayloadType(0, Codec.PCMU)],
    send_payload_type=0,
    send_codec=Codec.PCMU,
    event_receive=[(101, 8000)],
    event_send=(101, 8000),
)
WIDE = m.Media(receive=[m.PayloadType(96, Codec.L16_16K)], send_payload_type=96, send_codec=Codec.L16_16K)
PEER = m.Remote(ip="127.0.0.1", port=4000, rtcp_port=4001)


class BenchWorker:
    """`do(body)` sends a command and returns the reply; `events()` returns what else was said."""

    def __init__(
        self,
        *,
        port_min: int,
        port_max: int,
        endpoints: int = 64,
        measured: bool = False,
        media: Any = None,
        network: Callable[[], Any] | None = None,
        **config: Any,
    ) -> None:
        """media: instead of the stand-in."""
        self.now_us = START_US
        self.refuse_batches = False  # ZeroMQ's queue is full
        self.answer_releases = True
        self.held: dict[int, tuple[int, ...]] = {}  # the supervisor's duplicates
        self.replaced: list[int] = []
        self.batches: list[m.Batch] = []
        self.maps: deque[FakeArena] = deque()
        self.busy = self.waiting = 0.0  # shares of the CPU the media thread takes and waits for, from now on
        self._ran_ns = self._waited_ns = self._clocked_us = 0
        self._commands: deque[bytes] = deque()
        self._n = 0
        self._replies: dict[int, Any] = {}
        self._events: list[Any] = []
        self._numbered = 1
        self._fact_fd = os.eventfd(0, os.EFD_NONBLOCK)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.supervisor = SupervisorLink(theirs, pm.SupervisorMessage)
        self.media = FakeMedia(fact_fd=self._fact_fd, endpoints=endpoints) if media is None else media
        self.worker = Worker(
            pm.WorkerConfig(
                index=config.pop("index", 0), workers=config.pop("workers", 1), epoch=config.pop("epoch", 1),
                cpu=None, runtime_dir=config.pop("runtime_dir", ""), arena_fd=-1, supervisor_fd=-1,
                endpoints=endpoints, rtp_port_min=port_min, rtp_port_max=port_max, **config,
            ),
            self.media,
            fact_fd=self._fact_fd,
            commands=self,
            send=self._send,
            link=SupervisorLink(ours, pm.SupervisorMessage),
            log=Log("error"),
            clock=lambda: self.now_us,
            map_arena=lambda fd: self.maps.popleft(),
            media_clock=self._media_clock if measured else None,
            network=network,
        )  # fmt: skip

    def close(self) -> None:
        self.worker.close()
        for fds in self.held.values():
            for fd in fds:
                os.close(fd)
        self.supervisor.close()
        os.close(self._fact_fd)
        close_all()

    def recv(self, flags: int) -> bytes:
        if not self._commands:
            raise zmq.Again
        return self._commands.popleft()

    def _media_clock(self) -> tuple[int, int]:
        passed_ns = (self.now_us - self._clocked_us) * 1000
        self._clocked_us = self.now_us
        self._ran_ns += int(self.busy * passed_ns)
        self._waited_ns += int(self.waiting * passed_ns)
        return self._ran_ns, self._waited_ns

    def _send(self, data: bytes) -> bool:
        if self.refuse_batches:
            return False
        batch = msgspec.msgpack.decode(data, type=m.Batch)
        assert batch.first == self._numbered, "numbers of an epoch run without a hole"
        self._numbered += len(batch.items)
        self.batches.append(batch)
        for item in batch.items:
            if isinstance(item, m.Reply):
                assert item.n not in self._replies, "one reply a command"
                self._replies[item.n] = item.body
            else:
                self._events.append(item)
        return True

    def turn(self, times: int = 1) -> None:
        """Let the worker turn, and the supervisor answer."""
        for _ in range(times):
            self.worker.turn()
            for message, fds in self.supervisor.receive():
                if isinstance(message, pm.Hold):
                    for key, count in message.held:
                        old = self.held.pop(key, ())
                        self.replaced.extend(old)
                        for fd in old:
                            os.close(fd)
                        self.held[key] = tuple(fds[:count])
                        del fds[:count]
                elif isinstance(message, pm.Release) and self.answer_releases:
                    self.release(message.keys)

    def settle(self) -> None:
        """Turn until the side threads have nothing to do, and the worker neither."""
        self.turn()
        while self.worker.side.pending or self.worker.sleep_ms() == 0:
            if self.worker.sleep_ms():
                assert select.select([self._fact_fd], [], [], PATIENCE_S)[0], "a side thread hangs"
            self.turn()

    def release(self, keys: list[int]) -> None:
        for key in keys:
            for fd in self.held.pop(key, ()):
                os.close(fd)
        self.supervisor.send(pm.Released(keys))

    def tell_worker(self, message: Any, fds: tuple[int, ...] = ()) -> None:
        self.supervisor.send(message, fds)

    def post(self, body: Any, *, late: bool = False) -> int:
        """Send a command without waiting; returns its number."""
        self._n += 1
        deadline_us = self.now_us - 1 if late else self.now_us + 5_000_000
        self._commands.append(
            msgspec.msgpack.encode(m.Command(n=self._n, deadline_us=deadline_us, body=body))
        )
        return self._n

    def reply(self, n: int) -> Any:
        """The reply to command n, None if there is none yet."""
        return self._replies.get(n)

    def do(self, body: Any, *, turns: int = 3) -> Any:
        n = self.post(body)
        self.turn(turns)
        return self.reply(n)

    def advance(self, ms: float) -> None:
        """Let time pass, then turn until nothing is due."""
        self.now_us += int(ms * 1000)
        self.turn(2)

    def tell(self) -> None:
        """Let the time pass after which the supervisor is told who came and went."""
        self.advance(TELL_US / 1000)

    def events(self) -> list[Any]:
        out, self._events = self._events, []
        return out

    # -- shorthands ------------------------------------------------------------------------------------------

    def rtp(self, session: str = "s", endpoint: str = "e", **changes: Any) -> Any:
        values: dict[str, Any] = {
            "phase": 3, "media_ip": HERE, "rtcp_mux": False, "is_source": True, "is_destination": True,
            "media": PCMU_AND_KEYS, "remote": PEER,
        }  # fmt: skip
        return self.do(m.CreateRtp(session=session, endpoint=endpoint, **{**values, **changes}))
