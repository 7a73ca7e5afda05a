"""Two who speak the same codec: packets are forwarded on arrival, on the listener's own line."""

import numpy as np
import pytest
from lab import (
    L16_8K,
    L16_16K,
    PCMA,
    PCMU,
    decode,
    encode,
    gap_free,
    level_at,
    rtp,
    silence,
    timestamp_steps,
    tone,
)
from network import Network


def pair(lab, *, network=None, codec=PCMU, **more):
    bus = lab.bus()
    return lab.peer(bus, signal=tone(440), network=network, codec=codec, **more), lab.peer(
        bus, codec=codec, signal=silence
    )


@pytest.mark.parametrize("codec", [PCMU, PCMA, L16_8K, L16_16K])
def test_the_payload_arrives_unchanged_on_arrival(lab, codec):
    anna, ben = pair(lab, codec=codec)
    lab.run(1000)
    assert lab.counters["encodings"] == 0
    assert len(ben.heard) >= 49
    expected = b"".join(encode(codec, frame) for frame in anna.spoken)
    assert b"".join(p.payload for p in ben.heard) in expected


def test_sequence_and_timestamp_are_the_listeners_own(lab):
    anna, ben = pair(lab)
    lab.run(1000)
    assert gap_free(ben.heard)
    assert set(timestamp_steps(ben.heard)) == {160}
    assert {p.ssrc for p in ben.heard} == {lab.media.stats(ben.handle)["ssrc_tx"]} != {anna.ssrc}
    assert ben.heard[0].seq == 65500 and ben.heard[0].timestamp == 0xFFFFF000
    assert [p.marker for p in ben.heard[:2]] == [True, False]


def test_a_lost_packet_leaves_no_gap_in_the_sequence_and_one_in_the_timestamp(lab):
    _, ben = pair(lab, network=Network(3, loss=0.1))
    lab.run(4000)
    steps = timestamp_steps(ben.heard)
    assert gap_free(ben.heard)
    assert set(steps) >= {160, 320} and all(step % 160 == 0 for step in steps)
    assert sum(steps) // 160 == pytest.approx(199, abs=2)


def test_the_timestamp_follows_a_source_that_pauses_its_sending(lab):
    anna, ben = pair(lab)
    lab.run(200)
    anna.talk(None)
    anna.pause(300)
    lab.run(300)
    anna.talk(tone(440))
    lab.run(200)
    assert sorted(timestamp_steps(ben.heard))[-2:] == [160, 160 + 300 * 8]


def test_an_overtaken_packet_is_relayed_with_the_timestamp_that_belongs_to_it(lab):
    _, ben = pair(lab, network=Network(5, reorder=0.1))
    lab.run(2000)
    assert gap_free(ben.heard)
    assert -160 in timestamp_steps(ben.heard) or min(timestamp_steps(ben.heard)) < 0
    assert len({p.timestamp for p in ben.heard}) == len(ben.heard)
    assert lab.media.stats(lab.facts(1)[0][0])["rx_reordered"] > 0


def test_csrcs_extension_and_padding_are_left_behind(lab):
    anna, ben = pair(lab)
    lab.run(100)
    anna.talk(None)
    ben.clear()
    payload = bytes(range(160))
    plain = rtp(0, anna.seq, anna.timestamp, anna.ssrc, b"")
    dressed = (
        bytes([0x80 | 0x20 | 0x10 | 2])
        + plain[1:]
        + bytes(8)
        + b"\xbe\xde\0\1"
        + bytes(4)
        + payload
        + b"\0\0\0\4"
    )
    anna.feed(dressed)
    assert [p.payload for p in ben.heard] == [payload]


def test_a_duplicate_is_not_relayed_and_is_counted(lab):
    anna, ben = pair(lab, network=Network(2, duplicate=0.2))
    lab.run(2000)
    assert set(timestamp_steps(ben.heard)) == {160}
    assert lab.drops["duplicate"] == anna.stats["rx_duplicate"] > 5


def test_a_packet_older_than_what_is_remembered_is_dropped_as_late(lab):
    anna, ben = pair(lab)
    lab.run(2000)
    ben.clear()
    anna.feed(rtp(0, anna.seq - 70, anna.timestamp - 70 * 160, anna.ssrc, bytes(160)))
    assert ben.heard == [] and lab.drops["late"] == 1


def test_the_senders_marker_is_relayed(lab):
    anna, ben = pair(lab)
    lab.run(100)
    anna.marker = True
    lab.run(40)
    assert [p.marker for p in ben.heard[1:]].count(True) == 1


def test_wraps_of_sequence_and_timestamp_pass_unnoticed(lab):
    anna, ben = pair(lab)
    anna.seq, anna.timestamp = 65530, 2**32 - 800
    lab.run(1000)
    assert gap_free(ben.heard) and set(timestamp_steps(ben.heard)) == {160}
    assert anna.stats["rx_lost"] == 0 and anna.stats["rx_jitter_ms"] == 0


@pytest.mark.parametrize("ptime_ms", [10, 30])
def test_another_packet_time_is_decoded_and_leaves_in_20_ms(lab, ptime_ms):
    anna, ben = pair(lab)
    anna.ptime_ms = ptime_ms
    lab.run(2000)
    assert {len(p.payload) for p in ben.heard} == {160}
    assert gap_free(ben.heard) and set(timestamp_steps(ben.heard)) == {160}
    assert lab.counters["encodings"] > 90
    assert level_at(ben.audio(last_ms=1000), 440) == pytest.approx(8000, rel=0.02)


@pytest.mark.parametrize(("here", "there"), [(PCMU, PCMA), (PCMA, PCMU), (L16_8K, PCMU), (PCMA, L16_8K)])
def test_two_codecs_of_one_rate_are_transcoded_exactly(lab, here, there):
    bus = lab.bus()
    anna = lab.peer(bus, codec=here, signal=tone(440))
    ben = lab.peer(bus, codec=there, signal=silence)
    lab.run(600)
    sent = np.concatenate(anna.spoken)[160:]
    expected = decode(there, encode(there, sent))
    heard = ben.audio()
    start = np.flatnonzero(np.abs(heard) > 100)[0] // 160 * 160
    n = 20 * 160
    found = heard[start : start + n]
    assert any(np.array_equal(found, expected[k : k + n]) for k in range(0, 160 * 5, 160))


@pytest.mark.parametrize(("here", "there"), [(L16_8K, L16_16K), (L16_16K, L16_8K)])
def test_between_8_and_16_khz_the_tone_keeps_its_pitch_and_no_alias_appears(lab, here, there):
    bus = lab.bus()
    lab.peer(bus, codec=here, signal=tone(1000))
    ben = lab.peer(bus, codec=there, signal=silence)
    lab.run(1500)
    rate = 16000 if there == L16_16K else 8000
    heard = ben.audio(last_ms=1000).astype(float)
    assert level_at(heard, 1000, rate) == pytest.approx(8000, rel=0.03)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) / len(heard) * 4
    spectrum[990:1011] = 0
    assert np.max(spectrum[50:]) < 8000 * 10 ** (-75 / 20)


def test_what_8_khz_cannot_carry_is_filtered_out(lab):
    bus = lab.bus()
    lab.peer(bus, codec=L16_16K, signal=tone(6000))
    ben = lab.peer(bus, codec=L16_8K, signal=silence)
    lab.run(1500)
    assert np.abs(ben.audio(last_ms=1000)).max() < 8000 * 10 ** (-60 / 20)


def test_a_new_ssrc_moves_the_timestamp_by_real_time_and_sets_the_marker(lab):
    anna, ben = pair(lab)
    lab.run(500)
    anna.ssrc, anna.seq, anna.timestamp = 0xBEEF, 7, 0x40000000
    before = len(ben.heard)
    lab.run(500)
    assert gap_free(ben.heard)
    assert [i for i, p in enumerate(ben.heard) if p.marker] == [0, before]
    assert timestamp_steps(ben.heard)[before - 1] == 320  # one packet of the new source was its probation
    assert set(timestamp_steps(ben.heard)) == {160, 320}
    assert anna.stats["ssrc_rx"] == 0xBEEF


def test_another_source_continues_the_line_by_real_time_with_the_marker(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus, source=False)
    lab.media.endpoint_remote(ben.handle, remote=ben.address, rtcp_port=1, learn=False, send_at_once=True)
    lab.run(500)
    lab.leave(anna, bus)
    lab.run(400)
    carl = lab.peer(bus, signal=tone(700))
    lab.run(500)
    assert carl.stats["rx_packets"] > 0
    assert gap_free(ben.heard)
    assert [p.marker for p in ben.heard].count(True) == 2
    assert max(timestamp_steps(ben.heard)) == pytest.approx(400 * 8, abs=200)
    assert len(set(timestamp_steps(ben.heard))) == 2


def test_nothing_is_sent_to_a_peer_that_has_not_been_heard_yet(lab):
    bus = lab.bus()
    lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus)
    lab.run(500)
    assert ben.heard == [] and lab.drops["not_learned"] > 20


def test_a_peer_that_only_listens_is_sent_to_at_once(lab):
    bus = lab.bus()
    lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus, source=False, send_at_once=True, may_receive=False)
    lab.run(500)
    assert len(ben.heard) >= 24


def test_we_do_not_send_to_a_peer_that_only_sends(lab):
    bus = lab.bus()
    lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus, signal=silence, destination=False, may_send=False)
    lab.run(500)
    assert ben.heard == []


def test_a_payload_type_that_is_not_negotiated_is_dropped(lab):
    anna, ben = pair(lab)
    lab.run(100)
    ben.clear()
    anna.talk(None)
    anna.feed(rtp(77, anna.seq, anna.timestamp, anna.ssrc, bytes(160)))
    assert ben.heard == [] and lab.drops["payload_type"] == 1


def test_a_payload_type_that_gets_another_codec_is_decoded_as_the_new_one(lab):
    bus = lab.bus()
    anna = lab.peer(bus, codec=PCMU, signal=tone(440))
    ben = lab.peer(bus, codec=PCMA, signal=silence)
    lab.run(300)
    lab.media.endpoint_media(
        anna.handle,
        receive=[(0, L16_8K)],
        send_payload_type=0,
        send_codec=L16_8K,
        event_receive=[],
        event_send=None,
        may_receive=True,
        may_send=True,
    )
    anna.codec = L16_8K
    lab.run(20)
    send = anna.send
    anna.send = lambda payload, **more: send(payload, **more | {"payload_type": 0})
    lab.run(1500)
    assert level_at(ben.audio(last_ms=500), 440) == pytest.approx(8000, rel=0.03)


def test_the_packet_after_a_long_pause_without_packets_is_relayed_at_once(lab):
    anna, ben = pair(lab)
    lab.run(300)
    anna.talk(None)
    lab.run(60_000)
    ben.clear()
    anna.talk(tone(440))
    lab.run(5)
    assert len(ben.heard) == 1
