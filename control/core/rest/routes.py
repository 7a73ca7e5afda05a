"""Which operation a method and a path name."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from msgspec import Struct, field

from roomtone.control.core.rest.asked import Operation


class Found(Struct, frozen=True):
    """path: the values of the template's names, decoded."""

    operation: str
    path: dict[str, str]


class _Node(Struct, eq=False):
    """literal: what may stand next, word for word.  named: where anything may stand."""

    literal: dict[str, _Node] = field(default_factory=dict)
    named: _Node | None = None
    methods: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # operation and names


class Routes:
    """Built once from the table of operations.  A literal segment is tried before a named one."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._root = _Node()
        for name, operation in operations.items():
            self._add(name, operation)

    def _add(self, name: str, operation: Operation) -> None:
        node = self._root
        names: list[str] = []
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment.strip("{}"))
                node.named = node.named or _Node()
                node = node.named
            else:
                node = node.literal.setdefault(segment, _Node())
        if operation.method in node.methods:
            raise ValueError(f"{operation.method} {operation.path} is there twice")
        node.methods[operation.method] = name, tuple(names)

    def find(self, method: str, raw_path: str) -> Found | frozenset[str]:
        """The operation; else the methods that the path knows (none: there is no such path).

        raw_path: as it came, percent-encoded.
        """
        try:
            segments = [unquote(part, errors="strict") for part in raw_path.split("/")[1:]]
        except UnicodeDecodeError:
            return frozenset()
        known: set[str] = set()
        for node, values in _ends(self._root, segments, []):
            if method in node.methods:
                operation, names = node.methods[method]
                return Found(operation, dict(zip(names, values, strict=True)))
            known.update(node.methods)
        return frozenset(known)


def _ends(node: _Node, segments: list[str], values: list[str]) -> list[tuple[_Node, list[str]]]:
    """The nodes that the path leads to, the most literal first, with what stood at their names."""
    if not segments:
        return [(node, values)]
    first, rest = segments[0], segments[1:]
    found: list[tuple[_Node, list[str]]] = []
    if first in node.literal:
        found += _ends(node.literal[first], rest, values)
    if node.named is not None and first:
        found += _ends(node.named, rest, [*values, first])
    return found
