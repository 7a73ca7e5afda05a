"""What the media thread's work costs without the kernel: relay, ticks of rooms, playout, joins.

    pytest bench/test_flow.py

The lab's media thread runs inside one call without the GIL (`LabMedia.drive`); sockets cost nothing here, a
copy into memory stands for a send.  ``ns_per_operation`` in extra_info is the cost of one
packet, tick, frame or join.
"""

import os

import pytest

from roomtone.ext.codec import codec as codecs
from roomtone.ext.flow import rx_playout
from roomtone.ext.flow.lab import LabMedia
from roomtone.ext.flow.media import Arena
from roomtone.ext.wire import rtp

PCMU = codecs.PCMU
START_US = 1_000_000
SPEECH = bytes(range(16, 96)) * 2  # loud enough to be added
QUIET = b"\xff" * 160
TURNS = 20  # a turn each millisecond, as a loaded loop takes them


class Room:
    """`members` telephones on one bus, `talkers` of them sending.

    keys: they negotiated telephone-events (else keys are looked for in what they say).  speech: is watched.
    noise: payload type of comfort noise they negotiated.
    """

    def __init__(
        self,
        members: int,
        talkers: int,
        payload: bytes = SPEECH,
        senders: int = 0,
        *,
        keys: bool = True,
        speech: bool = False,
        noise: int | None = None,
    ) -> None:
        fd = os.memfd_create("bench")
        Arena.format(fd, endpoints=members + 8, worker=0, epoch=1)
        self.media = media = LabMedia(Arena(fd, writable=True), fact_fd=-1, lab=True)
        os.close(fd)
        self.now_us = START_US
        media.step(self.now_us)
        self.bus = media.bus_take()
        media.bus_open(self.bus, phase=1, key_relay_limit=20)
        self.keys, self.noise = keys, noise
        self.handles = [self.open(i) for i in range(members)]
        for handle in self.handles if speech else ():
            media.watch(handle, serial=1, speech=True, threshold=0.5, fax=False, frames=0)
        self.senders = self.handles[: senders or talkers]
        self.talkers = talkers
        self.packet = rtp.write(0, False, 1, 0, 7) + payload
        self.seq = 0
        for handle in self.handles:
            media.feed(handle, self.packet, self.peer(handle), self.now_us)
        media.sent()
        self.run(20)

    def peer(self, handle: int) -> tuple[str, int]:
        return "127.0.0.1", 20000 + (handle & 0xFFFFF)

    def open(self, i: int) -> int:
        media = self.media
        handle = media.endpoint_take()
        media.endpoint_open(
            handle,
            rtp_fd=-1,
            rtcp_fd=-1,
            local=("127.0.0.1", 10000 + i),
            local_rtcp_port=9,
            ssrc=i + 1,
            cname="bench",
            seq=1,
            timestamp=1,
        )
        media.endpoint_media(
            handle,
            receive=[(0, PCMU)],
            send_payload_type=0,
            send_codec=PCMU,
            event_receive=[(101, 8000)] if self.keys else [],
            event_send=None,
            may_receive=True,
            may_send=True,
            noise_receive=self.noise,
            noise_send=self.noise,
        )
        media.endpoint_remote(handle, remote=self.peer(handle), rtcp_port=9, learn=True, send_at_once=False)
        media.source_add(self.bus, handle)
        media.destination_add(self.bus, handle)
        media.step(self.now_us)
        return handle

    def run(self, ticks: int, turns: int = TURNS) -> dict[str, int]:
        """So many ticks; what the counters rose by."""
        before = self.media.metrics()["counters"]
        packet = rtp.write(0, False, 1 + self.seq & 0xFFFF, self.seq * 160 & 0xFFFFFFFF, 7) + self.packet[12:]
        self.now_us = self.media.drive(self.senders, packet, self.now_us, ticks, turns)
        self.seq += ticks
        return {name: n - before[name] for name, n in self.media.metrics()["counters"].items()}


def note(benchmark, operations: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_operation"] = round(benchmark.stats.stats.median / operations * 1e9, 1)


def test_relay_of_a_packet(benchmark):
    room = Room(2, 1)
    packets = 20_000
    rise = benchmark(room.run, packets, 1)
    assert rise["relayed_packets"] == packets and rise["encodings"] == 0
    note(benchmark, packets)


@pytest.mark.parametrize("payload", [SPEECH, QUIET], ids=["loud", "silent"])
def test_relay_of_a_packet_in_whose_audio_keys_are_looked_for(benchmark, payload):
    room = Room(2, 1, payload, keys=False)
    packets = 20_000
    rise = benchmark(room.run, packets, 1)
    assert rise["relayed_packets"] == packets == rise["watched_frames"]
    note(benchmark, packets)


@pytest.mark.parametrize("payload", [SPEECH, QUIET], ids=["loud", "silent"])
def test_tick_of_a_room_of_ten_whose_speech_is_watched(benchmark, payload):
    room = Room(10, 10, payload, speech=True)
    rise = benchmark(room.run, 1000)
    assert rise["mixed_packets"] == rise["watched_frames"] == 10_000
    note(benchmark, 1000)


@pytest.mark.parametrize(("members", "talkers", "ticks"), [(10, 10, 1000), (10, 2, 1000), (1000, 3, 20)])
def test_tick_of_a_room(benchmark, members, talkers, ticks):
    room = Room(members, talkers)
    rise = benchmark(room.run, ticks)
    assert rise["ticks"] == ticks and rise["mixed_packets"] >= ticks * members * 0.95
    assert rise["encodings"] <= ticks * (talkers + 1)
    note(benchmark, ticks)


def test_tick_of_a_silent_room_of_ten(benchmark):
    room = Room(10, 10, QUIET)
    rise = benchmark(room.run, 1000)
    assert rise["encodings"] == 1000 and rise["mixed_packets"] == 10_000
    note(benchmark, 1000)


def test_tick_of_a_silent_room_of_ten_that_takes_comfort_noise(benchmark):
    room = Room(10, 10, QUIET, noise=13)
    rise = benchmark(room.run, 1000)
    assert rise["comfort_noise_tx_packets"] == rise["mixed_packets"] == 10_000 and rise["encodings"] == 0
    note(benchmark, 1000)


@pytest.mark.parametrize("sources", [1, 1000], ids=["hot", "cold"])
def test_playout_put_and_get_of_a_frame(benchmark, sources):
    ticks = 100_000 // sources
    heard = benchmark(rx_playout.bench, PCMU, sources, ticks)
    assert heard == sources * (ticks - 2)
    note(benchmark, sources * ticks)


def test_join_and_leave(benchmark):
    room = Room(1000, 3)
    media, handle = room.media, room.open(1001)
    rounds = 50

    def come_and_go() -> None:
        for _ in range(rounds):
            media.source_remove(room.bus, handle)
            media.destination_remove(room.bus, handle)
            media.source_add(room.bus, handle)
            media.destination_add(room.bus, handle)
            media.step(room.now_us)

    benchmark(come_and_go)
    assert media.check() == []
    note(benchmark, rounds)
