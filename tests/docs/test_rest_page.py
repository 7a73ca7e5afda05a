"""docs/protocol/rest.md: its tables are the code's.  Its examples are run by test_protocol.py."""

from __future__ import annotations

import re

from tables import ROOT, quoted, rows, section

from roomtone.control.core.config import Limits
from roomtone.control.core.rest import apps, deliveries, endpoints
from roomtone.control.core.rest.codes import CODES
from roomtone.control.core.rest.cooldown import GROUPS
from roomtone.control.core.rest.operations import OPERATIONS

PAGE = (ROOT / "docs" / "protocol" / "rest.md").read_text()


def test_the_table_of_codes_is_the_codes() -> None:
    told = {quoted(code)[0]: (int(status), means) for code, status, means in rows(section(PAGE, "Errors"))}
    assert told == {code: (known.status, known.title) for code, known in CODES.items()}


def test_the_table_of_groups_is_the_codes() -> None:
    grouped = {
        (operation.path.partition("/commands/")[2] or operation.path.rpartition("/")[2], operation.group)
        for operation in OPERATIONS.values()
        if operation.group is not None
    }
    found = rows(section(PAGE, "Limits"))
    assert {quoted(row[0])[0]: (row[1], int(row[2])) for row in found} == {
        name: (group.scope, group.wait_ms(Limits())) for name, group in GROUPS.items()
    }
    assert {(command, quoted(row[0])[0]) for row in found for command in quoted(row[3])} == grouped


def test_every_route_of_webhooks_is_told() -> None:
    text = section(PAGE, "Webhook endpoints")
    for operation in {**endpoints.OPERATIONS, **deliveries.OPERATIONS}.values():
        tail = re.sub(r"\{\w+\}", "{id}", operation.path).removeprefix("/api/v1/webhooks/endpoints")
        assert tail.removeprefix("/{id}") in text, operation.path


def test_every_member_of_an_app_is_told() -> None:
    text = section(PAGE, "Apps and keys")
    for name in {*apps.PutApp.__struct_fields__} - {"command_uid", "rate_limit_window"}:
        assert f"`{name}`" in text, name
