"""The native callers: exact accounting against the floor, and what they put on the wire."""

import asyncio
import itertools
import socket
import struct
import threading
import time

import numpy as np
import pytest

from roomtone.bench.load import proc
from roomtone.bench.load.callers import Callers
from roomtone.bench.load.measure import Plan, run_once
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Floor, Placement

MS = 1_000_000
HEADER = struct.Struct("!BBHII")


def placement():
    cpus = sorted(proc.EVERY_CPU)
    return Placement(measured=(cpus[-1],), others=(cpus[0],))


def test_two_seconds_against_the_floor_lose_nothing():
    plan = Plan(warm_up_s=0.5, window_s=1.5, placement=placement())
    figures = asyncio.run(run_once(Floor(plan.placement), Scenario("relay", 20, 2), plan))
    assert figures["total_sent"] == figures["total_received"] > 40 * 75
    assert figures["lost"] == figures["unexpected"] == figures["send_errors"] == figures["overflow"] == 0
    assert figures["seq_missing"] == figures["seq_duplicate"] == figures["seq_reordered"] == 0
    assert figures["silent_callers"] == 0
    assert 40 * 25 < figures["sent"] <= 40 * 76  # fewer when the machine is away
    assert figures["delay_p50_us"] > 0
    assert figures["us_per_packet"] > 0


class Wire:
    """One plain socket in place of a server; keeps what the callers send."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.setblocking(False)

    def packets(self):
        out = []
        while True:
            try:
                data, source = self.socket.recvfrom(1500)
            except BlockingIOError:
                return out
            out.append((source, HEADER.unpack(data[:12]), data[12:]))


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.socket.close()


@pytest.fixture
def callers(wire):
    callers = Callers(4)
    callers.connect([wire.socket.getsockname()] * 4)
    yield callers
    callers.close()


def speak(callers, *, stamp=False, fmt=FORMATS["PCMU"], types=None, sends=None, read=None):
    table = np.arange(2 * 3 * fmt.payload_bytes, dtype=np.int64).reshape(2, 3, -1).astype(np.uint8)
    phases = np.arange(4) * 5 * MS
    which = np.array([0, 1, 0, 1])
    callers.speak(phases, table, which, types or [fmt.payload_type] * 4, fmt.samples, stamp, sends, read)
    return table


def run(callers, ms, **kinds):
    now = time.time_ns()
    return callers.run(now, now + ms * MS, now + ms * MS, **kinds)


def test_a_stream_goes_forward_by_one_frame_a_packet_also_between_runs(callers, wire):
    speak(callers, fmt=FORMATS["L16/16000"])
    run(callers, 200)
    run(callers, 200)
    by_source = {}
    for source, (_, _, seq, timestamp, ssrc), _ in wire.packets():
        by_source.setdefault(source, []).append((seq, timestamp, ssrc))
    assert len(by_source) == 4
    for stream in by_source.values():
        steps = [((b[0] - a[0]) % 65536, (b[1] - a[1]) % 2**32) for a, b in itertools.pairwise(stream)]
        assert all(ts == 320 * seq for seq, ts in steps)
        assert sum(seq != 1 for seq, _ in steps) == 1  # the pause between the runs
        assert max(seq for seq, _ in steps) < 32768
        assert len({ssrc for _, _, ssrc in stream}) == 1


def test_payloads_are_those_of_the_loop(callers, wire):
    table = speak(callers)
    totals = run(callers, 200)
    packets = wire.packets()
    assert sum(totals["sent"]) == len(packets) > 0
    frames = {table[t, f].tobytes() for t in range(2) for f in range(3)}
    assert {payload for _, _, payload in packets} == frames


def test_a_stamped_payload_begins_with_the_send_time(callers, wire):
    speak(callers, stamp=True)
    before = time.time_ns()
    run(callers, 100)
    after = time.time_ns()
    sent = [int.from_bytes(payload[:8], "little") for _, _, payload in wire.packets()]
    assert sent
    assert all(before <= t <= after for t in sent)
    assert sent == sorted(sent)


def test_rtcp_and_rubbish_are_counted_apart(callers, wire):
    speak(callers)
    done = threading.Event()

    def answer():
        target = callers.addresses()[0]
        wire.socket.sendto(HEADER.pack(0x80, 200, 6, 1, 2), target)  # a sender report's type
        wire.socket.sendto(b"\x80\x00", target)
        wire.socket.sendto(HEADER.pack(0x80, 0, 7, 160, 9) + bytes(160), target)
        done.set()

    thread = threading.Timer(0.05, answer)
    thread.start()
    totals = run(callers, 300, listen=[0], capture_frames=4)
    thread.join()
    assert done.is_set()
    assert (totals["rtcp"], totals["unexpected"], totals["received"]) == (1, 1, [1, 0, 0, 0])
    (arrival,) = callers.arrivals(0)
    assert (arrival["seq"], arrival["timestamp"], arrival["size"]) == (7, 160, 172)
    arrivals, payloads = callers.captured(0)
    assert len(arrivals) == 1
    assert payloads.tobytes() == bytes(160)


def test_a_backlog_is_read_at_once_and_in_order(callers, wire):
    speak(callers)
    target = callers.addresses()[0]
    for seq in range(100):
        wire.socket.sendto(HEADER.pack(0x80, 0, seq, seq * 160, 9) + bytes(160), target)
    totals = run(callers, 300)
    assert totals["received"][0] == 100
    assert callers.arrivals(0)["seq"].tolist() == list(range(100))


def test_callers_may_speak_different_codecs_and_live_on_different_addresses(wire):
    callers = Callers(4, ["127.0.1.1", "127.0.1.2"])
    callers.connect([wire.socket.getsockname()] * 4)
    speak(callers, types=[0, 8, 0, 8])
    run(callers, 60)
    addresses = callers.addresses()
    callers.close()
    assert [ip for ip, _ in addresses] == ["127.0.1.1", "127.0.1.2"] * 2
    said = {(source, header[1]) for source, header, _ in wire.packets()}
    assert said == set(zip(addresses, [0, 8, 0, 8], strict=True))


def test_who_only_listens_says_nothing_and_is_still_read(callers, wire):
    speak(callers, sends=[True, False, False, False], read=[1])
    for number in (1, 2):
        wire.socket.sendto(HEADER.pack(0x80, 0, 1, 160, 9) + bytes(160), callers.addresses()[number])
    totals = run(callers, 100)
    assert {source for source, _, _ in wire.packets()} == {callers.addresses()[0]}
    assert [n > 0 for n in totals["sent"]] == [True, False, False, False]
    assert totals["received"] == [0, 1, 0, 0]
    assert len(callers.arrivals(1)) == 1
    with pytest.raises(ValueError, match="not read"):
        callers.arrivals(2)


def test_a_socket_that_is_not_read_keeps_next_to_nothing(callers, wire):
    speak(callers, read=[0])
    for seq in range(200):
        for number in (0, 3):
            packet = HEADER.pack(0x80, 0, seq, seq * 160, 9) + bytes(160)
            wire.socket.sendto(packet, callers.addresses()[number])
    speak(callers, read=[0, 3])
    totals = run(callers, 300)
    assert totals["received"][0] == 200
    assert totals["received"][3] < 10


def test_wrong_use_is_refused(callers):
    with pytest.raises(ValueError, match="speak first"):
        run(callers, 10)
    with pytest.raises(ValueError, match="4 callers, 1 addresses"):
        callers.connect([("127.0.0.1", 9)])
    with pytest.raises(ValueError, match="out of range"):
        callers.speak([0, 0, 0, 20 * MS], np.zeros((1, 1, 160)), [0] * 4, [0] * 4, 160, False)
    with pytest.raises(ValueError, match="8 to 1488"):
        callers.speak([0] * 4, np.zeros((1, 1, 4)), [0] * 4, [0] * 4, 160, False)
    with pytest.raises(ValueError, match="nobody sends"):
        speak(callers, sends=[False] * 4, read=[])
    with pytest.raises(ValueError, match="one caller"):
        Callers(0)
