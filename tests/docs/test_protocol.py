"""The protocol documents are true: every example is run, every table is compared with the code."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contract import check_event, check_reply, is_good
from demo_parts.server import Server
from story import SHOWN_ONLY, Story, steps
from tables import ROOT, quoted, rows, section

from roomtone.control.core import api, downloads
from roomtone.control.core.problems import CODES
from roomtone.control.core.requests import METHODS
from roomtone.control.io import fetch

PROTOCOL = ROOT / "docs" / "protocol"
PAGES = {path.name: path.read_text() for path in sorted(PROTOCOL.glob("*.md"))}
SESSION = PAGES["session.md"]
FILES = PAGES["files.md"]
LIMIT_S = 120.0


def told(server: Server, document: str, known: dict[str, str]) -> Story:
    """Run a document's examples.  known: what some names stand for."""
    story = Story(server)
    for name in ("call.pcap", "leg.wav"):
        story.values.known[name.replace(".", "_")] = f"{server.keys['recording_dir']}/{name}"
    story.values.known |= known

    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await story.run(document)

    asyncio.run(limited())
    return story


@pytest.mark.real_time
@pytest.mark.parametrize("page", PAGES)
def test_every_example_holds(server: Server, known: dict[str, str], page: str) -> None:
    shown = [step.kind for step in steps(PAGES[page])]
    story = told(server, PAGES[page], known)
    assert story.requests >= shown.count("session")
    assert story.done == len([kind for kind in shown if kind not in SHOWN_ONLY])
    follows_the_contract(story.frames)
    assert "hunter2" not in server.log, "a secret of a URL or a header"


def follows_the_contract(frames: list[tuple[str, Any]]) -> None:
    """Every frame that went is one of the AsyncAPI document."""
    asked: dict[str, Any] = {}
    for direction, frame in frames:
        if direction == ">":
            asked[frame.get("id", "")] = frame
        elif "event" in frame:
            check_event(frame)
        else:
            request = asked.get(frame["id"], {})
            check_reply(frame, request.get("method", ""))
            assert "error" in frame or is_good(request)


def test_the_table_of_outcomes_of_downloads_is_the_codes() -> None:
    table = [quoted(row[0])[0] for row in rows(FILES.partition("### Why downloads fail")[2])]
    source = Path(fetch.__file__).read_text()
    in_fetch = set(re.findall(r'(?:Unfetched\(|return )"(\w+)", ', source))
    assert set(table) == in_fetch | {downloads.ARRIVED, downloads.LEFT, downloads.TIMEOUT}
    assert len(in_fetch) > 8


def test_the_runner_notices_a_wrong_example(server: Server) -> None:
    wrong = SESSION.replace('"state": "active", "created_at": "$created",\n', '"state": "asleep",\n', 1)
    assert wrong != SESSION
    with pytest.raises(AssertionError):
        told(server, wrong, {})


@pytest.mark.parametrize("page", PAGES)
def test_no_example_escapes_the_runner(page: str) -> None:
    kinds = {step.kind for step in steps(PAGES[page])}
    run = {"session", "events", "http", "webhook", "audio", "sdp", "answer", "action"}
    assert kinds <= run | set(SHOWN_ONLY)


def test_the_pages_use_every_method_or_an_alias_of_it() -> None:
    used = {name for page in PAGES.values() for name in re.findall(r'"method": "([a-z_.]+)"', page)}
    shown = {METHODS[name].handler for name in used & set(METHODS)}
    missing = [name for name, method in METHODS.items() if method.handler not in shown]
    assert missing == ["endpoint.rtp.create_offer"]  # create_offer without its `type`


def test_the_pages_show_every_event() -> None:
    shown = {name for page in PAGES.values() for name in re.findall(r'"event": "([a-z_.]+)"', page)}
    assert set(api.EVENTS) <= shown


def test_the_table_of_methods_is_the_codes() -> None:
    table = {quoted(row[0])[0]: (row[1], quoted(row[2])) for row in rows(section(SESSION, "All methods"))}
    assert list(table) and set(table) == set(METHODS)
    for name, (parameters, members) in table.items():
        assert dict(parameters_of(parameters)) == dict(declared(METHODS[name].params)), name
        assert members == [field.name for field in msgspec.structs.fields(METHODS[name].result)], name


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
