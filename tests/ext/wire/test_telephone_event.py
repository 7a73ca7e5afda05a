"""RFC 4733 telephone-event, payload and receive machine: a caller's key presses are heard once each."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presses import START_TS, TICKS_PER_MS, Packet, hear, moving, press

from roomtone.ext.wire import telephone_event as te

SHORT = -1
MEMORY_MS = 5000


# -- payload -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 255), st.booleans(), st.integers(0, 63), st.integers(0, 0xFFFF))
def test_what_is_written_is_read(event, end, volume, duration):
    data = te.write(event, end, volume, duration)
    assert data == bytes([event, end << 7 | volume]) + duration.to_bytes(2, "big")
    assert te.parse(data) == (event, end, volume, duration)


def test_the_reserved_bit_is_ignored_and_never_sent():
    assert te.parse(bytes([5, 0x40 | 10, 0, 1])) == (5, False, 10, 1)
    assert te.write(5, False, 0x7F, 1)[1] == 0x3F


def test_under_four_bytes_is_short_and_more_than_four_are_ignored():
    assert [te.parse(bytes(n)) for n in range(4)] == [SHORT] * 4
    assert te.parse(b"\1\x8a\0\xa0redundant") == (1, True, 10, 160)


def test_the_receive_machine_fits_a_cache_line():
    assert te.sizeof_rx() <= 64


# -- receiving: loss -----------------------------------------------------------------------------------------


def test_a_whole_press_is_one_press():
    heard = hear(press(7, 100))
    assert (heard.presses, heard.starts, heard.ended_at_ms) == ([(7, 100)], 1, [100])


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_any_two_of_three_end_packets_may_be_lost(kept):
    packets = press(7, 100)
    assert hear([*packets[:-3], packets[-3 + kept]]).presses == [(7, 100)]


@pytest.mark.parametrize("kept", range(4))
def test_all_updates_but_one_may_be_lost(kept):
    packets = press(7, 100)
    assert hear([packets[kept], *packets[-3:]]).presses == [(7, 100)]


def test_a_lost_marker_packet_changes_nothing():
    assert hear(press(7, 100)[1:]).presses == [(7, 100)]


@pytest.mark.parametrize("copies", [1, 3])
def test_end_packets_alone_are_a_press(copies):
    assert hear(press(7, 100)[-3:][:copies]).presses == [(7, 100)]


@pytest.mark.parametrize("kept", range(7))
def test_a_single_packet_of_any_kind_is_a_press(kept):
    assert hear([press(7, 100)[kept]]).digits == [7]


def test_without_end_packets_silence_ends_the_press():
    heard = hear(press(7, 100, ends=0))
    assert heard.presses == [(7, 80)]
    assert heard.ended_at_ms == [80 + 150]


def test_slow_updates_are_given_three_intervals():
    heard = hear(press(7, 500, update_ms=100, ends=0))
    assert heard.presses == [(7, 400)]
    assert heard.ended_at_ms == [400 + 300]


def test_everything_may_come_twice():
    packets = [p for p in press(7, 100) for _ in range(2)]
    heard = hear(packets)
    assert (heard.presses, heard.starts) == ([(7, 100)], 1)


# -- receiving: order ----------------------------------------------------------------------------------------


def test_the_end_may_overtake_all_updates():
    packets = press(7, 100)
    heard = hear(packets[::-1], arrive=[100 + i for i in range(len(packets))])
    assert (heard.presses, heard.starts) == ([(7, 100)], 0)


def test_swapped_updates_do_not_shorten_the_press():
    first, second, third, fourth, *_ = press(7, 100, ends=0)
    assert hear([first, fourth, second, third], arrive=[20, 40, 60, 80]).presses == [(7, 80)]


def test_a_late_end_of_the_last_digit_does_not_touch_the_next_one():
    one, two = press(1, 100), press(2, 100, 140)
    heard = hear(
        [*one[:4], *two[:2], one[-1], *two[2:]],
        arrive=[20, 40, 60, 80, 160, 180, 190, 200, 220, 240, 260, 280],
    )
    assert heard.presses == [(1, 80), (2, 100)]
    assert heard.starts == 2


def test_a_press_overtaken_by_the_next_is_still_told_once():
    one, two = press(1, 100), press(2, 100, 140)
    heard = hear([two[0], one[-2], one[-1], *two[1:]], arrive=[160, 161, 162, 180, 200, 220, 240, 260, 280])
    assert heard.presses == [(1, 100), (2, 100)]


def test_an_end_packet_that_begins_the_next_press_is_not_forgotten():
    one, two = press(1, 100, ends=0), press(2, 100, 140)
    heard = hear([*one, two[-1]], arrive=[20, 40, 60, 80, 220])
    assert heard.presses == [(1, 80), (2, 100)]
    assert heard.ended_at_ms == [220, 220]


def test_repeated_ends_that_begin_the_next_press_are_one_press():
    one, two = press(1, 100, ends=0), moving(2, 1, growing=True)
    heard = hear([*one, *two[1:]], arrive=[20, 40, 60, 80, 90, 91, 92])
    assert heard.digits == [1, 2]


# -- receiving: repetition -----------------------------------------------------------------------------------


def test_the_same_digit_again_after_40_ms_is_a_second_press():
    heard = hear(sorted(press(5, 100) + press(5, 100, 140), key=lambda p: p.at_ms))
    assert heard.presses == [(5, 100), (5, 100)]


def test_the_same_digit_again_after_40_ms_is_a_second_press_when_the_end_was_lost():
    heard = hear(press(5, 100, ends=0) + press(5, 100, 140))
    assert heard.presses == [(5, 80), (5, 100)]


def test_40_ms_after_the_last_tick_a_second_press_begins_even_when_every_end_was_lost():
    whole = [*press(5, 100, ends=0), Packet(100, 5, False, 800, START_TS)]
    assert hear(whole + press(5, 100, 140)).digits == [5, 5]
    assert hear(whole + press(5, 100, 139)).digits == [5]


@pytest.mark.parametrize("pause_ms", [1, 20, 39])
def test_after_an_end_the_same_digit_may_come_as_fast_as_it_likes(pause_ms):
    heard = hear(press(5, 100, ends=1) + press(5, 100, 100 + pause_ms))
    assert (heard.presses, heard.starts) == ([(5, 100), (5, 100)], 2)


def test_another_digit_without_an_end_before_it_ends_the_first():
    heard = hear(press(1, 100, ends=0) + press(2, 100, 100))
    assert (heard.presses, heard.starts) == ([(1, 80), (2, 100)], 2)


def test_every_digit_and_no_other_event_is_a_press():
    packets = [p for event in range(256) for p in press(event, 60, event * 200)]
    assert hear(packets).digits == list(range(16))


@pytest.mark.parametrize("event", [16, 17, 36, 255])
def test_a_hook_flash_in_a_press_breaks_nothing(event):
    packets = press(7, 100)
    flash = press(event, 60, 30)
    heard = hear(sorted(packets + flash, key=lambda p: p.at_ms))
    assert (heard.presses, heard.starts) == ([(7, 100)], 1)


@pytest.mark.parametrize("late_ms", [200, 1000, MEMORY_MS - 1])
def test_later_packets_of_an_ended_key_change_nothing(late_ms):
    packets = press(7, 100)
    late = [packets[0], packets[3], packets[-1]]
    heard = hear(packets + late, arrive=[p.at_ms for p in packets] + [100 + late_ms] * 3)
    assert (heard.presses, heard.starts) == ([(7, 100)], 1)


def test_the_key_is_forgotten_after_five_seconds():
    packets = press(7, 100, ends=1)
    heard = hear([*packets, packets[-1]], arrive=[*[p.at_ms for p in packets], 100 + MEMORY_MS])
    assert heard.digits == [7, 7]


def test_a_key_held_through_a_network_gap_is_one_press_however_long():
    packets = [p for p in press(7, 20_000) if not 1000 < p.at_ms < 1500]
    heard = hear(packets)
    assert heard.presses == [(7, 1000)]


def test_a_sender_whose_presses_all_have_one_timestamp_is_heard():
    packets = [p for i in range(4) for p in press(i, 60, i * 200, timestamp=0)]
    assert hear(packets).digits == [0, 1, 2, 3]


def test_a_time_line_that_jumps_far_back_is_followed():
    heard = hear(press(1, 100) + press(2, 100, 140, timestamp=START_TS - 2**30))
    assert heard.digits == [1, 2]


# -- receiving: long presses and senders that move the timestamp ---------------------------------------------


def test_a_press_of_nine_seconds_is_one_press():
    packets = press(9, 9000)
    assert len({p.timestamp for p in packets}) == 2
    heard = hear(packets)
    assert (heard.presses, heard.starts) == ([(9, 9000)], 1)


def test_a_press_over_three_segments_is_one_press():
    heard = hear(press(9, 20_000, update_ms=50))
    assert (heard.presses, heard.starts) == ([(9, 20_000)], 1)


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_the_last_updates_of_a_segment_may_be_lost(lost):
    packets = press(9, 9000)
    turn = next(i for i, p in enumerate(packets) if p.timestamp != packets[0].timestamp)
    assert hear(packets[: turn - lost] + packets[turn:]).presses == [(9, 9000)]


@pytest.mark.parametrize("segment_ticks", [8000, 32_000, 65_440])
@pytest.mark.parametrize("gap", [range(0), range(5, 15)], ids=["whole", "after_a_gap_that_ended_it"])
def test_a_sender_may_split_where_it_likes(segment_ticks, gap):
    packets = []
    for i in range(1, 500):
        segment, ticks = divmod(i * 160, segment_ticks)
        start = START_TS + segment * segment_ticks
        packets.append(Packet(20 * i, 9, False, ticks, start % 2**32))
    packets.append(Packet(10_000, 9, True, ticks + 160, packets[-1].timestamp))
    assert hear([p for i, p in enumerate(packets) if i not in gap]).digits == [9]


def test_a_late_packet_of_an_older_segment_changes_nothing():
    packets = press(9, 9000)
    turn = next(i for i, p in enumerate(packets) if p.timestamp != packets[0].timestamp)
    late = packets[turn - 1]
    order = packets[: turn - 1] + packets[turn : turn + 2] + [late] + packets[turn + 2 :] + [late]
    heard = hear(order)
    assert (heard.presses, heard.starts) == ([(9, 9000)], 1)


@pytest.mark.parametrize("first_duration", [0, 1, 160])
def test_only_the_second_segment_arrives(first_duration):
    packets = press(9, 9000)
    second = [p for p in packets if p.timestamp != packets[0].timestamp]
    stray = Packet(second[0].at_ms, 9, False, first_duration, packets[0].timestamp)
    assert hear([second[0], stray, *second[1:]]).digits == [9]


@pytest.mark.parametrize("growing", [True, False])
@pytest.mark.parametrize("ends", [0, 1, 3])
def test_a_timestamp_that_moves_with_every_packet_is_still_one_press(growing, ends):
    heard = hear(moving(2, 10, growing=growing, ends=ends))
    assert (heard.digits, heard.starts) == ([2], 1)
    assert heard.presses[0][1] == pytest.approx(200, abs=20)


@pytest.mark.parametrize("growing", [True, False])
@pytest.mark.parametrize("lost", range(1, 12))
def test_a_moving_timestamp_survives_the_loss_of_a_packet(growing, lost):
    packets = moving(2, 10, growing=growing)
    assert hear(packets[:lost] + packets[lost + 1 :]).digits == [2]


# -- receiving: anything the network does --------------------------------------------------------------------

# Per packet: the delays, ms, of each copy that arrives; less than a press and a pause together.
FATES = st.sampled_from([(), (0,), (0,), (0, 0), (15,), (35,), (0, 40), (25, 5)])


@st.composite
def journeys(draw):
    """(presses, [(arrival ms, packet)]): a dialled sequence and what the network made of it."""
    presses, at_ms = [], 0
    for _ in range(draw(st.integers(1, 5))):
        duration_ms = draw(st.integers(60, 300))
        update_ms = draw(st.sampled_from([20, 20, 30, 50]))
        presses.append(press(draw(st.integers(0, 15)), duration_ms, at_ms, update_ms=update_ms))
        at_ms += duration_ms + draw(st.integers(2 * update_ms, 400))
    arrivals = []
    lossy = draw(st.booleans())
    for packet in (p for packets in presses for p in packets):
        fate = () if lossy and draw(st.booleans()) else draw(FATES)
        arrivals += [(packet.at_ms + delay_ms, packet) for delay_ms in fate]
    return presses, sorted(arrivals, key=lambda a: a[0])


@settings(max_examples=400, deadline=None)
@given(journeys())
def test_each_press_that_gets_through_is_told_exactly_once(journey):
    presses, arrivals = journey
    arrived = {packet for _, packet in arrivals}
    expected = Counter(packets[0].event for packets in presses if arrived.intersection(packets))
    heard = hear([p for _, p in arrivals], arrive=[at for at, _ in arrivals])
    assert Counter(heard.digits) == expected


@settings(max_examples=200, deadline=None)
@given(journeys())
def test_no_press_is_told_longer_than_it_was(journey):
    presses, arrivals = journey
    longest = Counter()
    for packets in presses:
        longest[packets[0].event] = max(longest[packets[0].event], packets[-1].duration / TICKS_PER_MS)
    heard = hear([p for _, p in arrivals], arrive=[at for at, _ in arrivals])
    assert all(duration_ms <= longest[digit] for digit, duration_ms in heard.presses)


@settings(max_examples=60, deadline=None)
@given(st.integers(8200, 25_000), st.sets(st.integers(0, 500)), st.integers(0, 200))
def test_a_split_press_with_losses_is_told_once(duration_ms, lost, gap_from):
    packets = press(9, duration_ms, update_ms=50)
    kept = [p for i, p in enumerate(packets) if i not in lost and not gap_from <= i < gap_from + 5]
    assert hear(kept).digits == [9] * bool(kept)
