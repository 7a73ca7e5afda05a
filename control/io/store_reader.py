"""What the store says to those who ask over REST: deliveries, their attempts, and events for pulling.

Every question is answered on a thread, with a connection of its own that writes nothing, within `LIMIT_S`:
the loop never waits for a disk, and a question over a million events does not run for ever.  Times are wall
clock microseconds.  Each question names the app: what is another's is as if it were not there.

    deliveries/{id}/retry    `delivery` (is it the app's?), then `Store.replay([number])`
    replay                   `replay`
    endpoints/{id}/test      publish `webhook.test` with `webhook=key`; after its commit `asked_by`, until the
                             delivery it gives has an attempt
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from roomtone.control.core import webhooks
from roomtone.control.core.outbox import ORDINAL_BITS, event_id
from roomtone.control.core.rest.store_questions import (
    DELIVERY_ID,
    AttemptView,
    Chosen,
    DeliveryDetails,
    DeliveryView,
    Status,
)
from roomtone.control.core.rest.webhook_events import WebhookTest
from roomtone.control.core.views import rfc3339
from roomtone.control.dispatcher.messages import DEAD, DELIVERED, LATE, PENDING, REPLAY
from roomtone.control.io import store_file
from roomtone.control.io.disk import Disk
from roomtone.control.io.store import Store

LIMIT_S = 2.0
CHECK_EVERY = 20_000  # steps of SQLite's machine
PREFIX = "dlv_"
REPLAY_STEP = 500
LATEST = 10_000  # deliveries among which `asked_by` looks: more than are made while it is on its way
STATUSES: dict[Status, tuple[int, ...]] = {
    "pending": (PENDING, LATE, REPLAY),
    "delivered": (DELIVERED,),
    "dead": (DEAD,),
}
_STATUS_OF = {state: name for name, states in STATUSES.items() for state in states}

_SELECT = (
    "SELECT d.id, e.seq, e.name, d.webhook, e.room_id, e.session_uuid, d.state, d.attempts, d.due_us, e.at_us"
    f" FROM delivery d JOIN event e ON e.seq = d.id >> {ORDINAL_BITS} WHERE e.app_id = ?"
)

T = TypeVar("T")


class TooLong(Exception):
    """The question took longer than `LIMIT_S`, or the store cannot be read: 503."""


class StoreReader:
    """node: the hash in events' ids."""

    def __init__(self, state_dir: str, node: str) -> None:
        self._state_dir = state_dir
        self._node = node
        self._disk = Disk("store-reader")
        # An app has one question at a time: one that asks much does not keep others from the threads.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def close(self) -> None:
        self._disk.close()

    async def deliveries(
        self, chosen: Chosen, *, limit: int, before: str | None = None
    ) -> tuple[list[DeliveryView], str | None]:
        """The latest first, and what to give as `before` for those behind them.  Raises `TooLong`."""
        rows = await self._ask(chosen.app_id, _deliveries, chosen, _number(before), limit + 1, "DESC")
        found = [self._view(row) for row in rows[:limit]]
        return found, found[-1].id if len(rows) > limit else None

    async def delivery(self, app_id: str, id: str) -> tuple[int, DeliveryDetails] | None:
        """Its number for `Store.replay`, and everything about it; None: there is none.  Raises `TooLong`."""
        number = _number(id)
        if number is None:
            return None
        found = await self._ask(app_id, _delivery, app_id, number)
        if found is None:
            return None
        row, tries = found
        view = msgspec.structs.asdict(self._view(row))
        attempts = [
            AttemptView(n, rfc3339(at_us), status, ms, error, head.decode(errors="replace"))
            for n, at_us, status, ms, error, head in tries
        ]
        return number, DeliveryDetails(**view, tries=attempts)

    async def asked_by(self, app_id: str, webhook: str, request_id: str) -> str | None:
        """The delivery of the `webhook.test` that this request sent to the endpoint.  Raises `TooLong`."""
        for number, body in await self._ask(app_id, _tests, app_id, webhook):
            if msgspec.json.decode(body).get("request_id") == request_id:
                return _shown(number)
        return None

    async def events(
        self,
        app_id: str,
        *,
        room_id: str | None = None,
        session_uuid: str | None = None,
        after: int = 0,
        limit: int,
    ) -> list[msgspec.Raw]:
        """Events of a room or of a session behind that number, in order, flat.  Raises `TooLong`.

        after: a `room_sequence`, or a `session_sequence`: the number of the lane that is asked for.
        """
        bodies = await self._ask(app_id, _events, app_id, room_id, session_uuid, after, limit)
        return [msgspec.Raw(body) for body in bodies]

    async def replay(self, chosen: Chosen, store: Store) -> int:
        """Send them all again that are at their end; how many.  Raises `TooLong`."""
        count, after = 0, None
        while True:
            rows = await self._ask(chosen.app_id, _deliveries, chosen, after, REPLAY_STEP, "ASC")
            numbers = [row[0] for row in rows if row[8] is None]
            if numbers:
                await store.replay(numbers)
            count += len(numbers)
            if len(rows) < REPLAY_STEP:
                return count
            after = rows[-1][0]

    def _view(self, row: Any) -> DeliveryView:
        number, seq, name, webhook, room_id, session_uuid, state, attempts, due_us, at_us = row
        return DeliveryView(
            id=_shown(number),
            event=name,
            event_id=event_id(self._node, seq),
            endpoint_id=webhooks.id_of(webhook),
            room_id=room_id,
            session_uuid=session_uuid,
            status=_STATUS_OF[state],
            late=state == LATE,
            attempts=attempts,
            created_at=rfc3339(at_us),
            next_attempt_at=None if due_us is None else rfc3339(due_us),
        )

    async def _ask(self, app_id: str, question: Callable[..., T], *args: object) -> T:
        turn = self._turns.setdefault(app_id, asyncio.Lock())
        async with turn:
            return await self._disk.do(self._answer, question, args)

    def _answer(self, question: Callable[..., T], args: tuple[object, ...]) -> T:
        """On a thread."""
        until_s = time.monotonic() + LIMIT_S
        try:
            with contextlib.closing(store_file.reader(self._state_dir)) as db:
                db.set_progress_handler(lambda: time.monotonic() > until_s, CHECK_EVERY)
                return question(db, *args)
        except sqlite3.Error as error:
            raise TooLong(str(error)) from error


def _shown(number: int) -> str:
    return f"{PREFIX}{number:x}"


def _number(id: str | None) -> int | None:
    """None: it is no delivery's id."""
    found = None if id is None else DELIVERY_ID.fullmatch(id)
    return None if found is None else int(found[1], 16)


def _deliveries(
    db: sqlite3.Connection, chosen: Chosen, from_number: int | None, limit: int, order: str
) -> list[Any]:
    """Behind `from_number`, in that order of numbers."""
    text, values = _SELECT, [chosen.app_id]
    wanted: list[tuple[str, Any]] = [
        ("e.room_id = ?", chosen.room_id),
        ("e.session_uuid = ?", chosen.session_uuid),
        ("d.webhook = ?", chosen.webhook),
        ("e.at_us >= ?", chosen.since_us),
        ("e.at_us < ?", chosen.until_us),
        ("d.id < ?" if order == "DESC" else "d.id > ?", from_number),
    ]
    for condition, value in wanted:
        if value is not None:
            text += f" AND {condition}"
            values.append(value)
    if chosen.events:
        text += f" AND e.name IN ({', '.join('?' * len(chosen.events))})"
        values += chosen.events
    if chosen.status is not None:
        # One number stands as it is: else the index of dead ones is not used.
        states = STATUSES[chosen.status]
        text += f" AND d.state IN {states}" if len(states) > 1 else f" AND d.state = {states[0]}"
    return db.execute(f"{text} ORDER BY d.id {order} LIMIT ?", (*values, limit)).fetchall()


def _delivery(db: sqlite3.Connection, app_id: str, number: int) -> tuple[Any, list[Any]] | None:
    row = db.execute(f"{_SELECT} AND d.id = ?", (app_id, number)).fetchone()
    if row is None:
        return None
    tries = db.execute(
        "SELECT number, at_us, status, ms, error, head FROM attempt WHERE delivery = ? ORDER BY number",
        (number,),
    ).fetchall()
    return row, tries


def _tests(db: sqlite3.Connection, app_id: str, webhook: str) -> list[tuple[int, bytes]]:
    """Of the endpoint's latest tests the deliveries and the events' bodies."""
    return db.execute(
        "SELECT d.id, e.body FROM (SELECT id, webhook FROM delivery ORDER BY id DESC LIMIT ?) d"
        f" JOIN event e ON e.seq = d.id >> {ORDINAL_BITS}"
        " WHERE d.webhook = ? AND e.name = ? AND e.app_id = ? ORDER BY d.id DESC",
        (LATEST, webhook, WebhookTest.NAME, app_id),
    ).fetchall()


def _events(
    db: sqlite3.Connection,
    app_id: str,
    room_id: str | None,
    session_uuid: str | None,
    after: int,
    limit: int,
) -> list[bytes]:
    lane, id = ("room", room_id) if room_id is not None else ("session", session_uuid)
    column = "room_id" if lane == "room" else "session_uuid"
    found = db.execute(
        f"SELECT body FROM event WHERE {column} = ? AND {lane}_sequence > ? AND app_id = ?"
        f" ORDER BY {lane}_sequence LIMIT ?",
        (id, after, app_id, limit),
    )
    return [body for (body,) in found]
