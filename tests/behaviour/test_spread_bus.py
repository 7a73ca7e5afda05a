"""One bus over two workers: two media threads, two arenas, one conversation."""

import numpy as np
import pytest
from lab import L16_8K, Lab, gap_free, level_at, silence, timestamp_steps, tone


class Spread:
    """Two labs whose clocks run together, and one bus over both."""

    def __init__(self, phase=5):
        self.labs = [Lab(endpoints=32, worker=i) for i in range(2)]
        self.buses = [lab.bus(phase=phase) for lab in self.labs]
        self.slots = [lab.media.partial_take() for lab in self.labs]
        for i in range(2):
            self.join(i, [1 - i])

    def join(self, i, peers):
        addresses = [self.labs[k].arena.partial_address(self.slots[k]) for k in peers]
        self.labs[i].media.bus_spread(self.buses[i], slot=self.slots[i], peers=addresses)

    def peer(self, i, **more):
        return self.labs[i].peer(self.buses[i], codec=L16_8K, **more)

    def run(self, ms, held=()):
        for _ in range(ms):
            for i, lab in enumerate(self.labs):
                if i not in held:
                    lab.run(1)
                else:
                    lab.now_us += 1000


def test_members_of_both_workers_hear_each_other_and_not_themselves():
    spread = Spread()
    peers = [spread.peer(i % 2, signal=tone(400 + 100 * i, 4000)) for i in range(4)]
    spread.run(1500)
    for i, me in enumerate(peers):
        heard = me.audio(last_ms=1000)
        for k in range(4):
            level = level_at(heard, 400 + 100 * k)
            assert level == pytest.approx(4000, rel=0.02) if k != i else level < 4
        assert gap_free(me.heard) and set(timestamp_steps(me.heard)) == {160}
    assert all(lab.counters["partials_late"] <= 1 for lab in spread.labs)
    assert all(lab.media.check() == [] for lab in spread.labs)


def test_one_on_each_worker_is_a_call():
    spread = Spread()
    anna, ben = spread.peer(0, signal=tone(440)), spread.peer(1, signal=tone(550))
    spread.run(1000)
    assert level_at(anna.audio(last_ms=500), 550) == pytest.approx(8000, rel=0.02)
    assert level_at(ben.audio(last_ms=500), 440) == pytest.approx(8000, rel=0.02)
    assert level_at(ben.audio(last_ms=500), 550) < 4


def test_without_the_other_worker_the_rest_still_hear_each_other_and_it_is_counted():
    spread = Spread()
    here = [spread.peer(0, signal=tone(400 + 100 * i, 4000)) for i in range(2)]
    spread.peer(1, signal=tone(900, 4000))
    spread.run(500)
    late = spread.labs[0].counters["partials_late"]
    spread.run(1000, held={1})
    assert spread.labs[0].counters["partials_late"] - late == pytest.approx(50, abs=2)
    heard = here[0].audio(last_ms=500)
    assert level_at(heard, 500) == pytest.approx(4000, rel=0.02) and level_at(heard, 900) < 4
    assert gap_free(here[0].heard) and min(timestamp_steps(here[0].heard)) == 160


def test_a_worker_that_comes_back_is_heard_again():
    spread = Spread()
    anna, ben = spread.peer(0, signal=silence), spread.peer(1, signal=tone(900, 4000))
    spread.run(500)
    spread.run(500, held={1})
    spread.labs[1].media.step(spread.labs[1].now_us)
    ben.frames = (spread.labs[1].now_us - ben.since_us) // 20_000 + 1
    ben.pause(500)
    spread.run(1000)
    assert level_at(anna.audio(last_ms=500), 900) == pytest.approx(4000, rel=0.02)


def test_a_partial_that_is_late_three_times_makes_the_bus_wait_longer():
    spread = Spread(phase=5)
    anna, _ = spread.peer(0, signal=silence), spread.peer(1, signal=tone(900, 4000))

    def at_offsets():
        return {p.at_us // 1000 % 20 for p in anna.heard[-10:]}

    spread.run(500)
    assert at_offsets() == {9}  # phase 5 and 4 ms
    other = spread.labs[1]
    for _ in range(500):  # the other worker runs 6 ms late
        spread.labs[0].run(1)
        other.now_us += 1000
        other.media.step(other.now_us - 6000)
    assert at_offsets() == {11} or at_offsets() == {13}


def test_the_end_of_spreading_is_a_bus_like_any_other():
    spread = Spread()
    anna, ben = spread.peer(0, signal=tone(440)), spread.peer(0, signal=tone(550))
    spread.run(300)
    spread.labs[0].media.bus_spread(spread.buses[0], slot=-1, peers=[])
    spread.run(300)
    mixed = spread.labs[0].counters["mixed_packets"]
    spread.run(300)
    assert spread.labs[0].counters["mixed_packets"] == mixed  # a relay again
    assert gap_free(anna.heard) and gap_free(ben.heard)
    assert spread.labs[0].media.check() == []


def test_a_member_alone_on_a_spread_bus_gets_silence_every_20_ms():
    spread = Spread()
    anna = spread.peer(0, signal=tone(440))
    spread.run(1000)
    assert 47 <= len(anna.heard) <= 50 and not np.any(anna.audio())


def test_keys_are_told_but_not_relayed_within_a_worker_of_a_spread_bus():
    spread = Spread()
    anna, ben = spread.peer(0, signal=silence), spread.peer(0, signal=silence)
    spread.run(100)
    anna.talk(None)
    anna.press(4)
    spread.run(300)
    assert ben.presses() == [] and spread.labs[0].drops["key_large_bus"] == 7
    assert spread.labs[0].counters["keys"] == 1
