"""What `bench large` and `bench churn` take for a fault."""

import asyncio
from typing import Any

import pytest

from roomtone.bench.load import churn, large
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.tone import level_dip, speech
from roomtone.bench.load.visitors import Sinks, Visits, visit

ROOM = Scenario("mix", 1, 5000, "PCMU", 3, True, "tenth")
GOOD = {
    "counters": {},
    "seq_missing": 0,
    "seq_duplicate": 0,
    "silent_callers": 0,
    "deaf": 0,
    "listened": 50,
    "voices_missing": 0,
    "voices_echoed": 0,
    "voices_strange": 0,
    "level_dip": 0.98,
    "encodings_per_tick": 5.0,
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"counters": {large.OVERRUNS: 2.0}}, "2 ticks overrun"),
        ({"counters": {large.PARTIALS: 1.0}}, "1 partial sums late"),
        ({"seq_missing": 3}, "3 seq_missing"),
        ({"listened": 0}, "heard nothing"),
        ({"voices_strange": 1}, "1 voices strange"),
        ({"level_dip": 0.82}, "0.82 of the median"),
        ({"encodings_per_tick": 5000.0}, "5000.0 encodings"),
    ],
)
def test_a_large_room_is_well_until_one_thing_is_wrong(wrong: dict[str, Any], said: str) -> None:
    assert large.faults(GOOD, ROOM, 2) == []
    (fault,) = large.faults(GOOD | wrong, ROOM, 2)
    assert said in fault


def test_a_voice_that_misses_one_frame_is_a_dip_and_markers_are_none() -> None:
    fmt = FORMATS["PCMU"]
    voices = [speech(fmt, 3, talker) for talker in range(3)]
    assert level_dip(sum(voices), fmt.samples) > large.STEADY
    voices[1][3 * fmt.samples : 4 * fmt.samples] = 0
    assert level_dip(sum(voices), fmt.samples) < large.STEADY


def looks(bytes_a_join: float) -> list[dict[str, float]]:
    start = 50e6
    return [
        {"joins": 100.0 * n} | dict.fromkeys(churn.GROWING, start + 2e6 * min(n, 20) + bytes_a_join * 100 * n)
        for n in range(100)
    ]


def test_growth_is_what_goes_on_after_settling() -> None:
    assert churn.growth(looks(0))["control_rss_bytes"] == pytest.approx(0, abs=1)
    assert churn.growth(looks(500))["control_rss_bytes"] == pytest.approx(500_000, rel=1e-6)


def test_what_grows_what_is_left_and_who_was_refused_is_a_fault() -> None:
    quiet = {"roomtone_endpoints": 0.0, "worker_descriptors": 20.0}
    left = {"roomtone_endpoints": 2.0, "worker_descriptors": 24.0}

    def faults(growth: float, left: dict[str, float], refused: int = 0) -> int:
        result = {
            "growth_bytes_per_1000_joins": {"control_rss_bytes": growth},
            "empty": quiet,
            "left": left,
            "rooms": {"refused": refused},
            "calls": {"refused": 0},
        }
        return len(churn.faults(result))

    assert faults(1000.0, quiet) == 0
    assert (faults(300_000.0, quiet), faults(1000.0, left), faults(1000.0, quiet, 3)) == (1, 2, 1)


class Door:
    """A control connection that makes endpoints and remembers who is in."""

    def __init__(self) -> None:
        self.inside: set[str] = set()
        self.most = self.came = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        await asyncio.sleep(0)  # let others have their turn, as a socket would
        if method == "endpoint.create_from_offer":
            self.came += 1
            name = f"e{self.came}"
            self.inside.add(name)
            self.most = max(self.most, len(self.inside))
            return {"endpoint_id": name, "sdp_answer": ""}
        self.inside.remove(params["endpoint_id"])
        return {}


def test_visitors_stay_for_a_while_and_all_leave_in_the_end() -> None:
    door, visits, sinks = Door(), Visits(), Sinks()

    async def scene() -> None:
        until = asyncio.get_running_loop().time() + 0.3
        await visit(door, sinks, FORMATS["PCMU"], 1000.0, until, visits, stay_s=0.02)  # type: ignore[arg-type]

    asyncio.run(scene())
    sinks.close()
    assert visits.joins == visits.leaves > 10 and door.inside == set()
    assert 1 <= door.most < visits.joins
