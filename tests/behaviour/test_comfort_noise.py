"""Comfort noise (RFC 3389): who is sent it, and how a source is heard that has told that it is silent."""

import numpy as np
import pytest
from lab import (
    L16_8K,
    L16_16K,
    NOISE_TYPE,
    PAYLOAD_TYPE,
    PCMA,
    PCMU,
    gap_free,
    level_at,
    rtp,
    silence,
    timestamp_steps,
    tone,
)
from network import Network
from workers import Workers

FRAME = 160
CN = {"noise": NOISE_TYPE}
LEVEL_SENT = 72  # -dBov
LIMIT_US = 5_000_000  # media_timeout_secs


def dbov(pcm):
    """Level of samples against the square wave that just fits."""
    return 20 * np.log10(max(np.sqrt(np.mean(pcm.astype(float) ** 2)), 1e-3) / 32768)


def transcoded(lab, *, codec=PCMA, **more):
    """Anna, and Ben who hears her in another codec."""
    bus = lab.bus()
    return lab.peer(bus, codec=PCMU, signal=tone(440), **CN, **more), lab.peer(
        bus, codec=codec, signal=silence
    )


def told(peer, level=40, **more):
    """It speaks, then is silent and tells so."""
    peer.lab.run(600)
    peer.hush(level, **more)
    peer.lab.run(300)


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


# -- receiving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [PCMA, L16_8K, L16_16K])
@pytest.mark.parametrize("level", [25, 40, 50])
def test_a_silence_that_was_told_is_heard_as_noise_of_its_level(lab, codec, level):
    anna, ben = transcoded(lab, codec=codec)
    told(anna, level)
    ben.clear()
    lab.run(2000)
    assert dbov(ben.audio()) == pytest.approx(-level, abs=1.0)
    assert gap_free(ben.heard) and not any(p.marker for p in ben.heard)
    assert anna.stats["concealed_ms"] == 0 == anna.stats["rx_lost"]


def test_further_bytes_of_a_packet_colour_nothing_and_do_no_harm(lab):
    anna, ben = transcoded(lab)
    told(anna, None)
    anna.send(bytes([0x80 | 40, *range(200)]), payload_type=NOISE_TYPE)
    lab.run(100)
    ben.clear()
    lab.run(1000)
    assert dbov(ben.audio()) == pytest.approx(-40, abs=1.0)


def test_a_packet_without_a_level_is_empty(lab):
    anna, _ = transcoded(lab)
    told(anna, None)
    anna.send(b"", payload_type=NOISE_TYPE)
    lab.run(20)
    assert lab.drops["empty"] == 1


def test_noise_that_nobody_would_hear_is_nothing(lab):
    anna, ben = transcoded(lab)
    told(anna, 60)
    ben.clear()
    lab.run(1000)
    assert np.abs(ben.audio()).max() <= 8
    assert anna.stats["concealed_ms"] == 0


def test_noise_begins_where_speech_ends_and_ends_where_it_begins(lab):
    anna, ben = transcoded(lab, codec=L16_8K)
    anna.signal = lambda first, count, rate: np.full(count, 8000, np.int16)
    told(anna, 30)
    anna.talk_again()
    lab.run(500)
    pcm = ben.audio()
    loud = np.abs(pcm.astype(int)) > 5000
    edges = np.flatnonzero(np.diff(loud))
    assert len(edges) == 3, "speech, noise, speech"
    noise = pcm[edges[1] + 1 : edges[2] + 1]
    assert len(noise) == 300 * 8
    assert dbov(noise) == pytest.approx(-30, abs=0.5)
    assert all(dbov(noise[i : i + FRAME]) > -32 for i in range(0, len(noise), FRAME)), "without a hole"


def test_a_new_level_is_heard_without_a_hole(lab):
    anna, ben = transcoded(lab, codec=L16_8K)
    told(anna, 30)
    for level in (40, 25, 50):
        anna.hush(level)
        lab.run(100)
        ben.clear()
        lab.run(1300)
        pcm = ben.audio()
        assert all(
            dbov(pcm[i : i + FRAME]) == pytest.approx(-level, abs=1.5) for i in range(0, len(pcm), FRAME)
        )


@pytest.mark.parametrize("ppm", [0, 200, -200, 1000, -1000])
def test_minutes_of_silence_move_neither_delay_nor_loss_whatever_the_clock(lab, ppm):
    anna, ben = transcoded(lab)
    anna.clock_ppm = ppm
    lab.run(1000)
    for _ in range(6):
        anna.hush(45, every=10)
        lab.run(30_000)
        anna.talk_again()
        lab.run(400)
        assert 30 <= anna.stats["playout_delay_ms"] <= 52
        assert level_at(ben.audio(last_ms=200), 440) > 7000
    assert anna.stats["concealed_ms"] == 0 == anna.stats["rx_lost"] == anna.stats["rx_late"]
    assert lab.counters["playout_resyncs"] == 0
    assert lab.media.silent(LIMIT_US) == []


@pytest.mark.parametrize("noise", [None, 50])
@pytest.mark.parametrize("pause_ms", [100, 400, 900, 3000])
def test_after_a_pause_speech_is_heard_with_the_delay_it_had(lab, noise, pause_ms):
    anna, _ = transcoded(lab)
    lab.run(1000)
    delay = anna.stats["playout_delay_ms"]
    for _ in range(10):
        anna.hush(noise)
        lab.run(pause_ms)
        anna.talk_again()
        lab.run(1000)
    assert anna.stats["playout_delay_ms"] == pytest.approx(delay, abs=10)
    assert anna.stats["rx_lost"] == 0 == anna.stats["rx_late"] == lab.counters["playout_resyncs"]
    if noise is not None:
        assert anna.stats["concealed_ms"] == 0


def test_noise_is_heard_of_one_who_has_not_spoken_yet(lab):
    bus = lab.bus()
    anna = lab.peer(bus, codec=PCMU, signal=silence, **CN)
    ben = lab.peer(bus, codec=PCMA, signal=silence)
    anna.hush(40, every=10)
    lab.run(500)
    ben.clear()
    lab.run(1000)
    assert dbov(ben.audio()) == pytest.approx(-40, abs=1.0)
    anna.signal = tone(440)
    anna.talk_again()
    lab.run(500)
    assert level_at(ben.audio(last_ms=300), 440) > 7000
    assert anna.stats["codec"] == PCMU and anna.stats["concealed_ms"] == 0


def test_the_first_packet_of_all_may_be_noise_and_pins_the_address(lab):
    room = lab.room()
    anna = lab.member(room, codec=PCMU, signal=None, remote=("127.0.0.1", 9), **CN)
    anna.send(b"\x28", payload_type=NOISE_TYPE)
    anna.send(b"\x28", payload_type=NOISE_TYPE)
    lab.run(200)
    assert lab.media.stats(anna.handle)["remote_rtp_addr"].endswith(str(anna.address[1]))
    assert anna.comfort() and anna.stats["rx_packets"] == 1


def test_a_lost_noise_packet_is_a_gap_and_the_next_one_mends_it(lab):
    anna, ben = transcoded(lab)
    lab.run(600)
    anna.hush(None)
    anna.seq += 1  # its packet is lost
    lab.run(400)
    concealed = anna.stats["concealed_ms"]
    assert concealed > 0
    anna.hush(40)
    lab.run(100)
    ben.clear()
    lab.run(500)
    assert dbov(ben.audio()) == pytest.approx(-40, abs=1.0)
    assert anna.stats["rx_lost"] == 1 and anna.stats["concealed_ms"] <= concealed + 60


def test_noise_that_speech_has_overtaken_changes_nothing(lab):
    anna, ben = transcoded(lab)
    lab.run(600)
    late = rtp(NOISE_TYPE, anna.seq, anna.timestamp, anna.ssrc, b"\x14")
    anna.seq += 1
    lab.run(60)
    anna.feed(late)
    anna.talk(None)
    lab.run(300)
    ben.clear()
    lab.run(500)
    assert np.abs(ben.audio()).max() <= 8 and anna.stats["rx_reordered"] == 1
    assert lab.drops["playout_late"] == 1


def test_speech_that_noise_has_overtaken_is_heard_and_the_noise_after_it(lab):
    anna, ben = transcoded(lab, codec=L16_8K)
    lab.run(600)
    anna.talk(None)
    last = rtp(0, anna.seq, anna.timestamp, anna.ssrc, bytes([0x10]) * FRAME)
    anna.feed(rtp(NOISE_TYPE, anna.seq + 1, anna.timestamp + FRAME, anna.ssrc, b"\x28"))
    anna.feed(last)
    anna.feed(last)
    ben.clear()
    lab.run(500)
    pcm = ben.audio()
    loud = np.flatnonzero(np.abs(pcm.astype(int)) == 15996)
    assert len(loud) == FRAME
    assert dbov(pcm[loud[-1] + 1 :][: 300 * 8]) == pytest.approx(-40, abs=0.5)
    assert lab.drops["duplicate"] == 1


def test_told_twice_is_told_once(lab):
    anna, ben = transcoded(lab)
    anna.network.duplicate = 1.0
    told(anna, 40, every=5)
    ben.clear()
    lab.run(1000)
    assert dbov(ben.audio()) == pytest.approx(-40, abs=1.0) and anna.stats["concealed_ms"] == 0


def test_jitter_is_measured_over_noise_as_over_speech(lab):
    anna, _ = transcoded(lab, network=Network(3, jitter_ms=8))
    lab.run(2000)
    before = anna.stats["rx_jitter_ms"]
    anna.hush(50, every=5)
    lab.run(10_000)
    assert anna.stats["rx_jitter_ms"] == pytest.approx(before, abs=3)


def test_a_timeline_that_jumps_in_silence_is_followed(lab):
    anna, ben = transcoded(lab)
    told(anna, 40)
    anna.timestamp += 1_000_000
    anna.talk_again()
    lab.run(500)
    assert level_at(ben.audio(last_ms=300), 440) > 7000
    anna.talk(None)
    lab.run(300)
    ben.clear()
    lab.run(300)
    assert np.abs(ben.audio()).max() <= 8, "the noise of then is over"


# -- how long, and among how many ----------------------------------------------------------------------------


def test_noise_is_no_longer_than_the_media_time_out_after_the_last_packet(lab):
    anna, ben = transcoded(lab)
    told(anna, 40)
    lab.run(4500)
    ben.clear()
    lab.run(100)
    assert dbov(ben.audio()) > -42
    lab.run(500)
    ben.clear()
    lab.run(500)
    assert np.abs(ben.audio()).max() <= 8
    assert [handle for handle, _ in lab.media.silent(LIMIT_US)] == [anna.handle]


def test_a_peer_that_tells_its_silence_is_not_silent(lab):
    anna, _ = transcoded(lab)
    lab.run(100)
    anna.hush(127, every=100)
    lab.run(30_000)
    assert lab.media.silent(LIMIT_US) == []


@pytest.mark.parametrize("members", [2, 3, 12])
def test_two_hear_each_others_noise_and_more_hear_none(lab, members):
    room = lab.room()
    peers = [lab.member(room, codec=L16_8K, signal=silence, **CN) for _ in range(members)]
    for peer in peers:
        peer.hush(40, every=10)
    lab.run(1000)
    for peer in peers:
        peer.clear()
    lab.run(1000)
    for peer in peers:
        if members == 2:
            assert dbov(peer.audio()) == pytest.approx(-40, abs=0.5) and not peer.comfort()
        else:
            assert len(peer.comfort()) == len(peer.heard) == 50
    assert lab.media.check() == []


def test_the_noise_of_one_ends_when_a_third_comes(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440), **CN), lab.peer(bus, codec=PCMA, signal=silence)
    told(anna, 40, every=10)
    assert dbov(ben.audio(last_ms=200)) > -42
    carl = lab.peer(bus, signal=silence)
    lab.run(200)
    ben.clear(), carl.clear()
    lab.run(500)
    assert max(np.abs(ben.audio()).max(), np.abs(carl.audio()).max()) <= 8


def test_members_that_tell_their_silence_cost_no_reads(lab):
    room = lab.room()
    peers = [lab.member(room, codec=PCMU, signal=tone(440), **CN) for _ in range(12)]
    lab.run(500)
    for peer in peers:
        peer.hush(40, every=25)
    lab.run(1200)
    assert all(lab.media.stats(p.handle)["playout_delay_ms"] == 0 for p in peers), "off the tick"
    peers[0].talk_again()
    lab.run(500)
    assert level_at(peers[1].audio(last_ms=300), 440) > 7000


def test_noise_crosses_workers_between_two():
    workers = Workers(2)
    session = workers.session(on=[0, 1])
    anna = session.peer(0, codec=L16_8K, signal=tone(440), **CN)
    ben = session.peer(1, codec=L16_8K, signal=silence)
    workers.run(600)
    anna.hush(40)
    workers.run(400)
    ben.clear()
    workers.run(500)
    assert dbov(ben.audio()) == pytest.approx(-40, abs=0.5)
    session.peer(1, codec=L16_8K, signal=silence)
    workers.run(200)
    ben.clear()
    workers.run(500)
    assert np.abs(ben.audio()).max() == 0


def test_noise_crosses_a_bridge():
    workers = Workers(1)
    a, b = workers.session(), workers.session()
    anna = a.peer(codec=L16_8K, signal=tone(440), **CN)
    ben = b.peer(codec=L16_8K, signal=silence)
    b.hears(a)
    a.hears(b)
    workers.run(600)
    anna.hush(40)
    workers.run(400)
    ben.clear()
    workers.run(500)
    assert dbov(ben.audio()) == pytest.approx(-40, abs=0.5)


def test_noise_goes_on_through_a_transfer(lab):
    anna, _ = transcoded(lab)
    told(anna, 40)
    other = lab.bus(phase=11)
    carl = lab.peer(other, codec=L16_8K, signal=silence)
    lab.media.endpoint_move(anna.handle, other)
    lab.run(100)
    carl.clear()
    lab.run(500)
    assert dbov(carl.audio()) == pytest.approx(-40, abs=0.5)


@pytest.mark.parametrize("noise", [30, 20])
def test_detectors_hear_silence_instead_of_noise(lab, noise):
    anna, _ = transcoded(lab)
    lab.media.watch(anna.handle, serial=1, speech=True, threshold=0.5, fax=False, frames=0)
    anna.hush(noise, every=10)
    lab.run(5000)
    assert lab.media.speech(anna.handle)[1] == 0
    assert lab.counters["watched_frames"] > 200


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
