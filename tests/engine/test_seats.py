"""Rooms in a worker: whose endpoints sit where, what is told of it, and what goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bench_worker import BenchWorker
from lab import L16_8K, Peer
from lab_worker import LabWorker, create, noise

from roomtone.engine import messages as m
from roomtone.ext.flow.media import FACT_RESYNC, FACT_SEATED

DONE = m.Done()
PARTIALS = 64  # slots the stand-in can publish in


def open_room(bench: BenchWorker, room: str = "room", **values: Any) -> int:
    """Returns its bus."""
    assert bench.do(m.OpenRoom(session=room, phase=4, **values)) == DONE
    return bench.worker.plan.sessions[room].bus


def take(bench: BenchWorker, endpoint: str = "e", move: int = 1, room: str = "room", **seat: Any) -> Any:
    return bench.do(m.TakeSeat(endpoint=endpoint, move=move, room=room, seat=m.Seat(**seat), note=b"there"))


def seats(bench: BenchWorker) -> list[dict[str, Any]]:
    return bench.media.named("seat")


def entry(bench: BenchWorker, endpoint: str = "e") -> m.SnapshotEndpoint:
    (found,) = [one for one in bench.do(m.TakeSnapshot()).endpoints if one.endpoint == endpoint]
    return found


def tell_seated(bench: BenchWorker, handle: int, arrival: int) -> list[Any]:
    bench.media.tell(FACT_SEATED, handle, arrival)
    bench.turn()
    return bench.events()


# -- sitting down --------------------------------------------------------------------------------------------


def test_a_seat_changes_the_bus_and_nothing_else(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    room = open_room(bench)
    assert take(bench, role=2, hears=0b101, speaks=False) == DONE
    assert seats(bench) == [
        {
            "bus": room,
            "handle": handle,
            "role": 2,
            "hears": 0b101,
            "speaks": False,
            "party": 0,
            "arrival": 1,
        }
    ]
    assert [one.endpoint for one in bench.do(m.GetStats("s")).endpoints] == ["e"]
    assert bench.do(m.GetStats("room")).endpoints == []
    kept = entry(bench)
    assert (kept.session, kept.room, kept.moves, kept.note) == ("s", "room", 1, b"there")
    assert kept.seat == m.Seat(role=2, hears=0b101, speaks=False)


def test_back_at_its_session_it_has_no_seat(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    open_room(bench)
    take(bench)
    assert bench.do(m.LeaveSeat(endpoint="e", move=2, note=b"back")) == DONE
    bus = bench.worker.plan.sessions["s"].bus
    assert bench.media.named("endpoint_move") == [{"handle": handle, "bus": bus}]
    kept = entry(bench)
    assert (kept.room, kept.seat, kept.moves, kept.note) == (None, None, 2, b"back")
    assert bench.do(m.LeaveSeat(endpoint="e", move=3)) == DONE
    assert len(bench.media.named("endpoint_move")) == 1


def test_what_is_told_again_after_a_later_move_changes_nothing(bench: BenchWorker) -> None:
    bench.rtp()
    open_room(bench)
    take(bench, move=3, role=1)
    for move in (2, 3):
        assert take(bench, move=move, role=5) == DONE
        assert bench.do(m.LeaveSeat(endpoint="e", move=move)) == DONE
    assert entry(bench).seat == m.Seat(role=1) and len(seats(bench)) == 1


@pytest.mark.parametrize("room", ["none", "s"])
def test_there_must_be_such_a_room_and_such_an_endpoint(bench: BenchWorker, room: str) -> None:
    bench.rtp()
    open_room(bench)
    edits = len(bench.media.edits)
    used = len(bench.media.in_use)
    assert take(bench, room=room).code == "ENDPOINT_ERROR"
    assert take(bench, endpoint="nobody").code == "ENDPOINT_ERROR"
    assert bench.rtp(endpoint="new", room=room).code == "ENDPOINT_ERROR"
    tone = m.CreateTone(session="s", endpoint="t", phase=3, tone="beep", room=room)
    assert bench.do(tone).code == "ENDPOINT_ERROR"
    assert len(bench.media.edits) == edits and len(bench.media.in_use) == used


def test_a_bridge_takes_no_seat(bench: BenchWorker) -> None:
    bench.do(m.CreateBridge(session="s", endpoint="b", phase=3, is_source=True))
    open_room(bench)
    assert take(bench, endpoint="b").code == "ENDPOINT_ERROR" and seats(bench) == []


def test_who_is_made_in_a_room_has_its_seat_before_anybody_can_hear_it(bench: BenchWorker) -> None:
    room = open_room(bench)
    bench.rtp(room="room", seat=m.Seat(speaks=False))
    bench.do(m.CreateTone(session="s", endpoint="t", phase=3, tone="beep", room="room"))
    bench.rtp("room", "own")  # a room's own member
    for endpoint in ("e", "t", "own"):
        handle = bench.worker.plan.endpoints[endpoint].handle
        mine = [(name, values) for name, values in bench.media.edits if values.get("handle") == handle]
        names = [name for name, _ in mine]
        assert names.index("seat") < names.index("source_add")
        assert all(values.get("bus", room) == room for _, values in mine)
        assert entry(bench, endpoint).room == "room"
    assert [seat["speaks"] for seat in seats(bench)] == [False, True, True]


def test_a_direction_that_changes_later_counts_on_the_bus_it_sits_on(bench: BenchWorker) -> None:
    bench.rtp(is_source=False)
    room = open_room(bench)
    take(bench)
    bench.do(m.UpdateRtp(endpoint="e", is_source=True))
    assert bench.media.named("source_add")[-1]["bus"] == room


def test_a_transfer_takes_it_out_of_the_room(bench: BenchWorker) -> None:
    bench.rtp()
    open_room(bench)
    take(bench)
    bench.do(m.MoveEndpoint(endpoint="e", move=2, session="other", phase=5))
    assert bench.media.named("endpoint_move")[-1]["bus"] == bench.worker.plan.sessions["other"].bus
    assert (entry(bench).session, entry(bench).room) == ("other", None)
    assert bench.worker.plan.sessions["room"].seated == {}


def test_private_sources_and_who_hears_them_have_one_number_a_session(bench: BenchWorker) -> None:
    open_room(bench)
    for i, private in enumerate(("s1", "s2", "s1", None)):
        bench.rtp(endpoint=f"e{i}")
        take(bench, endpoint=f"e{i}", private=private)
    numbers = [seat["party"] for seat in seats(bench)]
    assert numbers[0] == numbers[2] != numbers[1] and 0 not in numbers[:3] and numbers[3] == 0
    for i in range(3):
        bench.do(m.RemoveEndpoint(f"e{i}"))
    take(bench, endpoint="e3", move=2, private="s1")
    assert seats(bench)[-1]["party"] not in numbers  # nobody is left from before


# -- what is told --------------------------------------------------------------------------------------------


def test_a_coming_is_told_once(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    open_room(bench)
    take(bench)
    arrival = seats(bench)[-1]["arrival"]
    take(bench, move=2, speaks=False)
    assert seats(bench)[-1]["arrival"] == arrival  # it was not told yet
    assert tell_seated(bench, handle, arrival) == [m.Seated(session="s", endpoint="e", room="room")]
    assert tell_seated(bench, handle, arrival) == []
    take(bench, move=3)
    assert seats(bench)[-1]["arrival"] == 0


def test_a_coming_to_a_room_it_has_left_is_not_told(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    open_room(bench)
    open_room(bench, "other")
    take(bench)
    first = seats(bench)[-1]["arrival"]
    take(bench, move=2, room="other")
    assert tell_seated(bench, handle, first) == []
    second = seats(bench)[-1]["arrival"]
    bench.do(m.LeaveSeat(endpoint="e", move=3))
    assert tell_seated(bench, handle, second) == []


def test_a_coming_whose_fact_was_lost_is_told_after_all(bench: BenchWorker) -> None:
    handles = [bench.rtp(endpoint=f"e{i}").handle for i in range(3)]
    open_room(bench)
    for i in range(3):
        if i == 2:
            bench.media.hold()
        take(bench, endpoint=f"e{i}")
    bench.media.seats_open = {handles[1]}  # no packet went to it yet; the edit of the last is not applied
    bench.media.tell(FACT_RESYNC, 0)
    bench.turn(3)
    assert [event.endpoint for event in bench.events()] == ["e0"]


# -- the room ------------------------------------------------------------------------------------------------


def test_a_room_that_closes_sends_everybody_home(make_bench: Callable[..., BenchWorker]) -> None:
    bench = make_bench(pairs=48)
    handles = [bench.rtp(f"s{i}", f"e{i}").handle for i in range(40)]
    open_room(bench)
    for i in range(40):
        take(bench, endpoint=f"e{i}")
    bench.rtp("room", "own")
    assert bench.do(m.CloseSession("room"), turns=10) == DONE
    assert {move["handle"] for move in bench.media.named("endpoint_move")} == set(handles)
    assert "own" not in bench.worker.plan.endpoints and entry(bench, "e7").room is None
    names = [name for name, _ in bench.media.edits]
    assert names.index("bus_close") > max(i for i, name in enumerate(names) if name == "endpoint_move")


def test_a_member_whose_session_closes_leaves_no_trace_in_the_room(bench: BenchWorker) -> None:
    bench.rtp()
    open_room(bench)
    take(bench, private="s")
    assert bench.do(m.CloseSession("s")) == DONE
    assert bench.worker.plan.sessions["room"].seated == {}
    assert bench.do(m.CloseSession("room")) == DONE


def test_roles_that_are_told_apart_are_published_in_slots_of_their_own(bench: BenchWorker) -> None:
    open_room(bench, roles=True)
    assert bench.media.named("bus_room")[-1]["roles"] == []
    assert bench.do(m.OpenSpread(session="room", phase=4)) == m.SpreadOpened(slot=0, epoch=1)
    names = [name for name, _ in bench.media.edits]
    assert names[-2:] == ["bus_room", "bus_spread"]  # nobody reads the sum before its roles are there
    assert bench.media.named("bus_room")[-1]["roles"] == list(range(1, 8))
    bench.do(m.CloseSpread("room"))
    assert bench.media.named("bus_room")[-1]["roles"] == []
    bench.advance(2000)
    assert bench.media.partials_in_use == set()


def test_roles_of_a_room_that_publishes_already(bench: BenchWorker) -> None:
    bench.do(m.OpenSpread(session="room", phase=4))
    open_room(bench)
    assert bench.media.named("bus_room")[-1]["roles"] is None
    open_room(bench, roles=True)
    assert bench.media.named("bus_room")[-1]["roles"] == list(range(1, 8))
    open_room(bench, roles=False)
    bench.advance(2000)
    assert bench.media.named("bus_room")[-1]["roles"] is None and bench.media.partials_in_use == {0}
    edits = len(bench.media.edits)
    open_room(bench)
    assert len(bench.media.edits) == edits


def test_without_slots_for_its_roles_a_room_stays_as_it_was(bench: BenchWorker) -> None:
    open_room(bench, roles=True)
    open_room(bench, "plain")
    bench.do(m.OpenSpread(session="plain", phase=4))
    while len(bench.media.partials_in_use) < PARTIALS - 5:
        bench.media.partial_take()
    edits, used = len(bench.media.edits), set(bench.media.partials_in_use)
    assert bench.do(m.OpenSpread(session="room", phase=4)).code == "ENDPOINT_ERROR"
    assert bench.do(m.OpenRoom(session="plain", phase=4, roles=True)).code == "ENDPOINT_ERROR"
    assert (len(bench.media.edits), bench.media.partials_in_use) == (edits, used)


# -- with a real media thread --------------------------------------------------------------------------------


def member(lab: LabWorker, **seat: Any) -> Peer:
    room = lab.do(m.OpenRoom(session="room", phase=3))
    assert room == DONE
    return lab.member(lab.bus_of("room"), codec=L16_8K, seat=seat, source=False, send_at_once=True)


def parts_of(ear: Peer, played: np.ndarray) -> bool:
    """What was heard begins and ends in silence, and is this."""
    audio = ear.audio()
    sound = np.flatnonzero(audio)
    if not len(sound):
        return False
    begin = int(sound[0]) // 160 * 160
    return np.array_equal(audio[begin : begin + len(played)], played)


def test_what_is_played_in_a_room_is_heard_by_all_or_by_one(lab: LabWorker, wav: Callable[..., str]) -> None:
    path = wav(0.5)
    everybody, one, other = member(lab), member(lab, party=1), member(lab, party=2)
    lab.bench.events()
    made = lab.do(create(path, "mine", room="room", seat=m.Seat(private="s")))
    assert made.duration_ms == 500
    lab.run(700)
    assert parts_of(one, noise(0.5)) and not np.any(other.audio()) and not np.any(everybody.audio())
    *began, finished = lab.bench.events()
    assert m.Seated(session="s", endpoint="mine", room="room") in began
    assert [event.session for event in began if isinstance(event, m.FileStarted)] == ["s"]
    assert (finished.session, finished.reason) == ("s", "completed")
    lab.do(create(path, "all", session="room", seat=m.Seat(role=m.ANNOUNCEMENTS)))
    for ear in (everybody, one, other):
        ear.clear()
    lab.run(700)
    assert all(parts_of(ear, noise(0.5)) for ear in (everybody, one, other))
    assert lab.media.check() == []


def test_a_file_goes_on_where_it_was_when_it_moves_to_a_room_and_back(
    lab: LabWorker, wav: Callable[..., str]
) -> None:
    ear = member(lab)
    lab.do(create(wav(2.0), "f", session="call", phase=17))
    lab.run(500)
    place = lab.bench.worker.plan.endpoints["f"].reader.playback.position
    assert lab.do(m.TakeSeat(endpoint="f", move=1, room="room", seat=m.Seat())) == DONE
    lab.run(500)
    assert lab.do(m.LeaveSeat(endpoint="f", move=2)) == DONE
    audio, played = ear.audio(), noise(2.0)
    sound = np.flatnonzero(audio)
    begin, end = int(sound[0]) // 160 * 160, -(-int(sound[-1] + 1) // 160) * 160
    at = next(
        at
        for at in range(place, place + 1000, 160)
        if np.array_equal(played[at : at + 160], audio[begin : begin + 160])
    )
    assert end - begin >= 480 * 8 and np.array_equal(audio[begin:end], played[at : at + end - begin])
    assert lab.media.check() == []
