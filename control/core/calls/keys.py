"""Keys that peers press: told, and taken by whoever waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core.calls import collecting, events, telling
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import KeyPressed

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


def pressed(core: Core, session: Session, endpoint: Endpoint, key: KeyPressed) -> None:
    """Its WebSocket has been told."""
    event = events.Dtmf(
        telling.uuid(core, session),
        key.digit,
        key.duration_ms,
        endpoint.id,
        endpoint.sensitive,
        key.source,
    )
    telling.tell(core, session, event, known=True)
    collecting.pressed(core, session, key.digit)
