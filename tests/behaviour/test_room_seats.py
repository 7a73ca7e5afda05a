"""Any order of coming, going and sitting otherwise: who hears whom is what a few lines of Python say."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lab import L16_8K, L16_16K, PCMU, Lab, Peer, gap_free, level_at, tone
from workers import Workers

from roomtone.ext.flow.media import FACT_SEATED

CODECS = [PCMU, L16_8K, L16_16K]
RATE = {PCMU: 8000, L16_8K: 8000, L16_16K: 16000}
MEMBERS = 7
TONES = 3
AMPLITUDE = 2500  # of the made ones 0.09 of full scale; all at once stay below it
CALL = 2  # a bus that is no room's
SETTLE_MS, LISTEN_MS = 300, 200


def voice_hz(i):
    return 300 + 100 * i


def tone_hz(i):
    return 1500 + 100 * i


@dataclass
class Member:
    peer: Peer
    bus: int
    seat: dict = field(default_factory=dict)
    source: bool = True
    arrival: int = 0


@dataclass
class Made:
    handle: int
    bus: int
    party: int


seats = st.fixed_dictionaries(
    {
        "role": st.integers(0, 3),
        "hears": st.sampled_from([0, 1, 2, 3, 5, 0xFE, 0xFF, 0xFF]),
        "speaks": st.sampled_from([True, True, False]),
        "party": st.sampled_from([0, 0, 1, 2]),
    }
)
rooms = st.integers(0, 1)
members = st.integers(0, MEMBERS - 1)
tones = st.integers(0, TONES - 1)
after = st.integers(0, 45)


class Seats(RuleBasedStateMachine):
    """Two rooms, a call beside them, and telephones that say a tone of their own."""

    @initialize(roles=st.booleans(), phases=st.tuples(*[st.integers(0, 19)] * 3))
    def build(self, roles, phases):
        self.lab = Lab(endpoints=64)
        self.buses = [self.lab.room(phase=phase) for phase in phases[:2]] + [self.lab.bus(phase=phases[2])]
        self.roles = [False, False]
        self.people, self.made = {}, {}
        if roles:
            self.tell_apart(0, 0, True)
        for n in range(3):
            self.come(n, n % 2, {}, L16_8K, 0)

    @rule(n=members, room=rooms, seat=seats, codec=st.sampled_from(CODECS), ms=after)
    def come(self, n, room, seat, codec, ms):
        self.lab.run(ms)
        if n not in self.people:
            peer = self.lab.member(
                self.buses[room], codec=codec, signal=tone(voice_hz(n), AMPLITUDE), seat=seat
            )
            self.people[n] = Member(peer, room, seat, arrival=next(self.lab.arrivals) - 1)

    @rule(n=members, room=rooms, seat=seats, ms=after)
    def sit(self, n, room, seat, ms):
        self.lab.run(ms)
        one = self.people.get(n)
        if one is None:
            return
        if one.bus == room:
            told = (one.peer.handle, one.arrival) in self.lab.facts(FACT_SEATED)
            self.lab.media.seat(self.buses[room], one.peer.handle, arrival=0 if told else one.arrival, **seat)
        else:
            one.arrival = self.lab.sit(one.peer, self.buses[room], **seat)
        one.bus, one.seat = room, seat

    @rule(n=members, ms=after)
    def stand_up(self, n, ms):
        self.lab.run(ms)
        if n in self.people:
            self.lab.media.endpoint_move(self.people[n].peer.handle, self.buses[CALL])
            self.people[n].bus, self.people[n].seat, self.people[n].arrival = CALL, {}, 0

    @rule(n=members, ms=after)
    def hold_or_resume(self, n, ms):
        self.lab.run(ms)
        one = self.people.get(n)
        if one is not None:
            one.source = not one.source
            change = self.lab.media.source_add if one.source else self.lab.media.source_remove
            change(self.buses[one.bus], one.peer.handle)

    @rule(n=members, ms=after)
    def hang_up(self, n, ms):
        self.lab.run(ms)
        if n in self.people:
            self.lab.close(self.people.pop(n).peer)

    @rule(room=rooms, ms=after, apart=st.booleans())
    def tell_apart(self, room, ms, apart):
        self.lab.run(ms)
        self.roles[room] = apart
        self.lab.media.bus_room(self.buses[room], roles=[] if apart else None)

    @rule(i=tones, room=rooms, party=st.integers(0, 2), ms=after)
    def play(self, i, room, party, ms):
        self.lab.run(ms)
        if i not in self.made:
            handle = self.lab.tone(self.buses[room], tone_hz(i), seat={"party": party})
            self.made[i] = Made(handle, room, party)

    @rule(i=tones, room=rooms, party=st.integers(0, 2), ms=after)
    def play_elsewhere(self, i, room, party, ms):
        self.lab.run(ms)
        made = self.made.get(i)
        if made is not None:
            self.lab.media.seat(self.buses[room], made.handle, party=party)
            made.bus, made.party = room, party

    @rule(i=tones, ms=after)
    def stop(self, i, ms):
        self.lab.run(ms)
        if i in self.made:
            self.lab.media.endpoint_close(self.made.pop(i).handle)

    def hears(self, listener, bus, role):
        """Whether it hears voices of that role there."""
        mask = listener.seat.get("hears", 0xFF)
        if bus == CALL or not self.roles[bus]:
            return bus == CALL or mask != 0
        return bool(mask >> role & 1)

    def expected(self, n):
        me = self.people[n]
        voices = {
            voice_hz(k)
            for k, other in self.people.items()
            if k != n and other.bus == me.bus and other.source and other.seat.get("speaks", True)
            and self.hears(me, me.bus, other.seat.get("role", 0))
        }  # fmt: skip
        played = {
            tone_hz(i)
            for i, made in self.made.items()
            if made.bus == me.bus
            and (made.party == me.seat.get("party", 0) if made.party else self.hears(me, me.bus, 0))
        }
        return voices | played

    @rule()
    def listen(self):
        self.lab.run(SETTLE_MS)
        for one in self.people.values():
            one.peer.clear()
        self.lab.run(LISTEN_MS)
        every = [voice_hz(n) for n in range(MEMBERS)] + [tone_hz(i) for i in range(TONES)]
        for n, one in self.people.items():
            pcm = one.peer.audio()
            heard = {hz for hz in every if len(pcm) and level_at(pcm, hz, RATE[one.peer.codec]) > 1000}
            assert heard == self.expected(n), (n, one.seat, self.roles)
            if one.bus != CALL:
                assert len(one.peer.heard) >= LISTEN_MS // 20 - 1
            assert gap_free(one.peer.heard)
        told = [(handle, arrival) for handle, arrival in self.lab.facts(FACT_SEATED) if arrival]
        assert len(told) == len(set(told))
        assert {(one.peer.handle, one.arrival) for one in self.people.values() if one.arrival} <= set(told)

    @invariant()
    def the_graph_tells_one_story(self):
        if hasattr(self, "lab"):
            self.lab.media.step(self.lab.now_us)
            assert self.lab.media.check() == []

    def teardown(self):
        if hasattr(self, "lab"):
            self.listen()


Seats.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyOrderOfSeats = Seats.TestCase


@given(
    seats=st.lists(st.tuples(seats, st.integers(0, 2), st.sampled_from(CODECS)), min_size=2, max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 5), seats), max_size=3),
    roles=st.booleans(),
    phase=st.integers(0, 19),
)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_over_three_workers_everybody_hears_as_over_one(seats, changes, roles, phase):
    workers = Workers(3)
    room = workers.session(on=[0, 1, 2], phase=phase).becomes_room(roles=roles)
    people = [
        (room.member(on, codec=codec, signal=tone(voice_hz(i), AMPLITUDE), seat=seat), on, seat)
        for i, (seat, on, codec) in enumerate(seats)
    ]
    workers.run(150)
    for i, seat in changes:
        if i < len(people):
            peer, on, _ = people[i]
            workers.labs[on].media.seat(room.buses[on], peer.handle, **seat)
            people[i] = peer, on, seat
            workers.run(7)
    workers.run(SETTLE_MS)
    for peer, _, _ in people:
        peer.clear()
    workers.run(LISTEN_MS)
    for i, (peer, _, seat) in enumerate(people):
        pcm = peer.audio()
        heard = {k for k in range(len(people)) if level_at(pcm, voice_hz(k), RATE[peer.codec]) > 1000}
        assert heard == {
            k
            for k, (_, _, other) in enumerate(people)
            if k != i and other["speaks"]
            and (seat["hears"] >> other["role"] & 1 if roles else seat["hears"])
        }  # fmt: skip
    assert workers.faults() == []
