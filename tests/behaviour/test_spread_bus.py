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


def dips(pcm, frame=160):
    """RMS of every frame over the median one."""
    rms = np.sqrt(np.mean(pcm[: len(pcm) // frame * frame].reshape(-1, frame).astype(float) ** 2, axis=1))
    return rms / np.median(rms)


def test_a_worker_that_is_held_up_for_less_than_12_ms_is_waited_for_and_heard_without_a_gap():
    spread = Spread(phase=5)
    anna, _ = spread.peer(0, signal=silence), spread.peer(1, signal=tone(900, 4000))

    def at_offsets(packets):
        return {p.at_us // 1000 % 20 for p in packets}

    spread.run(500)
    assert at_offsets(anna.heard[-10:]) == {9}  # phase 5 and 4 ms
    late = spread.labs[0].counters["partials_late"]
    anna.clear()
    other = spread.labs[1]
    for _ in range(500):  # the other worker runs 6 ms late
        spread.labs[0].run(1)
        other.now_us += 1000
        other.peers[next(reversed(other.peers))].speak(other.now_us)
        while other.queue and other.queue[0][0] <= other.now_us:
            other.queue.pop(0)[2]()
        other.media.step(other.now_us - 6000)
    assert at_offsets(anna.heard[-10:]) == {12}  # as soon as it is there: 6 ms, seen at the next millisecond
    assert spread.labs[0].counters["partials_late"] == late
    assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {160}
    assert min(dips(anna.audio())) > 0.95
    anna.clear()
    other.media.step(other.now_us)
    spread.run(300)
    assert at_offsets(anna.heard[-10:]) == {9}  # in time again: no longer waited for


def test_workers_that_are_held_up_together_still_hear_each_other():
    spread = Spread(phase=5)
    anna, _ = spread.peer(0, signal=silence), spread.peer(1, signal=tone(900, 4000))
    spread.run(500)
    late = spread.labs[0].counters["partials_late"]
    for _ in range(10):
        spread.run(13, held={0, 1})  # from some phase on nobody runs; then the first goes before the second
        spread.run(1, held={1})
        spread.run(1, held={0})
        spread.run(185)
    assert spread.labs[0].counters["partials_late"] == late
    assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {160}


def test_workers_that_join_and_leave_the_spread_cost_nobody_a_packet():
    spread = Spread(phase=5)
    anna, _ = spread.peer(0, signal=silence), spread.peer(0, signal=tone(900, 4000))
    spread.run(500)
    anna.clear()
    for i in range(40):
        spread.join(0, [1] if i % 2 else [])
        spread.run(23)  # at every offset to the tick
    assert gap_free(anna.heard) and set(timestamp_steps(anna.heard)) == {160}
    assert min(dips(anna.audio())) > 0.95


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
