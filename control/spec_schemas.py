"""JSON schemas of Structs, for both documents: one name for each, whoever asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from roomtone.control.core.api import EventData

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"


def named(kind: type[Struct]) -> str:
    """`ConferencePlayStarted` of the event conference.play.started; else the class's own name."""
    if issubclass(kind, EventData) and "." in kind.__module__ and not kind.__module__.endswith(".api"):
        return "".join(part.capitalize() for part in re.split(r"[._]", kind.NAME))
    return kind.__name__


def reference(kind: type[Struct]) -> Json:
    return {"$ref": SCHEMAS + named(kind)}


def schemas(kinds: Iterable[type[Struct]]) -> dict[str, Json]:
    """Of these and of all they hold, by name.  Raises ValueError when two have the same name."""
    wanted = list(dict.fromkeys(kinds))
    references, found = msgspec.json.schema_components(wanted, ref_template=SCHEMAS + "{name}")
    names = {
        given["$ref"].removeprefix(SCHEMAS): named(kind)
        for given, kind in zip(references, wanted, strict=True)
    }
    if len({*names.values()}) < len(names):
        raise ValueError(f"the same name twice among {sorted(names.values())}")
    renamed = {names.get(name, name): _renamed(schema, names) for name, schema in found.items()}
    for name, schema in renamed.items():
        schema["title"] = name
    return dict(sorted(renamed.items()))


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: SCHEMAS + names.get(inner.removeprefix(SCHEMAS), inner.removeprefix(SCHEMAS))
            if key == "$ref"
            else _renamed(inner, names)
            for key, inner in value.items()
        }
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value
