"""docs/protocol/calls.md: its tables are those of the code."""

from __future__ import annotations

import re

import msgspec
from tables import ROOT, quoted, rows, section

from roomtone.control.core.calls import endings
from roomtone.control.core.calls.collecting import GetDigits
from roomtone.control.core.calls.commands import PREFIX
from roomtone.control.core.calls.operations import OPERATIONS, CreateSession

PAGE = (ROOT / "docs" / "protocol" / "calls.md").read_text()


def members(kind: type[msgspec.Struct] | None) -> list[str]:
    fields = msgspec.structs.fields(kind) if kind is not None else ()
    return [field.name for field in fields if field.name != "command_uid"]


def test_every_command_stands_there_with_its_body_group_and_events() -> None:
    told = {
        name.strip("`"): (quoted(body), group, quoted(events))
        for name, body, group, events in rows(section(PAGE, "Commands"))
    }
    known = {
        name.removeprefix(PREFIX): (
            members(operation.body),
            operation.group or "",
            [event for event in operation.emits if event != "command.result"],
        )
        for name, operation in OPERATIONS.items()
        if name.startswith(PREFIX)
    }
    assert told == known


def test_every_member_of_a_new_call_stands_there() -> None:
    told = [name for row in rows(section(PAGE, "A call comes in")) for name in quoted(row[0])]
    assert sorted(told) == sorted(members(CreateSession))


def test_every_member_of_a_collection_stands_there_with_its_default() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in rows(section(PAGE, "Digits"))}
    assert list(told) == members(GetDigits)
    defaults = {field.name: field.default for field in msgspec.structs.fields(GetDigits)}
    for name in ("min_digits", "max_digits", "terminators", "timeout_ms", "inter_digit_timeout_ms", "tries"):
        assert told[name] == str(defaults[name])


def test_every_end_of_a_call_stands_there() -> None:
    told = {name for row in rows(section(PAGE, "The end")) for name in quoted(row[0])}
    causes = {how.cause for how in (*endings.ENDINGS.values(), endings.RESTART)}
    assert told == causes | {"rtcp_bye", "media_timeout"}
    text = " ".join(section(PAGE, "The end").split())
    coarse = re.search(r"`hangup_cause` is coarse: (.*?);", text)
    assert coarse
    used = {how.hangup_cause for how in endings.ENDINGS.values()} | set(endings.HANGUP_CAUSES.values())
    assert set(quoted(coarse[1])) == used
