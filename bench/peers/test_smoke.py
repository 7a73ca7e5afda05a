"""The peers do the work they are compared by: a few callers, a second each.  `make peers` runs this."""

import asyncio

import pytest

from roomtone.bench.load import proc
from roomtone.bench.load.measure import Plan, run_once
from roomtone.bench.load.report import voices
from roomtone.bench.load.server import Placement
from roomtone.bench.peers.janus import Janus
from roomtone.bench.peers.main import scenario_of
from roomtone.bench.peers.peer import Peer
from roomtone.bench.peers.rtpengine import Rtpengine

CPUS = sorted(proc.EVERY_CPU)
PLAN = Plan(runs=1, warm_up_s=1.0, window_s=1.4, retries=0, placement=Placement((CPUS[-1],), (CPUS[0],)))


@pytest.mark.parametrize(
    ("peer", "workload", "heard"),
    [
        (Rtpengine, "relay-2", ""),
        (Rtpengine, "transcode-2", "right"),
        (Janus, "rooms-2x3", "right"),
    ],
)
def test_everybody_hears_whom_he_should(peer: type[Peer], workload: str, heard: str) -> None:
    figures = asyncio.run(run_once(peer(PLAN.placement), scenario_of(workload), PLAN))
    assert figures["received"] > 0
    assert figures["silent_callers"] == 0
    assert figures["seq_missing"] == 0
    assert figures["us_per_packet"] > 0
    assert voices([figures]) == heard
