"""What becomes of a published event: numbers, an id, and the bytes for each webhook endpoint that wants it.

Theory of operation
-------------------
Events are numbered where they are written, inside the transaction: whoever sees a number finds it on disk,
and what is rolled back was never numbered.  There are three kinds of numbers:

    seq                 one counter a node; the order of everything, and the event's id
    lane numbers        one counter a room and one a session: `room_sequence`, `session_sequence`
    sequence            one counter a (webhook endpoint, lane): what an `events` filter leaves out leaves no
                        gap; `source_sequence` is the lane's own number

An event with a session counts in the session's lane, one without in the room's.  The bytes of a delivery are
made here, once; they are stored, signed and sent as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from roomtone.control.core.committing import Published
from roomtone.control.core.effects import Row
from roomtone.control.core.views import rfc3339
from roomtone.control.core.webhooks import Webhook

MAX_BODY_BYTES = 20_000
EXTRA_BYTES = 1_500  # of a body, at most, beside the documented keys
LANES_KEPT = 30_000  # in memory, those used last, some 5 MB; the others are looked up when they are needed
ORDINAL_BITS = 10  # of a delivery's id: which of the event's deliveries
MAX_DELIVERIES = 1 << ORDINAL_BITS  # of one event

_encode = msgspec.json.Encoder().encode


class Record(Struct, frozen=True, array_like=True):
    """An event as it is stored.  body: flat, without a `sequence`, which is a matter of who gets it."""

    seq: int
    at_us: int
    name: str
    app_id: str
    room_id: str | None
    room_sequence: int | None
    session_uuid: str | None
    session_sequence: int | None
    body: bytes


class Delivery(Struct, frozen=True, array_like=True):
    """What one webhook endpoint is to be sent.  Ids are in the order of events."""

    id: int
    webhook: str  # its key
    style: str
    body: bytes


class Lanes:
    """The last number given in each lane.  load: of a lane that is not in memory; 0: it is new."""

    def __init__(self, load: Callable[[str], int]) -> None:
        self._load = load
        self._last: dict[str, int] = {}
        self._changed: dict[str, int] = {}

    def next(self, lane: str) -> int:
        last = self._last.pop(lane, None)  # and back as the latest
        number = (self._load(lane) if last is None else last) + 1
        self._last[lane] = self._changed[lane] = number
        return number

    def changed(self) -> Iterable[tuple[str, int]]:
        """What has to be written with the events."""
        return self._changed.items()

    def committed(self) -> None:
        self._changed = {}
        for lane in list(islice(self._last, max(len(self._last) - LANES_KEPT, 0))):
            del self._last[lane]

    def rolled_back(self) -> None:
        self._last, self._changed = {}, {}


class Outbox:
    """node: the hash that public ids begin with.  last: the number of the last event."""

    def __init__(self, node: str, lanes: Lanes, last: int) -> None:
        self._node = node
        self._lanes = lanes
        self._last = last
        self._webhooks: dict[str, tuple[Webhook, ...]] = {}  # by app, in the order they were made
        self._before = (last, self._webhooks)  # the present transaction

    @property
    def last(self) -> int:
        return self._last

    def webhook(self, row: Row) -> None:
        """A row of kind `webhook`: from here on it holds."""
        app_id = row.id.partition("/")[0]
        known = {each.key: each for each in self._webhooks.get(app_id, ())}
        if row.body is None:
            known.pop(row.id, None)
        else:
            known[row.id] = msgspec.msgpack.decode(row.body, type=Webhook)
        self._webhooks = {**self._webhooks, app_id: tuple(known.values())}

    def record(self, event: Published) -> tuple[Record, list[Delivery]]:
        """Number it and make its bodies."""
        self._last += 1
        room = self._numbered("room", event.room_id)
        session = self._numbered("session", event.session_uuid)
        lane, source = session or room or ("", None)
        extra: dict[str, Any] = {"id": event_id(self._node, self._last), "timestamp": rfc3339(event.at_us)}
        if source is not None:
            extra["source_sequence"] = source
        if room is not None:
            extra["room_sequence"] = room[1]
        if session is not None:
            extra["session_sequence"] = session[1]
        extra |= {"app_id": event.app_id, "node": self._node}
        if event.request_id is not None:
            extra["request_id"] = event.request_id
        fields = fitted(msgspec.to_builtins(event.fields))
        record = Record(
            self._last,
            event.at_us,
            event.name,
            event.app_id,
            event.room_id,
            None if room is None else room[1],
            event.session_uuid,
            None if session is None else session[1],
            _encode({"event": event.name, **fields, **extra}),
        )
        made = []
        for ordinal, webhook in enumerate(self._wanting(event)):
            sequence = self._lanes.next(f"{webhook.key} {lane}") if lane else None
            body = STYLES[webhook.payload_style](event, fields, sequence, extra)
            delivery = (self._last << ORDINAL_BITS) + ordinal
            made.append(Delivery(delivery, webhook.key, webhook.payload_style, _encode(body)))
        return record, made

    def _wanting(self, event: Published) -> list[Webhook]:
        known = self._webhooks.get(event.app_id, ())
        if event.webhook is not None:
            return [each for each in known if each.key == event.webhook and each.url]
        able = (each for each in known if each.enabled and each.url and each.wants(event.name))
        return list(able)[:MAX_DELIVERIES]

    def _numbered(self, kind: str, id: str | None) -> tuple[str, int] | None:
        """The lane and the event's number in it; None: it is in no such lane."""
        if id is None:
            return None
        lane = f"{kind}:{id}"
        return lane, self._lanes.next(lane)

    def committed(self) -> None:
        self._lanes.committed()
        self._before = (self._last, self._webhooks)

    def rolled_back(self) -> None:
        """As if nothing since the last `committed` had been recorded."""
        self._lanes.rolled_back()
        self._last, self._webhooks = self._before


def event_id(node: str, seq: int) -> str:
    """What `webhook-id` says."""
    return f"evt_{node}_{seq:012x}"


def lanes_of(room_id: str | None, session_uuid: str | None) -> tuple[str, ...]:
    """The lanes in which an event keeps its order."""
    rooms = () if room_id is None else (f"room:{room_id}",)
    return rooms if session_uuid is None else (*rooms, f"session:{session_uuid}")


def fitted(fields: dict[str, Any]) -> dict[str, Any]:
    """With the longest lists cut so that a body stays within its bound; `<key>_truncated` says which."""
    size = len(_encode(fields))
    while size > MAX_BODY_BYTES - EXTRA_BYTES:
        lists = {key: value for key, value in fields.items() if isinstance(value, list) and value}
        if not lists:
            break
        longest = max(lists, key=lambda key: len(_encode(lists[key])))
        kept = lists[longest][: len(lists[longest]) // 2]
        fields = {**fields, longest: kept, f"{longest}_truncated": True}
        size = len(_encode(fields))
    return fields


def _ordered(sequence: int | None, extra: dict[str, Any]) -> dict[str, Any]:
    """The added keys, with `sequence` in its place."""
    if sequence is None:
        return extra
    first = {"id": extra["id"], "timestamp": extra["timestamp"], "sequence": sequence}
    return first | extra


def flat(
    event: Published, fields: dict[str, Any], sequence: int | None, extra: dict[str, Any]
) -> dict[str, Any]:
    """The documented keys, then ours."""
    return {"event": event.name, **fields, **_ordered(sequence, extra)}


def enveloped(
    event: Published, fields: dict[str, Any], sequence: int | None, extra: dict[str, Any]
) -> dict[str, Any]:
    """Documented keys below `data`; what it is about and the sequence beside it."""
    body: dict[str, Any] = {"event": event.name}
    if event.session_uuid is not None:
        body["session_uuid"] = event.session_uuid
    if event.room_id is not None:
        body["room_id"] = event.room_id
    if sequence is not None:
        body["sequence"] = sequence
    return {**body, "data": fields, **extra}


def standard(
    event: Published, fields: dict[str, Any], sequence: int | None, extra: dict[str, Any]
) -> dict[str, Any]:
    """As Standard Webhooks recommends."""
    data = {**fields, **_ordered(sequence, extra)}
    return {"type": event.name, "timestamp": extra["timestamp"], "data": data}


def cloudevents(
    event: Published, fields: dict[str, Any], sequence: int | None, extra: dict[str, Any]
) -> dict[str, Any]:
    """CloudEvents 1.0, structured mode; `sequence` by its extension of that name, a text."""
    body = {
        "specversion": "1.0",
        "id": extra["id"],
        "source": f"/nodes/{extra['node']}",
        "type": event.name,
        "time": extra["timestamp"],
        "datacontenttype": "application/json",
    }
    subject = event.session_uuid or event.room_id
    if subject is not None:
        body["subject"] = subject
    if sequence is not None:
        body["sequence"] = str(sequence)
    return {**body, "data": {**fields, **_ordered(sequence, extra)}}


STYLES: dict[str, Callable[[Published, dict[str, Any], int | None, dict[str, Any]], dict[str, Any]]] = {
    "flat": flat,
    "enveloped": enveloped,
    "standard": standard,
    "cloudevents": cloudevents,
}
