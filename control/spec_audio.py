"""The audio WebSocket's part of the AsyncAPI document: docs/protocol/audio.md for machines."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

CHANNEL = {"$ref": "#/channels/audio"}
MARK_BYTES = 1024

_NAME: Json = {"type": "string", "maxLength": MARK_BYTES}


def _said(event: Json, **members: Json) -> Json:
    properties = {"event": event, **members}
    return {"payload": {"type": "object", "required": list(properties), "properties": properties}}


# Message -> what it is.  Text frames, but for the audio itself.
MESSAGES: Json = {
    "pcm": {
        "summary": "Binary frames of any length both ways: s16le, mono, at the endpoint's sample_rate.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    },
    "mark": _said({"const": "mark"}, name=_NAME),
    "flush": _said({"enum": ["flush", "clear"]}),
    "marked": _said({"const": "mark"}, name=_NAME, played={"type": "boolean"}),
    "flushed": _said({"const": "flushed"}, discarded_ms={"type": "integer", "minimum": 0}),
}
FROM_BOT = ("pcm", "mark", "flush")
TO_BOT = ("pcm", "marked", "flushed")


def channel() -> Json:
    return {
        "address": "/audio/{connect_token}",
        "description": "Raw audio of an endpoint made with endpoint.create_websocket.",
        "parameters": {
            "connect_token": {"description": "As the method answered it; good once and for 30 s."}
        },
        "messages": MESSAGES,
    }


def operations() -> Json:
    return {
        "audio.say": {"action": "receive", "channel": CHANNEL, "messages": _of(FROM_BOT)},
        "audio.hear": {"action": "send", "channel": CHANNEL, "messages": _of(TO_BOT)},
    }


def _of(names: tuple[str, ...]) -> list[Json]:
    return [{"$ref": f"{CHANNEL['$ref']}/messages/{name}"} for name in names]
