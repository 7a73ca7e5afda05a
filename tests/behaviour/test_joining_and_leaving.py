"""Members come, go, fall mute and change codec: everybody else's stream goes on as if nothing were."""

import itertools
import random

import numpy as np
import pytest
from lab import L16_8K, L16_16K, PCMA, PCMU, gap_free, level_at, silence, timestamp_steps, tone

FRAME_US = 20_000


def continuous(peer, *, most_us=60_000):
    """Sequence gap-free, timestamp by real time; no gap or overlap of more than `most_us`."""
    packets = peer.voice()
    assert gap_free(peer.heard)
    for a, b in itertools.pairwise(packets):
        step_us = ((b.timestamp - a.timestamp) & 0xFFFFFFFF) * 1000 // 8
        assert step_us > 0, "two packets for the same time"
        assert abs(step_us - (b.at_us - a.at_us)) <= most_us
    return packets


def test_the_sole_source_hears_nothing_and_gets_nothing(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.run(1000)
    assert anna.heard == [] and lab.drops["unheard"] == 51


def test_the_sole_source_with_mute_company_gets_nothing(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus, source=False, send_at_once=True)
    lab.run(1000)
    assert anna.heard == [] and len(ben.heard) >= 49


def test_with_two_sources_a_third_gets_a_packet_every_20_ms_talk_or_not(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=silence), lab.peer(bus, signal=silence)
    carl = lab.peer(bus, source=False, send_at_once=True)
    lab.run(200)
    anna.talk(None)
    ben.talk(None)
    carl.clear()
    lab.run(2000)
    times = [p.at_us for p in carl.heard]
    assert len(times) == 100 and set(np.diff(times)) == {FRAME_US}


def test_relay_becomes_mix_and_relay_again(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440, 4000)), lab.peer(bus, signal=tone(600, 4000))
    lab.run(500)
    assert lab.counters["mixed_packets"] == 0
    carl = lab.peer(bus, signal=tone(800, 4000))
    lab.run(500)
    heard = anna.audio(last_ms=300)
    assert min(level_at(heard, 600), level_at(heard, 800)) > 3900
    lab.leave(carl, bus)
    lab.run(40)
    mixed = lab.counters["mixed_packets"]
    lab.run(500)
    assert lab.counters["mixed_packets"] == mixed
    for peer in (anna, ben):
        continuous(peer)
    assert level_at(anna.audio(last_ms=300), 800) < 40
    assert lab.media.check() == []


def test_a_member_that_comes_back_again_and_again_costs_nobody_a_packet(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440, 4000)), lab.peer(bus, signal=tone(600, 4000))
    carl = lab.peer(signal=tone(800, 4000))
    for i in range(30):
        lab.join(carl, bus)
        lab.run(17 + 13 * (i % 4))
        lab.leave(carl, bus)
        lab.run(11 + 7 * (i % 5))
    assert lab.media.check() == []
    for peer in (anna, ben):
        packets = continuous(peer)
        assert len(packets) >= (packets[-1].at_us - packets[0].at_us) / FRAME_US * 0.9


def test_mute_by_direction_is_silence_for_the_others_and_a_full_stream_for_the_muted(lab):
    bus = lab.bus()
    peers = [lab.peer(bus, signal=tone(440 + 100 * i, 4000)) for i in range(4)]
    lab.run(400)
    lab.negotiate(peers[0], may_receive=False)
    lab.media.source_remove(bus, peers[0].handle)
    lab.run(600)
    assert level_at(peers[1].audio(last_ms=300), 440) < 40
    assert level_at(peers[0].audio(last_ms=300), 540) > 3900
    assert lab.drops["direction"] > 20
    lab.negotiate(peers[0])
    lab.media.source_add(bus, peers[0].handle)
    lab.run(600)
    assert level_at(peers[1].audio(last_ms=300), 440) > 3900
    for peer in peers:
        continuous(peer)


def test_hold_and_resume_of_a_listener_leaves_its_line_on_real_time(lab):
    bus = lab.bus()
    peers = [lab.peer(bus, signal=tone(440 + 100 * i, 4000)) for i in range(3)]
    lab.run(400)
    lab.media.destination_remove(bus, peers[0].handle)
    lab.run(700)
    lab.media.destination_add(bus, peers[0].handle)
    lab.run(400)
    packets = continuous(peers[0])
    assert max(timestamp_steps(packets)) == pytest.approx(700 * 8, abs=320)
    assert [p.marker for p in packets].count(True) == 2


def test_a_member_moved_between_buses_of_different_phase_keeps_its_line(lab):
    first, second = lab.bus(phase=2), lab.bus(phase=13)
    for bus, f in ((first, 440), (second, 700)):
        for k in range(2):
            lab.peer(bus, codec=L16_8K, signal=tone(f + 50 * k, 4000))
    anna = lab.peer(first, codec=L16_8K, signal=silence)
    for turn in range(20):
        lab.run(100 + turn)
        here, there = (first, second) if turn % 2 == 0 else (second, first)
        lab.leave(anna, here)
        lab.join(anna, there)
    lab.run(300)
    continuous(anna)
    assert level_at(anna.audio(last_ms=200), 440) > 3900 and level_at(anna.audio(last_ms=200), 700) < 10
    assert lab.media.check() == []


@pytest.mark.parametrize("codec", [PCMA, L16_8K, L16_16K])
def test_a_codec_change_in_the_middle_of_a_mix_is_heard_as_one_short_gap(lab, codec):
    bus = lab.bus()
    anna = lab.peer(bus, codec=PCMU, signal=tone(500))
    others = [lab.peer(bus, codec=L16_8K, signal=silence) for _ in range(2)]
    lab.run(500)
    lab.negotiate(anna, receive=(PCMU, codec), send_codec=codec)
    anna.codec = codec
    lab.run(500)
    for other in others:
        continuous(other)
        heard = other.audio(last_ms=900)
        quiet = np.abs(heard).reshape(-1, 160).max(axis=1) < 4000
        assert quiet.sum() <= 4
        assert level_at(heard[-2400:], 500) == pytest.approx(8000, rel=0.03)
    assert gap_free(anna.heard)


def test_edits_at_any_moment_keep_every_sequence_gap_free(lab):
    rng = random.Random(7)
    bus = lab.bus()
    peers = [lab.peer(bus, codec=rng.choice([PCMU, PCMA]), signal=tone(300 + 40 * i, 3000)) for i in range(8)]
    on = {p.handle: [True, True] for p in peers}
    for _ in range(150):
        peer = rng.choice(peers)
        which = rng.randrange(2)
        add, remove = (
            (lab.media.source_add, lab.media.source_remove),
            (lab.media.destination_add, lab.media.destination_remove),
        )[which]
        (remove if on[peer.handle][which] else add)(bus, peer.handle)
        on[peer.handle][which] = not on[peer.handle][which]
        lab.run(rng.randrange(1, 25))
        assert lab.media.check() == []
    for peer in peers:
        continuous(peer)


def test_joining_before_anything_was_negotiated_is_joining(lab):
    bus = lab.bus()
    lab.peer(bus, signal=tone(440))
    lab.peer(bus, signal=silence)
    late = lab.peer()
    del lab.peers[late.handle]
    late.handle = lab.media.endpoint_take()
    lab.peers[late.handle] = late
    lab.media.endpoint_open(
        late.handle,
        rtp_fd=-1,
        rtcp_fd=-1,
        local=late.address,
        local_rtcp_port=3,
        ssrc=1,
        cname="l",
        seq=1,
        timestamp=1,
    )
    lab.media.destination_add(bus, late.handle)
    lab.run(100)
    lab.negotiate(late)
    lab.media.endpoint_remote(late.handle, remote=late.address, rtcp_port=1, learn=False, send_at_once=True)
    lab.run(300)
    assert len(late.heard) >= 14 and level_at(late.audio(last_ms=200), 440) > 7000
    assert lab.media.check() == []


def test_an_endpoint_that_is_on_a_bus_does_not_join_another(lab):
    first, second = lab.bus(), lab.bus(phase=9)
    anna = lab.peer(first, signal=tone(440), destination=False)
    ben = lab.peer(first, signal=silence, source=False, send_at_once=True)
    lab.peer(second, signal=silence)
    lab.media.destination_add(second, anna.handle)
    lab.media.source_add(second, ben.handle)
    lab.run(200)
    assert lab.media.check() == []
    assert len(ben.heard) >= 9


def test_a_bus_opened_again_has_lost_its_members(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=silence)
    lab.run(100)
    lab.media.bus_open(bus, phase=4, key_relay_limit=0)
    lab.run(100)
    ben.clear()
    lab.run(100)
    assert ben.heard == [] and lab.media.check() == []
    lab.join(anna, bus)
    lab.join(ben, bus)
    lab.run(100)
    assert len(ben.heard) == 5


def test_a_tone_is_heard_by_everybody_and_ends_with_a_fact(lab):
    from roomtone.ext.flow.media import FACT_TONE_DONE

    bus = lab.bus()
    anna = lab.peer(bus, signal=silence)
    handle = lab.media.endpoint_take()
    lab.media.tone_open(handle, kind=4, frequency_hz=1000.0, duration_ms=400)
    lab.media.source_add(bus, handle)
    lab.run(700)
    assert lab.facts(FACT_TONE_DONE) == [(handle,)]
    loud = np.abs(anna.audio()).reshape(-1, 160).max(axis=1) > 500
    assert 19 <= loud.sum() <= 21
    lab.media.endpoint_close(handle)
    lab.run(50)
    lab.media.endpoint_free(handle)
    assert lab.media.check() == []


def test_a_large_room_loses_a_member_in_the_middle_of_its_sending(lab_of_400):
    lab, peers = lab_of_400
    bus = 0
    rng = random.Random(3)
    lab.run(25)
    gone = []
    for _ in range(40):
        peer = peers.pop(rng.randrange(len(peers)))
        if rng.random() < 0.5:
            lab.close(peer)
        else:
            lab.leave(peer, bus)
        gone.append(peer)
        lab.run(rng.randrange(1, 4))
        assert lab.media.check() == []
    for peer in peers:
        peer.clear()
    lab.run(100)
    for peer in peers:
        assert gap_free(peer.heard) and len(peer.heard) == 5 and set(timestamp_steps(peer.heard)) == {160}
    for peer in gone:
        peer.clear()
    lab.run(40)
    assert all(peer.heard == [] for peer in gone)


def test_a_codec_change_in_the_middle_of_a_large_rooms_sending_sends_no_tick_twice(lab_of_400):
    lab, peers = lab_of_400
    rng = random.Random(5)
    lab.run(25)
    changed = []
    for _ in range(60):
        peer = rng.choice(peers)
        codec = rng.choice([PCMU, PCMA, L16_16K])
        lab.negotiate(peer, receive=(PCMU,), send_codec=codec)
        changed.append(peer)
        lab.run(rng.randrange(1, 4))
        assert lab.media.check() == []
    for peer in changed:
        assert gap_free(peer.heard)
        assert all(step > 0 for step in timestamp_steps(peer.heard))


@pytest.mark.parametrize("at_ms", [4, 5])
def test_a_wideband_member_that_joins_during_a_large_rooms_sending_hears_no_old_audio(lab_of_400, at_ms):
    lab, _ = lab_of_400
    talker = lab.peer(0, codec=PCMU, signal=tone(440, 9000))
    first = lab.peer(0, codec=L16_16K, source=False, send_at_once=True)
    lab.run(200)
    assert np.abs(first.audio()).max() > 8000
    lab.close(first)
    lab.close(talker)
    lab.run(300)
    late = lab.peer(codec=L16_16K, source=False, send_at_once=True)
    lab.run(20 + at_ms - 1)  # the room is sent to in the milliseconds 3 to 5 of each tick
    lab.join(late, 0, source=False)
    lab.run(60)
    assert len(late.heard) >= 2 and not late.audio().any()


@pytest.fixture
def lab_of_400():
    from lab import Lab

    lab = Lab(endpoints=512)
    bus = lab.bus()
    assert bus == 0
    peers = [lab.peer(bus, signal=silence if i < 3 else None, send_at_once=i >= 3) for i in range(400)]
    lab.run(60)
    return lab, peers
