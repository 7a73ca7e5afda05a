"""Whatever arrives is accepted or dropped by name, nothing crashes, and other calls notice nothing."""

import random
import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab import NOISE_TYPE, Lab, gap_free, rtp, silence, tone
from network import Network

# Drops at the door: what is counted here was not accepted, and the other way round.  Every other reason is
# about accepted packets, or about packets that were not sent.
DOOR = (
    "short",
    "version",
    "length",
    "oversize",
    "payload_type",
    "unknown_ssrc",
    "probation",
    "bad_seq",
    "duplicate",
    "late",
    "wrong_source",
    "foreign_network",
    "rtcp_bad",
    "rtcp_source",
    "unknown_protocol",
    "stale",
    "direction",
)
ELSEWHERE = ("192.0.2.9", 4000)
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def unaccounted(lab):
    counters, drops = lab.media.metrics()["counters"], lab.media.metrics()["drops"]
    refused = sum(drops[reason] for reason in DOOR)
    return counters["rx_raw_packets"] - counters["rx_packets"] - counters["rtcp_rx_packets"] - refused


def victim(lab, **negotiated):
    bus = lab.bus()
    return [lab.peer(bus, signal=tone(400 + 100 * i, 4000), **negotiated) for i in range(3)]


def bystanders(lab):
    bus, mixed = lab.bus(phase=7), lab.bus(phase=7)
    peers = [lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=silence)]
    return peers + [lab.peer(mixed, signal=tone(500 + 100 * i, 3000)) for i in range(3)]


REPORT = struct.pack("!BBHI", 0x81, 200, 12, 0x1001) + bytes(44)
BYE = struct.pack("!BBHIBBHI", 0x80, 201, 1, 7, 0x81, 203, 1, 7)


@st.composite
def datagrams(draw):
    """Random bytes, and real packets with something wrong: flipped bits, cut or stretched, absurd fields."""
    kind = draw(st.sampled_from(["noise", "rtp", "event", "rtcp", "large"]))
    if kind == "noise":
        return draw(st.binary(max_size=80))
    if kind == "large":
        return rtp(0, draw(st.integers(0, 65535)), 0, 0x1001, bytes(draw(st.integers(1300, 1700))))
    if kind == "rtcp":
        data = bytearray(draw(st.sampled_from([REPORT, BYE, REPORT + BYE])))
    else:
        data = bytearray(
            rtp(
                draw(st.sampled_from([0, 8, 101, 13])),
                draw(st.one_of(st.integers(100, 130), st.integers(0, 65535))),
                draw(st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1))),
                draw(st.sampled_from([0x1001, 0x1001, 0, 0x77])),
                draw(st.binary(max_size=8))
                if kind == "event"
                else bytes(draw(st.sampled_from([0, 1, 80, 160, 240, 480]))),
            )
        )
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)))]) if draw(st.booleans()) else bytes(data)


GARBAGE = st.lists(
    st.tuples(datagrams(), st.booleans(), st.booleans(), st.integers(0, 12)), min_size=10, max_size=80
)  # (datagram, from elsewhere, to the RTCP port, ms until the next)


@QUICK
@given(GARBAGE, st.booleans())
def test_every_datagram_is_accepted_or_dropped_by_name(garbage, learned):
    lab = Lab(endpoints=16)
    peers = victim(lab, noise=NOISE_TYPE)
    target = peers[0] if learned else lab.peer(0)
    lab.run(30)
    for data, elsewhere, rtcp, ms in garbage:
        target.feed(data, ELSEWHERE if elsewhere else None, rtcp=rtcp)
        if ms:
            lab.run(ms)
    assert unaccounted(lab) == 0
    assert lab.media.check() == []
    for peer in peers[1:]:
        assert gap_free(peer.heard)
    assert lab.counters["rx_raw_packets"] >= len(garbage)


@settings(QUICK, max_examples=20)
@given(GARBAGE)
def test_other_calls_are_unaffected_bit_for_bit(garbage):
    def call(with_garbage):
        lab = Lab(endpoints=16)
        others = bystanders(lab)
        target = victim(lab, noise=NOISE_TYPE)[0]
        lab.run(30)
        for data, elsewhere, rtcp, ms in garbage:
            if with_garbage:
                target.feed(data, ELSEWHERE if elsewhere else None, rtcp=rtcp)
            lab.run(ms)
        lab.run(100)
        return [peer.heard for peer in others]

    assert call(True) == call(False)


def test_a_bad_network_is_accounted_for_to_the_last_packet():
    lab = Lab()
    bus = lab.bus()
    network = Network(4, loss=0.05, burst=3, duplicate=0.1, reorder=0.1, reorder_ms=90, jitter_ms=40)
    peers = [lab.peer(bus, signal=tone(300 + 50 * i, 3000), network=network) for i in range(4)]
    rng = random.Random(1)
    for _ in range(20):
        lab.run(300)
        peer = rng.choice(peers)
        peer.ssrc += 17
        peer.seq += rng.choice([0, 5000, -5000])
        peer.timestamp += rng.choice([0, 10**6, -(10**6)])
        rng.choice(peers).press(rng.randrange(16))
    assert unaccounted(lab) == 0
    stats = [peer.stats for peer in peers]
    assert sum(s["rx_packets"] for s in stats) == lab.counters["rx_packets"]
    assert sum(s["rx_raw_packets"] for s in stats) == lab.counters["rx_raw_packets"]
    assert (
        sum(s["tx_packets"] for s in stats) == lab.counters["tx_packets"] == sum(len(p.heard) for p in peers)
    )
    assert sum(s["tx_bytes"] for s in stats) == lab.counters["tx_bytes"]
    assert all(gap_free(p.heard) for p in peers)


def test_oversize_and_empty_datagrams_are_named_drops():
    lab = Lab()
    peers = victim(lab)
    lab.run(30)
    peers[0].feed(rtp(0, 1, 1, 1, bytes(1489)))
    peers[0].feed(b"")
    assert lab.drops["oversize"] == 1 and lab.drops["short"] == 1
    assert peers[0].stats["rx_dropped"] == 2 and unaccounted(lab) == 0


def test_payload_bytes_are_counted_and_no_headers():
    lab = Lab()
    anna, ben, _ = victim(lab)
    lab.run(1000)
    assert anna.stats["rx_bytes"] == 160 * anna.stats["rx_packets"]
    assert anna.stats["rx_raw_bytes"] == 172 * anna.stats["rx_raw_packets"]
    assert ben.stats["tx_bytes"] == 160 * ben.stats["tx_packets"]
