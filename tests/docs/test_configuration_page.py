"""docs/guide/configuration.md names every key with its default, and every key has an effect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
from tables import ROOT, quoted, rows

from roomtone.control.core import config

DOCUMENT = (ROOT / "docs" / "guide" / "configuration.md").read_text()

READ_BY_THE_CONFIGURATION_ITSELF = {"listen", "allow_plaintext_control", "allow_unauthenticated_control"}


def declared(struct: type[msgspec.Struct], prefix: str = "") -> dict[str, Any]:
    """Key -> default, tables as table.key."""
    out: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        kind = field.type
        if field.name == "tls":
            out |= declared(config.Tls, "tls.")
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            out |= declared(kind, f"{field.name}.")
        elif field.name != "warnings":
            out[prefix + field.name] = field.default
    return out


def written(default: Any) -> str:
    return "–" if default is None else f"`{msgspec.json.encode(default).decode().replace(',', ', ')}`"


def test_every_key_stands_in_a_table_with_its_default() -> None:
    told = {quoted(row[0])[0]: row[1] for row in rows(DOCUMENT)}
    assert told == {key: written(default) for key, default in declared(config.Config).items()}


def test_every_key_is_used_somewhere() -> None:
    all_keys = {key.rpartition(".")[2] for key in declared(config.Config)}
    sources = [*(ROOT / "control").rglob("*.py"), *(ROOT / "engine").rglob("*.py")]
    text = "".join(path.read_text() for path in sources if path.name != Path(config.__file__).name)
    used = all_keys & set(re.findall(r"\.(\w+)", text))
    assert all_keys - used - READ_BY_THE_CONFIGURATION_ITSELF == set()


def test_ignored_keys_are_all_named() -> None:
    assert set(quoted(DOCUMENT.partition("Ignored with a warning:")[2])) == config.WITHOUT_MEANING


def test_the_example_is_a_configuration() -> None:
    example = DOCUMENT.partition("```toml\n")[2].partition("```")[0]
    loaded = config.load(example)
    assert loaded.workers == 4
    assert loaded.warnings == ()
