"""Joins, leaves, mutes, codec changes, moves and closes in any order: lists and counts agree."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lab import L16_8K, L16_16K, PCMA, PCMU, Lab, gap_free, silence, timestamp_steps

CODECS = [PCMU, PCMA, L16_8K, L16_16K]
BUSES = 3
LARGE = 150  # listeners of bus 0: more than one slice of 128


def level(bus):
    """Everybody on a bus says its constant: who hears another bus's was served wrongly."""
    value = (3000, 7000, 12000)[bus]

    def signal(first, count, rate):
        return np.full(count, value, np.int16)

    return signal


class Rooms(RuleBasedStateMachine):
    """Three buses, the first large; a dozen telephones that do as they please."""

    @initialize(large=st.booleans())
    def build(self, large):
        self.lab = Lab(endpoints=400)
        self.buses = [self.lab.bus(phase=phase) for phase in (2, 2, 15)]
        self.on = {}
        self.crowd = []
        for i in range(7):
            self.come(i % BUSES, CODECS[i % 4], True, i == 6, 10)
        if large:
            self.crowd = [self.lab.peer(self.buses[0], source=False, send_at_once=True) for _ in range(LARGE)]

    peers = st.integers(0, 11)
    after = st.integers(1, 45)  # ms between two changes

    def pick(self, n):
        handles = sorted(self.on)
        return self.lab.peers[handles[n % len(handles)]]

    @rule(
        bus=st.integers(0, BUSES - 1),
        codec=st.sampled_from(CODECS),
        source=st.booleans(),
        quiet=st.booleans(),
        ms=after,
    )
    def come(self, bus, codec, source, quiet, ms):
        self.lab.run(ms)
        if len(self.on) < 12:
            peer = self.lab.peer(
                self.buses[bus], codec=codec, source=source, signal=silence if quiet else level(bus)
            )
            self.on[peer.handle] = bus

    @rule(n=peers, ms=after, bus=st.integers(0, BUSES - 1))
    def move(self, n, ms, bus):
        peer = self.pick(n)
        self.lab.run(ms)
        self.lab.leave(peer, self.buses[self.on[peer.handle]])
        self.lab.join(peer, self.buses[bus])
        if peer.signal is not silence:
            peer.talk(level(bus))
        self.on[peer.handle] = bus

    @rule(
        n=peers,
        ms=after,
        which=st.sampled_from(["source_add", "source_remove", "destination_add", "destination_remove"]),
    )
    def direction(self, n, ms, which):
        peer = self.pick(n)
        self.lab.run(ms)
        getattr(self.lab.media, which)(self.buses[self.on[peer.handle]], peer.handle)

    @rule(n=peers, ms=after, codec=st.sampled_from(CODECS))
    def hear_in_another_codec(self, n, ms, codec):
        peer = self.pick(n)
        self.lab.run(ms)
        self.lab.negotiate(peer, send_codec=codec)

    @rule(n=peers, ms=after, speech=st.booleans(), fax=st.booleans())
    def watch(self, n, ms, speech, fax):
        self.lab.run(ms)
        self.lab.media.watch(self.pick(n).handle, serial=ms, speech=speech, threshold=0.5, fax=fax, frames=0)

    @rule(n=peers, ms=after, events=st.booleans())
    def negotiate_keys(self, n, ms, events):
        self.lab.run(ms)
        peer = self.pick(n)
        self.lab.negotiate(peer, **({} if events else {"events": (), "event_send": None}))

    @rule(speech=st.booleans(), keys=st.booleans())
    def detectors_pause(self, speech, keys):
        self.lab.media.watch_kinds(speech=speech, keys=keys)

    @rule(n=peers, ms=after, event=st.integers(0, 11))
    def press(self, n, ms, event):
        peer = self.pick(n)
        self.lab.run(ms)
        peer.press(event)

    @rule(n=peers, ms=after)
    def inject(self, n, ms):
        peer = self.pick(n)
        self.lab.run(ms)
        self.lab.media.inject(peer.handle, event=1, duration_ms=60, volume=10)

    @rule(n=peers, ms=after)
    def new_ssrc(self, n, ms):
        peer = self.pick(n)
        self.lab.run(ms)
        peer.ssrc += 1000

    @rule(n=peers, ms=after)
    def go(self, n, ms):
        peer = self.pick(n)
        self.lab.run(ms)
        if len(self.on) > 4:
            del self.on[peer.handle]
            self.lab.close(peer)

    @rule(bus=st.integers(0, BUSES - 1), ms=after)
    def bus_closes_and_opens(self, bus, ms):
        self.lab.run(ms)
        self.lab.media.bus_close(self.buses[bus])
        self.lab.media.bus_open(self.buses[bus], phase=bus * 7, key_relay_limit=20)
        for handle, on in self.on.items():
            if on == bus:
                self.lab.join(self.lab.peers[handle], self.buses[bus])
        if bus == 0:
            for peer in self.crowd:
                self.lab.join(peer, self.buses[0], source=False)

    @rule(n=st.integers(0, LARGE - 1))
    def one_of_the_crowd_goes(self, n):
        self.lab.run(1)
        if self.crowd:
            self.lab.close(self.crowd.pop(n % len(self.crowd)))

    @invariant()
    def the_graph_tells_one_story(self):
        if hasattr(self, "lab"):
            self.lab.media.step(self.lab.now_us)
            assert self.lab.media.check() == []

    def teardown(self):
        if not hasattr(self, "lab"):
            return
        self.lab.run(60)
        for peer in self.lab.peers.values():
            assert gap_free(peer.heard)
            voice = peer.voice()
            same_codec = all(p.payload_type == voice[0].payload_type for p in voice)
            assert not same_codec or all(step > 0 for step in timestamp_steps(voice))
        for handle, bus in self.on.items():
            self.hears_only(self.lab.peers[handle], bus)
        for peer in list(self.lab.peers.values()):
            self.lab.close(peer)
        self.lab.run(20)
        assert self.lab.media.check() == []
        assert self.lab.media.metrics()["gauges"]["endpoints"] == 0

    def hears_only(self, peer, bus):
        """At the end, after time to settle: multiples of its own bus's constant, nothing of the others'."""
        peer.clear()
        for other in self.lab.peers.values():
            if other.handle in self.on and other.signal is not silence:
                other.signal = level(self.on[other.handle])
        self.lab.run(500)
        peer.clear()
        self.lab.run(100)
        talkers = sum(1 for handle, on in self.on.items() if on == bus and handle != peer.handle)
        for p in peer.voice():
            codec = {0: PCMU, 8: PCMA, 96: L16_8K, 97: L16_16K}[p.payload_type]
            from lab import decode

            pcm = decode(codec, p.payload)[10:150]
            value = (3000, 7000, 12000)[bus]
            allowed = [min(k * value, 31600) for k in range(talkers + 1)]
            assert min(abs(float(np.mean(pcm)) - a) for a in allowed) < 0.04 * 31600


Rooms.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyOrderOfChanges = Rooms.TestCase
