"""Every module of control can be imported first: none imports itself by way of others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules() -> dict[str, Path]:
    """The files by the names of their modules."""
    names = {}
    for path in (ROOT / "control").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(("roomtone", *parts)).removesuffix(".__init__")] = path
    return names


def imported(body: list[ast.stmt]) -> Iterator[str]:
    """What is imported while a module is, each name of a package as if it were a module."""
    for statement in body:
        match statement:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
                yield module
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                yield from imported(otherwise)
            case ast.If(body=then, orelse=otherwise):
                yield from imported([*then, *otherwise])
            case ast.Try(body=tried, handlers=handlers):
                yield from imported([*tried, *(each for handler in handlers for each in handler.body)])


def test_no_module_of_control_imports_itself_by_way_of_others() -> None:
    files = modules()
    graph = {
        name: {other for other in imported(ast.parse(path.read_text()).body) if other in files}
        for name, path in files.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
