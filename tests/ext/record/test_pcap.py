"""A pcap has every packet both ways with the headers it had, and only what may be recorded."""

import os
import struct

from lab import EVENT_TYPE, LOCAL, tone
from recorded import WALL_OFFSET_US, Frame, Recorded, frames

RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 7)


def ones_complement_sum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_every_packet_is_there_as_it_came_and_as_it_was_sent(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=tone(700))
    recorded.run(200)
    before = len(anna.heard)
    recording = recorded.start("call.pcap", [anna], rate_hz=0)
    spoken = anna.seq
    recorded.run(2000)
    counts = recorded.stop(recording)
    seen = frames(recording.path)
    assert counts["packets"] == len(seen)
    came = [f for f in seen if f.source == anna.address and f.payload[1] & 0x7F == 0]
    sent = [f for f in seen if f.destination == anna.address and f.payload[1] & 0x7F == 0]
    assert [struct.unpack_from("!H", f.payload, 2)[0] for f in came] == list(range(spoken, anna.seq))
    heard = anna.heard[before:]
    assert [f.payload[12:] for f in sent] == [p.payload for p in heard]
    assert [f.at_us - WALL_OFFSET_US for f in sent] == [p.at_us for p in heard]
    assert not [f for f in seen if ben.address in (f.source, f.destination)]


def test_reports_are_there_both_ways(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.peer(bus, signal=tone(700))
    recorded.run(100)
    recording = recorded.start("call.pcap", [anna])
    anna.feed(RECEIVER_REPORT, rtcp=True)
    recorded.run(12_000)
    recorded.stop(recording)
    reports = [f for f in frames(recording.path) if 200 <= f.payload[1] <= 204]
    assert [f.payload for f in reports if f.source[0] == LOCAL and f.source[1] == anna.address[1]] == [
        RECEIVER_REPORT
    ]
    assert [f.payload for f in reports if f.payload != RECEIVER_REPORT] == [
        data for at, data in anna.reports if at > 1_100_000
    ]


def test_headers_add_up_in_both_families(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    six = lab.peer(bus, remote=("2001:db8::7", 4001), send_at_once=True)
    four = lab.peer(bus, signal=tone(440))
    recorded.run(100)
    recording = recorded.start("call.pcap", [six, four])
    recorded.run(500)
    recorded.stop(recording)
    seen = frames(recording.path)
    v4 = [f for f in seen if f.ip[0] >> 4 == 4]
    v6 = [f for f in seen if f.ip[0] >> 4 == 6]
    assert len(v4) > 20 and len(v6) > 20
    assert all(ones_complement_sum(f.ip[:20]) == 0xFFFF for f in v4)
    assert all(f.udp_checksum == 0 for f in v4)
    for f in v6:
        pseudo = f.ip[8:40] + struct.pack("!II", len(f.ip) - 40, 17)
        assert ones_complement_sum(pseudo + f.ip[40:]) == 0xFFFF
    assert {f.destination[1] for f in v6} == {4001}


def keys_of(recorded: Recorded, name: str) -> tuple[list[Frame], int]:
    """Telephone-events in a recording of both while the first presses a key, and how many of them ben got."""
    lab = recorded.lab
    anna, ben, *_ = lab.peers.values()
    recording = recorded.start(name, [anna, ben])
    before = len(ben.presses())
    anna.press(5)
    recorded.run(500)
    recorded.stop(recording)
    keys = [f for f in frames(recording.path) if f.payload[1] & 0x7F == EVENT_TYPE]
    return keys, len(ben.presses()) - before


def test_keys_are_there_unless_they_are_sensitive(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=tone(700))
    recorded.run(100)
    keys, heard = keys_of(recorded, "open.pcap")
    assert len([f for f in keys if f.source == anna.address]) == heard > 0
    assert len([f for f in keys if f.destination == ben.address]) == heard
    lab.media.sensitive(anna.handle, True)
    keys, heard = keys_of(recorded, "sensitive.pcap")
    assert keys == [] and heard > 0, "neither as they came nor as they went to the other"
    lab.media.sensitive(anna.handle, False)
    assert keys_of(recorded, "again.pcap")[0] != []


def test_only_accepted_packets_are_recorded(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.peer(bus)
    recorded.run(200)
    recording = recorded.start("call.pcap", [anna])
    for _ in range(20):
        anna.feed(os.urandom(30))
        anna.feed(b"\x80\x7f" + bytes(20))
    counts = recorded.stop(recording)
    assert counts["packets"] == 0
    assert frames(recording.path) == []


def test_several_recordings_of_one_call_do_not_know_of_each_other(recorded: Recorded) -> None:
    lab = recorded.lab
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=tone(700))
    whole = recorded.start("whole.pcap", [anna, ben])
    recorded.run(1000)
    leg = recorded.start("leg.pcap", [anna])
    wav = recorded.start("leg.wav", [anna], rate_hz=8000)
    recorded.run(1000)
    few = recorded.stop(leg)
    recorded.run(1000)
    all_ = recorded.stop(whole)
    said = recorded.stop(wav)
    assert few["packets"] == 100
    assert all_["packets"] == len(frames(whole.path)) >= 4 * 145
    assert said["packets"] == 100
