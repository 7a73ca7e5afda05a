"""A store on a real disk, written to as core does."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from roomtone.control.core import webhooks
from roomtone.control.core.api import Dtmf, EventData
from roomtone.control.core.committing import Published
from roomtone.control.core.effects import Committed, Input, Persist, Row, StoreTrouble
from roomtone.control.core.rest.store_questions import Chosen
from roomtone.control.core.rooms.events import Created
from roomtone.control.core.webhooks import Secret, Webhook
from roomtone.control.dispatcher.messages import DELIVERED, Attempt, Report
from roomtone.control.io.store import Store
from roomtone.control.io.store_file import FILE
from roomtone.control.io.store_reader import StoreReader
from roomtone.engine.log import Log

NODE = "acW68"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEEK_S = 7 * 86400
ALL = Chosen(app_id="app")


def webhook(**given: Any) -> Webhook:
    known = {"id": "default", "app_id": "app", "url": "https://a.example/", "secrets": (Secret(SECRET),)}
    return msgspec.convert(known | given, Webhook)


def row(endpoint: Webhook, *, gone: bool = False) -> Row:
    return Row(webhooks.KIND, endpoint.key, None if gone else msgspec.msgpack.encode(endpoint))


def event(
    room: str | None = None,
    session: str | None = None,
    *,
    data: EventData | None = None,
    app_id: str = "app",
    at_us: int | None = None,
    **more: Any,
) -> Published:
    """Something that happened in a room, or a session, or both."""
    data = data or Created(app_id, room or "", "a room")
    return Published(
        data.NAME, app_id, data, time.time_ns() // 1000 if at_us is None else at_us, room, session, **more
    )


def key(session: str, digit: str = "1") -> Published:
    """A low-value event."""
    return event(session=session, data=Dtmf("endpoint", digit, 100, False, "rfc4733"))


def table(path: Path, query: str) -> list[tuple]:
    """What stands in the store of that directory."""
    with sqlite3.connect(f"file:{path / FILE}?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


def attempt(delivery: int, number: int = 1, state: int = DELIVERED, due_us: int | None = None) -> Attempt:
    """What the dispatcher tells of one."""
    return Attempt(delivery, number, 1, 200, 5, "", b"ok", state, number, due_us)


def deliveries(path: Path) -> list[int]:
    """Their numbers, in order."""
    return [id for (id,) in table(path, "SELECT id FROM delivery ORDER BY id")]


class Writing:
    """A store, and what it told core."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.rows: list[Row] = []  # what it held
        self.told: list[Input] = []
        self.broken = False
        self._numbers = itertools.count(1)
        self._reports = itertools.count(1)
        known = {"node": NODE, "max_events": 10**6, "max_bytes": 2 * 10**9, "retention_s": WEEK_S}
        self.store = Store(
            str(path), submit=self.told.append, broken=self._break, log=Log("error"), **(known | options)
        )
        self.reader = StoreReader(str(path), NODE)

    def _break(self) -> None:
        self.broken = True

    def begin(self, *events: Published, rows: list[Row] | None = None) -> int:
        """Hand it over; the number of its commit."""
        n = next(self._numbers)
        self.store.persist(Persist(n, rows or [], list(events)))
        return n

    async def commit(self, *events: Published, rows: list[Row] | None = None) -> None:
        """Write it and wait for the disk."""
        n = self.begin(*events, rows=rows)
        await until(lambda: Committed(n) in self.told)

    async def report(self, *attempts: Attempt, moved: list[tuple[int, int, int, int]] | None = None) -> None:
        """As the dispatcher does."""
        done = asyncio.Event()
        self.store.report(Report(next(self._reports), list(attempts), moved or []), done.set)
        await done.wait()

    @property
    def troubles(self) -> list[str | None]:
        return [each.reason for each in self.told if isinstance(each, StoreTrouble)]


async def until(condition: Any) -> None:
    """Let the loop run until it holds; the test's own limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def writing(path: Path, **options: Any) -> AsyncIterator[Writing]:
    """A fresh store with one endpoint of the app `app`, unless `bare`."""
    bare = options.pop("bare", False)
    one = Writing(path, **options)
    one.rows = one.store.open()
    if not bare:
        await one.commit(rows=[row(webhook())])
    try:
        yield one
    finally:
        one.store.close()
        one.reader.close()
