"""A request's body and query: decoded, and everything that is wrong with them told at once.

Unknown members are refused, so that a mistyped one is not silently without effect; those that begin with `x_`
are the client's own and looked at by nobody.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from roomtone.control.core.rest.refusal import Fault, Refusal, refuse

OWN_PREFIX = "x_"
MAX_DEPTH = 64  # of a member: what is taken will be written down and shown again
COMMAND_UID = re.compile(r"[a-zA-Z0-9._-]{1,128}")
_PLACE = re.compile(r"^(?P<what>.*) - at `(?:key in )?\$(?P<path>.*)`$", re.S)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class JustUid(Struct):
    """The body of an operation that takes none."""

    command_uid: str | None = None


def decode(text: bytes) -> dict[str, Any]:
    """The body as it came, without the client's own members.  Raises `Refusal`."""
    try:
        given = msgspec.json.decode(text or b"{}")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise refuse("invalid_body") from None
    if not isinstance(given, dict):
        raise refuse("invalid_body")
    return {key: value for key, value in given.items() if not key.startswith(OWN_PREFIX)}


def convert(given: dict[str, Any], kind: type[Struct] | None) -> Any:
    """As that Struct.  Raises `Refusal` with every fault, or the code that a member has of its own."""
    kind = kind or JustUid
    known = _members(kind)
    uid = given.get("command_uid")
    if uid is not None and not (isinstance(uid, str) and COMMAND_UID.fullmatch(uid)):
        raise refuse("invalid_command_uid")
    if "urls" in known and known["urls"].required and "urls" not in given:
        raise refuse("urls_required")
    faults = [Fault(f"/{_escaped(key)}", "Unknown member") for key in given if key not in known]
    for name, member in known.items():
        if name in given:
            faults += _faults(f"/{name}", given[name], member.type)
        elif member.required:
            faults.append(Fault(f"/{name}", "Required"))
    if faults:
        raise _refusal(faults)
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _refusal([_fault("", error)]) from None


def _refusal(faults: list[Fault]) -> Refusal:
    first = faults[0]
    text = f"{first.pointer}: {first.detail}" if first.pointer else first.detail
    return Refusal(400, "validation_error", text, faults=tuple(faults))


def _faults(pointer: str, value: Any, kind: Any) -> list[Fault]:
    if _depth(value) > MAX_DEPTH:
        return [Fault(pointer, f"Expected at most {MAX_DEPTH} levels")]
    try:
        msgspec.convert(value, kind)
        msgspec.msgpack.encode(value)  # as it will be written down
    except msgspec.ValidationError as error:
        return [_fault(pointer, error)]
    except OverflowError:
        return [Fault(pointer, "Expected numbers within 64 bits")]
    return []


def _depth(value: Any) -> int:
    """How many objects and arrays are within each other."""
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        held = (each.values() if isinstance(each, dict) else each for each in level)
        level = [inner for values in held for inner in values]
    return depth


def _fault(pointer: str, error: msgspec.ValidationError) -> Fault:
    text = str(error)
    place = _PLACE.match(text)
    if place is None:
        return Fault(pointer, text)
    steps = [name or index for name, index in _STEP.findall(place["path"])]
    return Fault("/".join([pointer, *map(_escaped, steps)]), place["what"])


def _escaped(name: str) -> str:
    """RFC 6901 section 3."""
    return name.replace("~", "~0").replace("/", "~1")


@cache
def _members(kind: type[Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {member.encode_name: member for member in msgspec.structs.fields(kind)}
