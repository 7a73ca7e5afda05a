"""Gathering: packets of relayed calls wait a moment for company when many come, and nothing else changes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.lab import Lab

SCRIPT = Path(__file__).with_name("gathered_call.py")


def gathered_call(gather_us: int) -> dict:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(gather_us)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("gather_us", [0, 1000, 5000])
def test_every_packet_of_a_crowd_arrives_once_and_in_order(gather_us: int) -> None:
    call = gathered_call(gather_us)
    assert call["heard"] == call["sent"]


def test_a_crowd_shares_the_loop_turns() -> None:
    alone, together = gathered_call(0), gathered_call(1000)
    assert together["turns"] < alone["turns"]


def test_the_wait_has_a_limit() -> None:
    media = Lab().media
    for wrong in (-1, 5001):
        with pytest.raises(ValueError, match="0 to 5000 microseconds"):
            media.gather(wrong)
