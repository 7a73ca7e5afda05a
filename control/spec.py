"""The session protocol as a machine reads it: an AsyncAPI 3.0 document, made from the server's own tables.

Parameters, results and events are the Structs of core/api.py, methods those of core/requests.py.  Seen from
the server: it receives requests, replies to each, and sends events.  https://www.asyncapi.com
"""

from __future__ import annotations

from functools import cache

import msgspec
from msgspec import Struct

from roomtone.control import spec_audio
from roomtone.control.core import api, frame
from roomtone.control.core.problems import CODES
from roomtone.control.core.requests import METHODS, Method
from roomtone.control.core.rest import webhook_events
from roomtone.control.spec_schemas import Json, reference, schemas

CHANNEL = {"$ref": "#/channels/control"}
ERROR = "error"
EVENTS = "events"  # the operation of all events
# What a connection may be sent: its session's own events, and those of calls and rooms that concern it.
SENT: dict[str, type[api.EventData]] = {
    **api.EVENTS,
    **{name: event for name, event in webhook_events.EVENTS.items() if name not in api.EVENTS},
}

DESCRIPTION = """\
One WebSocket connection steers one session. Text frames, one JSON object each: requests of a connection are \
answered in order, one at a time; events come unasked. Unknown members are ignored."""


class Error(Struct):
    """code: one of a closed list, for a program.  message: a sentence for a person."""

    code: str
    message: str


def document(version: str) -> Json:
    """The whole document as plain JSON values."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "roomtone session protocol", "version": version, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:9100",
                "protocol": "ws",
                "description": "The default of `listen`; with `auth_token_file` a bearer token is needed.",
            }
        },
        "channels": {
            "control": {
                "address": "/",
                "description": "Any path but /audio/… is a control connection.",
                "messages": _messages(),
            },
            "audio": spec_audio.channel(),
        },
        "operations": {
            **{name: _operation(name) for name in METHODS},
            EVENTS: {
                "action": "send",
                "channel": CHANNEL,
                "messages": [_message(name) for name in SENT],
            },
            **spec_audio.operations(),
        },
        "components": {"schemas": _schemas()},
    }


@cache
def encoded(version: str) -> bytes:
    """The document as JSON text."""
    return msgspec.json.format(msgspec.json.encode(document(version)), indent=2) + b"\n"


# -- operations and messages -------------------------------------------------------------------------------


def _message(name: str) -> Json:
    return {"$ref": f"{CHANNEL['$ref']}/messages/{name}"}


def _operation(name: str) -> Json:
    return {
        "action": "receive",
        "channel": CHANNEL,
        "messages": [_message(name)],
        "reply": {"channel": CHANNEL, "messages": [_message(_result(name)), _message(ERROR)]},
    }


def _result(name: str) -> str:
    return f"{name}.result"


def _messages() -> Json:
    messages: Json = {}
    for name, method in METHODS.items():
        messages[name] = {"name": name, "correlationId": _SAME_ID, "payload": _request(name, method)}
        messages[_result(name)] = {
            "correlationId": _SAME_ID,
            "payload": _object(id=_ID, result=reference(method.result)),
        }
    messages[ERROR] = {
        "correlationId": _SAME_ID,
        "payload": _object(id={"type": "string"}, error=reference(Error)),
    }
    for name, event in SENT.items():
        payload = _object(event={"const": name}, data=reference(event))
        queue = "critical" if event.CRITICAL else "normal"
        messages[name] = {"name": name, "summary": f"waits in the {queue} queue", "payload": payload}
    return messages


_SAME_ID = {"location": "$message.payload#/id", "description": "A reply has its request's id."}
_ID: Json = {"type": "string", "minLength": 1, "maxLength": frame.MAX_REQUEST_ID_BYTES}


def _request(name: str, method: Method) -> Json:
    members = {"id": _ID, "method": {"const": name}}
    if any(field.required for field in msgspec.structs.fields(method.params)):
        return _object(**members, params=reference(method.params))
    payload = _object(**members)
    payload["properties"]["params"] = {"anyOf": [reference(method.params), {"type": "null"}]}
    return payload


def _object(**members: Json) -> Json:
    return {"type": "object", "required": list(members), "properties": members}


# -- schemas -------------------------------------------------------------------------------------------------


def _schemas() -> Json:
    kinds: list[type[Struct]] = [Error, *SENT.values()]
    for method in METHODS.values():
        kinds += [method.params, method.result]
    out = schemas(kinds)
    out["Error"]["properties"]["code"]["enum"] = sorted(CODES)
    return out
