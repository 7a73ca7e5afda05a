"""What comes unasked: the server's events as their Structs, and what the client has to tell itself."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import msgspec

from roomtone.control.core import api


class Event(msgspec.Struct, frozen=True):
    """An event by name, its data as JSON has it; what an event this client does not know comes as."""

    name: str
    data: dict[str, Any]


class Disconnected(api.EventData):
    """The connection is lost and the client connects again; until then requests wait."""

    NAME: ClassVar[str] = "client.disconnected"
    reason: str


class Reconnected(api.EventData):
    """Connected again.  The events kept for the session follow.

    session_id: the session that is attached again; None: there was none, or it has ended meanwhile.
    lost_session_id: the one that has ended meanwhile.  Events the server had sent before the cut may be lost:
    `session_info` tells the present truth.
    """

    NAME: ClassVar[str] = "client.reconnected"
    session_id: str | None
    lost_session_id: str | None


_DECODERS = {name: msgspec.json.Decoder(event).decode for name, event in api.EVENTS.items()}
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode

Waiting = tuple[str, msgspec.Raw] | api.EventData


def typed(item: Waiting) -> api.EventData | Event:
    """As its Struct; one that this client does not know, or knows otherwise, as `Event`."""
    if isinstance(item, api.EventData):
        return item
    name, data = item
    decode = _DECODERS.get(name)
    if decode is not None:
        try:
            event: api.EventData = decode(data)
        except msgspec.ValidationError:
            return Event(name, _decode_any(data))
        return event
    return Event(name, _decode_any(data))


def plain(item: Waiting) -> Event:
    """By name and data."""
    if isinstance(item, api.EventData):
        return Event(item.NAME, msgspec.to_builtins(item))
    name, data = item
    return Event(name, _decode_any(data))


class Inbox:
    """Events nobody has taken yet, at most `size`; of further ones only the number, in their place."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[Waiting] = deque()

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: Waiting) -> None:
        if len(self._items) < self._size:
            self._items.append(item)
            return
        last = self._items[-1]
        if isinstance(last, api.EventsDropped):
            last.count += 1
        else:
            self._items.append(api.EventsDropped(count=1))

    def take(self) -> Waiting:
        return self._items.popleft()
