"""What tests of calls have in common."""

from typing import Any

from desk import OFFER, Desk


def made(desk: Desk, **body: Any) -> str:
    """A call from an offer over REST: its session_uuid."""
    status, reply = desk.rest("session.create", {"sdp": OFFER, "caller_id": "+15551234567", **body})
    assert status == 201, reply
    return str(reply["session_uuid"])


def command(desk: Desk, call: str, name: str, body: Any = None, **more: Any) -> tuple[int, Any]:
    return desk.rest(f"command.{name}", body, session_uuid=call, **more)


def names(desk: Desk, call: str) -> list[str]:
    """The names of what was told of a call, in order."""
    return [event.name for event in desk.published if event.session_uuid == call]
