"""The dispatcher's view of the store: endpoints, what is open, and bodies.  It writes nothing."""

from __future__ import annotations

import msgspec

from roomtone.control.core import webhooks
from roomtone.control.core.outbox import ORDINAL_BITS, lanes_of
from roomtone.control.core.webhooks import Webhook
from roomtone.control.dispatcher.lanes import Item
from roomtone.control.dispatcher.messages import PENDING
from roomtone.control.io import store_file
from roomtone.control.io.store_file import IS_LOOSE, IS_PENDING, opened
from roomtone.control.io.vault import Vault

_ITEM = (
    "SELECT d.id, e.room_id, e.session_uuid, e.at_us, d.state, d.tries, d.attempts, d.due_us"
    f" FROM delivery d JOIN event e ON e.seq = d.id >> {ORDINAL_BITS} WHERE d.webhook = ?"
)


class OutboxReader:
    """Of a store that control has opened.  Raises OSError, sqlite3.Error."""

    def __init__(self, state_dir: str) -> None:
        self._vault = Vault.open(state_dir, make=False)
        self._db = store_file.reader(state_dir)

    def close(self) -> None:
        self._db.close()

    def webhooks(self) -> list[str]:
        """Keys of all endpoints."""
        return [key for (key,) in self._db.execute("SELECT id FROM row WHERE kind = ?", (webhooks.KIND,))]

    def webhook(self, key: str) -> Webhook | None:
        found = self._db.execute("SELECT body FROM row WHERE kind = ? AND id = ?", (webhooks.KIND, key))
        row = found.fetchone()
        if row is None:
            return None
        return msgspec.msgpack.decode(opened(self._vault, webhooks.KIND, key, row[0]), type=Webhook)

    def pending(self, key: str, after: int, limit: int) -> list[Item]:
        """What keeps the order, the oldest first."""
        found = self._db.execute(
            f"{_ITEM} AND d.{IS_PENDING} AND d.id > ? ORDER BY d.id LIMIT ?", (key, after, limit)
        )
        return [_item(*row) for row in found.fetchall()]

    def loose(self, key: str, before_us: int, limit: int) -> list[Item]:
        """Late ones and replays that are due, the longest due first."""
        found = self._db.execute(
            f"{_ITEM} AND d.{IS_LOOSE} AND d.due_us <= ? ORDER BY d.due_us LIMIT ?", (key, before_us, limit)
        )
        return [_item(*row) for row in found.fetchall()]

    def next_loose_us(self, key: str) -> int | None:
        """When the next of them is due."""
        found = self._db.execute(
            f"SELECT min(due_us) FROM delivery WHERE webhook = ? AND {IS_LOOSE}", (key,)
        ).fetchone()[0]
        return None if found is None else int(found)

    def body(self, delivery: int) -> tuple[str, bytes] | None:
        """Payload style and bytes; None: its time is over and it has been deleted."""
        found = self._db.execute("SELECT style, body FROM delivery WHERE id = ?", (delivery,))
        row: tuple[str, bytes] | None = found.fetchone()
        return row


def _item(
    id: int,
    room_id: str | None,
    session_uuid: str | None,
    at_us: int,
    state: int,
    tries: int,
    attempts: int,
    due_us: int,
) -> Item:
    lanes = lanes_of(room_id, session_uuid)
    if attempts == 0 and state == PENDING:
        due_us = 0  # at once, whatever the clock said when it happened
    return Item(id, lanes, at_us, state=state, tries=tries, attempts=attempts, due_us=due_us)
