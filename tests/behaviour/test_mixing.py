"""Three and more: everybody hears the exact sum of the others."""

import numpy as np
import pytest
from lab import (
    L16_8K,
    L16_16K,
    PCMA,
    PCMU,
    Lab,
    decode,
    encode,
    gap_free,
    level_at,
    silence,
    snr_db,
    timestamp_steps,
    tone,
)

FRAME = 160
FRAMES = 40
TONES = (313, 457, 631, 809, 1033)


def room(lab, talkers, *, codec=PCMU, listeners=0, amplitude=4000):
    bus = lab.bus()
    peers = [lab.peer(bus, codec=codec, signal=tone(TONES[i % 5] + i, amplitude)) for i in range(talkers)]
    peers += [lab.peer(bus, codec=codec, signal=silence) for _ in range(listeners)]
    return peers


def sum_of_others(peers, me, first_frame):
    """numpy's statement of N-1: what each other peer's packet decodes to, added, once through the codec."""
    n = first_frame + FRAMES
    total = sum(np.concatenate(p.spoken[first_frame:n]).astype(float) for p in peers if p is not me)
    return decode(me.codec, encode(me.codec, np.round(total).astype(np.int16)))


def best_match(peers, me):
    """(SNR, what was heard) against the reference, over the frame offset that the playout delay makes."""
    heard = me.audio()[-FRAMES * FRAME - 10 * FRAME : -10 * FRAME]
    spoken = len(me.spoken)
    return max(
        (snr_db(heard, sum_of_others(peers, me, k)), k) for k in range(spoken - FRAMES - 20, spoken - FRAMES)
    )


@pytest.mark.parametrize("codec", [PCMU, PCMA, L16_8K])
@pytest.mark.parametrize("talkers", [3, 4, 5])
def test_each_hears_exactly_the_sum_of_the_others(lab, talkers, codec):
    peers = room(lab, talkers, codec=codec)
    lab.run(1500)
    for me in peers:
        snr, _ = best_match(peers, me)
        assert snr >= 60
        assert gap_free(me.heard) and set(timestamp_steps(me.heard)) == {FRAME}


def test_nobody_hears_his_own_voice(lab):
    peers = room(lab, 4, codec=L16_8K)
    lab.run(1500)
    for i, me in enumerate(peers):
        assert level_at(me.audio(last_ms=1000), TONES[i] + i) < 4000 * 10 ** (-60 / 20)


def test_a_wideband_member_hears_narrowband_ones_and_the_other_way_round(lab):
    bus = lab.bus()
    wide = lab.peer(bus, codec=L16_16K, signal=tone(5130))
    also = lab.peer(bus, codec=L16_16K, signal=tone(1000))
    narrow = lab.peer(bus, codec=PCMA, signal=tone(700))
    lab.run(1500)
    heard = wide.audio(last_ms=1000)
    assert level_at(heard, 1000, 16000) == pytest.approx(8000, rel=0.02)
    assert level_at(heard, 700, 16000) == pytest.approx(8000, rel=0.03)
    assert level_at(heard, 5130, 16000) < 8
    assert level_at(also.audio(last_ms=1000), 5130, 16000) == pytest.approx(8000, rel=0.02)
    assert level_at(narrow.audio(last_ms=1000), 1000) == pytest.approx(8000, rel=0.03)
    assert level_at(narrow.audio(last_ms=1000), 2870) < 80  # 5,130 Hz folded


def test_the_result_does_not_depend_on_the_order_of_joining():
    def listen(order):
        lab = Lab()
        bus = lab.bus()
        signals = [tone(f, 12000) for f in TONES[:4]]
        heard = {}
        for i in order:
            heard[i] = lab.peer(signal=signals[i], codec=PCMU)
        listener = lab.peer(signal=silence)
        for peer in (*heard.values(), listener):
            peer.since_us = lab.now_us
            lab.join(peer, bus)
        lab.run(800)
        return [p.payload for p in listener.heard]

    assert listen([0, 1, 2, 3]) == listen([3, 1, 0, 2]) == listen([2, 3, 1, 0])


def test_all_who_hear_the_same_share_one_encoding_a_codec(lab):
    bus = lab.bus()
    peers = [lab.peer(bus, codec=c, signal=silence) for c in (PCMU, PCMU, PCMU, PCMA, PCMA, L16_16K)]
    lab.run(1000)
    before = lab.counters
    lab.run(1000)
    after = lab.counters
    assert after["ticks"] - before["ticks"] == 50
    assert after["encodings"] - before["encodings"] == 3 * 50
    assert after["mixed_packets"] - before["mixed_packets"] == len(peers) * 50


def test_a_talker_costs_one_encoding_more_and_listeners_still_share(lab):
    peers = room(lab, 2, listeners=6)
    lab.run(1000)
    before = lab.counters["encodings"]
    for peer in peers:
        peer.clear()
    lab.run(1000)
    assert lab.counters["encodings"] - before == 3 * 50
    payloads = {tuple(p.payload for p in peer.heard) for peer in peers[2:]}
    assert len(payloads) == 1


def test_who_falls_silent_costs_nothing_after_a_fifth_of_a_second(lab):
    peers = room(lab, 3)
    lab.run(500)
    peers[0].talk(silence)
    lab.run(400)
    before = lab.counters["encodings"]
    lab.run(200)
    assert lab.counters["encodings"] - before == 3 * 10  # two talkers and one shared
    assert level_at(peers[0].audio(last_ms=200), TONES[1] + 1) == pytest.approx(4000, rel=0.05)


def test_who_stops_sending_altogether_costs_nothing_either(lab):
    peers = room(lab, 3)
    lab.run(500)
    peers[0].talk(None)
    lab.run(600)
    before = lab.counters["encodings"]
    lab.run(200)
    assert lab.counters["encodings"] - before == 3 * 10


def test_six_loud_talkers_never_clip(lab):
    peers = room(lab, 6, amplitude=30000, listeners=1, codec=L16_8K)
    lab.run(3000)
    for me in peers:
        full = np.abs(me.audio().astype(int)) >= 32767
        runs = full[:-2] & full[1:-1] & full[2:]
        assert not runs.any()
    assert np.abs(peers[-1].audio(last_ms=1000).astype(int)).max() > 28000  # loud all the same


def test_silence_of_everybody_is_sent_on(lab):
    peers = room(lab, 0, listeners=3)
    lab.run(1000)
    for me in peers:
        assert len(me.heard) >= 48 and gap_free(me.heard)
        assert not me.audio().any()


def test_a_short_word_is_heard_to_its_end(lab):
    peers = room(lab, 0, listeners=3, codec=L16_8K)
    lab.run(500)
    word = (np.hanning(480) * 3000).astype(np.int16)
    start = peers[0].position

    def speech(first, count, rate):
        k = first - start - 320
        return np.concatenate([np.zeros(10**5, np.int16), word, np.zeros(10**5, np.int16)])[
            10**5 + k : 10**5 + k + count
        ]

    peers[0].talk(speech)
    lab.run(600)
    heard = peers[1].audio()
    at = np.argmax(np.abs(heard))
    np.testing.assert_array_equal(
        heard[at - 200 : at + 200], word[np.argmax(word) - 200 : np.argmax(word) + 200]
    )


def test_five_and_twenty_rooms_at_all_phases_do_not_hear_each_other(lab):
    rooms = []
    for i in range(20):
        bus = lab.bus(phase=i)
        rooms.append(
            [lab.peer(bus, codec=L16_8K, signal=tone(300 + 100 * i + 10 * k, 4000)) for k in range(3)]
        )
    lab.run(700)
    for i, peers in enumerate(rooms):
        heard = peers[0].audio(last_ms=400)
        assert level_at(heard, 310 + 100 * i) == pytest.approx(4000, rel=0.02)
        for other in range(20):
            if other != i:
                assert level_at(heard, 300 + 100 * other) < 10
