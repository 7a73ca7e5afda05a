"""Events of rooms (the contract's section 1.6): documented keys, in their order."""

from __future__ import annotations

from typing import ClassVar

from roomtone.control.core.api import EventData


class Created(EventData):
    NAME: ClassVar[str] = "conference.created"
    app_id: str
    room_id: str
    name: str


class Destroyed(EventData):
    NAME: ClassVar[str] = "conference.destroyed"
    app_id: str
    room_id: str
