"""The lossy network of the lab does what it was told, and the same again with the same seed."""

import itertools

import pytest
from lab import Lab, silence
from network import Network

PACKETS = 20_000


def deliver(network):
    return [network.arrivals(n * 20_000) for n in range(PACKETS)]


def test_the_same_seed_is_the_same_network():
    def once(seed):
        return deliver(Network(seed, loss=0.1, jitter_ms=30, duplicate=0.05, reorder=0.05))

    assert once(5) == once(5) != once(6)


@pytest.mark.parametrize("burst", [1, 3, 8])
def test_losses_come_in_the_share_and_the_bursts_asked_for(burst):
    lost = [not arrivals for arrivals in deliver(Network(2, loss=0.1, burst=burst))]
    bursts = sum(1 for a, b in zip([False, *lost], lost, strict=False) if b and not a)
    assert sum(lost) / PACKETS == pytest.approx(0.1, rel=0.15)
    assert sum(lost) / bursts == pytest.approx(burst, rel=0.15)


def test_jitter_keeps_the_order_and_reordering_does_not():
    steady = [at for arrivals in deliver(Network(3, jitter_ms=80)) for at in arrivals]
    assert steady == sorted(steady)
    swapped = [at for arrivals in deliver(Network(3, reorder=0.1)) for at in arrivals]
    assert sum(b < a for a, b in itertools.pairwise(swapped)) == pytest.approx(PACKETS * 0.1, rel=0.15)


def test_a_share_arrives_twice():
    twice = [len(arrivals) == 2 for arrivals in deliver(Network(4, duplicate=0.2))]
    assert sum(twice) / PACKETS == pytest.approx(0.2, rel=0.1)


def test_time_in_the_lab_is_the_packets_time():
    lab = Lab()
    bus = lab.bus()
    anna, _ = lab.peer(bus, signal=silence), lab.peer(bus, signal=silence)
    lab.run(3_000)
    assert len(anna.heard) == pytest.approx(150, abs=1)
    assert anna.heard[-1].at_us - anna.heard[0].at_us == (len(anna.heard) - 1) * 20_000
