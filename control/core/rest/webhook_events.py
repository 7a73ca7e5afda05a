"""Every event that webhooks may get, by its name."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

from roomtone.control.core.api import EventData, EventsDropped
from roomtone.control.core.calls import events as calls
from roomtone.control.core.rooms import events as rooms
from roomtone.control.core.rooms import play_events as plays


def _events(module: ModuleType) -> dict[str, type[EventData]]:
    return {
        kind.NAME: kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, EventData) and kind.NAME
    }


class WebhookTest(EventData):
    """Somebody tries an endpoint out."""

    NAME: ClassVar[str] = "webhook.test"
    endpoint_id: str


EVENTS: dict[str, type[EventData]] = {
    **_events(rooms),
    **_events(plays),
    **_events(calls),
    EventsDropped.NAME: EventsDropped,
    WebhookTest.NAME: WebhookTest,
}
