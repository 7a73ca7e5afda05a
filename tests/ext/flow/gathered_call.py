"""A crowd of relayed calls over real sockets: who heard what, and how many turns the loop took, as JSON.

gathered_call.py GATHER_US
"""

import contextlib
import json
import struct
import sys
import threading

from telephone import HEADER, Telephone, media_of, open_bus

PAIRS = 20
ROUNDS = 400  # packets of each telephone; sent as fast as the loop takes them
SHORT_S = 0.02
LONG_S = 20.0
WINDOW = 8  # packets of one telephone under way at once

media = media_of(64)
media.gather(int(sys.argv[1]))


class Phone(Telephone):
    def __init__(self, bus):
        super().__init__(media, bus, known=True)
        self.theirs.settimeout(SHORT_S)
        self.heard, self.number = [], 0

    def speak(self):
        self.number += 1
        self.send(struct.pack("!I", self.number) + bytes(156))

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
        self.heard, self.number = [], 0
        self.theirs.settimeout(LONG_S)


pairs = []
for _ in range(PAIRS):
    bus = open_bus(media)
    pairs.append((Phone(bus), Phone(bus)))
runner = threading.Thread(target=media.run, daemon=True)
runner.start()
for a, b in pairs:  # until both have been heard and learnt: from here on each packet is relayed
    while not a.heard:
        a.speak(), b.speak()
        with contextlib.suppress(TimeoutError):
            b.hear(), a.hear()
    a.drain(), b.drain()
turns = media.metrics()["counters"]["turns"]
phones = [phone for pair in pairs for phone in pair]
for _ in range(ROUNDS // WINDOW):
    for phone in phones:
        for _ in range(WINDOW):
            phone.speak()
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
