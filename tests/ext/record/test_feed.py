"""A session on two workers is one recording: what the other worker's endpoints say comes through a pipe."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lab import Peer, level_at, tone
from recorded import TURN_MS, Recorded, Recording, frames, sound
from workers import Workers

LOUD = 8000


class Pair:
    """Two workers with a session over both; the first keeps, the other feeds."""

    def __init__(self, folder: Path) -> None:
        self.workers = Workers(2)
        self.session = self.workers.session(on=(0, 1))
        self.keeper = Recorded(folder, self.workers, 0)
        self.feeder = Recorded(folder, self.workers, 1)

    def run(self, ms: int, *, feeding: bool = True) -> None:
        """feeding False: the other worker's recorder gets no CPU."""
        for _ in range(ms // TURN_MS):
            self.workers.run(TURN_MS)
            if feeding:
                self.feeder.turn()
            self.keeper.turn()

    def start(
        self, name: str, here: list[Peer], there: list[Peer], *, limit: int = 1000, **kind: int
    ) -> tuple[Recording, Recording]:
        kept = self.keeper.start(name, here, **kind)
        return kept, self.feeder.feed(self.keeper, kept, there, limit=limit, rate_hz=kind.get("rate_hz", 0))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.keeper.close()
    made.feeder.close()


def stop(pair: Pair, kept: Recording, fed: Recording) -> tuple[dict, dict]:
    """Both ends at once, as when a session ends."""
    pair.keeper.end(kept)
    pair.feeder.end(fed)
    pair.keeper.turn()
    assert (kept.id, False) not in pair.keeper.news, "the other worker's last words are waited for"
    pair.feeder.turn()
    pair.keeper.turn()
    return pair.keeper.ended(kept), pair.feeder.ended(fed)


def test_everybody_is_in_the_wav_at_the_time_at_which_he_spoke(pair: Pair) -> None:
    # Both say the same: if one were put elsewhere than the other the channels would differ.
    signal = lambda first, count, rate: np.random.default_rng(first).normal(0, 3000, count).astype(np.int16)  # noqa: E731
    anna, ben = pair.session.peer(0, signal=signal), pair.session.peer(1, signal=signal)
    kept, fed = pair.start("call.wav", [anna], [ben], rate_hz=8000)
    pair.run(3000)
    counts, sent = stop(pair, kept, fed)
    _, (first, second) = sound(kept.path)
    assert first[1600:22000].any() and np.array_equal(first[1600:22000], second[1600:22000])
    assert counts["packets"] == len(anna.spoken) + len(ben.spoken)
    assert sent["packets"] == len(ben.spoken)
    assert not any(counts["lost"].values())


def test_a_mix_has_both_and_is_in_the_file_within_a_second(pair: Pair) -> None:
    anna, ben = pair.session.peer(0, signal=tone(440, LOUD)), pair.session.peer(1, signal=tone(1000, LOUD))
    kept, fed = pair.start("call.wav", [anna], [ben], rate_hz=8000, mix=True)
    pair.run(3000)
    file = np.frombuffer(kept.path.read_bytes()[44:], "<i2")
    assert len(file) >= 2 * 8000
    for hz in (440, 1000):
        assert level_at(file[1600:16000], hz) == pytest.approx(LOUD, rel=0.02)
    stop(pair, kept, fed)


def test_a_pcap_has_the_packets_of_both_workers_as_they_were(pair: Pair) -> None:
    anna, ben = pair.session.peer(0, signal=tone(440, LOUD)), pair.session.peer(1, signal=tone(1000, LOUD))
    kept, fed = pair.start("call.pcap", [anna], [ben])
    pair.run(2000)
    heard = len(ben.heard)
    counts, _ = stop(pair, kept, fed)
    packets = frames(kept.path)
    assert len(packets) == counts["packets"] and not any(counts["lost"].values())
    assert len([p for p in packets if p.source == ben.address]) == len(ben.spoken)
    assert len([p for p in packets if p.destination == ben.address]) >= heard > 90
    assert len([p for p in packets if p.source == anna.address]) == len(anna.spoken)


def test_who_comes_and_goes_on_the_other_worker_does_so_in_the_recording(pair: Pair) -> None:
    anna = pair.session.peer(0, signal=tone(440, LOUD))
    kept, fed = pair.start("call.wav", [anna], [], rate_hz=8000)
    pair.run(1000)
    ben = pair.session.peer(1, signal=tone(1000, LOUD))
    pair.feeder.join(fed, ben.handle)
    pair.run(1000)
    pair.feeder.leave(fed, ben.handle)
    pair.run(1000)
    stop(pair, kept, fed)
    rate, (first, second) = sound(kept.path)
    assert level_at(first[1600:22000], 440) == pytest.approx(LOUD, rel=0.02)
    assert not second[: rate - 80].any() and not second[2 * rate + 400 :].any()
    assert level_at(second[rate + 1600 : 2 * rate - 400], 1000) == pytest.approx(LOUD, rel=0.02)


def test_what_the_other_worker_loses_is_told_where_the_file_is(pair: Pair) -> None:
    anna, ben = pair.session.peer(0, signal=tone(440, LOUD)), pair.session.peer(1, signal=tone(1000, LOUD))
    kept, fed = pair.start("call.pcap", [anna], [ben], limit=20)
    pair.feeder.writing = False  # the pipe takes nothing
    pair.run(1000)
    pair.feeder.writing = True
    counts, sent = stop(pair, kept, fed)
    assert sent["lost"]["channel_full"] == counts["lost"]["channel_full"] > 60


def test_an_end_that_never_comes_does_not_keep_a_recording_open(pair: Pair) -> None:
    anna, ben = pair.session.peer(0, signal=tone(440, LOUD)), pair.session.peer(1, signal=tone(1000, LOUD))
    kept, fed = pair.start("call.wav", [anna], [ben], rate_hz=8000)
    pair.run(1000)
    pair.keeper.end(kept)
    pair.run(200, feeding=False)
    assert (kept.id, False) not in pair.keeper.news
    pair.keeper.drain.abandon(kept.id)
    pair.run(100, feeding=False)
    pair.keeper.ended(kept)
    pair.run(200)
    assert (fed.id, True) in pair.feeder.news, "nobody reads any more: the feed ends"
    pair.feeder.end(fed)
    pair.run(100)
    pair.feeder.ended(fed)


def test_a_worker_that_dies_leaves_what_it_had_sent(pair: Pair) -> None:
    anna, ben = pair.session.peer(0, signal=tone(440, LOUD)), pair.session.peer(1, signal=tone(1000, LOUD))
    kept, fed = pair.start("call.wav", [anna], [ben], rate_hz=8000)
    pair.run(1000)
    pair.feeder.drain.end(fed.id, position=0, stopped_us=0)  # the pipe closes without a last word of its legs
    pair.run(1000)
    pair.keeper.stop(kept)
    rate, (first, second) = sound(kept.path)
    assert level_at(first[1600:15000], 440) == pytest.approx(LOUD, rel=0.02)
    assert level_at(second[1600 : rate - 400], 1000) == pytest.approx(LOUD, rel=0.02)
    assert not second[rate + 800 :].any()


def test_a_pause_is_one_for_all_workers_though_they_hear_of_it_one_after_the_other(pair: Pair) -> None:
    anna = pair.session.peer(0, signal=tone(440, LOUD))
    ben = pair.session.peer(1, signal=tone(1000, LOUD))
    kept, fed = pair.start("call.wav", [anna], [ben], rate_hz=8000)
    pair.run(2000)
    for paused in (True, False):
        pair.keeper.pause(kept, paused)
        pair.run(50)
        pair.feeder.pause(fed, paused)
        pair.run(1950)
    counts, _ = stop(pair, kept, fed)
    rate, channels = sound(kept.path)
    assert channels.shape[1] / rate == pytest.approx(4.0, abs=0.1)
    for channel, hz in zip(channels, (440, 1000), strict=True):
        assert level_at(channel[rate // 2 : rate * 19 // 10], hz) == pytest.approx(LOUD, rel=0.02)
        assert level_at(channel[rate * 23 // 10 : rate * 38 // 10], hz) == pytest.approx(LOUD, rel=0.02)
    assert not any(counts["lost"].values())
