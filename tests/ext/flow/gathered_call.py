"""A crowd of relayed calls over real sockets: who heard what, and how many turns the loop took, as JSON.

gathered_call.py GATHER_US
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading

from roomtone.ext.flow.media import Arena, Media

HOST = "127.0.0.1"
PAIRS = 20
ROUNDS = 400  # packets of each telephone; sent as fast as the loop takes them
SHORT_S = 0.02
LONG_S = 20.0
HEADER = struct.Struct("!BBHII")
WINDOW = 8  # packets of one telephone under way at once

fd = os.memfd_create("arena")
Arena.format(fd, endpoints=64, worker=0, epoch=1)
media = Media(Arena(fd, writable=True), fact_fd=-1)
media.gather(int(sys.argv[1]))


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((HOST, 0))
    s.settimeout(SHORT_S)
    return s


class Phone:
    def __init__(self, bus):
        self.ours, self.theirs, self.heard, self.n, self.seq = udp(), udp(), [], 0, 0
        self.ours.setblocking(False)
        handle = media.endpoint_take()
        ours, theirs = self.ours.getsockname(), self.theirs.getsockname()
        media.endpoint_open(
            handle,
            rtp_fd=self.ours.fileno(),
            rtcp_fd=-1,
            local=ours,
            local_rtcp_port=ours[1],
            ssrc=handle,
            cname="c",
            seq=1,
            timestamp=1,
        )
        media.endpoint_media(
            handle,
            receive=[(0, 1)],
            send_payload_type=0,
            send_codec=1,
            event_receive=[],
            event_send=None,
            may_receive=True,
            may_send=True,
        )
        media.endpoint_remote(handle, remote=theirs, rtcp_port=theirs[1], learn=False, send_at_once=True)
        media.source_add(bus, handle)
        media.destination_add(bus, handle)

    def send(self):
        self.n += 1
        self.seq += 1
        packet = HEADER.pack(0x80, 0, self.seq, self.seq * 160, 7)
        self.theirs.sendto(packet + struct.pack("!I", self.n) + bytes(156), self.ours.getsockname())

    def hear(self):
        while True:
            data = self.theirs.recv(2048)
            if not 192 <= data[1] <= 223:  # RTCP is not counted (RFC 5761 section 4)
                self.heard.append(struct.unpack_from("!I", data, HEADER.size)[0])
                return

    def drain(self):
        """Forget what was heard so far, and what is still on its way; wait for long from now on."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.hear()
        self.heard, self.n = [], 0
        self.theirs.settimeout(LONG_S)


pairs = []
for _ in range(PAIRS):
    bus = media.bus_take()
    media.bus_open(bus, phase=0, key_relay_limit=20)
    pairs.append((Phone(bus), Phone(bus)))
runner = threading.Thread(target=media.run, daemon=True)
runner.start()
for a, b in pairs:  # until both have been heard and learnt: from here on each packet is relayed
    while not a.heard:
        a.send(), b.send()
        with contextlib.suppress(TimeoutError):
            b.hear(), a.hear()
    a.drain(), b.drain()
turns = media.metrics()["counters"]["turns"]
phones = [phone for pair in pairs for phone in pair]
for _ in range(ROUNDS // WINDOW):
    for phone in phones:
        for _ in range(WINDOW):
            phone.send()
    for phone in phones:
        for _ in range(WINDOW):
            phone.hear()
turns = media.metrics()["counters"]["turns"] - turns
media.stop()
runner.join()
expected = list(range(1, ROUNDS + 1))
print(
    json.dumps(
        {
            "sent": len(phones) * ROUNDS,
            "heard": sum(len(p.heard) for p in phones if p.heard == expected),
            "turns": turns,
        }
    )
)
