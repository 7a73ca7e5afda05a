"""Who may know whom in ext: base <- wire, codec, dsp, event, file <- flow; inside flow no circle."""

import re
from pathlib import Path

import pytest

EXT = Path(__file__).parents[3] / "ext"
FACE = {"media", "edit_writer", "media_memory"}  # the Python face, one class in three parts
STRUCTS = {"graph", "endpoint", "counters", "handover", "playback", "constants", "tap_state"}
BELOW = {
    "base": set(),
    "wire": {"base"},
    "codec": {"base"},
    "dsp": {"base"},
    "event": {"base"},
    "file": {"base"},
    "record": {"base", "wire", "codec", "dsp"},
    "flow": {"base", "wire", "codec", "dsp", "event", "record"},
}
CIMPORT = re.compile(
    r"^\s*from\s+(roomtone\.ext\.\S+)\s+cimport|^\s*cimport\s+(roomtone\.ext\.\S+)", re.MULTILINE
)
SOURCES = sorted(p for p in EXT.rglob("*.p[yx][xd]") if p.suffix in (".pyx", ".pxd"))


def cimports(path):
    return {a or b for a, b in CIMPORT.findall(path.read_text())}


def edges(path):
    """(layer, file) of everything a file cimports."""
    return {tuple(name.split(".")[2:4]) for name in cimports(path)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(EXT).as_posix())
def test_a_file_sees_its_own_layer_and_those_below(path):
    layer = path.relative_to(EXT).parts[0]
    assert {below for below, _ in edges(path)} <= BELOW[layer] | {layer}


def test_the_layers_are_all_there():
    assert {path.relative_to(EXT).parts[0] for path in SOURCES} == set(BELOW)


def circles(graph):
    """Names that can be reached from themselves."""
    found = []
    for start in graph:
        seen, waiting = set(), list(graph[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += graph.get(name, ())
        if start in seen:
            found.append(start)
    return sorted(found)


def contracts():
    """Contract files and what they cimport: what any file that reads them depends on."""
    return {
        path.stem: {name for layer, name in edges(path) if layer == "flow"} - {path.stem}
        for path in (EXT / "flow").glob("*.pxd")
    }


def test_the_contracts_of_flow_know_nothing_but_the_hot_structs_and_the_kernel():
    hot = {name: seen for name, seen in contracts().items() if name not in FACE}
    assert set().union(*hot.values()) <= STRUCTS | {"_socket"}
    assert all(hot[name] <= STRUCTS for name in STRUCTS)


def test_there_is_no_circle_among_the_contracts():
    assert circles(contracts()) == []
    assert circles({"a": {"b"}, "b": {"a"}}) == ["a", "b"]  # the check itself


def test_nobody_below_knows_the_loop_or_the_python_face():
    top = {"loop", "lab"} | FACE
    for path in (EXT / "flow").glob("*.p[yx][xd]"):
        if path.stem not in top:
            assert not {name for _, name in edges(path)} & top, path.name


def test_only_the_receiving_side_reads_packets_and_only_the_sending_side_makes_them():
    def users(name):
        return {path.stem for path in (EXT / "flow").glob("*.pyx") if ("flow", name) in edges(path)} - {name}

    assert users("tx_socket") <= {"tx_packetize", "key", "report", "rx_socket"}
    assert users("rx_decode") == {"bus"}
    assert users("tx_encode") == {"bus", "seat"}
