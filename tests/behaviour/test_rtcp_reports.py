"""RFC 3550 section 6: what our reports say, when they come, and what we learn from the peer's."""

import itertools
import struct

import pytest
from lab import silence, tone
from network import Network

from roomtone.ext.flow.media import FACT_BYE
from roomtone.ext.wire import rtcp

NTP_UNIT = 65536
EPOCH_OFFSET_S = 2208988800


def blocks(report):
    return (
        struct.unpack("!IIIIII", report[28:52])
        if report[1] == 200
        else struct.unpack("!IIIIII", report[8:32])
    )


def pair(lab, *, network=None):
    bus = lab.bus()
    return lab.peer(bus, signal=tone(440), network=network), lab.peer(bus, signal=silence)


def sender_report(data):
    kind, ssrc, ntp_sec, ntp_frac, timestamp, packets, octets = struct.unpack("!xBxxIIIIII", data[:28])
    assert kind == 200
    return ssrc, ntp_sec + ntp_frac / 2**32 - EPOCH_OFFSET_S, timestamp, packets, octets


def their_report(ssrc, *, about=0, lsr=0, dlsr=0, lost=0, jitter=0, fraction=0, ntp=(100, 0)):
    header = struct.pack("!BBHI", 0x81, 200, 12, ssrc) + struct.pack("!IIIII", *ntp, 0, 1, 2)
    return header + struct.pack("!IIIIII", about, fraction << 24 | lost & 0xFFFFFF, 0, jitter, lsr, dlsr)


def test_a_report_is_one_that_another_implementation_of_the_format_accepts(lab):
    from aiortc.rtp import RtcpPacket, RtcpSdesPacket, RtcpSrPacket

    anna, _ = pair(lab)
    lab.run(12_000)
    assert len(anna.reports) >= 2
    for _, data in anna.reports:
        sender, description = RtcpPacket.parse(data)
        assert isinstance(sender, RtcpSrPacket) and isinstance(description, RtcpSdesPacket)
        assert sender.ssrc == anna.stats["ssrc_tx"] == description.chunks[0].ssrc
        assert description.chunks[0].items == [(1, b"c%d" % anna.address[1])]


def test_reports_come_about_every_five_seconds_and_never_in_step(lab):
    peers = [pair(lab)[0] for _ in range(4)]
    lab.run(40_000)
    for peer in peers:
        times = [at for at, _ in peer.reports]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert min(gaps) >= 2_000_000 and max(gaps) <= 6_300_000  # 0.5 to 1.5 of 5 s, divided by 1.21828
        assert 3_000_000 <= sum(gaps) / len(gaps) <= 5_400_000
        assert len(set(gaps)) > len(gaps) // 2
    assert len({peer.reports[0][0] for peer in peers}) > 2


def test_the_ntp_and_rtp_times_of_a_report_belong_together(lab):
    anna, _ = pair(lab)
    lab.run(30_000)
    voice = {p.at_us: p.timestamp for p in anna.heard}
    for at_us, data in anna.reports:
        _, wall_s, timestamp, packets, octets = sender_report(data)
        assert wall_s == pytest.approx(at_us / 1e6, abs=2e-6)  # the lab's wall clock is its monotonic clock
        sent_us = max(t for t in voice if t <= at_us)
        behind = (timestamp - voice[sent_us]) & 0xFFFFFFFF
        assert behind == pytest.approx((at_us - sent_us) / 125, abs=1)
        assert packets == len([p for p in anna.heard if p.at_us <= at_us])
        assert octets == packets * 160


def test_a_receiver_that_sends_nothing_sends_receiver_reports(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440), destination=False, may_send=False)
    lab.peer(bus, signal=silence)
    lab.run(12_000)
    assert anna.reports and {data[1] for _, data in anna.reports} == {201}


def test_loss_fraction_and_jitter_are_those_of_the_packets(lab):
    anna, _ = pair(lab, network=Network(9, loss=0.2, jitter_ms=15))
    lab.run(40_000)
    last_expected = last_received = None
    for at_us, data in anna.reports:
        ssrc, loss, highest, jitter, _, _ = blocks(data)
        fraction, lost = loss >> 24, loss & 0xFFFFFF
        expected, received = highest - 100 * (anna.address[1] - 20000) + 1, 0
        received = expected - lost
        assert ssrc == anna.ssrc and at_us > 0
        if last_expected is not None:
            interval = expected - last_expected
            assert fraction == (interval - (received - last_received)) * 256 // interval
        last_expected, last_received = expected, received
        assert 8 * 2 < jitter < 8 * 12
    assert 0.13 < anna.stats["rx_lost"] / (anna.stats["rx_lost"] + anna.stats["rx_packets"]) < 0.27


def test_cumulative_loss_may_be_negative_when_duplicates_arrive(lab):
    anna, _ = pair(lab)
    lab.run(100)
    from lab import rtp

    for _ in range(20):
        anna.feed(rtp(0, anna.seq - 1, anna.timestamp - 160, anna.ssrc, bytes(160)))
    lab.run(7000)
    loss = blocks(anna.reports[0][1])[1]
    assert loss == (-20 & 0xFFFFFF)


def test_the_round_trip_is_now_less_lsr_less_dlsr(lab):
    anna, _ = pair(lab)
    lab.run(1000)
    assert anna.stats["rtt_ms"] is None
    now_s = lab.now_us / 1e6 + EPOCH_OFFSET_S
    lsr = int((now_s - 0.350) * NTP_UNIT) & 0xFFFFFFFF
    report = their_report(
        anna.ssrc, about=anna.stats["ssrc_tx"], lsr=lsr, dlsr=int(0.2 * NTP_UNIT), lost=7, jitter=80
    )
    anna.feed(report, rtcp=True)
    assert anna.stats["rtt_ms"] == pytest.approx(150, abs=0.1)
    assert anna.stats["remote_packets_lost"] == 7 and anna.stats["remote_jitter_ms"] == 10.0
    lab.run(500)
    assert anna.stats["rtt_observed_ms_ago"] == 500


def test_a_report_about_somebody_else_says_nothing_about_us(lab):
    anna, _ = pair(lab)
    lab.run(100)
    anna.feed(their_report(anna.ssrc, about=0x999, lsr=1, dlsr=1, lost=9), rtcp=True)
    assert anna.stats["rtt_ms"] is None and anna.stats["remote_packets_lost"] is None


def test_our_report_tells_when_the_peers_last_one_came(lab):
    anna, _ = pair(lab)
    lab.run(500)
    anna.feed(their_report(anna.ssrc, ntp=(0x11112222, 0x33334444)), rtcp=True)
    came_us = lab.now_us
    lab.run(7000)
    at_us, data = anna.reports[-1]
    *_, lsr, dlsr = blocks(data)
    assert lsr == 0x22223333
    assert dlsr == pytest.approx((at_us - came_us) / 1e6 * NTP_UNIT, abs=2)


def test_a_leaver_is_said_goodbye_to(lab):
    anna, _ = pair(lab)
    lab.run(100)
    lab.close(anna)
    lab.run(5)
    ((_, data),) = anna.reports
    assert data[-8:] == bytes([0x81, 203, 0, 1]) + struct.pack("!I", 0xA0000000 + anna.address[1])
    assert lab.counters["rtcp_tx_packets"] == 1


def test_nobody_says_goodbye_to_a_peer_that_was_never_heard(lab):
    bus = lab.bus()
    anna = lab.peer(bus)
    lab.run(100)
    lab.close(anna)
    lab.run(5)
    assert anna.reports == []


@pytest.mark.parametrize("reason", ["", "gone fishing", "ä" * 60])
def test_a_goodbye_is_a_fact_with_its_sources_and_its_reason(lab, reason):
    anna, _ = pair(lab)
    lab.run(100)
    text = reason.encode()
    body = struct.pack("!III", anna.ssrc, 5, 6) + (bytes([len(text)]) + text if text else b"")
    body += bytes(-len(body) % 4)
    bye = (
        struct.pack("!BBHI", 0x80, 201, 1, anna.ssrc) + struct.pack("!BBH", 0x83, 203, len(body) // 4) + body
    )
    anna.feed(bye, rtcp=True)
    assert lab.facts(FACT_BYE) == [(anna.handle, [anna.ssrc, 5, 6], reason or None)]
    anna.clear()
    lab.run(100)
    assert len(anna.heard) == 5  # it changes no state


def test_rtcp_on_the_rtp_port_is_taken_for_what_it_is(lab):
    anna, _ = pair(lab)
    lab.run(100)
    anna.feed(their_report(anna.ssrc, about=anna.stats["ssrc_tx"], lost=3))
    assert anna.stats["remote_packets_lost"] == 3
    assert lab.counters["rtcp_rx_packets"] == 1


def test_rtcp_of_another_host_is_dropped_and_counted(lab):
    anna, _ = pair(lab)
    lab.run(100)
    anna.feed(their_report(anna.ssrc, about=anna.stats["ssrc_tx"], lost=3), ("192.0.2.1", 4001), rtcp=True)
    assert anna.stats["remote_packets_lost"] is None
    assert lab.drops["rtcp_source"] == 1 and lab.counters["rtcp_rx_packets"] == 0


@pytest.mark.parametrize(
    "data", [b"\x80\xc8", b"\x80\xc8\0\6" + bytes(8), b"\x40\xc8\0\0", b"\x81\xc8\0\x0c" + bytes(51)]
)
def test_broken_rtcp_is_dropped_and_counted(lab, data):
    anna, _ = pair(lab)
    lab.run(100)
    anna.feed(data, rtcp=True)
    assert lab.drops["rtcp_bad"] == 1


def test_our_own_report_can_be_read_back(lab):
    anna, _ = pair(lab)
    lab.run(7000)
    assert rtcp.check(anna.reports[0][1]) == 0


def test_a_peer_that_sends_only_reports_is_heard_and_what_it_is_sent_says_nothing_of_it(lab):
    anna, _ = pair(lab)
    lab.run(1000)
    anna.signal = None
    lab.run(3000)
    silent_us = lab.media.last_heard_us(anna.handle)
    assert lab.now_us - 3_100_000 < silent_us < lab.now_us - 2_900_000
    assert lab.media.last_activity_us(anna.handle) > lab.now_us - 100_000
    anna.feed(their_report(anna.ssrc, about=anna.stats["ssrc_tx"]), rtcp=True)
    assert lab.media.last_heard_us(anna.handle) == lab.now_us
    lab.run(1000)
    anna.feed(b"\x80\xc8\xff\xff", rtcp=True)  # longer than it is
    assert lab.media.last_heard_us(anna.handle) == lab.now_us - 1_000_000
