"""Frames of the session protocol against the published contract."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft7Validator

from roomtone.control.core.requests import METHODS
from roomtone.control.spec import SENT, document


@cache
def validator(message: str, channel: str = "control") -> Draft7Validator:
    """Of a message of a channel, by its name there."""
    whole = document("0")
    payload = whole["channels"][channel]["messages"][message]["payload"]
    return Draft7Validator({**payload, "components": whole["components"]})


def check_reply(frame: dict[str, Any], method: str) -> None:
    """Raises ValidationError."""
    validator("error" if "error" in frame else f"{method}.result").validate(frame)


def check_event(frame: dict[str, Any]) -> None:
    """Raises ValidationError."""
    assert frame["event"] in SENT
    validator(frame["event"]).validate(frame)


def is_good(frame: dict[str, Any]) -> bool:
    """Whether a request is one that the contract allows."""
    return frame.get("method") in METHODS and validator(frame["method"]).is_valid(frame)


def check_audio_text(frame: dict[str, Any], from_bot: bool) -> None:
    """A text frame of an audio WebSocket.  Raises ValidationError."""
    name = (
        {"mark": "mark", "flush": "flush", "clear": "flush"}
        if from_bot
        else {"mark": "marked", "flushed": "flushed"}
    )
    validator(name[frame["event"]], "audio").validate(frame)
