"""A room of thousands: what a member costs, and that nobody hears others come and go."""

import numpy as np
import pytest
from lab import PCMU, Lab, encode, gap_free, level_at, rtp, timestamp_steps, tone

TALKING_HZ = (500, 900, 1300)


def room(listeners, endpoints=None):
    """(lab, bus, talkers, listeners): three talk, the others are sent to at once and send nothing."""
    lab = Lab(endpoints=endpoints or listeners + 300)
    bus = lab.bus()
    talkers = [lab.peer(bus, signal=tone(hz, 4000)) for hz in TALKING_HZ]
    return lab, bus, talkers, [listener(lab, bus) for _ in range(listeners)]


def listener(lab, bus):
    return lab.peer(bus, source=False, send_at_once=True, may_receive=False)


def touched(lab, act):
    """(slots of the arena that changed, edits applied) while act() was done and carried out."""
    before, edits = lab.endpoint_slots(), lab.counters["edits"]
    act()
    lab.media.step(lab.now_us)
    after = lab.endpoint_slots()
    return int(np.any(before != after, axis=1).sum()), lab.counters["edits"] - edits


def costs_in(listeners):
    """What a join, a leave out of the middle and the leave of the oldest listener touched."""
    lab, bus, _, members = room(listeners)
    lab.run(40)
    costs = [
        touched(lab, lambda: listener(lab, bus)),
        touched(lab, lambda: lab.close(members[listeners // 2])),
        touched(lab, lambda: lab.close(members[0])),
    ]
    assert lab.media.check() == []
    return costs


def test_a_join_and_a_leave_touch_as_much_in_a_room_of_3000_as_in_one_of_10():
    small, large = costs_in(10), costs_in(3000)
    # The member, its neighbours in the list of destinations, and two more on the timer wheel for reports.
    assert max(changed for changed, _ in small + large) <= 5
    assert [edits for _, edits in small] == [edits for _, edits in large] == [4, 1, 1]


def test_listeners_share_one_encoding_and_each_gets_one_packet_a_tick():
    lab, _, talkers, members = room(1000)
    lab.run(500)
    before = lab.counters
    lab.run(200)
    grown = {name: value - before[name] for name, value in lab.counters.items()}
    assert grown["ticks"] == 10
    assert grown["encodings"] == 10 * (len(talkers) + 1)
    assert grown["mixed_packets"] == 10 * (len(talkers) + len(members))
    payloads = {bytes(p.payload) for p in (m.heard[-1] for m in members)}
    assert len(payloads) == 1
    for hz in TALKING_HZ:
        assert level_at(members[700].audio(last_ms=200), hz) == pytest.approx(4000, rel=0.05)


def listened_while(visitors_a_second):
    """What five listeners hear in two seconds while visitors join and leave: payloads, timestamps, times."""
    lab, bus, _, members = room(600)
    lab.run(500)
    kept = members[::120]
    for one in kept:
        one.clear()
    present = []
    for _ in range(200):
        if visitors_a_second:
            present.append(listener(lab, bus))
            if len(present) > 20:
                lab.close(present.pop(0))
        lab.run(10)
    assert lab.counters["tick_overruns"] == lab.counters["concealed_frames"] == 0
    for one in kept:
        assert len(one.heard) == 100
        assert gap_free(one.heard) and set(timestamp_steps(one.heard)) == {160}
    return [[(p.payload, p.timestamp) for p in one.heard] for one in kept]


def test_100_joins_and_leaves_a_second_change_nothing_of_what_a_listener_hears():
    assert listened_while(100) == listened_while(0)


def test_an_hour_of_coming_and_going_holds_no_more_memory_than_its_first_minute():
    lab = Lab(endpoints=4096)
    bus = lab.bus()
    anna = lab.peer(bus, send_at_once=True)
    payload = encode(PCMU, np.full(160, 1000, np.int16))
    said = [rtp(0, number, 160 * number, 1, payload) for number in range(3)]
    present, memory = [], {}
    for visit in range(36_000):  # 10 a second
        present.append(lab.peer(bus))
        for turn in range(5):
            lab.now_us += 20_000
            if turn < len(said):
                lab.media.feed(present[-1].handle, said[turn], present[-1].address, lab.now_us)
            lab.media.step(lab.now_us)
        if len(present) > 10:
            lab.close(present[0])
            lab.media.step(lab.now_us)
            lab.free(present.pop(0))
        lab.media.sent()
        lab.media.facts()
        if visit in (600, 35_999):
            memory[visit] = lab.media.memory()
    assert anna.stats["tx_packets"] > 36_000 and lab.media.check() == []
    assert memory[35_999] == memory[600]
