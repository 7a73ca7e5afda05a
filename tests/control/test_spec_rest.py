"""The OpenAPI document and the page made of it: complete, well formed, and changed only on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from roomtone.control.cli import main, version_number
from roomtone.control.core.rest.codes import CODES
from roomtone.control.core.rest.operations import OPERATIONS
from roomtone.control.core.rest.webhook_events import EVENTS
from roomtone.control.spec_page import page
from roomtone.control.spec_rest import document, encoded, lanes

DATA = Path(__file__).parents[1] / "data" / "openapi"
DOCUMENT = document(version_number())


def test_the_contract_is_the_one_on_record() -> None:
    """To change the contract on purpose: roomtone spec rest > tests/data/openapi/roomtone.json"""
    assert encoded(version_number()).decode() == (DATA / "roomtone.json").read_text()


def test_the_command_prints_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["spec", "rest"]) == 0
    assert capfdbinary.readouterr().out == encoded(version_number())


def test_it_is_an_openapi_document() -> None:
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    assert not OPENAPI_31_VALIDATOR.is_valid({**DOCUMENT, "paths": {"no-slash": 1}})


# -- references and schemas ----------------------------------------------------------------------------------


def found(reference: str) -> Any:
    """What a reference within the document leads to.  Raises KeyError."""
    value: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert found(reference)
    components = DOCUMENT["components"]
    there = {f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in components[kind]}
    assert there <= used


def test_schemas_are_json_schema_and_their_patterns_mean_the_same_in_javascript() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert not re.search(r"\\\\[AZz]", msgspec.json.encode(DOCUMENT).decode())


def test_requests_are_closed_and_events_are_open() -> None:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            if "requestBody" in operation:
                schema = found(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
                assert schema["additionalProperties"] is False
    for hook in DOCUMENT["webhooks"].values():
        schema = found(hook["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"])
        assert schema["additionalProperties"] is True


# -- operations and events -----------------------------------------------------------------------------------


def test_every_operation_and_every_event_is_there() -> None:
    told = {
        op["operationId"]
        for item in DOCUMENT["paths"].values()
        for op in item.values()
        if "operationId" in op
    }
    assert told == set(OPERATIONS)
    assert set(DOCUMENT["webhooks"]) == set(EVENTS)


def test_what_operations_emit_are_events() -> None:
    for name, operation in OPERATIONS.items():
        assert set(operation.emits) <= set(EVENTS), name
        assert operation.timing in ("immediate", "deferred", "event"), name


def test_an_event_names_itself_and_has_a_lane() -> None:
    for name, hook in DOCUMENT["webhooks"].items():
        schema = found(hook["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"])
        assert schema["properties"]["event"] == {"const": name}
        assert next(iter(schema["properties"])) == "event"
        assert {f"{lane}_sequence" for lane in lanes(EVENTS[name])} <= set(schema["properties"])


def test_every_code_stands_under_its_status_and_no_other() -> None:
    for code, (status, _) in CODES.items():
        where = [
            name
            for name, response in DOCUMENT["components"]["responses"].items()
            if f"`{code}`" in response["description"]
        ]
        assert len(where) == 1, code
        for content in found(f"#/components/responses/{where[0]}")["content"].values():
            assert code in content["schema"]["allOf"][1]["properties"]["code"]["enum"]
        assert 400 <= status < 600


# -- the page ------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name == "src" or (value or "").startswith("http") for name, value in attributes)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_everything_and_loads_nothing() -> None:
    tags = Tags()
    tags.feed(page(version_number()).decode())
    assert not tags.seen & {"script", "link", "img", "iframe"}
    for operation in OPERATIONS.values():
        assert operation.path in tags.text and operation.summary in tags.text
    for name in EVENTS:
        assert name in tags.text
