"""The AsyncAPI document: complete, well formed, and changed only on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, ValidationError

from roomtone.control.cli import main, version_number
from roomtone.control.core.problems import CODES
from roomtone.control.core.requests import METHODS
from roomtone.control.spec import SENT, document, encoded

DATA = Path(__file__).parents[1] / "data" / "asyncapi"
DOCUMENT = document(version_number())


def test_the_contract_is_the_one_on_record() -> None:
    """To change the contract on purpose: roomtone spec > tests/data/asyncapi/roomtone.json"""
    assert encoded(version_number()).decode() == (DATA / "roomtone.json").read_text()


def test_the_command_prints_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["spec"]) == 0
    assert capfdbinary.readouterr().out == encoded(version_number())


# -- AsyncAPI 3.0 ------------------------------------------------------------------------------------------


def found(reference: str) -> Any:
    """What a reference within the document leads to.  Raises KeyError."""
    assert reference.startswith("#/")
    value: Any = DOCUMENT
    for part in reference[2:].split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                assert len(value) == 1  # nothing may stand beside a reference
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert found(reference)
    assert {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]} <= used


def test_it_is_an_asyncapi_document() -> None:
    schema = msgspec.json.decode((DATA / "asyncapi-3.0.0.schema.json").read_bytes())
    Draft7Validator(schema).validate(DOCUMENT)
    with pytest.raises(ValidationError):
        Draft7Validator(schema).validate({**DOCUMENT, "operations": {"fly": {"action": "fly"}}})


def test_operations_use_messages_of_their_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        for part in (operation, operation.get("reply", operation)):
            channel = part["channel"]["$ref"]
            assert part["messages"]
            assert all(message["$ref"].startswith(f"{channel}/messages/") for message in part["messages"])


def test_every_method_and_event_is_an_operation() -> None:
    operations = DOCUMENT["operations"]
    assert set(operations) == {*METHODS, "events", "audio.say", "audio.hear"}
    for name in METHODS:
        assert [message["$ref"].rpartition("/")[2] for message in operations[name]["reply"]["messages"]] == [
            f"{name}.result",
            "error",
        ]
    assert [message["$ref"].rpartition("/")[2] for message in operations["events"]["messages"]] == [*SENT]


def test_schemas_are_json_schema_and_their_patterns_mean_the_same_in_javascript() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    assert not re.search(r"\\\\[AZz]", msgspec.json.encode(DOCUMENT).decode())


def test_the_error_codes_are_listed() -> None:
    assert set(DOCUMENT["components"]["schemas"]["Error"]["properties"]["code"]["enum"]) == CODES
