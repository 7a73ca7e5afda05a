"""Buses that are tied together: spreading, bridges, and endpoints that go from one to another."""

from __future__ import annotations

import os

from bench_worker import BenchWorker
from fake_media import FakeArena

from roomtone.engine import messages as m
from roomtone.engine import process_messages as pm

# -- spread buses ------------------------------------------------------------------------------------------


def spread_bench(bench: BenchWorker) -> list[FakeArena]:
    """The session "s" is spread, and workers 1 and 2 have told their arenas."""
    arenas = [FakeArena(1000), FakeArena(2000)]
    for worker, arena in enumerate(arenas, 1):
        bench.maps.append(arena)
        bench.tell_worker(pm.ArenaMap(worker, 1), (os.open(os.devnull, os.O_RDONLY),))
    bench.rtp()
    opened = bench.do(m.OpenSpread(session="s", phase=3))
    assert opened == m.SpreadOpened(slot=0, epoch=1)
    return arenas


def test_a_spread_bus_publishes_at_once_and_adds_the_others_when_told(bench: BenchWorker) -> None:
    spread_bench(bench)
    assert bench.media.named("bus_spread")[-1] == {"bus": 0, "slot": 0, "peers": []}
    peers = [m.SpreadPeer(1, 1, 5), m.SpreadPeer(2, 1, 7)]
    assert bench.do(m.SetSpread(session="s", peers=peers)) == m.Done()
    assert bench.media.named("bus_spread")[-1] == {"bus": 0, "slot": 0, "peers": [1005, 2007]}
    assert bench.do(m.OpenSpread(session="s", phase=3)) == m.SpreadOpened(slot=0, epoch=1)


def test_a_dead_workers_sum_is_dropped_before_its_arena_is_unmapped(bench: BenchWorker) -> None:
    arenas = spread_bench(bench)
    bench.do(m.SetSpread(session="s", peers=[m.SpreadPeer(1, 1, 5), m.SpreadPeer(2, 1, 7)]))
    bench.media.hold()
    bench.tell_worker(pm.ArenaGone(1, 1))
    bench.turn(2)
    assert bench.media.named("bus_spread")[-1]["peers"] == [2007]
    assert not arenas[0].closed
    bench.media.apply()
    bench.turn()
    assert arenas[0].closed and not arenas[1].closed
    failed = bench.do(m.SetSpread(session="s", peers=[m.SpreadPeer(1, 1, 5)]))
    assert failed.code == "ENDPOINT_ERROR"


def test_a_partial_slot_rests_before_another_bus_gets_it(bench: BenchWorker) -> None:
    spread_bench(bench)
    bench.do(m.CloseSpread("s"))
    assert bench.media.named("bus_spread")[-1] == {"bus": 0, "slot": -1, "peers": []}
    bench.advance(1999)
    assert bench.media.partials_in_use == {0}
    bench.advance(1)
    assert not bench.media.partials_in_use


def test_closing_a_spread_session_ends_the_spreading(bench: BenchWorker) -> None:
    spread_bench(bench)
    bench.do(m.SetSpread(session="s", peers=[m.SpreadPeer(1, 1, 5)]))
    assert bench.do(m.CloseSession("s")) == m.Done()
    names = [name for name, _ in bench.media.edits]
    assert names.index("bus_close") > max(i for i, name in enumerate(names) if name == "bus_spread")
    assert not bench.worker.spread and not bench.media.buses_in_use


# -- bridges -----------------------------------------------------------------------------------------------


def bridge(bench: BenchWorker, session: str = "s", endpoint: str = "b", is_source: bool = True) -> None:
    body = m.CreateBridge(session=session, endpoint=endpoint, phase=3, is_source=is_source, note=b"note")
    assert bench.do(body) == m.Done()


def test_a_bridge_is_a_source_that_is_fed_from_this_worker_and_from_others(bench: BenchWorker) -> None:
    spread_bench(bench)
    bridge(bench, session="t")
    added = bench.media.named("source_add")[-1]
    feeds = [m.SpreadPeer(0, 1, 0), m.SpreadPeer(2, 1, 9)]
    assert bench.do(m.FeedBridge(endpoint="b", phase=3, feeds=feeds)) == m.Done()
    fed = bench.media.named("bridge_feed")[-1]
    assert fed == {"handle": added["handle"], "phase": 3, "feeds": [500, 2009]}
    entry = bench.do(m.TakeSnapshot()).endpoints[-1]
    assert (entry.session, entry.endpoint, entry.kind, entry.note) == ("t", "b", "bridge", b"note")


def test_one_that_only_speaks_through_its_bridge_hears_nothing_through_it(bench: BenchWorker) -> None:
    bridge(bench, is_source=False)
    assert not bench.media.named("source_add")


def test_a_bridge_joins_and_leaves_its_bus_as_its_direction_is_turned(bench: BenchWorker) -> None:
    def turn(is_source: bool) -> None:
        assert bench.do(m.TurnBridge(endpoint="b", is_source=is_source, note=b"turned")) == m.Done()

    bridge(bench)
    for is_source in (False, False, True, True):
        turn(is_source)
    edits = [edit for edit in bench.media.edits if edit[0] in ("source_add", "source_remove")]
    assert [name for name, _ in edits] == ["source_add", "source_remove", "source_add"]
    assert edits[0][1] == edits[1][1] == edits[2][1]
    assert bench.do(m.TakeSnapshot()).endpoints[-1].note == b"turned"
    assert bench.do(m.TurnBridge(endpoint="c", is_source=True, note=b"")).code == "ENDPOINT_ERROR"


def test_a_bridge_stops_reading_a_dead_worker_before_its_arena_is_unmapped(bench: BenchWorker) -> None:
    arenas = spread_bench(bench)
    bridge(bench)
    bench.do(m.FeedBridge(endpoint="b", phase=3, feeds=[m.SpreadPeer(1, 1, 5), m.SpreadPeer(2, 1, 7)]))
    bench.media.hold()
    bench.tell_worker(pm.ArenaGone(1, 1))
    bench.turn(2)
    assert bench.media.named("bridge_feed")[-1]["feeds"] == [2007]
    assert not arenas[0].closed
    bench.media.apply()
    bench.turn()
    assert arenas[0].closed


def test_a_bridge_that_is_gone_is_not_fed(bench: BenchWorker) -> None:
    bridge(bench)
    assert bench.do(m.RemoveEndpoint("b")) == m.Done()
    assert not bench.media.in_use and not bench.worker.plan.bridges
    assert bench.do(m.FeedBridge(endpoint="b", phase=3, feeds=[])).code == "ENDPOINT_ERROR"


def test_nothing_of_a_bridge_is_kept_when_its_bus_cannot_be_had(bench: BenchWorker) -> None:
    bench.media._buses = 0
    failed = bench.do(m.CreateBridge(session="s", endpoint="b", phase=3, is_source=True))
    assert failed.code == "ENDPOINT_ERROR"
    assert not bench.media.in_use and not bench.worker.plan.endpoints


# -- moves -------------------------------------------------------------------------------------------------


def move(bench: BenchWorker, number: int, session: str, endpoint: str = "e") -> object:
    body = m.MoveEndpoint(endpoint=endpoint, move=number, session=session, phase=7, note=b"at %d" % number)
    return bench.do(body)


def where(bench: BenchWorker) -> list[tuple[str, str, bytes, int]]:
    entries = bench.do(m.TakeSnapshot()).endpoints
    return [(entry.session, entry.endpoint, entry.note, entry.moves) for entry in entries]


def test_a_move_changes_the_bus_and_nothing_else(bench: BenchWorker) -> None:
    created = bench.rtp()
    written = len(bench.media.edits)
    assert move(bench, 1, "t") == m.Done()
    assert [name for name, _ in bench.media.edits[written:]] == ["bus_open", "endpoint_move"]
    assert bench.media.named("bus_open")[-1]["phase"] == 7
    assert bench.media.edits[-1][1] == {"handle": created.handle, "bus": 1}
    assert where(bench) == [("t", "e", b"at 1", 1)]
    assert bench.do(m.CloseSession("s")) == m.Done()
    assert bench.do(m.GetStats("t")).endpoints[0].endpoint == "e"
    bench.do(m.UpdateRtp(endpoint="e", is_source=False))
    assert bench.media.named("source_remove")[-1] == {"bus": 1, "handle": created.handle}


def test_a_move_that_is_told_again_after_a_later_one_changes_nothing(bench: BenchWorker) -> None:
    bench.rtp()
    move(bench, 1, "t")
    move(bench, 2, "s")
    assert move(bench, 1, "t") == m.Done()
    assert where(bench) == [("s", "e", b"at 2", 2)]


def test_events_after_a_move_name_the_new_session(bench: BenchWorker) -> None:
    created = bench.rtp()
    move(bench, 1, "t")
    bench.media.silences = [(created.handle, 5000)]
    bench.advance(500)
    told = [event for event in bench.events() if isinstance(event, m.MediaTimeout)]
    assert [event.session for event in told] == ["t"]


def test_what_left_counts_for_the_activity_of_the_session_it_left(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.media.activity[created.handle] = 77
    move(bench, 1, "t")
    bench.media.activity[created.handle] = 99
    assert bench.do(m.GetActivity("s")) == m.Activity(77)
    assert bench.do(m.GetActivity("t")) == m.Activity(99)


def test_what_is_no_rtp_endpoint_does_not_move(bench: BenchWorker) -> None:
    bridge(bench)
    assert move(bench, 1, "t", "b").code == "ENDPOINT_ERROR"
    assert move(bench, 1, "t", "none").code == "ENDPOINT_ERROR"
    assert list(bench.worker.plan.sessions) == ["s"]
