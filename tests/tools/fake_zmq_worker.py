"""A worker without media: real ZeroMQ sockets, the real messages, answers made up on the spot.

It lives on the test's event loop.  `hold` keeps answers back, `refuse` turns a command into `Failed`, `emit`
sends events, `die` vanishes without a word.  For a bot's endpoint it opens a real loopback socket.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
import zmq

from roomtone.engine.messages import Activity as ActivityReply
from roomtone.engine.messages import (
    Batch,
    Command,
    CreateRtp,
    Done,
    EndpointStats,
    Failed,
    GetActivity,
    GetMetrics,
    GetStats,
    Metrics,
    OpenSpread,
    PollStats,
    Probe,
    Reply,
    RtpCreated,
    Snapshot,
    SpreadOpened,
    Stats,
    StatsPolled,
    TakeSnapshot,
    UpdateRtp,
    WorkerUp,
)
from roomtone.engine.process_messages import COMMANDS_ENDPOINT, EVENTS_ENDPOINT, worker_identity
from roomtone.ext.event.stats_record import record

FIRST_PORT = 30000


class FakeWorker:
    """One epoch of one worker.  Use it inside a running loop."""

    def __init__(self, runtime_dir: str, *, index: int = 0, epoch: int = 1, number: int = 1) -> None:
        self.index = index
        self.epoch = epoch
        self.number = number  # of the next item
        self.commands: list[Any] = []  # bodies as they came
        self.hold = False
        self.refuse: dict[type, Failed] = {}
        self.snapshot = Snapshot(endpoints=[])
        self.metrics = Metrics(counters={}, drops={}, gauges={}, tick_duration_us=[], tick_late_us=[])
        self.held: list[Reply] = []
        self.endpoints: dict[str, list[str]] = {}  # session -> endpoints
        self.audio: dict[str, socket.socket] = {}  # endpoint -> the worker's end of a bot's loopback pair
        self._arrived = asyncio.Event()
        self._port = FIRST_PORT
        self._loop = asyncio.get_running_loop()
        self._context = zmq.Context()
        self._dealer: Any = self._context.socket(zmq.DEALER)
        self._dealer.setsockopt(zmq.IDENTITY, worker_identity(index, epoch))
        self._push: Any = self._context.socket(zmq.PUSH)
        for end in (self._dealer, self._push):
            end.setsockopt(zmq.LINGER, 0)
        self._dealer.connect(COMMANDS_ENDPOINT.format(runtime_dir=runtime_dir))
        self._push.connect(EVENTS_ENDPOINT.format(runtime_dir=runtime_dir))
        self._decode = msgspec.msgpack.Decoder(Command).decode
        self._fd = self._dealer.getsockopt(zmq.FD)
        self._loop.add_reader(self._fd, self._readable)
        self._loop.call_soon(self._readable)

    def up(self) -> None:
        """Say `WorkerUp` and one good self-probe: control takes the worker into service."""
        self.emit(WorkerUp(pid=1, scheduling="none", endpoints=8192), Probe(ok=True))

    def emit(self, *items: Any) -> None:
        """Send replies and events as one batch."""
        batch = Batch(worker=self.index, epoch=self.epoch, first=self.number, items=list(items))
        self.number += len(items)
        self._push.send(msgspec.msgpack.encode(batch))

    def send_nonsense(self) -> None:
        """A message that is no batch; it arrives behind what was emitted."""
        self._push.send(b"\xc1 not MessagePack")

    def lose(self, count: int) -> None:
        """Skip numbers, as if `count` items had never arrived."""
        self.number += count

    def release(self) -> None:
        """Send what was held back."""
        self.hold = False
        held, self.held = self.held, []
        if held:
            self.emit(*held)

    async def command(self, kind: type) -> Any:
        """The newest command of that kind, waiting for it if none has come."""
        while True:
            for body in reversed(self.commands):
                if isinstance(body, kind):
                    return body
            self._arrived.clear()
            await self._arrived.wait()

    def die(self) -> None:
        """Close the sockets.  Safe to call twice."""
        if self._dealer is not None:
            self._loop.remove_reader(self._fd)
            self._dealer.close()
            self._push.close()
            self._dealer = None
            self._context.term()
            for udp in self.audio.values():
                udp.close()

    def _readable(self) -> None:
        while self._dealer is not None:
            try:
                command = self._decode(self._dealer.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            self.commands.append(command.body)
            self._arrived.set()
            reply = Reply(n=command.n, body=self._answer(command.body))
            if self.hold:
                self.held.append(reply)
            else:
                self.emit(reply)

    def _answer(self, body: Any) -> Any:
        refusal = self.refuse.get(type(body))
        if refusal is not None:
            return refusal
        if isinstance(body, CreateRtp):
            return self._created(body)
        if isinstance(body, UpdateRtp) and body.endpoint in self.audio and body.remote is not None:
            self.audio[body.endpoint].connect((body.remote.ip, body.remote.port))
        answers = {
            GetActivity: lambda: ActivityReply(last_us=0),
            GetMetrics: lambda: self.metrics,
            GetStats: lambda: self._stats(body.session),
            PollStats: lambda: self._polled(body.sessions),
            OpenSpread: lambda: SpreadOpened(slot=0, epoch=self.epoch),
            TakeSnapshot: lambda: self.snapshot,
        }
        return answers.get(type(body), Done)()

    def _created(self, body: CreateRtp) -> RtpCreated:
        self.endpoints.setdefault(body.session, []).append(body.endpoint)
        self._port += 2
        if body.kind == "websocket":
            udp = self.audio[body.endpoint] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 0))
            udp.setblocking(False)
            self._port = udp.getsockname()[1]
        return RtpCreated(
            local_ip=body.media_ip,
            rtp_port=self._port,
            rtcp_port=self._port + 1,
            ssrc=self._port,
            cname=f"fake-{self.index}",
            handle=self._port,
        )

    def _stats(self, session: str) -> Stats:
        return Stats(
            [EndpointStats(endpoint=id, kind="rtp", codec="") for id in self.endpoints.get(session, [])]
        )

    def _polled(self, sessions: list[str]) -> StatsPolled:
        asked = [self.endpoints.get(session, []) for session in sessions]
        return StatsPolled(asked, record() * sum(map(len, asked)))
