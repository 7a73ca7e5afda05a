"""The structs in shared memory: their sizes, and where each cache line begins (ext/flow/endpoint.pxd)."""

import re
from pathlib import Path

from roomtone.ext.flow import arena

CACHE_LINE = 64
ENDPOINT = Path(__file__).parents[3] / "ext" / "flow" / "endpoint.pxd"
FIRST_OF_LINE = {
    1: "rx_ssrc",
    2: "play_ts",
    3: "tx_ssrc",
    4: "key_tx_until_us",
    5: "receive_type",
    6: "next_key",
    7: "remote_rtcp",
}


def test_an_endpoint_is_eight_cache_lines():
    size, _ = arena.layout()["endpoint_t"]
    assert size == 8 * CACHE_LINE


def test_each_line_of_the_endpoint_begins_where_the_contract_says():
    _, offsets = arena.layout()["endpoint_t"]
    assert {line: offsets[name] for line, name in FIRST_OF_LINE.items()} == {
        line: line * CACHE_LINE for line in FIRST_OF_LINE
    }


def test_the_contract_marks_those_very_fields():
    text = ENDPOINT.read_text().split("ctypedef struct endpoint_t:")[1].split("ctypedef struct")[0]
    marked = {
        int(line): field for line, field in re.findall(r"# line (\d).*\n\s+\w+ (\w+)", text) if line != "0"
    }
    assert marked == FIRST_OF_LINE


def test_what_lies_in_pools_keeps_its_alignment():
    for name, (size, _) in arena.layout().items():
        assert size % 8 == 0, name


def test_an_arena_of_the_default_size_is_small_in_address_space():
    assert arena.arena_bytes(8192) < 40 << 20
    assert arena.arena_bytes(8192) % 4096 == 0
