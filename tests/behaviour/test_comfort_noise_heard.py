"""How a source is heard that has told its silence by comfort noise (RFC 3389)."""

import numpy as np
import pytest
from comfort import CN, FRAME, LIMIT_US, dbov, told, transcoded
from lab import (
    L16_8K,
    L16_16K,
    NOISE_TYPE,
    PCMA,
    PCMU,
    gap_free,
    level_at,
    rtp,
    silence,
    tone,
)
from network import Network
from workers import Workers

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
