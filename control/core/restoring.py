"""What the store held, back into memory: each kind of row has its reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from roomtone.control.core import recordings, webhooks
from roomtone.control.core.calls import remembering
from roomtone.control.core.effects import Restored
from roomtone.control.core.rest import apps, remembered
from roomtone.control.core.rooms import play_model, play_restore, sweeping

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

# Readers by the kind of row, in the order in which they have to be read: (core, id, body).
READERS: dict[str, Callable[[Core, str, bytes], None]] = {
    apps.KIND: apps.read,
    webhooks.KIND: webhooks.read,
    remembering.KIND: remembering.read,
    sweeping.ROOM: sweeping.read_room,
    sweeping.MEMBER: sweeping.read_member,
    remembered.KIND: remembered.read,
    play_model.KIND: play_restore.read,
}
# What is done, in this order, when every worker has said what it held before this process began.
SWEEPERS: list[Callable[[Core], None]] = [
    recordings.claim,
    remembering.go_on,
    remembering.sweep,
    sweeping.sweep,
]


def restore(core: Core, given: Restored) -> None:
    """The first input of a process that begins with a store."""
    for kind, reader in READERS.items():
        for row in given.rows:
            if row.kind == kind and row.body is not None:
                reader(core, row.id, row.body)
    if not core.unheard:
        sweep(core)


def sweep(core: Core) -> None:
    """What the store names and no worker holds has ended."""
    for sweeper in SWEEPERS:
        sweeper(core)
