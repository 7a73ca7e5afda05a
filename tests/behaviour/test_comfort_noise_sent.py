"""Comfort noise (RFC 3389) to those who have nobody to hear, and from call to call."""

import numpy as np
import pytest
from comfort import CN, FRAME, LEVEL_SENT, told, transcoded
from lab import (
    L16_16K,
    NOISE_TYPE,
    PAYLOAD_TYPE,
    PCMU,
    gap_free,
    level_at,
    silence,
    timestamp_steps,
    tone,
)
from workers import Workers

# -- sending -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [None, silence, tone(440)])
@pytest.mark.parametrize("payload_type", [NOISE_TYPE, 77])
def test_who_is_alone_in_a_room_gets_comfort_noise_every_20_ms(lab, signal, payload_type):
    anna = lab.member(lab.room(), codec=PCMU, signal=signal, send_at_once=True, noise=payload_type)
    lab.run(1000)
    assert len(anna.heard) >= 49
    assert {(p.payload_type, p.payload, p.marker) for p in anna.heard} == {
        (payload_type, bytes([LEVEL_SENT]), False)
    }
    assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {FRAME}
    assert lab.counters["encodings"] == 0 and lab.counters["comfort_noise_tx_packets"] == len(anna.heard)
    assert lab.media.check() == []


def test_who_is_deaf_gets_comfort_noise_while_others_talk(lab):
    room = lab.room()
    deaf = lab.member(room, codec=PCMU, signal=tone(300), seat={"hears": 0}, **CN)
    ben = lab.member(room, codec=PCMU, signal=tone(440), **CN)
    lab.run(1000)
    assert len(deaf.comfort()) == len(deaf.heard) >= 45
    assert level_at(ben.audio(last_ms=500), 300) > 7000 and not ben.comfort()[20:]


def test_the_first_audio_after_comfort_noise_has_the_marker_and_the_line_goes_on(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=silence, **CN)
    ben = lab.member(room, codec=PCMU, signal=silence)
    lab.run(1000)
    for _ in range(3):
        anna.clear()
        ben.talk(tone(440))
        lab.run(400)
        ben.talk(silence)
        lab.run(800)
        kinds = [p.payload_type for p in anna.heard]
        first = kinds.index(PAYLOAD_TYPE[PCMU])
        last = len(kinds) - 1 - kinds[::-1].index(PAYLOAD_TYPE[PCMU])
        assert set(kinds[first : last + 1]) == {PAYLOAD_TYPE[PCMU]}, "one talkspurt, without noise in it"
        assert 400 <= (last + 1 - first) * 20 <= 400 + 220, "and the end of its last word"
        assert [i for i, p in enumerate(anna.heard) if p.marker] == [first]
        assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {FRAME}
        assert {len(p.payload) for p in anna.comfort()} == {1}


def test_a_talker_hears_noise_while_nobody_else_talks_and_others_hear_him(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=tone(440), **CN)
    ben = lab.member(room, codec=PCMU, signal=silence, **CN)
    lab.run(1000)
    ben.clear(), anna.clear()
    lab.run(500)
    assert len(anna.comfort()) == len(anna.heard) == 25
    assert not ben.comfort() and level_at(ben.audio(), 440) > 7000


def test_who_negotiated_none_gets_encoded_silence(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=silence)
    ben = lab.member(room, codec=L16_16K, signal=silence, **CN)
    lab.run(500)
    assert not anna.comfort() and {len(p.payload) for p in anna.heard} == {FRAME}
    assert ben.comfort() and not ben.voice()
    assert set(timestamp_steps(ben.heard)) == {2 * FRAME}, "on the line of the codec"


def test_what_is_played_to_one_alone_is_no_silence(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=silence, seat={"party": 1}, **CN)
    ben = lab.member(room, codec=PCMU, signal=silence, seat={"party": 2}, **CN)
    lab.run(500)
    lab.tone(room, 500, ms=400, seat={"party": 1})
    anna.clear(), ben.clear()
    lab.run(800)
    assert 19 <= len(anna.voice()) <= 21 and anna.comfort()
    assert not ben.voice()


def test_whom_only_some_hear_leaves_the_others_with_noise(lab):
    agent, customer, coach = 1, 2, 4  # bits of the roles 0, 1, 2
    room = lab.room(roles=True)
    a = lab.member(
        room, codec=PCMU, signal=silence, seat={"role": 0, "hears": agent | customer | coach}, **CN
    )
    b = lab.member(room, codec=PCMU, signal=silence, seat={"role": 1, "hears": agent | customer}, **CN)
    c = lab.member(room, codec=PCMU, signal=tone(440), seat={"role": 2, "hears": agent | customer}, **CN)
    lab.run(500)
    for peer in (a, b, c):
        peer.clear()
    lab.run(500)
    assert not a.comfort() and level_at(a.audio(), 440) > 7000
    assert len(b.comfort()) == len(b.heard) == 25 == len(c.comfort()) == len(c.heard)
    b.talk(tone(600))
    lab.run(500)
    for peer in (b, c):
        peer.clear()
    lab.run(500)
    assert level_at(c.audio(), 600) > 7000 and not c.comfort() and len(b.comfort()) == 25


def test_while_a_key_goes_out_there_is_no_noise_and_its_time_goes_on(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=silence, **CN)
    lab.run(500)
    lab.media.inject(anna.handle, event=5, duration_ms=100, volume=10)
    lab.run(500)
    assert anna.presses() and gap_free(anna.heard)
    begin, end = anna.presses()[0].at_us, anna.presses()[-1].at_us
    assert not [p for p in anna.comfort() if begin < p.at_us < end]
    expected = (anna.comfort()[-1].at_us - anna.comfort()[0].at_us) * 8 // 1000
    assert sum(timestamp_steps(anna.comfort())) == expected


def test_a_call_of_three_gets_noise_while_none_talks(lab):
    bus = lab.bus()
    peers = [lab.peer(bus, codec=PCMU, signal=silence, **CN) for _ in range(3)]
    lab.run(1000)
    for peer in peers:
        peer.clear()
    lab.run(500)
    assert all(len(p.comfort()) == len(p.heard) == 25 for p in peers)


@pytest.mark.parametrize("talks", [0, 1])
def test_in_a_room_on_two_workers_noise_is_for_who_hears_nobody_anywhere(talks):
    workers = Workers(2)
    room = workers.session(on=[0, 1]).becomes_room()
    anna = room.peer(0, codec=PCMU, signal=silence, **CN)
    ben = room.peer(1, codec=PCMU, signal=tone(440) if talks else silence, **CN)
    workers.run(1000)
    anna.clear(), ben.clear()
    workers.run(500)
    assert bool(anna.voice()) == bool(talks) == (not anna.comfort())
    assert len(ben.comfort()) == len(ben.heard) == 25
    assert workers.faults() == []


# -- relayed calls -------------------------------------------------------------------------------------------


def relayed(lab, theirs):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440), **CN)
    return anna, lab.peer(bus, signal=silence, noise=theirs)


def test_a_relay_hands_noise_on_with_the_payload_type_of_the_destination(lab):
    anna, ben = relayed(lab, 96)
    lab.run(500)
    anna.hush(40, every=10)
    lab.run(1000)
    anna.talk_again()
    lab.run(200)
    got = [p for p in ben.heard if p.payload_type == 96]
    assert [p.payload for p in got] == [b"\x28"] * 5 and not any(p.marker for p in got)
    assert set(timestamp_steps(got)) == {10 * FRAME} and gap_free(ben.heard)
    speech = [p for p in ben.voice() if p.payload_type == 0 and p.at_us > got[-1].at_us]
    assert [p.marker for p in speech] == [True] + [False] * (len(speech) - 1)
    assert (speech[0].timestamp - got[0].timestamp) & 0xFFFFFFFF == 50 * FRAME
    assert lab.counters["mixed_packets"] == 0


def test_a_destination_that_negotiated_none_gets_a_gap_and_the_drop_has_a_name(lab):
    anna, ben = relayed(lab, None)
    lab.run(500)
    ben.clear()
    anna.hush(40, every=10)
    lab.run(1000)
    assert len(ben.heard) <= 1 and lab.drops == {"noise_no_type": 5} | {
        k: v for k, v in lab.drops.items() if k != "noise_no_type"
    }
    anna.talk_again()
    lab.run(200)
    assert ben.heard[-1].payload_type == 0 and gap_free(ben.heard)


def test_noise_is_not_negotiated_by_being_sent(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=silence, **CN)
    lab.run(500)
    anna.hush(40, every=10)
    lab.run(1000)
    assert lab.drops["payload_type"] == 5 and not ben.comfort()


def test_a_source_at_another_clock_has_no_noise_at_8_khz(lab):
    bus = lab.bus()
    anna, _ = lab.peer(bus, codec=L16_16K, signal=tone(440), **CN), lab.peer(bus, codec=PCMU, signal=silence)
    lab.run(500)
    anna.hush(40)
    lab.run(100)
    assert lab.drops["payload_type"] == 1


# -- renegotiation -------------------------------------------------------------------------------------------


def test_renegotiation_adds_and_removes_it_both_ways(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=silence)
    lab.run(500)
    assert not anna.comfort()
    lab.negotiate(anna, **CN)
    lab.run(40)
    anna.clear()
    lab.run(500)
    assert len(anna.comfort()) == len(anna.heard) == 25
    lab.negotiate(anna)
    lab.run(40)
    anna.clear()
    lab.run(500)
    assert len(anna.voice()) == len(anna.heard) == 25
    assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {FRAME}


def test_noise_in_progress_ends_when_it_is_no_longer_agreed(lab):
    anna, ben = transcoded(lab)
    told(anna, 40)
    lab.negotiate(anna)
    lab.run(300)
    ben.clear()
    lab.run(300)
    assert np.abs(ben.audio()).max() <= 8
