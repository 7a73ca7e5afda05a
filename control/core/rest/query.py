"""Parameters of the query: what each name may be, and pages of long lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from roomtone.control.core.rest import store_questions
from roomtone.control.core.rest.asked import Asked, Operation
from roomtone.control.core.rest.body import OWN_PREFIX
from roomtone.control.core.rest.refusal import Fault, Refusal

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
PAGE = ("limit", "cursor", "offset")  # of every list
TIMES = ("created_after",)  # told by their date alone; a number is none

PARAMETERS: dict[str, Any] = {
    "limit": Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="entries of a page; 50 when left out")],
    "cursor": Annotated[str, Meta(max_length=256, description="`next_cursor` of the page before")],
    "offset": Annotated[int, Meta(ge=0, le=2**31, description="entries to leave out")],
    "name": Annotated[str, Meta(max_length=64, description="exactly this name")],
    "playback_status": Literal["stopped", "playing", "paused"],
    "created_after": Annotated[datetime, Meta(tz=True, description="made later than that, RFC 3339")],
    "status": store_questions.Status,
    "event": Annotated[str, Meta(max_length=128, description="the event's name")],
    "room_id": Annotated[str, Meta(max_length=128)],
    "session_uuid": Annotated[str, Meta(max_length=128)],
    "endpoint_id": Annotated[str, Meta(max_length=128)],
    "after": Annotated[int, Meta(ge=0, le=2**62, description="the last `source_sequence` that is known")],
    "force": Annotated[bool, Meta(description="end what it has")],
    "hangup": Annotated[bool, Meta(description="hang up the members' calls")],
}


class Page(Struct):
    """next_cursor: of the next page; None: this is the last."""

    items: list[Any]
    next_cursor: str | None


T = TypeVar("T")


def check(operation: Operation, given: dict[str, str]) -> dict[str, str]:
    """The parameters that the operation knows, without the client's own.  Raises `Refusal`."""
    query = {name: text for name, text in given.items() if not name.startswith(OWN_PREFIX)}
    faults = []
    for name, text in query.items():
        if name not in operation.query:
            faults.append(Fault(f"/{name}", "Unknown parameter"))
            continue
        try:
            _converted(name, text)
        except msgspec.ValidationError as error:
            faults.append(Fault(f"/{name}", str(error)))
    if faults:
        raise Refusal(
            400, "validation_error", f"{faults[0].pointer[1:]}: {faults[0].detail}", faults=tuple(faults)
        )
    return query


def value(asked: Asked, name: str, default: Any = None) -> Any:
    """A parameter as what it is: a number, a time, true or false."""
    text = asked.query.get(name)
    return default if text is None else _converted(name, text)


def _converted(name: str, text: str) -> Any:
    """Raises `msgspec.ValidationError`."""
    return msgspec.convert(text, PARAMETERS[name], strict=name in TIMES)


def page(
    asked: Asked, entries: Iterable[T], key: Callable[[T], tuple[int, str]]
) -> tuple[list[T], str | None]:
    """Of entries in any order, those of one page in the order of their keys, and the next page's cursor.

    key: unique, such as (time of making, id): a cursor stays right whatever comes and goes meanwhile.
    """
    ordered = sorted(entries, key=key)
    if (cursor := asked.query.get("cursor")) is not None:
        after = _decoded(cursor)
        ordered = [entry for entry in ordered if key(entry) > after]
    ordered = ordered[value(asked, "offset", 0) :]
    limit = value(asked, "limit", DEFAULT_LIMIT)
    found = ordered[:limit]
    return found, _encoded(key(found[-1])) if len(ordered) > limit else None


def _encoded(key: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[int, str]:
    """Raises `Refusal`."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(text, type=tuple[int, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Refusal(400, "validation_error", "cursor: not one of ours") from None
