"""A relay with keys, a mix of three codecs and a tone, for a second; then the count."""

import ctypes
import json
import os
import select
import socket
import struct
import sys
import threading

from roomtone.ext.flow.media import Arena, Media

counter = ctypes.CDLL(None)
HOST = "127.0.0.1"


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((HOST, 0))
    s.setblocking(False)
    return s


fd = os.memfd_create("arena")
Arena.format(fd, endpoints=64, worker=0, epoch=1)
media = Media(Arena(fd, writable=True), fact_fd=-1)


class Phone:
    def __init__(self, bus, codec, payload_type):
        self.ours, self.rtcp, self.theirs = udp(), udp(), udp()
        self.codec, self.payload_type, self.n, self.heard = codec, payload_type, 0, 0
        self.size = {1: 160, 2: 160, 3: 320, 4: 640}[codec]
        self.handle = handle = media.endpoint_take()
        media.endpoint_open(
            handle,
            rtp_fd=self.ours.fileno(),
            rtcp_fd=self.rtcp.fileno(),
            local=self.ours.getsockname(),
            local_rtcp_port=self.rtcp.getsockname()[1],
            ssrc=handle,
            cname="c",
            seq=1,
            timestamp=1,
        )
        media.endpoint_media(
            handle,
            receive=[(payload_type, codec)],
            send_payload_type=payload_type,
            send_codec=codec,
            event_receive=[(101, 8000)],
            event_send=(101, 8000),
            may_receive=True,
            may_send=True,
        )
        media.endpoint_remote(
            handle, remote=self.theirs.getsockname(), rtcp_port=9, learn=True, send_at_once=False
        )
        media.source_add(bus, handle)
        media.destination_add(bus, handle)

    def send(self, payload_type=None, payload=None):
        self.n += 1
        at = self.n * (320 if self.codec == 4 else 160)
        body = bytes(range(80)) * (self.size // 80) if payload is None else payload
        kind = self.payload_type if payload_type is None else payload_type
        packet = struct.pack("!BBHII", 0x80, kind, self.n, at, self.handle) + body
        self.theirs.sendto(packet, self.ours.getsockname())

    def drain(self):
        while select.select([self.theirs], [], [], 0)[0]:
            self.theirs.recv(2048)
            self.heard += 1


buses = [media.bus_take() for _ in range(2)]
for phase, bus in enumerate(buses):
    media.bus_open(bus, phase=phase * 9, key_relay_limit=20)
relay = [Phone(buses[0], 1, 0) for _ in range(2)]
mixed = [Phone(buses[1], codec, pt) for codec, pt in ((1, 0), (2, 8), (4, 97))]
tone = media.endpoint_take()
media.tone_open(tone, kind=1, frequency_hz=440.0, duration_ms=-1)
media.source_add(buses[1], tone)


def thread():
    counter.count_watch(1)
    media.run()
    counter.count_watch(0)


runner = threading.Thread(target=thread)
runner.start()


def one_tick(i):
    """Paced by the mix itself: everybody speaks, then the next mixed packet is awaited."""
    for phone in (*relay, *mixed):
        phone.send()
    if i % 10 == 0:
        relay[0].send(101, struct.pack("!BBH", 5, 0x8A, 800))
        mixed[0].theirs.sendto(b"garbage", mixed[0].ours.getsockname())
        relay[1].theirs.sendto(struct.pack("!BBHI", 0x80, 201, 1, 7), relay[1].rtcp.getsockname())
    if not select.select([mixed[0].theirs], [], [], 5)[0]:
        sys.exit("the mix has stopped")
    for phone in (*relay, *mixed):
        phone.drain()


for i in range(20):
    one_tick(i)
media.inject(relay[1].handle, event=3, duration_ms=60, volume=10)
counter.count_arm(1)
before = media.metrics()["counters"]
for i in range(50):
    one_tick(i)
counter.count_arm(0)
after = media.metrics()["counters"]
calls = counter.count_calls()
media.stop()
runner.join()
counter.count_watch(1)  # the counter itself works: this thread allocates
counter.count_arm(1)
rubbish = [bytearray(10000) for _ in range(10)]
counter.count_arm(0)
print(
    json.dumps(
        {
            "calls": calls,
            "control": counter.count_calls() - calls,
            "rise": {name: after[name] - before[name] for name in after},
            "heard": [p.heard for p in (*relay, *mixed)],
        }
    )
)
