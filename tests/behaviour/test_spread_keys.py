"""RFC 4733 in a session over several workers: each press once at every other telephone, wherever it is."""

import pytest
from keys import BODY, dial, received, told
from lab import EVENT_TYPE, PCMU, gap_free, silence, tone
from network import Network
from workers import Workers


class Room:
    """A session over so many workers, two telephones on each."""

    def __init__(self, count=2, **first):
        self.workers = Workers(count)
        self.session = self.workers.session(on=range(count))
        self.peers = [
            self.session.peer(i // 2, codec=PCMU, signal=silence, **(first if i == 0 else {}))
            for i in range(2 * count)
        ]
        self.anna, self.ben = self.peers[0], self.peers[1]  # on the first worker
        self.carl, self.dora = self.peers[2], self.peers[3]  # on the second
        self.workers.run(200)

    def drops(self, name):
        return sum(lab.drops.get(name, 0) for lab in self.workers.labs)


@pytest.fixture
def room():
    return Room()


def test_a_press_is_heard_once_and_as_long_by_all_the_others(room):
    dial(room.workers, room.anna, range(16))
    room.workers.run(300)
    presses = [(digit, 100) for digit in range(16)]
    assert told(room.workers.labs[0], room.anna) == presses
    assert received(room.ben) == received(room.carl) == received(room.dora) == presses
    assert room.anna.presses() == []
    assert room.workers.labs[0].counters["keys"] == 16 and room.workers.labs[1].counters["keys"] == 0
    assert all(gap_free(peer.heard) for peer in room.peers)
    assert room.drops("key_late") == room.drops("key_large_bus") == 0 and room.workers.faults() == []


def test_on_the_other_worker_it_begins_within_a_tick_and_looks_the_same(room):
    pressed_us = room.workers.labs[0].now_us
    dial(room.workers, room.anna, [5], press_ms=160)
    room.workers.run(300)
    here, there = room.ben.presses(), room.carl.presses()
    assert 0 <= there[0].at_us - pressed_us <= 21_000
    assert [p.payload for p in there] == [p.payload for p in here]
    assert [p.marker for p in there] == [True] + [False] * (len(there) - 1)
    assert len({p.timestamp for p in there}) == 1
    end_us = next(p.at_us for p in there if p.payload[1] & 0x80)
    assert [p for p in room.carl.voice() if there[0].at_us < p.at_us < end_us] == []  # no audio beside a key


def test_keys_go_both_ways_and_over_three_workers():
    room = Room(3)
    for peer, digit in zip(room.peers, range(6), strict=True):
        dial(room.workers, peer, [digit, digit])
    room.workers.run(300)
    for me, peer in enumerate(room.peers):
        assert received(peer) == [(digit, 100) for digit in range(6) if digit != me for _ in range(2)]


@pytest.mark.parametrize("seed", range(4))
def test_loss_reordering_and_duplicates_make_no_press_of_one_and_no_two(seed):
    room = Room(network=Network(seed, loss=0.15, burst=1.5, reorder=0.1, duplicate=0.1, jitter_ms=15))
    digits = [1, 1, 2, 3, 3, 3, 9, 11, 0, 0]
    dial(room.workers, room.anna, digits, press_ms=160, pause_ms=120)
    room.workers.run(1000)
    assert [digit for digit, _ in received(room.ben)] == digits
    assert received(room.carl) == received(room.dora) == received(room.ben)


def test_each_listener_gets_it_in_its_own_clock_and_payload_type(room):
    erik = room.session.peer(1, codec=PCMU, signal=silence, events=((98, 48000),), event_send=(98, 48000))
    fritz = room.session.peer(1, codec=PCMU, signal=silence, events=(), event_send=None)
    room.workers.run(100)
    dial(room.workers, room.anna, [4])
    room.workers.run(100)
    durations = [BODY.unpack(p.payload)[2] for p in erik.heard if p.payload_type == 98]
    assert durations == [960, 1920, 2880, 3840, 4800, 4800, 4800]
    assert {p.payload_type for p in fritz.heard} == {0}
    assert room.workers.labs[1].drops["key_no_type"] == 7


def test_two_pressing_at_once_on_two_workers_do_not_become_many_presses(room):
    for peer, digit in ((room.anna, 1), (room.carl, 2)):
        peer.talk(None)
        peer.press(digit, 200)
        room.workers.run(7)
    room.workers.run(600)
    for listener in (room.ben, room.dora):
        assert received(listener) in ([(1, 200)], [(2, 200)], [(1, 200), (2, 200)])
    assert received(room.anna) == [(2, 200)] and received(room.carl) == [(1, 200)]
    assert room.drops("key_collision") > 0


def test_a_worker_that_is_held_up_relays_what_waits_when_it_comes_back(room):
    dial(room.workers, room.anna, [7])
    room.workers.run(20)
    for digit in (3, 3):
        room.anna.talk(None)
        room.anna.press(digit, 100)
        room.workers.run(100, held={1})
        room.anna.pause(100)
        room.anna.talk(silence)
        room.workers.run(100, held={1})
    room.workers.run(500)
    assert received(room.carl) == received(room.dora) == [(7, 100), (3, 100), (3, 100)]
    assert room.drops("key_late") == 0


def test_what_a_worker_was_held_up_too_long_for_is_counted_and_no_press_is_made_up(room):
    room.anna.talk(None)
    room.anna.press(9, 2000)
    room.workers.run(1900, held={1})
    room.workers.run(600)
    assert received(room.carl) == received(room.dora) == [(9, 2000)]
    written = len(room.ben.presses())
    assert room.workers.labs[1].drops["key_late"] == written - len(room.carl.presses()) > 0


def test_a_worker_that_joins_during_a_press_relays_its_rest():
    workers = Workers(3)
    session = workers.session(on=range(3))
    anna, ben, carl = (session.peer(i, codec=PCMU, signal=silence) for i in range(3))
    first = workers.labs[0].media
    first.bus_spread(session.buses[0], slot=session.slots[0], peers=[session.address(1)])
    workers.labs[2].media.bus_spread(session.buses[2], slot=session.slots[2], peers=[session.address(1)])
    workers.run(200)
    anna.talk(None)
    anna.press(6, 200)
    workers.run(90)
    assert ben.presses() and not carl.presses()
    # The others' lists change while ben's worker reads: nothing comes twice, nothing is left out.
    workers.labs[1].media.bus_spread(
        session.buses[1], slot=session.slots[1], peers=[session.address(2), session.address(0)]
    )
    workers.labs[2].media.bus_spread(
        session.buses[2], slot=session.slots[2], peers=[session.address(0), session.address(1)]
    )
    workers.run(500)
    assert received(ben) == received(carl) == [(6, 200)]
    assert len(ben.presses()) == 12 and 4 <= len(carl.presses()) <= 9


def test_whoever_was_pressing_before_the_spread_is_not_heard_of_again():
    workers = Workers(2)
    session = workers.session(on=range(2))
    anna, ben = (session.peer(i, codec=PCMU, signal=silence) for i in range(2))
    workers.run(100)
    media = workers.labs[1].media
    media.bus_spread(session.buses[1], slot=session.slots[1], peers=[])
    dial(workers, anna, [1, 2])
    media.bus_spread(session.buses[1], slot=session.slots[1], peers=[session.address(0)])
    workers.run(300)
    assert ben.presses() == []
    dial(workers, anna, [3])
    workers.run(300)
    assert received(ben) == [(3, 100)]


@pytest.mark.parametrize(("members", "relayed"), [(4, True), (5, False)])
def test_the_limit_counts_the_members_on_all_workers(members, relayed):
    workers = Workers(2)
    session = workers.session(on=range(2), key_relay_limit=4)
    peers = [session.peer(i % 2, codec=PCMU, signal=silence) for i in range(members)]
    workers.run(100)
    dial(workers, peers[0], [9])
    workers.run(200)
    assert told(workers.labs[0], peers[0]) == [(9, 100)]
    assert [bool(peer.presses()) for peer in peers[1:]] == [relayed] * (members - 1)
    assert workers.labs[0].drops.get("key_large_bus", 0) == (0 if relayed else 7)


def test_after_a_new_ssrc_keys_are_relayed_at_once(room):
    room.anna.timestamp = 50_000
    dial(room.workers, room.anna, [1])
    room.anna.ssrc, room.anna.seq, room.anna.timestamp = (
        0x4242,
        9,
        20_000,
    )  # older than the last, by its number
    room.workers.run(100)
    dial(room.workers, room.anna, [2])
    room.workers.run(200)
    assert [digit for digit, _ in received(room.carl)] == [1, 2]


def test_a_bridged_session_hears_no_keys():
    workers = Workers(2)
    here, there = workers.session(on=[0]), workers.session(on=[1])
    anna, ben = here.peer(codec=PCMU, signal=silence), here.peer(codec=PCMU, signal=silence)
    carl = there.peer(codec=PCMU, signal=tone(440))
    there.hears(here)
    workers.run(200)
    dial(workers, anna, [4])
    workers.run(200)
    assert received(ben) == [(4, 100)]
    assert [p for p in carl.heard if p.payload_type == EVENT_TYPE] == []
