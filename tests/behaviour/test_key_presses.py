"""RFC 4733 through the bus: one press is one fact and one press at everybody else's telephone."""

import itertools

import pytest
from keys import BODY, dial, received, told
from lab import EVENT_TYPE, L16_16K, PCMA, PCMU, Lab, gap_free, silence, timestamp_steps, tone
from network import Network

from roomtone.ext.flow.media import FACT_INJECT_DONE


def pair(lab, *, network=None, **more):
    bus = lab.bus()
    anna = lab.peer(bus, signal=silence, network=network)
    ben = lab.peer(bus, signal=silence, **more)
    lab.run(100)
    return anna, ben


def trio(lab):
    bus = lab.bus()
    return [lab.peer(bus, signal=silence) for _ in range(3)]


def test_each_press_is_one_fact_with_its_duration(lab):
    anna, _ = pair(lab)
    dial(lab, anna, range(16))
    lab.run(500)
    assert told(lab, anna) == [(digit, 100) for digit in range(16)]
    assert lab.counters["keys"] == 16


@pytest.mark.parametrize("seed", range(8))
def test_loss_reordering_and_duplicates_make_no_press_of_one_and_no_two(seed):
    lab = Lab()
    anna, ben = pair(
        lab, network=Network(seed, loss=0.15, burst=1.5, reorder=0.1, duplicate=0.1, jitter_ms=15)
    )
    digits = [1, 1, 2, 3, 3, 3, 9, 11, 0, 0]
    dial(lab, anna, digits, press_ms=160, pause_ms=120)
    lab.run(1000)
    assert [digit for digit, _ in told(lab, anna)] == digits
    assert [digit for digit, _ in received(ben)] == digits
    assert gap_free(ben.heard)


def test_a_press_whose_end_never_comes_is_told_after_150_ms(lab):
    anna, ben = pair(lab)
    anna.talk(None)
    for i in range(4):
        anna.send(BODY.pack(7, 10, 160 * (i + 1)), payload_type=EVENT_TYPE)
        lab.run(20)
    lab.run(120)
    assert told(lab, anna) == []
    lab.run(40)
    assert told(lab, anna) == [(7, 80)]
    anna.talk(silence)
    ben.clear()
    lab.run(200)
    assert len(ben.voice()) >= 9  # the line is open again


def test_the_press_is_relayed_on_the_listeners_own_line(lab):
    anna, ben = pair(lab, events=((97, 8000),), event_send=(97, 8000))
    dial(lab, anna, [5])
    lab.run(100)
    events = [p for p in ben.heard if p.payload_type == 97]
    assert len(events) == 7
    assert [p.marker for p in events] == [True] + [False] * 6
    assert len({p.timestamp for p in events}) == 1
    assert [BODY.unpack(p.payload) for p in events][-3:] == [(5, 0x8A, 800)] * 3
    assert gap_free(ben.heard)
    before = next(p for p in ben.heard if p.payload_type == 0 and p.seq == (events[0].seq - 1) & 0xFFFF)
    assert 0 <= (events[0].timestamp - before.timestamp) & 0xFFFFFFFF <= 320


def test_durations_are_told_in_the_listeners_clock(lab):
    anna, ben = pair(lab, events=((98, 48000),), event_send=(98, 48000))
    dial(lab, anna, [4])
    lab.run(100)
    durations = [BODY.unpack(p.payload)[2] for p in ben.heard if p.payload_type == 98]
    assert durations == [960, 1920, 2880, 3840, 4800, 4800, 4800]


def test_the_senders_clock_decides_the_duration_in_the_fact(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=silence, events=((101, 8000), (110, 48000)))
    lab.peer(bus, signal=silence)
    lab.run(50)
    anna.talk(None)
    anna.press(3, 100, payload_type=110, rate=48000)
    lab.run(300)
    for i in range(3):  # one without an end
        anna.send(BODY.pack(4, 10, 960 * (i + 1)), payload_type=110, timestamp=anna.timestamp + 9000)
        lab.run(20)
    lab.run(400)
    assert told(lab, anna) == [(3, 100), (4, 60)]


def test_in_a_mix_audio_to_the_listener_pauses_and_its_timestamp_runs_on(lab):
    anna, ben, carl = trio(lab)
    lab.run(300)
    dial(lab, anna, [8], press_ms=200)
    lab.run(300)
    steps = timestamp_steps(ben.voice())
    assert received(ben) == received(carl) == [(8, 200)]
    assert max(steps) == pytest.approx(200 * 8, abs=320) and min(steps) == 160
    assert lab.drops["audio_during_key"] > 10
    assert gap_free(ben.heard)
    assert anna.presses() == []  # never back to who pressed


def test_a_straggler_behind_the_end_does_not_stop_the_audio(lab):
    anna, ben, _ = trio(lab)
    lab.run(300)
    anna.talk(None)
    stamp = anna.timestamp
    for told_ms, end in ((20, 0), (60, 0x80), (60, 0x80), (60, 0x80), (40, 0)):
        anna.send(BODY.pack(2, end | 10, told_ms * 8), payload_type=EVENT_TYPE, timestamp=stamp)
        lab.run(2)
    ben.clear()
    lab.run(200)
    assert len(ben.voice()) == 10
    assert told(lab, anna) == [(2, 60)] and lab.drops["key_collision"] == 2


def test_the_rest_of_an_old_press_behind_a_new_one_is_not_pressed_again(lab):
    anna, ben, _ = trio(lab)
    lab.run(300)
    anna.talk(None)
    first, second = anna.timestamp, anna.timestamp + 1600
    for digit, stamp, ms, end in (
        (1, first, 100, 0x80),
        (2, second, 20, 0),
        (1, first, 100, 0x80),
        (2, second, 40, 0),
        (2, second, 60, 0x80),
    ):
        anna.send(BODY.pack(digit, end | 10, ms * 8), payload_type=EVENT_TYPE, timestamp=stamp)
        lab.run(20)
    lab.run(300)
    assert received(ben) == [(1, 100), (2, 60)]
    assert [digit for digit, _ in told(lab, anna)] == [1, 2]


def test_two_members_pressing_at_once_do_not_become_many_presses(lab):
    anna, ben, carl = trio(lab)
    lab.run(300)
    for peer, digit in ((anna, 1), (ben, 2)):
        peer.talk(None)
        peer.press(digit, 200)
        lab.run(7)
    lab.run(600)
    assert told(lab, anna) == [(1, 200)] and told(lab, ben) == [(2, 200)]
    digits = [digit for digit, _ in received(carl)]
    assert digits in ([1, 2], [1])
    assert lab.drops["key_collision"] > 0


def test_a_press_of_ten_seconds_is_one_press_everywhere(lab):
    anna, ben = pair(lab)
    anna.talk(None)
    start = anna.timestamp
    total, base, last = 10_000 * 8, 0, 0
    for told_ticks in range(160, total + 1, 160):
        while told_ticks - base > 0xFFFF:
            anna.send(BODY.pack(6, 10, 0xFFFF), payload_type=EVENT_TYPE, timestamp=start + base)
            base += 0xFFFF
        last = told_ticks - base
        anna.send(
            BODY.pack(6, (0x80 if told_ticks == total else 0) | 10, last),
            payload_type=EVENT_TYPE,
            timestamp=start + base,
            marker=told_ticks == 160,
        )
        lab.run(20)
    lab.run(300)
    assert told(lab, anna) == [(6, 10_000)]
    assert received(ben) == [(6, 10_000)]
    assert [p.marker for p in ben.presses()].count(True) == 1
    stamps = sorted(
        {p.timestamp for p in ben.presses()}, key=lambda t: (t - ben.presses()[0].timestamp) & 0xFFFFFFFF
    )
    assert [(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(stamps)] == [0xFFFF]


def test_who_negotiated_no_telephone_event_gets_none_and_it_is_counted(lab):
    anna, ben = pair(lab, events=(), event_send=None)
    dial(lab, anna, [1])
    lab.run(100)
    assert {p.payload_type for p in ben.heard} == {0}
    assert lab.drops["key_no_type"] == 7 and told(lab, anna) == [(1, 100)]


@pytest.mark.parametrize(("members", "relayed"), [(4, True), (5, False)])
def test_in_a_bus_above_the_limit_keys_are_told_but_not_relayed(lab, members, relayed):
    bus = lab.bus(key_relay_limit=4)
    peers = [lab.peer(bus, signal=silence) for _ in range(members)]
    lab.run(100)
    dial(lab, peers[0], [9])
    lab.run(100)
    assert told(lab, peers[0]) == [(9, 100)]
    assert [bool(peer.presses()) for peer in peers[1:]] == [relayed] * (members - 1)
    assert lab.drops.get("key_large_bus", 0) == (0 if relayed else 7)


def test_a_telephone_event_that_is_too_short_is_counted_and_nothing_else(lab):
    anna, ben = pair(lab)
    ben.clear()
    anna.send(b"\1\2", payload_type=EVENT_TYPE)
    lab.run(5)
    assert ben.presses() == [] and lab.drops["key_bad"] == 1


def test_after_a_new_ssrc_keys_are_relayed_at_once(lab):
    anna, ben = pair(lab)
    anna.timestamp = 50_000
    dial(lab, anna, [1])
    anna.ssrc, anna.seq, anna.timestamp = 0x4242, 9, 20_000  # older than the last press, by its number
    lab.run(100)
    dial(lab, anna, [2])
    lab.run(200)
    assert [digit for digit, _ in received(ben)] == [1, 2]


# -- injection -----------------------------------------------------------------------------------------


def test_an_injected_key_has_marker_constant_timestamp_and_three_ends(lab):
    anna, ben = pair(lab)
    lab.run(200)
    ben.clear()
    lab.media.inject(ben.handle, event=5, duration_ms=100, volume=7)
    lab.run(300)
    events = ben.presses()
    assert [p.marker for p in events] == [True] + [False] * (len(events) - 1)
    assert len({p.timestamp for p in events}) == 1
    bodies = [BODY.unpack(p.payload) for p in events]
    assert [flags >> 7 for _, flags, _ in bodies] == [0, 0, 0, 0, 1, 1, 1]
    assert [duration for *_, duration in bodies] == [160, 320, 480, 640, 800, 800, 800]
    assert {flags & 0x3F for _, flags, _ in bodies} == {7}
    assert {b.at_us - a.at_us for a, b in itertools.pairwise(events)} == {20_000}
    assert gap_free(ben.heard) and received(ben) == [(5, 100)]
    assert lab.facts(FACT_INJECT_DONE) == [(ben.handle,)]
    assert anna.presses() == [] and told(lab, anna) == told(lab, ben) == []


def test_audio_stops_for_an_injected_key_and_goes_on_by_real_time(lab):
    anna, ben, _ = trio(lab)
    anna.talk(tone(440))
    lab.run(300)
    ben.clear()
    lab.media.inject(ben.handle, event=5, duration_ms=200, volume=7)
    lab.run(500)
    during = [p for p in ben.voice() if ben.presses()[0].at_us < p.at_us < ben.presses()[-1].at_us]
    assert during == []
    voice = ben.voice()
    for a, b in itertools.pairwise(voice):
        assert abs((b.timestamp - a.timestamp & 0xFFFFFFFF) // 8 * 1000 - (b.at_us - a.at_us)) <= 20_000


@pytest.mark.parametrize("codec", [PCMA, L16_16K])
def test_an_injected_key_stands_on_the_audio_clock_of_its_line(lab, codec):
    bus = lab.bus()
    rate = 16000 if codec == L16_16K else 8000
    anna = lab.peer(bus, codec=codec, signal=silence, event_send=(101, rate))
    lab.peer(bus, signal=silence)
    lab.run(300)
    lab.media.inject(anna.handle, event=1, duration_ms=100, volume=10)
    lab.run(300)
    event = anna.presses()[0]
    before = [p for p in anna.voice() if p.at_us <= event.at_us][-1]
    assert 0 <= (event.timestamp - before.timestamp) & 0xFFFFFFFF <= rate // 50
    assert received(anna, rate=rate) == [(1, 100)]


def test_one_injection_at_a_time_a_second_is_refused_and_told(lab):
    _, ben = pair(lab)
    lab.media.inject(ben.handle, event=1, duration_ms=200, volume=10)
    lab.run(50)
    lab.media.inject(ben.handle, event=2, duration_ms=100, volume=10)
    lab.run(20)
    assert lab.facts(FACT_INJECT_DONE) == [(ben.handle,)]
    lab.run(500)
    assert len(lab.facts(FACT_INJECT_DONE)) == 2 and received(ben) == [(1, 200)]
    lab.media.inject(ben.handle, event=2, duration_ms=100, volume=10)
    lab.run(500)
    assert received(ben) == [(1, 200), (2, 100)] and lab.media.check() == []


@pytest.mark.parametrize(
    ("negotiated", "reason"),
    [({"event_send": None}, "key_no_type"), ({"may_send": False}, "direction")],
)
def test_an_injection_that_cannot_be_sent_is_done_at_once_and_counted(lab, negotiated, reason):
    _, ben = pair(lab, **negotiated)
    lab.media.inject(ben.handle, event=1, duration_ms=200, volume=10)
    lab.run(20)
    assert lab.facts(FACT_INJECT_DONE) == [(ben.handle,)]
    assert ben.presses() == [] and lab.drops[reason] == 1


@pytest.mark.parametrize("inject_after_ms", [10, 90, 190, 230])
def test_a_relayed_and_an_injected_key_at_once_are_at_most_two_presses(lab, inject_after_ms):
    anna, ben = pair(lab)
    lab.run(100)
    anna.talk(None)
    anna.press(3, 200)
    lab.run(inject_after_ms)
    lab.media.inject(ben.handle, event=8, duration_ms=120, volume=10)
    lab.run(800)
    digits = [digit for digit, _ in received(ben)]
    assert digits.count(8) == 1 and digits.count(3) <= 1 and len(digits) <= 2
    assert gap_free(ben.heard) and told(lab, anna) == [(3, 200)]


def test_closing_during_a_key_leaves_nothing_behind(lab):
    anna, ben, carl = trio(lab)
    lab.run(100)
    anna.talk(None)
    anna.press(3, 200)
    lab.media.inject(ben.handle, event=8, duration_ms=500, volume=10)
    lab.run(60)
    lab.queue.clear()
    for peer in (anna, ben):
        lab.close(peer)
    lab.run(50)
    assert lab.media.check() == []
    lab.run(500)
    assert told(lab, anna) == [] and carl.stats["tx_packets"] > 0


def test_codecs_of_the_bus_do_not_matter_to_a_key(lab):
    bus = lab.bus()
    anna = lab.peer(bus, codec=PCMU, signal=silence)
    ben = lab.peer(bus, codec=PCMA, signal=silence)
    carl = lab.peer(bus, codec=L16_16K, signal=silence)
    lab.run(100)
    dial(lab, anna, [7, 7])
    lab.run(200)
    assert received(ben) == received(carl) == [(7, 100), (7, 100)]
