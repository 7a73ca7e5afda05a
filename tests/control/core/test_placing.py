"""Which worker an endpoint goes to, and the messages by which a bus is spread over several."""

import pytest
from desk import OFFER, Client, Desk, Refused
from hypothesis import given
from hypothesis import strategies as st

from roomtone.control.core.placement import PHASE_FULL, PHASE_ORDER, PHASES, SESSION_MEMBERS, Workers
from roomtone.engine import messages as ms


def tone(client: Client) -> str:
    return client.call("endpoint.create_tone", tone="beep")["endpoint_id"]


def spread_desk(workers: int, spread_at: int) -> tuple[Desk, Client]:
    desk = Desk(workers=workers, config=f"session_spread_at = {spread_at}\nmax_endpoints_per_session = 0")
    client = desk.connect()
    client.call("session.create")
    return desk, client


def peers(desk: Desk, worker: int) -> list[int] | None:
    """Whose sums a worker was last told to add."""
    told = [
        b
        for b in desk.workers[worker].commands
        if isinstance(b, ms.SetSpread | ms.CloseSpread | ms.CloseSession)
    ]
    if not told:
        return None
    return [peer.worker for peer in told[-1].peers] if isinstance(told[-1], ms.SetSpread) else []


def test_sessions_are_shared_out_before_they_have_endpoints() -> None:
    desk = Desk(workers=3)
    for _ in range(6):
        desk.connect().call("session.create")
    homes = [session.home for session in desk.core.sessions.values()]
    assert sorted(homes) == [0, 0, 1, 1, 2, 2]


def test_a_new_session_goes_to_the_worker_with_the_fewest_endpoints() -> None:
    desk = Desk(workers=2)
    first, second = desk.connect(), desk.connect()
    for client in (first, second):
        client.call("session.create")
    for _ in range(3):
        tone(first)
    third = desk.connect()
    third.call("session.create")
    tone(third)
    assert [len(worker.endpoints) for worker in desk.workers.values()] == [3, 1]
    assert desk.core.workers.loads() == {0: 3, 1: 1}
    first.call("session.destroy")
    assert desk.core.workers.loads() == {0: 0, 1: 1}


def test_all_of_a_session_stays_at_home_up_to_the_limit() -> None:
    desk, client = spread_desk(workers=3, spread_at=5)
    for _ in range(5):
        tone(client)
    assert [len(worker.endpoints) for worker in desk.workers.values()] == [5, 0, 0]
    assert not any(worker.of(ms.OpenSpread) for worker in desk.workers.values())


def test_beyond_the_limit_the_bus_is_spread_and_told_only_when_a_worker_joins() -> None:
    desk, client = spread_desk(workers=3, spread_at=2)
    for _ in range(2):
        tone(client)
    tone(client)
    home, second, third = (desk.workers[i] for i in range(3))
    assert [len(worker.endpoints) for worker in desk.workers.values()] == [2, 1, 0]
    assert len(home.of(ms.OpenSpread)) == len(second.of(ms.OpenSpread)) == 1
    assert home.of(ms.OpenSpread)[0].phase == second.of(ms.OpenSpread)[0].phase
    assert home.of(ms.SetSpread)[-1].peers == [ms.SpreadPeer(1, 1, 101)]
    assert second.of(ms.SetSpread)[-1].peers == [ms.SpreadPeer(0, 1, 100)]
    opened = second.commands.index(second.of(ms.OpenSpread)[0])
    assert opened < second.commands.index(second.of(ms.CreateTone)[0])
    tone(client)
    assert (peers(desk, 0), peers(desk, 1), peers(desk, 2)) == ([1, 2], [0, 2], [0, 1])
    told = sum(len(worker.of(ms.SetSpread)) for worker in desk.workers.values())
    for _ in range(6):
        tone(client)
    assert sum(len(worker.of(ms.SetSpread)) for worker in desk.workers.values()) == told
    assert sorted(len(worker.endpoints) for worker in desk.workers.values()) == [3, 3, 4]
    assert len(home.of(ms.OpenSpread)) == 1 and len(third.of(ms.OpenSpread)) == 1


def test_a_worker_leaves_with_its_last_endpoint_and_the_spread_ends_with_the_last_worker() -> None:
    desk, client = spread_desk(workers=3, spread_at=1)
    _, on_1, on_2 = tone(client), tone(client), tone(client)
    client.call("endpoint.remove", endpoint_id=on_2)
    assert (peers(desk, 0), peers(desk, 1), peers(desk, 2)) == ([1], [0], [])
    assert desk.workers[2].of(ms.CloseSession)
    client.call("endpoint.remove", endpoint_id=on_1)
    assert (peers(desk, 0), peers(desk, 1)) == ([], [])
    tone(client)
    assert len(desk.workers[0].of(ms.OpenSpread)) == 2
    assert peers(desk, 0) == [1]
    client.call("session.destroy")
    assert desk.core.workers.loads() == {0: 0, 1: 0, 2: 0}
    assert not any(worker.endpoints for worker in desk.workers.values())


def test_statistics_of_a_spread_session_come_from_all_its_workers() -> None:
    _, client = spread_desk(workers=2, spread_at=1)
    made = [tone(client) for _ in range(4)]
    assert [e["endpoint_id"] for e in client.call("stats.snapshot")["endpoints"]] == made


def test_a_session_spread_over_a_dead_worker_is_lost_and_closed_elsewhere() -> None:
    desk, client = spread_desk(workers=2, spread_at=1)
    for _ in range(2):
        tone(client)
    desk.kill(1)
    assert len(client.events("session.lost")) == 1
    assert not desk.workers[0].endpoints
    assert desk.core.workers.loads() == {0: 0}


def test_a_worker_that_cannot_join_the_spread_gets_no_endpoint() -> None:
    desk, client = spread_desk(workers=2, spread_at=1)
    tone(client)
    desk.workers[1].refuse[ms.OpenSpread] = ms.Failed(code="ENDPOINT_ERROR", message="no slot")
    with pytest.raises(Refused, match="no slot"):
        tone(client)
    assert not desk.workers[1].of(ms.CreateTone)
    assert desk.core.workers.loads() == {0: 1, 1: 0}
    assert not desk.workers[0].peers, "nobody to publish for"
    del desk.workers[1].refuse[ms.OpenSpread]
    tone(client)
    assert (peers(desk, 0), peers(desk, 1)) == ([1], [0])


def test_a_join_that_comes_too_late_is_taken_back() -> None:
    desk, client = spread_desk(workers=2, spread_at=1)
    tone(client)
    desk.workers[1].mute.add(ms.OpenSpread)
    asked = client.send("endpoint.create_tone", tone="beep")
    desk.advance(6)
    assert client.reply(asked)["error"]["code"] == "SESSION_UNRESPONSIVE"
    desk.answer_late(1)
    assert peers(desk, 1) == []


def test_a_sessions_phase_is_the_same_for_all_its_endpoints_and_phases_are_filled_one_by_one() -> None:
    desk = Desk()
    phases = []
    a_phase = PHASE_FULL // SESSION_MEMBERS
    for _ in range(a_phase * PHASES + 1):
        client = desk.connect()
        client.call("session.create")
        client.call("endpoint.create_from_offer", sdp=OFFER)
        tone(client)
        pair = desk.workers[0].commands[-2:]
        assert pair[0].phase == pair[1].phase
        phases.append(pair[0].phase)
    assert [phases[i * a_phase] for i in range(PHASES)] == PHASE_ORDER
    assert all(phases[i] == phases[i // a_phase * a_phase] for i in range(a_phase * PHASES))
    assert phases[-1] == phases[0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=40))
def test_the_chosen_worker_never_has_more_endpoints_than_another(steps: list[tuple[int, int]]) -> None:
    workers = Workers()
    for index in range(4):
        workers.started(index, 1)
    for index, count in steps:
        workers.add(index, count, 0)
        chosen = workers.least_loaded()
        assert workers.loads()[chosen] == min(workers.loads().values())
    workers.died(0)
    assert 0 not in workers.loads() and workers.least_loaded() != 0
