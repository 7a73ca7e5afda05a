"""The receiver of `roomtone bench webhooks`, in a process of its own: slow at random, it watches the order.

JSON lines on standard input, one JSON line back for each:

{"listen": {"delay_ms"}}    -> {"port"}             every answer takes 0 to delay_ms, drawn evenly
{"count": {}}               -> {"events", ...}      since the start
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

import msgspec
import uvloop
from aiohttp import web

from roomtone.bench.load import proc

MS_PER_S = 1000
SEED = 20  # of the delays: each run waits alike


class Told(msgspec.Struct):
    """What is looked at of a body.  name: says when the event was published, in nanoseconds."""

    id: str
    room_id: str
    name: str
    sequence: int


class Receiver:
    """Counts each event once; out_of_order: those whose `sequence` is not the next of their room."""

    def __init__(self, delay_ms: float) -> None:
        self.delay_s = delay_ms / MS_PER_S
        self.random = random.Random(SEED)
        self.last: dict[str, int] = {}
        self.events = self.again = self.out_of_order = 0
        self.worst_ms = self.sum_ms = 0.0

    async def take(self, request: web.Request) -> web.Response:
        told = msgspec.json.decode(await request.read(), type=Told)
        self.note(told, time.monotonic_ns())
        await asyncio.sleep(self.random.uniform(0, self.delay_s))
        return web.Response()

    def note(self, told: Told, now_ns: int) -> None:
        last = self.last.get(told.room_id, 0)
        if told.sequence <= last:
            self.again += 1
            return
        self.events += 1
        self.out_of_order += told.sequence != last + 1
        self.last[told.room_id] = told.sequence
        took_ms = (now_ns - int(told.name)) / 1e6
        self.sum_ms += took_ms
        self.worst_ms = max(self.worst_ms, took_ms)

    def totals(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "again": self.again,
            "out_of_order": self.out_of_order,
            "worst_ms": self.worst_ms,
            "mean_ms": self.sum_ms / max(self.events, 1),
        }


async def serve() -> int:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    receiver: Receiver | None = None
    while line := await lines.readline():
        order = json.loads(line)
        if "listen" in order:
            receiver = Receiver(**order["listen"])
            app = web.Application()
            app.router.add_post("/", receiver.take)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
            answer: dict[str, Any] = {"port": runner.addresses[0][1]}
        else:
            assert receiver is not None, "count before listen"
            answer = receiver.totals()
        print(json.dumps(answer), flush=True)
    return 0


def main() -> int:
    proc.end_with_parent()
    proc.raise_descriptors()
    return uvloop.run(serve())


if __name__ == "__main__":
    sys.exit(main())
