"""The protocol documents are true: every example is run, every table is compared with the code."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from demo_parts.server import Server
from story import Story, steps
from tables import ROOT, quoted, rows, section

from roomtone.control.core import api
from roomtone.control.core.problems import CODES
from roomtone.control.core.requests import METHODS

PROTOCOL = ROOT / "docs" / "protocol"
SESSION = (PROTOCOL / "session.md").read_text()
LIMIT_S = 120.0


def told(server: Server, document: str) -> Story:
    """Run a document's examples."""
    story = Story(server)

    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await story.run(document)

    asyncio.run(limited())
    return story


def test_every_example_of_the_session_protocol_holds(server: Server) -> None:
    story = told(server, SESSION)
    shown = {step.argument for step in steps(SESSION) if step.kind == "action"}
    assert story.requests > 30
    assert len(shown) > 3


def test_every_example_of_http_holds(server: Server) -> None:
    document = (PROTOCOL / "http.md").read_text()
    assert sum(step.kind == "http" for step in steps(document)) >= 8
    told(server, document)


def test_the_runner_notices_a_wrong_example(server: Server) -> None:
    wrong = SESSION.replace('"state": "active", "created_at": "$created",\n', '"state": "asleep",\n', 1)
    assert wrong != SESSION
    with pytest.raises(AssertionError):
        told(server, wrong)


@pytest.mark.parametrize("path", sorted(PROTOCOL.glob("*.md")), ids=lambda path: path.name)
def test_no_example_escapes_the_runner(path: Path) -> None:
    kinds = {step.kind for step in steps(path.read_text())}
    assert kinds <= {"session", "http", "sdp", "answer", "action", "text"}


def test_the_story_uses_every_method_or_an_alias_of_it() -> None:
    used = set(re.findall(r'"method": "([a-z_.]+)"', SESSION))
    missing = [
        name
        for name, method in METHODS.items()
        if not any(name_ in used for name_, other in METHODS.items() if other.handler is method.handler)
    ]
    assert [name for name in missing if name != "endpoint.rtp.create_offer"] == []


def test_the_table_of_methods_is_the_codes(server: Server) -> None:
    table = {quoted(row[0])[0]: (row[1], quoted(row[2])) for row in rows(section(SESSION, "All methods"))}
    assert list(table) and set(table) == set(METHODS)
    for name, (parameters, _) in table.items():
        assert dict(parameters_of(parameters)) == dict(declared(METHODS[name].params)), name


def parameters_of(cell: str) -> list[tuple[str, str]]:
    """[("sdp", ""), ("direction", "sendrecv")] of the table's words."""
    found = re.findall(r"`(\w+)`(?: \(([^)]*)\))?", cell)
    return [(name, default.strip("`").strip('"')) for name, default in found if name]


def declared(params: type[msgspec.Struct]) -> list[tuple[str, str]]:
    out = []
    for field in msgspec.structs.fields(params):
        default = "" if field.default is msgspec.NODEFAULT else as_json(field.default)
        out.append((field.name, default))
    return out


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode().strip('"')


def test_the_table_of_events_is_the_codes() -> None:
    table = {quoted(row[0])[0]: (row[1], quoted(row[2])) for row in rows(section(SESSION, "All events"))}
    assert set(table) == set(api.EVENTS)
    for name, (queue, members) in table.items():
        event = api.EVENTS[name]
        assert queue == ("critical" if event.CRITICAL else "normal"), name
        assert members == [field.name for field in msgspec.structs.fields(event)], name


def test_the_table_of_errors_is_the_codes() -> None:
    text = section(SESSION, "All error codes")
    sent = [quoted(row[0])[0] for row in rows(text)]
    reserved = quoted(text.partition("Reserved")[2])
    assert len(sent) == len(set(sent))
    assert set(sent) | set(reserved) == CODES
    assert not set(sent) & set(reserved)


def test_reserved_codes_are_nowhere_raised() -> None:
    reserved = quoted(section(SESSION, "All error codes").partition("Reserved")[2])
    core = Path(api.__file__).parent
    text = "".join(path.read_text() for path in core.glob("*.py") if path.name != "problems.py")
    assert [code for code in reserved if code in text] == []
