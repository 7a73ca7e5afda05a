"""The store's database: SQLite with a write-ahead log; the writer's side.

    row        records of control, whole, by kind and id; those of `SEALED` kinds sealed
    lane       the last number given in each lane of events; "" is the node's counter
    event      what happened, in order, with its flat body
    delivery   one event for one webhook endpoint: the bytes, and how far it has come
    attempt    what was tried and what came of it

A delivery is open while it has a `due_us`.  Its id is the event's number with an ordinal behind it, so ids
are in the order of events and an event's deliveries are found by a range.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from roomtone.control.core import webhooks
from roomtone.control.core.committing import Published
from roomtone.control.core.effects import Row
from roomtone.control.core.outbox import MAX_DELIVERIES, ORDINAL_BITS, Delivery, Lanes, Outbox, Record
from roomtone.control.dispatcher.messages import DEAD, DELIVERED, LATE, PENDING, REPLAY, Attempt
from roomtone.control.io.vault import Unsealable, Vault

FILE = "store.sqlite3"
LOCK = "lock"
VERSION = 1
APPLICATION = 0x726F6F6D  # "room"; PRAGMA application_id
SEALED = frozenset({webhooks.KIND, "app", "uid"})  # a reply may hold a fresh secret
NODE = ""  # the node's counter among the lanes
# No id is given twice: receivers remember them for days.  A store that begins anew, was put back from a copy
# or lost its last commits with the power does not know what was given.  So it goes on at the time, in units
# that 15,000 events a second do not overtake.
FIRST_SHIFT = 6  # microseconds since 1970, shifted right
STEP = 500  # events or lanes that are looked at in one transaction
WAL_PAGES = 4000  # of 4 KiB before they go to the file
WAL_BYTES = 64 << 20  # readers who follow one upon another let it grow; from here on it waits for them
ROWS_A_STATEMENT = 16
STATEMENTS = 256  # that are kept compiled: those above, of any number of rows
READERS_WAIT_S = 1.0  # so long, then it tries again later

# Literally so in queries too: else SQLite does not see that it may use the index.
IS_PENDING = f"state = {PENDING}"
IS_LOOSE = f"state IN ({LATE}, {REPLAY})"

SCHEMA = (
    "CREATE TABLE row (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID",
    "CREATE TABLE lane (key TEXT PRIMARY KEY, last INTEGER, at_us INTEGER) WITHOUT ROWID",
    "CREATE INDEX lane_at ON lane (at_us)",
    "CREATE TABLE event (seq INTEGER PRIMARY KEY, at_us INTEGER, name TEXT, app_id TEXT, room_id TEXT,"
    " room_sequence INTEGER, session_uuid TEXT, session_sequence INTEGER, body BLOB)",
    "CREATE INDEX event_room ON event (room_id, room_sequence) WHERE room_id IS NOT NULL",
    "CREATE INDEX event_session ON event (session_uuid, session_sequence) WHERE session_uuid IS NOT NULL",
    # tries: within the schedule; attempts: all there were
    "CREATE TABLE delivery (id INTEGER PRIMARY KEY, webhook TEXT, state INTEGER, tries INTEGER,"
    " attempts INTEGER, due_us INTEGER, style TEXT, body BLOB)",
    f"CREATE INDEX delivery_pending ON delivery (webhook, id) WHERE {IS_PENDING}",
    f"CREATE INDEX delivery_loose ON delivery (webhook, due_us) WHERE {IS_LOOSE}",
    f"CREATE INDEX delivery_dead ON delivery (id) WHERE state = {DEAD}",
    "CREATE TABLE attempt (delivery INTEGER, number INTEGER, at_us INTEGER, status INTEGER, ms INTEGER,"
    " error TEXT, head BLOB, PRIMARY KEY (delivery, number)) WITHOUT ROWID",
)


class StoreError(Exception):
    """The store cannot be used; the message says why."""


class StoreFile:
    """The one writer's connection.  Everything but `open` happens in transactions of `begin` and `commit`."""

    def __init__(self, state_dir: str, node: str) -> None:
        self._dir = state_dir
        self._node = node
        self.events = 0  # how many are stored
        self.bytes = 0  # what they take, with everything else; what was deleted does not count
        self._synced: bool | None = None  # as the last transaction was begun
        self._looked = 0  # the last event that `prune_delivered` has looked at
        self.expired = 0  # deliveries whose time ran out before anybody took them

    # -- life ------------------------------------------------------------------------------------------------

    def open(self, at_us: int) -> list[Row]:
        """Make or open it; what it holds.  Raises `StoreError`."""
        path = os.path.join(self._dir, FILE)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._dir, 0o700)
            self._lock = _locked(os.path.join(self._dir, LOCK))
            self._vault = Vault.open(self._dir, make=not os.path.exists(path))
            self._db = sqlite3.connect(
                path,
                timeout=READERS_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=STATEMENTS,
            )
            os.chmod(path, 0o600)
            self._prepare(path)
            return self._load(at_us)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path}: {error}; move it away to begin with an empty one") from error
        except Unsealable as error:
            raise StoreError(f"{path}: {error}") from error
        except OSError as error:
            raise StoreError(f"state_dir: {error}") from error

    def _prepare(self, path: str) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        elif db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise StoreError(f"{path} is no store of roomtone")
        elif version != VERSION:
            raise StoreError(f"{path} has version {version}; this roomtone reads version {VERSION}")

    def _load(self, at_us: int) -> list[Row]:
        last = max(self._last(NODE), at_us >> FIRST_SHIFT)
        self._lanes = Lanes(self._last)
        self.outbox = Outbox(self._node, self._lanes, last)
        rows = []
        for kind, id, body in self._db.execute("SELECT kind, id, body FROM row"):
            row = Row(kind, id, opened(self._vault, kind, id, body))
            rows.append(row)
            if kind == webhooks.KIND:
                self.outbox.webhook(row)
        self.outbox.committed()
        self.events = self._db.execute("SELECT count(*) FROM event").fetchone()[0]
        self._before = (self.events, 0)
        self._page = self._db.execute("PRAGMA page_size").fetchone()[0]
        self.bytes = self._size()
        return rows

    def _last(self, lane: str) -> int:
        found = self._db.execute("SELECT last FROM lane WHERE key = ?", (lane,)).fetchone()
        return 0 if found is None else int(found[0])

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)

    # -- transactions ----------------------------------------------------------------------------------------

    def begin(self, *, synced: bool) -> None:
        """synced: on disk when `commit` returns; else after a later commit that is."""
        if synced != self._synced:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        size = self._size()
        self._db.execute("COMMIT")
        self.outbox.committed()
        self.bytes = size
        self._before = (self.events, self.expired)

    def roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self.outbox.rolled_back()
        self.events, self.expired = self._before

    def shorten_log(self) -> None:
        """Bring the write-ahead log to the file when it has become long.  Outside transactions."""
        if os.path.getsize(os.path.join(self._dir, f"{FILE}-wal")) > WAL_BYTES:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _size(self) -> int:
        used = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        return int(self._page * self._db.execute(used).fetchone()[0])

    def _insert(self, into: str, rows: list[tuple[object, ...]]) -> None:
        """Many at a time: at each step of a statement the interpreter is lent to the loop and waited for."""
        for at in range(0, len(rows), ROWS_A_STATEMENT):
            some = rows[at : at + ROWS_A_STATEMENT]
            one = f"({', '.join('?' * len(some[0]))})"
            values = ", ".join([one] * len(some))
            self._db.execute(f"{into} VALUES {values}", list(chain.from_iterable(some)))

    def put_rows(self, rows: Iterable[Row]) -> None:
        """The last word on each record holds."""
        last = {(row.kind, row.id): row for row in rows}
        kept: list[tuple[object, ...]] = []
        gone = []
        for (kind, id), row in last.items():
            if row.body is None:
                gone.append((kind, id))
            elif kind in SEALED:
                kept.append((kind, id, self._vault.seal(f"{kind} {id}", row.body)))
            else:
                kept.append((kind, id, row.body))
        self._insert("REPLACE INTO row", kept)
        self._db.executemany("DELETE FROM row WHERE kind = ? AND id = ?", gone)

    def put_webhook(self, row: Row) -> None:
        """An endpoint: it holds for events from here on.  One that goes takes what is open with it."""
        self.outbox.webhook(row)
        if row.body is None:
            for which in (IS_PENDING, IS_LOOSE):
                self._db.execute(f"DELETE FROM delivery WHERE webhook = ? AND {which}", (row.id,))

    def put_events(self, events: Iterable[Published]) -> set[str]:
        """Number and write them; the webhook endpoints that they are to be delivered to."""
        records: list[Record] = []
        deliveries: list[Delivery] = []
        for event in events:
            record, made = self.outbox.record(event)
            records.append(record)
            deliveries += made
        if not records:
            return set()
        at_us = records[-1].at_us
        self._insert("INSERT INTO event", [_values(record) for record in records])
        self._insert(
            "INSERT INTO delivery",
            [(each.id, each.webhook, PENDING, 0, 0, at_us, each.style, each.body) for each in deliveries],
        )
        numbers = [(lane, last, at_us) for lane, last in self._lanes.changed()]
        self._insert("REPLACE INTO lane", [*numbers, (NODE, self.outbox.last, at_us)])
        self.events += len(records)
        return {each.webhook for each in deliveries}

    def put_report(self, attempts: list[Attempt], moved: list[tuple[int, int, int, int]]) -> None:
        """What the dispatcher says.  Told twice it is written once."""
        self._db.executemany(
            "INSERT OR IGNORE INTO attempt SELECT id, ?, ?, ?, ?, ?, ? FROM delivery WHERE id = ?",
            [
                (each.number, each.at_us, each.status, each.ms, each.error, each.head, each.delivery)
                for each in attempts
            ],
        )
        self._db.executemany(
            "UPDATE delivery SET state = ?, tries = ?, attempts = ?, due_us = ?"
            " WHERE id = ? AND attempts < ?",
            [
                (each.state, each.tries, each.number, each.due_us, each.delivery, each.number)
                for each in attempts
            ],
        )
        self._db.executemany(
            "UPDATE delivery SET state = ?, tries = ?, due_us = ? WHERE id = ? AND due_us IS NOT NULL",
            [(state, tries, due_us, delivery) for delivery, state, tries, due_us in moved],
        )

    def replay(self, deliveries: list[int], at_us: int) -> list[str]:
        """They are to be sent again, out of order, where the endpoint is still there.  The endpoints."""
        marks = ", ".join("?" * len(deliveries))
        self._db.execute(
            f"UPDATE delivery SET state = {REPLAY}, tries = 0, due_us = ? WHERE id IN ({marks})"
            " AND due_us IS NULL AND webhook IN (SELECT id FROM row WHERE kind = ?)",
            (at_us, *deliveries, webhooks.KIND),
        )
        found = self._db.execute(f"SELECT DISTINCT webhook FROM delivery WHERE id IN ({marks})", deliveries)
        return [webhook for (webhook,) in found]

    # -- pruning ---------------------------------------------------------------------------------------------

    def prune_old(self, before_us: int) -> bool:
        """Delete some events from before that time, with all that is theirs.  False: there are none."""
        found = self._db.execute(
            "SELECT seq FROM (SELECT seq, at_us FROM event ORDER BY seq LIMIT ?) WHERE at_us < ?",
            (STEP, before_us),
        ).fetchall()
        self._delete(found)
        return bool(found)

    def prune_delivered(self) -> bool:
        """Delete some events of which nothing is open, the oldest first.  False: it has looked at all."""
        looked = self._db.execute(
            "SELECT seq, EXISTS (SELECT 1 FROM delivery WHERE"
            f" id BETWEEN seq << {ORDINAL_BITS} AND (seq << {ORDINAL_BITS}) + {MAX_DELIVERIES - 1}"
            " AND due_us IS NOT NULL) FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
            (self._looked, STEP),
        ).fetchall()
        self._delete([(seq,) for seq, is_open in looked if not is_open])
        more = len(looked) == STEP
        self._looked = looked[-1][0] if more else 0
        return more

    def _delete(self, found: list[tuple[int]]) -> None:
        run = self._db.execute
        for (seq,) in found:
            ids = (seq << ORDINAL_BITS, (seq << ORDINAL_BITS) + MAX_DELIVERIES - 1)
            run("DELETE FROM attempt WHERE delivery BETWEEN ? AND ?", ids)
            gone = run("DELETE FROM delivery WHERE id BETWEEN ? AND ? RETURNING state", ids).fetchall()
            self.expired += sum(state != DELIVERED for (state,) in gone)
        self._db.executemany("DELETE FROM event WHERE seq = ?", found)
        self.events -= len(found)

    def prune_lanes(self, before_us: int) -> None:
        """Forget the numbers of some rooms and sessions that are gone and in which nothing happened since."""
        found = self._db.execute(
            "SELECT key FROM lane WHERE at_us < ? AND key != ? ORDER BY at_us LIMIT ?",
            (before_us, NODE, STEP),
        ).fetchall()
        for (lane,) in found:
            id = lane.rpartition(":")[2]
            alive = self._db.execute(
                "SELECT 1 FROM row WHERE kind IN ('room', 'call') AND id IN (?, ?)",
                (id, id.partition("-")[2]),
            ).fetchone()
            if alive is None:
                self._db.execute("DELETE FROM lane WHERE key = ?", (lane,))
            else:
                self._db.execute("UPDATE lane SET at_us = ? WHERE key = ?", (before_us, lane))


def reader(state_dir: str) -> sqlite3.Connection:
    """A connection that writes nothing.  Raises sqlite3.Error."""
    url = f"{Path(state_dir, FILE).absolute().as_uri()}?mode=ro"
    return sqlite3.connect(url, uri=True, isolation_level=None)


def opened(vault: Vault, kind: str, id: str, body: bytes) -> bytes:
    """A row's body as it was handed to the store.  Raises `Unsealable`."""
    return vault.open_sealed(f"{kind} {id}", body) if kind in SEALED else body


def _values(record: Record) -> tuple[object, ...]:
    return (
        record.seq,
        record.at_us,
        record.name,
        record.app_id,
        record.room_id,
        record.room_sequence,
        record.session_uuid,
        record.session_sequence,
        record.body,
    )


def _locked(path: str) -> int:
    """The lock file, ours until it is closed.  Raises OSError."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise OSError(f"another roomtone uses {Path(path).parent}") from None
    return lock
