"""docs/protocol/conference.md: what it says of playback is what the code takes and tells."""

from __future__ import annotations

import msgspec
from tables import ROOT, rows, section

from roomtone.control.core.rooms.play_events import EVENTS
from roomtone.control.core.rooms.play_requests import PlayBody

PAGE = (ROOT / "docs" / "protocol" / "conference.md").read_text()
PLAYBACK = section(PAGE, "Playback")


def test_every_member_of_a_play_stands_there_with_its_default() -> None:
    table = PLAYBACK.partition("### ")[0]
    told = {row[0].strip("`"): row[2].strip("`") for row in rows(table)}
    fields = {field.name: field for field in msgspec.structs.fields(PlayBody) if field.name != "command_uid"}
    assert set(told) == set(fields)
    for name, field in fields.items():
        default = "required" if field.required else str(field.default).lower()
        assert told[name] == default, name


def test_every_event_of_playback_is_shown_or_named() -> None:
    for name in EVENTS:
        assert f"`{name}`" in PLAYBACK or f"conference.play.{name}" in PLAYBACK, name
