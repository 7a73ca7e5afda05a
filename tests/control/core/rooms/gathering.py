"""What tests of rooms have in common."""

from typing import Any

from desk import OFFER, Desk

from roomtone.engine import messages as ms

AT_ONCE = "[limits]\nconference_ms = 0\nconference_mute_ms = 0\n"
CALLER = "+15551234567"


def room_of(desk: Desk, name: str = "r", **wishes: Any) -> str:
    status, made = desk.rest("conference.create", {"name": name, **wishes})
    assert status == 201, made
    return str(made["room_id"])


def call(desk: Desk, caller_id: str = CALLER) -> str:
    """A call that is answered, and whose peer was heard."""
    status, made = desk.rest("session.create", {"sdp": OFFER, "caller_id": caller_id})
    assert status == 201, made
    command(desk, made["session_uuid"], "answer")
    who = {"session": made["session_uuid"][6:], "endpoint": made["endpoint_id"]}
    for worker in desk.workers.values():
        if who["endpoint"] in worker.endpoints:
            desk.event(worker.index, ms.PeerLearned(**who, remote_rtp_addr="192.0.2.7:4000"))
    return str(made["session_uuid"])


def command(desk: Desk, session: str, name: str, body: Any = None, **more: Any) -> str:
    """Accepted: its operation_id."""
    status, reply = desk.rest(f"command.{name}", body, session_uuid=session, **more)
    assert status == 202, reply
    return str(reply["operation_id"])


def join(desk: Desk, session: str, room: str, **wishes: Any) -> str:
    return command(desk, session, "conference/join", {"room_id": room, **wishes})


def result(desk: Desk, operation: str) -> tuple[bool, bool, str | None]:
    """Success, changed and error of an operation's one result."""
    told = [event for event in desk.told("command.result") if event["operation_id"] == operation]
    assert len(told) == 1, told
    return told[0]["success"], told[0]["changed"], told[0]["error"]


def of_room(desk: Desk, room: str) -> list[str]:
    """What was told of a room, in order, without its family name."""
    return [event.name.removeprefix("conference.") for event in desk.published if event.room_id == room]


def of_call(desk: Desk, session: str) -> list[str]:
    return [event.name for event in desk.published if event.session_uuid == session]


def members(desk: Desk, room: str) -> list[str]:
    return [member["session_uuid"] for member in desk.rest("conference.get", room_id=room)[1]["members"]]


def seats(desk: Desk, room: str) -> list[ms.Seat]:
    """How endpoints sit there, on all workers."""
    return [
        seat for worker in desk.workers.values() for where, seat in worker.seats.values() if where == room
    ]
