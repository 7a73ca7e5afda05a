"""Twenty relayed calls beside a peer that sends as fast as it can, for a second; then the count, as JSON.

    flooded_call.py rtp|giant|rtcp|stranger|none [ROUNDS]

rtp: a pinned peer floods its own RTP port.  giant: with datagrams nobody reads.  rtcp: somebody floods the
RTCP port of a call.  stranger: somebody floods a port whose peer has not been heard yet.
"""

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

from telephone import Telephone, media_of, open_bus, udp

PAIRS = 20
WARM_UP = 5  # rounds until every address is pinned
SO_TIMESTAMPNS = 35  # asm-generic/socket.h: the kernel's arrival time with each datagram
STAMP = struct.Struct("@qq")
QUEUE_BYTES = 65536  # as the worker gives its sockets
FLOODER = """
import socket, struct, sys
fd, port, size, first, second = map(int, sys.argv[1:])
s = socket.socket(fileno=fd)
s.connect(("127.0.0.1", port))
packet = bytearray(struct.pack("!BBHII", first, second, 0, 0, 77) + bytes(size))
print("flooding", flush=True)
n = 0
while True:
    n += 1
    struct.pack_into("!HI", packet, 2, n & 0xFFFF, n * 160 & 0xFFFFFFFF)
    try:
        s.send(packet)
    except OSError:
        pass
"""


media = media_of(128)


class Phone(Telephone):
    def __init__(self, bus, *, rtcp=False):
        super().__init__(media, bus, rtcp=rtcp)
        self.theirs.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        self.heard = []

    def speak(self):
        """The time stands in the payload, on the clock of the kernel's arrival times."""
        self.send(struct.pack("!q", time.time_ns()) + bytes(152))

    def drain(self):
        """Note (sequence, delay in us) of what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = self.theirs.recvmsg(2048, socket.CMSG_SPACE(STAMP.size))
                if data[1] == self.payload_type:
                    seconds, ns = STAMP.unpack(ancillary[0][2])
                    sent_ns = struct.unpack_from("!q", data, 12)[0]
                    delay_us = (seconds * 10**9 + ns - sent_ns) // 1000
                    self.heard.append((int.from_bytes(data[2:4], "big"), delay_us))


mode = sys.argv[1]
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 50
pairs = []
for _ in range(PAIRS):
    of_pair = open_bus(media)
    pairs.append([Phone(of_pair, rtcp=True), Phone(of_pair)])
victims = open_bus(media)
victim, partner = Phone(victims), Phone(victims)
mixed = open_bus(media)
clock = Phone(mixed)
tone = media.endpoint_take()
media.tone_open(tone, kind=1, frequency_hz=440.0, duration_ms=-1)
media.source_add(mixed, tone)
runner = threading.Thread(target=media.run)
runner.start()
good = [phone for pair in pairs for phone in pair]


def one_tick(speakers):
    """Paced by the media thread's own clock: everybody speaks, then the next mixed packet is awaited."""
    for phone in speakers:
        phone.speak()
    if not select.select([clock.theirs], [], [], 30)[0]:
        sys.exit("the mix has stopped")
    with contextlib.suppress(BlockingIOError):
        while clock.theirs.recv(2048):
            pass
    for phone in (*good, partner):
        phone.drain()


clock.speak()
for _ in range(WARM_UP):
    one_tick([*good, partner, *([] if mode == "stranger" else [victim])])
flooder = None
told = {name: media.metrics()[name] for name in ("counters", "drops")}
raw = {phone.handle: media.stats(phone.handle)["rx_raw_packets"] for phone in (victim, good[0])}
flooded_ns = time.monotonic_ns()
if mode != "none":
    sender = {"rtp": victim.theirs, "giant": victim.theirs}.get(mode) or udp()
    port = (good[0].rtcp if mode == "rtcp" else victim.ours).getsockname()[1]
    first, second, size = {"rtcp": (0x80, 201, 20), "giant": (0x80, 0, 1600)}.get(mode, (0x80, 0, 160))
    if mode == "stranger":
        second = 99  # not negotiated: never pinned
    arguments = [str(value) for value in (sender.fileno(), port, size, first, second)]
    flooder = subprocess.Popen(
        [sys.executable, "-c", FLOODER, *arguments],
        stdout=subprocess.PIPE,
        pass_fds=[sender.fileno()],
        preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}),
    )
    assert flooder.stdout is not None and flooder.stdout.readline()
for phone in good:
    phone.heard.clear()
ran_ns = time.clock_gettime_ns(time.pthread_getcpuclockid(runner.ident))
began_ns = time.monotonic_ns()
for _ in range(rounds):
    one_tick(good)
one_tick([])
one_tick([])
busy = (time.clock_gettime_ns(time.pthread_getcpuclockid(runner.ident)) - ran_ns) / (
    time.monotonic_ns() - began_ns
)
flooded = victim if mode != "rtcp" else good[0]
read = media.stats(flooded.handle)["rx_raw_packets"] - raw[flooded.handle]
read -= rounds if mode == "rtcp" else 0  # of those its own peer's
flooded_us = (time.monotonic_ns() - flooded_ns) // 1000
if flooder is not None:
    flooder.kill()
    flooder.wait()
closed = max(
    media.endpoint_close(phone.handle) for phone in (victim, good[0])
)  # counts what the kernel dropped
while media.applied() < closed:
    one_tick([])
after = media.metrics()
media.stop()
runner.join()
delays = sorted(delay for phone in good for _, delay in phone.heard)
print(
    json.dumps(
        {
            "lost": [rounds - len(phone.heard) for phone in good],
            "in_order": all(
                b[0] - a[0] == 1 for phone in good for a, b in zip(phone.heard, phone.heard[1:], strict=False)
            ),
            "read": read,
            "flooded_us": flooded_us,
            "floods": after["counters"].get("floods", 0) - told["counters"].get("floods", 0),
            "kernel_overflow": after["drops"]["kernel_overflow"] - told["drops"]["kernel_overflow"],
            "oversize": after["drops"]["oversize"] - told["drops"]["oversize"],
            "busy": round(busy, 3),
            "delay_us": {
                name: delays[int(part * (len(delays) - 1))]
                for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            },
        }
    )
)
