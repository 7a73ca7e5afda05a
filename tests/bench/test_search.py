"""Finding the edge: the search itself, and how probes are believed or repeated."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.bench.load import capacity, plot, rating
from roomtone.bench.load.capacity import PACING_LIMIT_US, Workload, confirm, find, unfit
from roomtone.bench.load.search import RESOLUTION, Search

US_PER_FRAME = 20_000
QUIET = {
    "steal": 0.0,
    "callers_wake_p99_9_us": 100.0,
    "callers_load": 0.5,
    "waited": 0.0,
    "overflow": 0,
    "send_errors": 0,
    "sent": 1000,
    "due": 1000,
    "read_late": 0.0,
    "read": 200,
    "lost": 0,
    "silent_callers": 0,
}


def engine(us_per_packet, size=10, **figures):
    """A made-up engine: packets keep their time as long as the CPU lasts; probes are written down."""
    asked = []

    async def probe(rooms):
        asked.append(rooms)
        load = rooms * size * us_per_packet / US_PER_FRAME
        late_us = 200.0 if load < 0.95 else 50_000.0
        made = {
            "pacing_p99_9_us": late_us,
            "calmest_p99_9_us": late_us,
            "load": load,
            "us_per_packet": us_per_packet,
        }
        return QUIET | made | {"streams": rooms * size} | figures

    probe.asked = asked
    return probe


@given(st.integers(1, 20_000), st.integers(1, 3_000))
def test_the_search_ends_at_the_edge(edge, first):
    search = Search(first, 24_000)
    asked = 0
    while (load := search.load()) is not None:
        search.told(load <= edge)
        asked += 1
    assert search.held <= edge < search.failed
    assert search.failed - search.held <= max(1, RESOLUTION * search.held)
    assert asked <= 30


def test_a_search_that_nothing_stops_ends_at_the_top():
    search = Search(100, 1000)
    while search.load() is not None:
        search.told(True)
    assert (search.held, search.failed) == (1000, None)
    with pytest.raises(ValueError):
        search.told(True)
    with pytest.raises(ValueError):
        Search(11, 10)


def test_the_capacity_of_an_engine_is_where_its_cpu_ends():
    search = Search(100, 2400)
    probes, reason = asyncio.run(find(engine(4.0), search, retries=3))
    edge = 0.95 * US_PER_FRAME / 4.0 / 10  # rooms of ten
    assert edge * (1 - RESOLUTION) - 1 <= search.held <= edge
    assert "pacing 50.0 ms" in reason
    assert all(p["repeated"] == 0 for p in probes)


def test_a_lossy_run_does_not_hold():
    search = Search(100, 200)
    _, reason = asyncio.run(find(engine(1.0, unaccounted=3), search, retries=0))
    assert search.held == 0
    assert reason == "3 sent and not counted"


def test_a_load_that_the_tool_could_not_make_is_no_capacity():
    probe = engine(1.0, callers_load=0.91)
    search = Search(1, 4)
    probes, reason = asyncio.run(find(probe, search, retries=2))
    assert search.held == 0
    assert reason == "the load tool's limit"
    assert [p["repeated"] for p in probes] == [0]


@pytest.mark.parametrize(("late_us", "probes"), [(200.0, 1), (PACING_LIMIT_US + 1, 3)])
def test_a_neighbour_is_an_excuse_only_for_a_run_that_failed(late_us, probes):
    probe = engine(1.0, steal=0.02, pacing_p99_9_us=late_us)
    asyncio.run(capacity.settled_probe(probe, 5, retries=2))
    assert len(probe.asked) == probes


def test_of_disturbed_probes_the_least_disturbed_counts():
    steals = iter([0.2, 0.01, 0.3])

    async def probe(rooms):
        return await engine(1.0, steal=next(steals), pacing_p99_9_us=9000.0)(rooms)

    figures = asyncio.run(capacity.settled_probe(probe, 5, retries=2))
    assert (figures["steal"], figures["repeated"]) == (0.01, 2)


@pytest.mark.parametrize(("calmest_us", "held"), [(300.0, 1), (PACING_LIMIT_US + 1, 0)])
def test_without_rest_from_neighbours_the_calmest_second_decides(calmest_us, held):
    probe = engine(1.0, steal=0.02, pacing_p99_9_us=9000.0, calmest_p99_9_us=calmest_us)
    search = Search(1, 1)
    probes, _ = asyncio.run(find(probe, search, retries=1))
    assert search.held == held
    assert probes[0]["repeated"] == 1
    _, confirmed, _ = asyncio.run(confirm(probe, 1, retries=0))
    assert confirmed["unfit"]


def test_what_cannot_be_confirmed_is_taken_down_a_step():
    edge = int(0.95 * US_PER_FRAME / 4.0 / 10)
    load, figures, reason = asyncio.run(confirm(engine(4.0), edge + 10, retries=0))
    assert "pacing 50.0 ms" in reason
    assert edge - 20 <= load <= edge
    assert not figures["unfit"]


def test_a_run_that_kept_no_time_at_all_is_unfit():
    assert unfit(QUIET | {"pacing_p99_9_us": float("nan")})
    assert unfit(QUIET | {"delay_p99_9_us": PACING_LIMIT_US + 1})
    assert not unfit(QUIET | {"delay_p99_9_us": PACING_LIMIT_US})


def rated(size, streams):
    workload = Workload("mix", size, "PCMU", 3, False, "auto")
    probes = [
        QUIET | {"streams": n, "us_per_packet": 3.0, "load": n / 6000, "unfit": bad, "pacing_p99_9_us": 300.0}
        for n, bad in ((1000, []), (2000, []), (4000, ["late"]))
    ]
    return {
        "workload": capacity.asdict(workload),
        "name": workload.name,
        "rooms": streams // size,
        "streams": streams,
        "probes": probes,
        "confirmed": probes[1],
        "shares": {"0.9": probes[0] | {"mixing_delay_less_playout_p50_us": 9000.0}},
        "reason": "p99.9 of the pacing 7.0 ms",
    }


def test_the_table_and_the_pictures_are_made_of_every_result(tmp_path):
    for size in (10, 200, 3):
        file = tmp_path / f"{rating.PREFIX}{size}.json"
        capacity.report.write_json(file, capacity.Plan(), [rated(size, 3000)])
    rating.publish(tmp_path)
    lines = (tmp_path / "capacity.md").read_text().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    sizes = [line.split(" PCMU")[0] for line in lines[2:]]
    assert sizes == ["| rooms of 3", "| rooms of 10", "| rooms of 200"]
    assert "**3,000**" in lines[2] and "| 0.3 |" in lines[2] and "| 9.0, - |" in lines[2]
    for name in ("cost-against-load.png", "cost-against-room-size.png"):
        picture = plot.pyplot.imread(tmp_path / name)
        assert picture.std() > 0.01  # something is drawn


def test_workloads_are_what_was_asked_for():
    _, parser, words = capacity_parser(["capacity", "--rooms", "3", "50", "--relay"])
    found = capacity.workloads(parser.parse_args(words))
    assert [w.name for w in found] == [
        "rooms of 3 PCMU, all talking",
        "rooms of 50 PCMU, 3 talking",
        "relay PCMU",
    ]
    assert found[0].scenario(7).count == 21
    with pytest.raises(ValueError, match="capacity of what"):
        capacity.workloads(parser.parse_args([]))


def capacity_parser(argv):
    from roomtone.bench.load.main import command_of

    return command_of(argv)
