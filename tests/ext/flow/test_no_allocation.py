"""After start the media thread allocates nothing: counted in the allocator, over real sockets on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What counted_call.py printed: a second of calls, with the allocator's counter preloaded."""
    library = tmp_path_factory.mktemp("counter") / "counter.so"
    source = str(HERE / "allocation_counter.c")
    compiler = ["gcc", "-O1", "-shared", "-fPIC", "-fno-builtin", "-o", str(library), source]
    subprocess.run(compiler, check=True)
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT / "build" / "cyroot")}
    call = [sys.executable, str(HERE / "counted_call.py")]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_counter_sees_what_other_threads_allocate(result):
    assert result["control"] >= 10


def test_a_second_of_calls_costs_the_media_thread_no_allocation(result):
    assert result["calls"] == 0


def test_there_was_something_to_do_in_that_second(result):
    rise = result["rise"]
    assert rise["relayed_packets"] >= 90 and rise["mixed_packets"] >= 140
    assert rise["ticks"] >= 48 and rise["keys"] >= 1 and rise["turns"] > 100
    assert rise["watched_frames"] >= 90
    assert min(result["heard"]) >= 60
