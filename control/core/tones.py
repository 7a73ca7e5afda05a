"""Tones as sources of sessions."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from roomtone.control.core import api, notes, placing
from roomtone.control.core.run import Answer, Ask
from roomtone.control.core.session import Endpoint, EndpointFact, Session
from roomtone.engine.messages import CreateTone, Done

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

SINE_HZ = 440.0  # the tone `sine` when no frequency is named


def make(
    core: Core,
    session: Session,
    tone: api.Tone,
    frequency_hz: float | None = None,
    duration_ms: int | None = None,
) -> Generator[list[Ask], list[Answer], Endpoint]:
    """A tone that plays.  Raises `Problem`."""
    placing.check_room(core, session)
    endpoint = Endpoint(id=core.next_id(), kind="tone", worker=-1, policy="sendonly")

    def body() -> CreateTone:
        return CreateTone(
            session=session.id,
            endpoint=endpoint.id,
            phase=session.phase,
            tone=tone,
            frequency_hz=SINE_HZ if frequency_hz is None else frequency_hz,
            duration_ms=duration_ms,
            note=notes.note(core, session, endpoint),
        )

    yield from placing.create(core, session, endpoint, body, Done)
    endpoint.happened(EndpointFact.TONE_STARTED)
    return endpoint
