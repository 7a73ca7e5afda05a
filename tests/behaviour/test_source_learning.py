"""Whose packets count: addresses, probation, SSRCs, restarts; RFC 3550 A.1 and A.8."""

import pytest
from lab import PCMU, Packet, rtp, silence, tone
from network import Network

from roomtone.ext.flow.media import FACT_PINNED

ELSEWHERE = ("192.0.2.9", 4000)


def call(lab, **more):
    bus = lab.bus()
    anna = lab.peer(bus, **more)
    ben = lab.peer(bus, signal=silence)
    lab.run(50)
    return anna, ben


def frame(seq, ssrc=0x77, payload=bytes(160)):
    return rtp(0, seq, seq * 160, ssrc, payload)


def test_a_source_at_the_sdps_address_is_heard_with_its_first_packet(lab):
    anna, ben = call(lab)
    anna.feed(frame(1))
    assert len(ben.heard) == 1
    assert lab.facts(FACT_PINNED)[-1] == (anna.handle, *anna.address)


def test_a_peer_pinned_from_the_start_is_heard_with_its_first_packet(lab):
    bus = lab.bus()
    bot = lab.peer(bus, send_at_once=True)
    ben = lab.peer(bus, signal=silence)
    lab.run(50)
    bot.feed(frame(1))
    assert len(ben.heard) == 1 and lab.facts(FACT_PINNED) == [(ben.handle, *ben.address)]
    bot.feed(frame(9, ssrc=0x99))
    assert len(ben.heard) == 1 and lab.drops["unknown_ssrc"] == 1, "another SSRC needs two in sequence"


def test_a_source_elsewhere_is_heard_after_two_packets_in_sequence(lab):
    anna, ben = call(lab, remote=("198.51.100.1", 5000))
    anna.feed(frame(1), ELSEWHERE)
    assert ben.heard == [] and lab.drops["probation"] == 1
    anna.feed(frame(2), ELSEWHERE)
    anna.feed(frame(3), ELSEWHERE)
    assert len(ben.heard) == 2
    assert anna.stats["rx_packets"] == 2 and anna.stats["rx_lost"] == 0
    assert anna.stats["remote_rtp_addr"] == "192.0.2.9:4000"


def test_two_packets_out_of_sequence_do_not_end_probation(lab):
    anna, ben = call(lab, remote=("198.51.100.1", 5000))
    for seq in (1, 9, 40, 41):
        anna.feed(frame(seq), ELSEWHERE)
    assert len(ben.heard) == 1 and lab.drops["probation"] == 3


def test_a_packet_of_an_unknown_type_pins_nobody(lab):
    anna, _ = call(lab)
    anna.feed(rtp(55, 1, 1, 1, bytes(160)), ELSEWHERE)
    anna.feed(b"\x80", ELSEWHERE)
    anna.feed(b"\x00" * 100, ELSEWHERE)
    assert [fact for fact in lab.facts(FACT_PINNED) if fact[0] == anna.handle] == []
    assert {name: lab.drops.get(name) for name in ("payload_type", "short", "unknown_protocol")} == {
        "payload_type": 1,
        "short": 1,
        "unknown_protocol": 1,
    }


def test_a_first_packet_from_a_network_that_is_not_allowed_is_dropped(lab):
    lab.media.source_networks(["127.0.0.0/8", "2001:db8::/32"])
    anna, ben = call(lab)
    anna.feed(frame(1), ("128.0.0.1", 4000))
    anna.feed(frame(1), ("2001:db9::1", 4000))
    assert lab.drops["foreign_network"] == 2 and ben.heard == []
    anna.feed(frame(2))
    assert len(ben.heard) == 1


def test_a_restart_of_the_sequence_is_accepted_with_its_second_packet(lab):
    anna, ben = call(lab)
    for seq in (40000, 40001, 5, 6, 7):
        anna.feed(frame(seq))
    assert len(ben.heard) == 4 and lab.drops["bad_seq"] == 1
    assert anna.stats["rx_lost"] == 0


def test_a_single_stray_sequence_number_changes_nothing(lab):
    anna, ben = call(lab)
    for seq in (40000, 40001, 5, 40002, 40003):
        anna.feed(frame(seq))
    assert len(ben.heard) == 4 and anna.stats["rx_lost"] == 0


def test_a_new_ssrc_counts_from_its_second_packet_in_sequence(lab):
    anna, ben = call(lab)
    anna.feed(frame(1))
    anna.feed(frame(100, ssrc=0x99))
    assert lab.drops["unknown_ssrc"] == 1 and anna.stats["ssrc_rx"] == 0x77
    anna.feed(frame(101, ssrc=0x99))
    assert anna.stats["ssrc_rx"] == 0x99 and len(ben.heard) == 2


def test_stray_packets_of_a_second_ssrc_do_not_take_over(lab):
    anna, ben = call(lab)
    for i in range(20):
        anna.feed(frame(i))
        anna.feed(frame(500 + 2 * i, ssrc=0x99))
    assert anna.stats["ssrc_rx"] == 0x77 and len(ben.heard) == 20


def test_losses_are_expected_less_received_and_a_late_packet_is_no_65536_losses(lab):
    anna, _ = call(lab)
    for seq in (65533, 65534, 1, 2, 65535, 3):
        anna.feed(frame(seq))
    assert anna.stats["rx_lost"] == 1  # sequence number 0
    assert anna.stats["rx_reordered"] == 1


def test_jitter_is_that_of_rfc_3550_a_8_by_hand(lab):
    anna, _ = call(lab)
    jitter, last = 0, None
    timestamp = 2**32 - 3 * 160  # wraps on the way
    for i, late_ms in enumerate((0, 5, 1, 7, 0, 0, 12, 3)):
        lab.now_us = 2_000_000 + i * 20_000 + late_ms * 1000
        anna.feed(rtp(0, i, timestamp + i * 160, 0x77, bytes(160)))
        transit = lab.now_us * 8 // 1000 - i * 160
        if last is not None:
            jitter += abs(transit - last) - ((jitter + 8) >> 4)
        last = transit
    assert anna.stats["rx_jitter_ms"] == pytest.approx((jitter >> 4) / 8, abs=0.001) != 0


def test_jitter_of_a_steady_clock_is_zero_over_an_ssrc_change(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(300))
    lab.peer(bus, signal=silence)
    lab.run(1000)
    anna.ssrc, anna.timestamp, anna.seq = 0x55, 12345, 99
    lab.run(1000)
    assert anna.stats["rx_jitter_ms"] == 0


def test_learning_opened_again_takes_the_next_address(lab):
    anna, ben = call(lab)
    anna.feed(frame(1))
    lab.media.endpoint_remote(anna.handle, remote=ELSEWHERE, rtcp_port=4001, learn=True, send_at_once=False)
    lab.run(10)
    anna.clear()
    ben.feed(rtp(0, 1000, 0, 5, bytes(160)))
    assert anna.heard == []  # nothing until its first packet
    anna.feed(frame(9, ssrc=3), ELSEWHERE)
    lab.run(100)
    assert anna.stats["remote_rtp_addr"] == "192.0.2.9:4000" and len(anna.heard) >= 4


def test_a_key_may_be_the_first_packet_of_a_call(lab):
    anna, _ = call(lab)
    anna.press(5)
    lab.run(300)
    assert lab.counters["keys"] == 1


def test_probation_under_loss_ends_within_a_few_packets(lab):
    bus = lab.bus()
    anna = lab.peer(
        bus, signal=tone(300), remote=("198.51.100.1", 5000), network=Network(4, loss=0.3), codec=PCMU
    )
    ben = lab.peer(bus, signal=silence)
    lab.run(500)
    assert len(ben.heard) >= 10 and all(isinstance(p, Packet) for p in ben.heard)
    assert anna.stats["rx_packets"] >= 10
