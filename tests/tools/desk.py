"""Core in memory: clients, scripted workers and a clock that only tests move.

`Desk` performs core's effects like `control/io` does: in order, without entering core twice.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from fake_worker import FakeWorker, held, kept

from roomtone.control.core import effects as fx
from roomtone.control.core.api import EVENTS, EventData
from roomtone.control.core.committing import Published
from roomtone.control.core.config import load
from roomtone.control.core.core import Core
from roomtone.control.core.polling import keep
from roomtone.control.core.rest.store_questions import Unknown
from roomtone.engine import messages as ms

_load = lru_cache(load)


def _kinds(base: type[EventData]) -> dict[str, type[EventData]]:
    found = {base.NAME: base} if base.NAME else {}
    for kind in base.__subclasses__():
        found |= _kinds(kind)
    return found


TOLD = _kinds(EventData)

EPOCH_OFFSET_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z at now_us = 0
US_PER_S = 1_000_000


class Refused(Exception):
    """An error reply."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Client:
    """One control connection that reads everything at once, unless `reading` is False."""

    def __init__(self, desk: Desk, number: int) -> None:
        self.desk = desk
        self.id = number
        self.ready = True
        self.closed: tuple[int, str] | None = None
        self.reading = True
        self.log: list[dict[str, Any]] = []  # every text, in order
        self._numbers = itertools.count(1)
        self._frames: deque[bytes] = deque()

    def send(self, method: str, **params: Any) -> str:
        """Send a request without waiting; returns its id."""
        request_id = f"r{next(self._numbers)}"
        self.send_raw(json.dumps({"id": request_id, "method": method, "params": params}))
        return request_id

    def send_raw(self, text: str | bytes) -> None:
        self._frames.append(text if isinstance(text, bytes) else text.encode())
        self.feed()

    def feed(self) -> None:
        if self.ready and self._frames and self.closed is None:
            self.ready = False
            self.desk.give(fx.ConnectionMessage(self.id, self._frames.popleft()))

    def read(self) -> None:
        while (text := self.desk.core.next_message(self.id)) is not None:
            message = json.loads(text)
            if "event" in message:
                msgspec.convert(message["data"], (TOLD | EVENTS)[message["event"]])
            self.log.append(message)

    def reply(self, request_id: str) -> dict[str, Any] | None:
        return next((m for m in self.log if m.get("id") == request_id), None)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its result.  Raises `Refused`; the reply must be there."""
        return self.result(self.send(method, **params))

    def refusal(self, method: str, **params: Any) -> str:
        """Send a request that must fail and return its error code."""
        try:
            result = self.call(method, **params)
        except Refused as refused:
            return refused.code
        raise AssertionError(f"{method} was not refused: {result}")

    def result(self, request_id: str) -> dict[str, Any]:
        reply = self.reply(request_id)
        assert reply is not None, f"no reply to {request_id}; got {self.log}"
        assert set(reply) in ({"id", "result"}, {"id", "error"}), reply
        if "error" in reply:
            raise Refused(reply["error"]["code"], reply["error"]["message"])
        return reply["result"]

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Data of the events of one name, or (name, data) of all."""
        found = [m for m in self.log if "event" in m]
        return [m["data"] for m in found if m["event"] == name] if name else found

    def close(self) -> None:
        self.desk.give(fx.ConnectionClosed(self.id))
        self.closed = self.closed or (1006, "")


class Desk:
    """Core with its surroundings."""

    def __init__(self, workers: int = 1, config: str = "", started: bool = True, unheard: int = 0) -> None:
        """unheard: workers that may hold sessions of the time before core began."""
        ids = (str(UUID(int=0x5EED0000_0000_4000_8000_000000000000 + (n << 96))) for n in itertools.count(1))
        self.core = Core(_load(config), ids, EPOCH_OFFSET_US, hostname="desk", version="9.9", workers=unheard)
        self.now_us = 1 * US_PER_S
        self.workers = {index: FakeWorker(index) for index in range(workers)}
        self.clients: dict[int, Client] = {}
        self.timers: dict[tuple[str, ...], int] = {}
        self.deadlines: dict[int, int] = {}
        self.logs: list[fx.Log] = []
        self.audio: list[fx.OpenAudio | fx.StartAudio | fx.CloseAudio] = []  # what io was to do with bots
        self.drained = 0
        self.media = {"hold.wav": fx.Located("/media/hold.wav", "hold")}  # what media_dir holds
        self.downloading: dict[str, fx.StartDownload] = {}
        self.disk: set[str] = set()  # what the cache holds
        self.requested: Counter[str] = Counter()  # downloads begun, by URL
        self.replies: dict[int, fx.RestReply] = {}
        self.rows: dict[tuple[str, str], bytes] = {}  # the store
        self.asked: list[Any] = []  # questions to it,
        self.said: dict[type, Any] = {}  # and what it answers
        self.published: list[Published] = []  # events on disk
        self.disk_stalled = False  # nothing is committed,
        self.unwritten: list[fx.Persist] = []  # it waits here
        self._requests = itertools.count(1)
        self._inputs: deque[fx.Input] = deque()
        self._running = False
        self._connections = itertools.count(1)
        for index in range(workers if started else 0):
            self.give(fx.WorkerStarted(index, 1))

    # -- what happens ----------------------------------------------------------------------------------------

    def give(self, given: fx.Input) -> None:
        self._inputs.append(given)
        if self._running:
            return
        self._running = True
        try:
            while self._inputs:
                for effect in self.core.handle(self._inputs.popleft(), self.now_us):
                    self._perform(effect)
        finally:
            self._running = False
        errors = [log for log in self.logs if log.level == "error"]
        assert not errors, errors[0].fields.get("traceback")

    def connect(self, app_id: str | None = None) -> Client:
        client = Client(self, next(self._connections))
        self.clients[client.id] = client
        self.give(fx.ConnectionOpened(client.id, app_id))
        return client

    def rest(self, operation: str, body: Any = None, *, app: str = "app", **path: str) -> tuple[int, Any]:
        """A REST request: status and body (of a refusal code and detail).  The reply must be there."""
        n = self.ask(operation, body, app=app, **path)
        assert n in self.replies, f"no reply to {operation}"
        return self.reply(n)

    def ask(
        self,
        operation: str,
        body: Any = None,
        *,
        app: str = "app",
        query: dict[str, str] | None = None,
        key: str | None = None,
        **path: str,
    ) -> int:
        """Send a REST request without waiting; its number, for `reply`."""
        n = next(self._requests)
        text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.give(fx.RestRequest(n, operation, app, path, query or {}, text, f"req-{n}", key))
        return n

    def reply(self, n: int) -> tuple[int, Any]:
        reply = self.replies[n]
        if reply.refusal is not None:
            return reply.status, {"code": reply.refusal.code, "detail": reply.refusal.detail}
        return reply.status, json.loads(reply.body)

    def told(self, name: str | None = None) -> list[dict[str, Any]]:
        """Events on disk, as their keys with `event` first; of one name, or all."""
        return [
            {"event": event.name, **msgspec.to_builtins(event.fields)}
            for event in self.published
            if name in (None, event.name)
        ]

    def write_on(self) -> None:
        """The disk goes on."""
        self.disk_stalled = False
        waiting, self.unwritten = self.unwritten, []
        for persist in waiting:
            self._write(persist)
            self.give(fx.Committed(persist.n))

    def _write(self, persist: fx.Persist) -> None:
        for row in persist.rows:
            if row.body is None:
                self.rows.pop((row.kind, row.id), None)
            else:
                self.rows[row.kind, row.id] = row.body
        self.published += persist.events

    def reboot(self, *, heard: bool = True) -> None:
        """Control dies and comes again: a new core with what the store and the workers hold.

        Open requests get no answer; what was not written is lost.  heard: the workers tell at once what they
        hold, else when `hear` is called.
        """
        old = self.core
        self.core = Core(
            old.config, old.ids, EPOCH_OFFSET_US, hostname="desk", version="9.9", workers=len(self.workers)
        )
        self.clients, self.timers, self.deadlines, self.unwritten = {}, {}, {}, []
        self.give(fx.Restored([fx.Row(kind, id, body) for (kind, id), body in self.rows.items()]))
        if heard:
            self.hear()

    def hear(self) -> None:
        """After a reboot: what the workers hold."""
        for worker in self.workers.values():
            worker.held = []
            self.give(fx.WorkerStarted(worker.index, worker.epoch, running=True))
            self.give(fx.WorkerHolds(worker.index, held(worker), kept(worker)))

    def session(self, app_id: str | None = None) -> tuple[Client, str]:
        """A connection with a session, and its id."""
        client = self.connect(app_id)
        return client, client.call("session.create")["session_id"]

    def event(self, worker: int, event: ms.Event) -> None:
        self.give(fx.WorkerEvent(worker, event))

    def answer_late(self, worker: int) -> None:
        """The worker answers everything it had left, and what comes meanwhile behind it."""
        late = self.workers[worker]
        waiting, late.held = late.held, []
        late.behind = []
        while waiting:
            n, body = waiting.pop(0)
            self.deadlines.pop(n, None)
            self.give(fx.WorkerReply(worker, n, late.refuse.get(type(body)) or late.answer(body)))
            waiting += late.behind
            late.behind = []
        late.behind = None

    def arrive(self, url: str, size_bytes: int = 1000) -> None:
        """The download of that URL ends well."""
        name = self._download_of(url)
        self.disk.add(name)
        self.give(fx.Downloaded(name, f"/cache/{name}", size_bytes))

    def begin(self, url: str) -> None:
        """Enough of it is there to be played."""
        name = next(name for name, effect in self.downloading.items() if effect.url == url)
        self.disk.add(name)
        self.give(fx.DownloadBegun(name, f"/cache/{name}"))

    def fail(
        self, url: str, outcome: str = "status", message: str = "HTTP status 404", code: str = ""
    ) -> None:
        name = self._download_of(url)
        self.disk.discard(name)
        self.give(fx.DownloadFailed(name, outcome, message, code))

    def _download_of(self, url: str) -> str:
        name = next(name for name, effect in self.downloading.items() if effect.url == url)
        del self.downloading[name]
        return name

    def kill(self, worker: int) -> None:
        dead = self.workers[worker]
        dead.held, dead.files = [], {}
        self.give(fx.WorkerDied(worker, dead.epoch))

    def restart(self, worker: int) -> FakeWorker:
        fresh = FakeWorker(worker, self.workers[worker].epoch + 1)
        self.workers[worker] = fresh
        self.give(fx.WorkerStarted(worker, fresh.epoch))
        return fresh

    def advance(self, seconds: float) -> None:
        """Let time pass; timers and deadlines fire when they are due."""
        until_us = self.now_us + round(seconds * US_PER_S)
        while True:
            due = [(when, 0, key) for key, when in self.timers.items() if when <= until_us]
            due += [(when, 1, n) for n, when in self.deadlines.items() if when <= until_us]
            if not due:
                break
            when, kind, key = min(due, key=lambda entry: entry[:2])
            self.now_us = max(self.now_us, when)
            if kind == 0:
                del self.timers[key]
                self.give(fx.TimerFired(key))
            else:
                del self.deadlines[key]
                self.give(fx.CommandTimedOut(key))
        self.now_us = until_us

    # -- effects ---------------------------------------------------------------------------------------------

    def _perform(self, effect: fx.Effect) -> None:
        match effect:
            case fx.SendToWorker():
                answer = self.workers[effect.worker].take(effect.n, effect.body)
                if answer is None:
                    self.deadlines[effect.n] = effect.deadline_us
                else:
                    self._inputs.append(fx.WorkerReply(effect.worker, effect.n, answer))
                    self._seated(effect.worker, effect.body, answer)
            case fx.RestReply():
                assert effect.n not in self.replies, "answered twice"
                self.replies[effect.n] = effect
            case fx.Persist():
                if self.disk_stalled:
                    self.unwritten.append(effect)
                else:
                    self._write(effect)
                    self._inputs.append(fx.Committed(effect.n))
            case fx.AskStore():
                self.asked.append(effect.question)
                self._inputs.append(fx.StoreSaid(effect.n, self.said.get(type(effect.question), Unknown())))
            case fx.LocateFile():
                found = self.media.get(effect.source)
                missing = ms.Failed(code="ENDPOINT_ERROR", message="File not found")
                self._inputs.append(fx.FileLooked(effect.n, found or missing))
            case fx.StartDownload():
                self.downloading[effect.name] = effect
                self.requested[effect.url] += 1
            case fx.StopDownload():
                del self.downloading[effect.name]
                self.disk.discard(effect.name)
            case fx.DeleteCopy():
                self.disk.remove(effect.name)
            case fx.Wake():
                client = self.clients[effect.connection]
                if client.reading:
                    client.read()
            case fx.Tell():
                for connection, text in zip(effect.connections, effect.texts, strict=True):
                    client = self.clients[connection]
                    if client.reading:
                        client.log.append(json.loads(text))
                    else:
                        keep(self.core, connection, text)
            case fx.Ready():
                client = self.clients[effect.connection]
                assert not client.ready, "Ready twice"
                client.ready = True
                client.feed()
            case fx.CloseConnection():
                self.clients[effect.connection].closed = (effect.code, effect.reason)
            case fx.OpenAudio() | fx.StartAudio() | fx.CloseAudio():
                self.audio.append(effect)
            case fx.ScheduleAt():
                self.timers[effect.key] = effect.when_us
            case fx.CancelTimer():
                self.timers.pop(effect.key, None)
            case fx.Log():
                self.logs.append(effect)
            case fx.Drained():
                self.drained += 1

    def _seated(self, index: int, body: ms.CommandBody, answer: ms.ReplyBody) -> None:
        """The first tick in a room comes at once, unless the worker is mute about it."""
        worker = self.workers[index]
        room = getattr(body, "room", None)
        if room is None or isinstance(answer, ms.Failed) or ms.Seated in worker.mute:
            return
        self._inputs.append(
            fx.WorkerEvent(
                index,
                ms.Seated(session=worker.endpoints[body.endpoint], endpoint=body.endpoint, room=room),
            )
        )


OFFER = """v=0
o=- 4711 1 IN IP4 192.0.2.7
s=call
c=IN IP4 192.0.2.7
t=0 0
m=audio 4000 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
"""

ANSWER = OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 8 101")
