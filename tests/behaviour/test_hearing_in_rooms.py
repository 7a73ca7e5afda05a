"""Conference rooms: who hears whom, and what it costs those who do not differ."""

import numpy as np
import pytest
from lab import L16_8K, L16_16K, PCMU, Lab, gap_free, level_at, silence, timestamp_steps, tone
from workers import Workers

from roomtone.ext.dsp.tone import amplitude
from roomtone.ext.flow.media import FACT_SEATED

RATE = {L16_8K: 8000, L16_16K: 16000, PCMU: 8000}
AGENT, CUSTOMER, COACH = 0, 1, 2
MUTED = {"speaks": False}
FRAME = 160


def hz(i):
    return 400 + 100 * i


def hears(peer, count, ms=500):
    """Which of the tones hz(0), hz(1), ... are in what it heard last, at their level; the others are not."""
    pcm = peer.audio(last_ms=ms)
    levels = [level_at(pcm, hz(i), RATE[peer.codec]) for i in range(count)]
    assert all(level < 30 or level == pytest.approx(4000, rel=0.03) for level in levels), levels
    return {i for i in range(count) if levels[i] > 2000}


def talkers(lab, room, seats, **more):
    return [lab.member(room, signal=tone(hz(i), 4000), seat=seat, **more) for i, seat in enumerate(seats)]


def unbroken(peer):
    """A packet every 20 ms."""
    return gap_free(peer.heard) and set(timestamp_steps(peer.heard)) == {RATE[peer.codec] // 50}


# -- a packet every 20 ms ------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [PCMU, L16_16K])
@pytest.mark.parametrize("signal", [None, silence, tone(440)])
def test_who_is_alone_in_a_room_gets_silence_every_20_ms(codec, signal):
    lab = Lab()
    anna = lab.member(lab.room(), codec=codec, signal=signal, send_at_once=True)
    lab.run(1000)
    assert len(anna.heard) >= 49 and unbroken(anna)
    assert np.abs(anna.audio()).max() <= 8  # a law has no nearer zero
    assert lab.media.check() == []


def test_two_in_a_room_are_mixed_not_relayed_and_keys_stay_where_they_are():
    lab = Lab()
    anna, ben = talkers(lab, lab.room(), [{}, {}])
    lab.run(500)
    anna.press(5)
    lab.run(500)
    assert lab.counters["relayed_packets"] == 0 and lab.drops["key_in_room"] > 0
    assert not ben.presses() and unbroken(ben)
    assert hears(anna, 2) == {1} and hears(ben, 2) == {0}


def test_an_empty_room_costs_nothing():
    lab = Lab()
    room = lab.room()
    peer = lab.member(room, signal=silence)
    lab.run(200)
    lab.close(peer)
    lab.run(20)
    ticks = lab.counters["ticks"]
    lab.run(1000)
    assert lab.counters["ticks"] == ticks


# -- who hears whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [False, True])
@pytest.mark.parametrize("codec", [PCMU, L16_8K, L16_16K])
def test_all_hear_all_others_and_not_themselves(roles, codec):
    lab = Lab()
    peers = talkers(lab, lab.room(roles=roles), [{}, {}, {}], codec=codec)
    lab.run(1000)
    for i, peer in enumerate(peers):
        assert hears(peer, 3) == {0, 1, 2} - {i} and unbroken(peer)


COACHING = {
    # A coach whom only the agent hears, and who hears both.
    "coach": ([(AGENT, 0xFF), (CUSTOMER, 0xFF & ~(1 << COACH)), (COACH, 0xFF)], [{1, 2}, {0}, {0, 1}]),
    # One who listens, and whom nobody hears.
    "monitor": ([(AGENT, 0b011), (CUSTOMER, 0b011), (COACH, 0b011)], [{1}, {0}, {0, 1}]),
    # Two who hear their own kind only.
    "apart": ([(0, 0b01), (0, 0b01), (1, 0b10), (1, 0b10)], [{1}, {0}, {3}, {2}]),
    # Nobody hears role 0; those of role 5 hear 6.
    "odd": ([(0, 0x20), (5, 0x40), (6, 0x21), (6, 0x60)], [{1}, {2, 3}, {0, 1}, {1, 2}]),
}


@pytest.mark.parametrize("name", COACHING)
@pytest.mark.parametrize("codec", [L16_8K, L16_16K])
def test_roles_hear_as_their_masks_say(name, codec):
    seats, expected = COACHING[name]
    lab = Lab()
    room = lab.room(roles=True)
    peers = talkers(lab, room, [{"role": role, "hears": mask} for role, mask in seats], codec=codec)
    lab.run(1000)
    assert [hears(peer, len(seats)) for peer in peers] == expected
    assert all(unbroken(peer) for peer in peers) and lab.media.check() == []


def test_without_roles_all_voices_are_one_and_the_deaf_hear_nobody():
    lab = Lab()
    peers = talkers(lab, lab.room(), [{"role": 3}, {"role": 1, "hears": 0b1}, {"hears": 0}])
    lab.run(1000)
    assert [hears(peer, 3) for peer in peers] == [{1, 2}, {0, 2}, set()]
    assert unbroken(peers[2])


def test_roles_may_be_told_apart_later():
    lab = Lab()
    room = lab.room()
    peers = talkers(lab, room, [{"role": role, "hears": mask} for role, mask in COACHING["coach"][0]])
    lab.run(700)
    assert [hears(peer, 3, 300) for peer in peers] == [{1, 2}, {0, 2}, {0, 1}]
    lab.media.bus_room(room, roles=[])
    lab.run(700)
    assert [hears(peer, 3) for peer in peers] == COACHING["coach"][1]
    assert all(unbroken(peer) for peer in peers)


def test_who_hears_the_same_shares_an_encoding():
    """Two masks, 40 listeners, a talker of each of two roles: encodings by masks and talkers."""
    lab = Lab(endpoints=64)
    room = lab.room(roles=True)
    talkers(lab, room, [{"role": 1, "hears": 0b01}, {"hears": 0b01}])
    for i in range(40):
        lab.member(room, seat={"hears": 0b01 if i % 2 else 0b11}, send_at_once=True)
    lab.run(500)
    before = lab.counters["encodings"], lab.counters["mixed_packets"]
    lab.run(1000)
    encodings, packets = lab.counters["encodings"] - before[0], lab.counters["mixed_packets"] - before[1]
    # Those who hear role 0 alone (also the talker of role 1), the other talker, the rest.
    assert packets == 42 * 50 and encodings == 3 * 50


def test_more_kinds_of_hearing_than_a_room_keeps_encodings_for_are_all_served():
    lab = Lab(endpoints=64)
    room = lab.room(roles=True)
    peers = talkers(lab, room, [{"role": i} for i in range(5)])
    masks = list(range(1, 32))
    listeners = [lab.member(room, seat={"hears": mask}, send_at_once=True) for mask in masks]
    lab.run(1000)
    for mask, listener in zip(masks, listeners, strict=True):
        assert hears(listener, 5) == {i for i in range(5) if mask >> i & 1} and unbroken(listener)
    assert hears(peers[0], 5) == {1, 2, 3, 4}


def test_a_voice_that_is_taken_out_leaves_no_trace():
    """Loud enough for the limiter in the room's sum: whoever does not hear it hears the rest bit by bit."""
    lab = Lab()
    room = lab.room(roles=True)
    quiet = lab.member(room, signal=tone(500, 6000))
    lab.member(room, signal=tone(313, 32000), seat={"role": 2})
    customer = lab.member(room, signal=silence, seat={"hears": 0b01})
    lab.run(600)
    heard, spoken = customer.audio(last_ms=300), np.concatenate(quiet.spoken)
    assert any(np.array_equal(spoken[at : at + len(heard)], heard) for at in range(len(spoken) - len(heard)))


# -- muted ---------------------------------------------------------------------------------------------


def test_who_is_muted_is_not_heard_and_hears_and_is_counted():
    lab = Lab()
    anna, ben, carl = talkers(lab, lab.room(), [MUTED, {}, {}])
    lab.run(1000)
    assert hears(anna, 3) == {1, 2} and hears(ben, 3) == {2} and hears(carl, 3) == {1}
    assert anna.stats["rx_packets"] >= 49 and anna.stats["playout_delay_ms"] > 0


def test_who_joins_muted_is_not_heard_for_one_sample():
    for ms in range(20):
        lab = Lab()
        room, before = lab.room(phase=7), lab.bus(phase=12)
        listener = lab.member(room, signal=silence)
        mover = lab.peer(before, codec=L16_8K, signal=tone(440, 16000))
        lab.peer(before, codec=L16_8K, signal=tone(550, 4000))
        lab.run(300 + ms)
        lab.sit(mover, room, **MUTED)
        lab.run(300)
        assert not np.any(listener.audio())


@pytest.mark.parametrize("codec", [L16_8K, L16_16K])
def test_muting_and_unmuting_fade_for_5_ms(codec):
    lab = Lab()
    room = lab.room()
    listener = lab.member(room, signal=silence, codec=codec)
    talker = lab.member(room, signal=lambda first, count, rate: np.full(count, 8000, np.int16), codec=codec)
    lab.run(500)
    for speaks in (False, True):
        listener.clear()
        lab.media.seat(room, talker.handle, speaks=speaks)
        lab.run(200)
        heard = listener.audio().astype(int)
        fading = (heard > 80) & (heard < 7920)
        steps = np.abs(np.diff(heard))
        assert fading.sum() == pytest.approx(RATE[codec] // 200, abs=3)
        assert steps.max() <= 8000 // (RATE[codec] // 200) + 2
        assert abs(heard[-1] - 8000 * speaks) <= 1


def test_a_silence_between_does_not_turn_a_mute_into_a_blip():
    """Muted while silent, and speaking again later: nothing is heard, not even a fade."""
    lab = Lab()
    room = lab.room()
    listener = lab.member(room, signal=silence)
    talker = lab.member(room, signal=tone(440))
    lab.run(500)
    talker.talk(silence)
    lab.run(500)
    lab.media.seat(room, talker.handle, speaks=False)
    lab.run(100)
    listener.clear()
    talker.talk(tone(440))
    lab.run(500)
    assert len(listener.heard) >= 24 and not np.any(listener.audio())


def test_the_speech_of_who_is_muted_is_watched_on():
    lab = Lab()
    room = lab.room()
    talker = lab.member(room, signal=tone(700, 12000), seat=MUTED, events=(), event_send=None)
    lab.member(room, signal=silence)
    lab.run(100)
    watched = lab.counters["watched_frames"]
    lab.run(500)
    assert lab.counters["watched_frames"] - watched == pytest.approx(25, abs=1)
    assert talker.stats["rx_packets"] >= 29


def test_a_muted_talker_shares_the_encoding_of_the_listeners():
    lab = Lab()
    room = lab.room()
    talkers(lab, room, [{}, MUTED, MUTED, MUTED])
    lab.run(500)
    before = lab.counters["encodings"]
    lab.run(1000)
    assert lab.counters["encodings"] - before == 100


# -- private sources -----------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [False, True])
@pytest.mark.parametrize("codec", [PCMU, L16_8K, L16_16K])
def test_what_is_played_to_one_is_heard_by_that_one_beside_the_room(roles, codec):
    lab = Lab()
    room = lab.room(roles=roles)
    anna, ben, carl = talkers(lab, room, [{"party": 9}, {"party": 4}, {}], codec=codec)
    lab.tone(room, 1500.0, seat={"party": 9})
    lab.run(1000)
    assert [hears(peer, 3) for peer in (anna, ben, carl)] == [{1, 2}, {0, 2}, {0, 1}]
    levels = [level_at(peer.audio(last_ms=500), 1500, RATE[codec]) for peer in (anna, ben, carl)]
    assert levels[0] == pytest.approx(amplitude(), rel=0.03) and max(levels[1:]) < 30
    assert lab.media.check() == []


def test_the_deaf_hear_what_is_played_to_them_alone():
    lab = Lab()
    room = lab.room()
    deaf = lab.member(room, signal=silence, seat={"hears": 0, "party": 3})
    talkers(lab, room, [{}])
    handle = lab.tone(room, 1500.0, seat={"party": 3})
    lab.run(1000)
    assert hears(deaf, 1) == set()
    assert level_at(deaf.audio(last_ms=500), 1500) == pytest.approx(amplitude(), rel=0.01)
    lab.media.seat(room, handle)  # to the room from now on
    lab.run(500)
    assert not np.any(deaf.audio(last_ms=300)) and lab.media.check() == []


def test_a_private_source_ends_and_is_told_and_may_be_closed_at_any_time():
    from roomtone.ext.flow.media import FACT_TONE_DONE

    lab = Lab()
    room = lab.room()
    anna, ben = talkers(lab, room, [{"party": 1}, {}])
    handles = [lab.tone(room, 1500.0, ms=ms, seat={"party": 1}) for ms in (200, -1)]
    lab.run(500)
    assert [fact[0] for fact in lab.facts(FACT_TONE_DONE)] == [handles[0]]
    lab.media.endpoint_close(handles[1])
    lab.run(500)
    assert level_at(anna.audio(last_ms=400), 1500) < 1 and hears(anna, 2) == {1} and hears(ben, 2) == {0}
    assert lab.media.check() == []


# -- coming and going ----------------------------------------------------------------------------------


@pytest.mark.parametrize("phases", [(0, 0), (0, 19), (19, 0), (3, 13), (14, 3)])
def test_to_a_room_and_back_costs_no_more_than_a_move(phases):
    lab = Lab()
    call, room = lab.bus(phase=phases[0]), lab.room(phase=phases[1])
    mover = lab.peer(call, codec=L16_8K, signal=tone(hz(0), 4000))
    other = lab.peer(call, codec=L16_8K, signal=tone(hz(1), 4000))
    met = [lab.member(room, signal=tone(hz(i), 4000)) for i in (2, 3)]
    lab.run(507)
    lab.sit(mover, room)
    lab.run(700)
    assert hears(met[0], 4) == {0, 3} and hears(mover, 4) == {2, 3}
    lab.media.endpoint_move(mover.handle, call)
    lab.run(713)
    assert hears(mover, 4) == {1} and hears(other, 4) == {0} and hears(met[0], 4) == {3}
    assert gap_free(mover.heard) and lab.media.check() == []
    gaps = [b.at_us - a.at_us for a, b in zip(mover.heard, mover.heard[1:], strict=False)]
    assert max(gaps) <= 60_000
    took_ms = (mover.heard[-1].at_us - mover.heard[0].at_us) / 1000
    assert sum(timestamp_steps(mover.heard)) / 8 == pytest.approx(took_ms, abs=20)


def test_a_seat_is_told_once_with_the_first_packet():
    lab = Lab()
    room = lab.room(phase=9)
    anna = lab.member(room, signal=None)  # its address is not known before it speaks
    first = next(lab.arrivals) - 1
    lab.run(200)
    assert lab.facts(FACT_SEATED) == []
    anna.talk(tone(440))
    lab.run(300)
    assert lab.facts(FACT_SEATED) == [(anna.handle, first)]
    lab.media.seat(room, anna.handle, speaks=False)  # another seat there is no coming
    lab.run(100)
    other = lab.room(phase=2)
    second = lab.sit(anna, other)
    lab.run(100)
    assert lab.facts(FACT_SEATED) == [(anna.handle, first), (anna.handle, second)]


def test_mere_sources_are_told_when_they_are_asked():
    lab = Lab()
    room = lab.room()
    tone_handle = lab.tone(room, 700.0, seat={})
    private = lab.tone(room, 800.0, seat={"party": 5})
    speaker = lab.member(room, signal=tone(440), may_send=False, destination=False)
    on_hold = lab.peer(codec=L16_8K, may_send=False, may_receive=False)
    lab.sit(on_hold, room)  # neither: it is there at once
    lab.run(100)
    told = [fact[0] for fact in lab.facts(FACT_SEATED)]
    assert sorted(told) == sorted([tone_handle, private, speaker.handle, on_hold.handle])


def test_one_that_left_before_it_was_seated_is_told_only_where_it_went():
    lab = Lab()
    rooms = [lab.room(phase=phase) for phase in (5, 9)]
    anna = lab.peer(lab.bus(), codec=L16_8K, signal=tone(440))
    lab.run(100)
    lab.sit(anna, rooms[0])
    last = lab.sit(anna, rooms[1])
    lab.run(100)
    assert lab.facts(FACT_SEATED) == [(anna.handle, last)]


def test_seats_change_under_load_and_nobody_loses_a_packet():
    lab = Lab(endpoints=256)
    room = lab.room(roles=True)
    listeners = [
        lab.member(room, seat={"hears": 0b1 if i % 2 else 0xFF}, send_at_once=True) for i in range(180)
    ]
    peers = talkers(lab, room, [{"role": i} for i in range(4)])
    lab.run(300)
    for i in range(200):
        lab.media.seat(room, peers[i % 4].handle, role=i % 3, speaks=bool(i % 5), hears=0xFF >> i % 8)
        lab.media.seat(room, listeners[i % 180].handle, hears=(1, 3, 7, 15)[i % 4])
        lab.run(3)
        assert lab.media.check() == []
    assert all(unbroken(peer) for peer in [*peers, *listeners])


# -- over several workers ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COACHING)
def test_roles_hold_over_two_workers(name):
    seats, expected = COACHING[name]
    workers = Workers(2)
    room = workers.session(on=[0, 1]).becomes_room(roles=True)
    peers = [
        room.member(i % 2, signal=tone(hz(i), 4000), seat={"role": role, "hears": mask})
        for i, (role, mask) in enumerate(seats)
    ]
    workers.run(1500)
    assert [hears(peer, len(seats)) for peer in peers] == expected
    assert all(unbroken(peer) for peer in peers) and workers.faults() == []


def test_mute_and_private_sources_over_two_workers():
    workers = Workers(2)
    room = workers.session(on=[0, 1]).becomes_room()
    seats = [{"party": 1}, {"party": 1}, MUTED]
    peers = [room.member(i % 2, signal=tone(hz(i), 4000), seat=seat) for i, seat in enumerate(seats)]
    workers.labs[0].tone(room.buses[0], 1500.0, seat={"party": 1})
    workers.run(1500)
    assert [hears(peer, 3) for peer in peers] == [{1}, {0}, {0, 1}]
    levels = [level_at(peer.audio(last_ms=500), 1500) for peer in peers]
    assert levels[0] == pytest.approx(amplitude(), rel=0.01) and max(levels[1:]) < 1


def test_a_whisper_is_not_heard_while_workers_stall_and_roles_and_spreading_change():
    """Whatever is late or being changed: the customer never hears the coach on the other worker."""
    workers = Workers(2)
    room = workers.session(on=[0, 1]).becomes_room(roles=True)
    customer = room.member(0, signal=silence, seat={"role": CUSTOMER, "hears": 0b011})
    room.member(0, signal=tone(hz(0), 4000))
    room.member(1, signal=tone(1700, 12000), seat={"role": COACH})
    workers.run(500)
    for i in range(30):
        workers.run(7 + i % 9, held={i % 2})
        workers.run(23)
        if i % 5 == 0:
            room.becomes_room(roles=True)
    pcm = customer.audio()
    for at in range(0, len(pcm) - FRAME, FRAME):
        assert level_at(pcm[at : at + FRAME], 1700) < 300
    assert unbroken(customer) or gap_free(customer.heard)
