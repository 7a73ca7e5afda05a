"""A relay with keys, a room with roles, three codecs, tones and a file, some watched: a second is counted."""

import ctypes
import json
import select
import struct
import sys
import threading

from telephone import Telephone, media_of, open_bus

from roomtone.ext.flow.track import ChunkPool, Playback, Track

counter = ctypes.CDLL(None)
PAYLOAD_BYTES = {1: 160, 2: 160, 3: 320, 4: 640}
media = media_of(64)


class Phone(Telephone):
    def __init__(self, bus, codec, payload_type):
        super().__init__(media, bus, codec, payload_type, rtcp=True, keys=True)
        self.said = bytes(range(80)) * (PAYLOAD_BYTES[codec] // 80)
        self.heard = 0

    def speak(self):
        self.send(self.said)

    def drain(self):
        while select.select([self.theirs], [], [], 0)[0]:
            self.theirs.recv(2048)
            self.heard += 1


buses = [open_bus(media, phase) for phase in (0, 9)]
relay = [Phone(buses[0], 1, 0) for _ in range(2)]
mixed = [Phone(buses[1], codec, pt) for codec, pt in ((1, 0), (2, 8), (4, 97))]
tone = media.endpoint_take()
media.tone_open(tone, kind=1, frequency_hz=440.0, duration_ms=-1)
media.source_add(buses[1], tone)
pool = ChunkPool(1)
track = Track(pool, 1)
track.end(5000, False)
track.publish(0, pool.take())
file = media.endpoint_take()
media.file_open(file, Playback(track, position=0, loops=None, shared=False), gain_db=-3.0)
media.source_add(buses[1], file)
media.bus_room(buses[1], roles=[])
for phone, seat in zip(mixed, ({"party": 1}, {"role": 1, "hears": 0b10}, {"hears": 0b01}), strict=True):
    media.seat(buses[1], phone.handle, arrival=1, **seat)
whisper = media.endpoint_take()
media.tone_open(whisper, kind=1, frequency_hz=440.0, duration_ms=-1)
media.seat(buses[1], whisper, party=1, arrival=1)
media.source_add(buses[1], whisper)
for watched in (relay[0], mixed[0], mixed[2]):
    media.watch(watched.handle, serial=1, speech=True, threshold=0.5, fax=True, frames=0)


def thread():
    counter.count_watch(1)
    media.run()
    counter.count_watch(0)


runner = threading.Thread(target=thread)
runner.start()


def one_tick(i):
    """Paced by the mix itself: everybody speaks, then the next mixed packet is awaited."""
    for phone in (*relay, *mixed):
        phone.speak()
    if i % 10 == 0:
        relay[0].send(struct.pack("!BBH", 5, 0x8A, 800), 101)
        mixed[0].theirs.sendto(b"garbage", mixed[0].ours.getsockname())
        media.seat(buses[1], mixed[1].handle, role=1, hears=0b10, speaks=i % 20 == 0)
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
