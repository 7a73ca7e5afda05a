"""Any order of wishes, ends, releases and time: what must hold of downloads and copies all along."""

import itertools
from collections import Counter
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roomtone.control.core import effects as fx
from roomtone.control.core.config import Config
from roomtone.control.core.downloads import CLEANUP, TIMER, Copy, Downloads, Reason, Source

US_PER_S = 1_000_000
SIZE_BYTES = 7
SOURCES = [Source(f"http://media.example/{name}") for name in "abc"]
picks = st.integers(0, 30)


class AnyOrder(RuleBasedStateMachine):
    """A disk, clients that want copies, and downloads that end as they like."""

    @initialize(limit=st.integers(0, 2))
    def begin(self, limit: int) -> None:
        names = itertools.count()
        self.limit = limit
        self.now_us = 0
        self.downloads = Downloads(
            Config(max_concurrent_downloads=limit, cache_cleanup_interval_secs=10),
            lambda: f"file{next(names)}",
            self.effect,
        )
        self.clients = itertools.count()
        self.open: dict[str, tuple[Source, int, int]] = {}  # who waits: for what, how young, until when
        self.answered: Counter[str] = Counter()
        self.held: list[tuple[Copy, int]] = []  # with the age the holder asked for
        self.players: dict[str, str] = {}  # who was given what is still coming: its name
        self.running: dict[str, Source] = {}
        self.disk: set[str] = set()
        self.whole: set[str] = set()
        self.timers: dict[tuple[str, ...], int] = {}

    def effect(self, effect: fx.Effect) -> None:
        match effect:
            case fx.StartDownload():
                self.running[effect.name] = Source(effect.url, effect.headers)
            case fx.StopDownload():
                del self.running[effect.name]
                self.disk.discard(effect.name)
            case fx.DeleteCopy():
                self.disk.remove(effect.name)
            case fx.ScheduleAt():
                self.timers[effect.key] = effect.when_us
            case fx.CancelTimer():
                self.timers.pop(effect.key, None)

    def answer(self, who: str, copy: Copy | None, reason: Reason) -> None:
        source, ttl_us, deadline_us = self.open.pop(who)
        self.answered[who] += 1
        assert (copy is None) == bool(reason) == bool(reason.code)
        assert self.now_us <= deadline_us
        if copy is not None:
            assert copy.source == source
            coming = copy.name in self.running
            assert coming or copy.fetched_us == self.now_us or self.now_us - copy.fetched_us < ttl_us
            self.held.append((copy, ttl_us))
            if copy.name in self.running:
                self.players[who] = copy.name

    @rule(which=st.sampled_from(SOURCES), ttl_s=st.sampled_from([0, 3, 30]), timeout_s=st.integers(1, 8))
    def want(self, which: Source, ttl_s: int, timeout_s: int) -> None:
        who = f"client{next(self.clients)}"
        ttl_us, timeout_us = ttl_s * US_PER_S, timeout_s * US_PER_S
        self.open[who] = (which, ttl_us, self.now_us + timeout_us)
        self.downloads.want(
            who,
            which,
            ttl_us=ttl_us,
            timeout_us=timeout_us,
            now_us=self.now_us,
            then=partial(self.answer, who),
        )

    @precondition(lambda self: self.open)
    @rule(pick=picks)
    def leave(self, pick: int) -> None:
        who = list(self.open)[pick % len(self.open)]
        del self.open[who]
        assert self.downloads.leave(who)
        assert not self.downloads.leave(who)

    @precondition(lambda self: self.players)
    @rule(pick=picks)
    def stop_playing(self, pick: int) -> None:
        who = list(self.players)[pick % len(self.players)]
        del self.players[who]
        assert not self.downloads.leave(who)

    @precondition(lambda self: self.running)
    @rule(pick=picks)
    def enough_is_there(self, pick: int) -> None:
        name = list(self.running)[pick % len(self.running)]
        self.disk.add(name)
        self.downloads.begun(fx.DownloadBegun(name, f"/cache/{name}"), self.now_us)

    @precondition(lambda self: self.running)
    @rule(pick=picks, well=st.booleans(), stopped_late=st.booleans())
    def end(self, pick: int, well: bool, stopped_late: bool) -> None:
        """stopped_late: the last one leaves when io has just done."""
        name = list(self.running)[pick % len(self.running)]
        if stopped_late:
            for who in [who for who, (source, *_) in self.open.items() if source == self.running[name]]:
                del self.open[who]
                self.downloads.leave(who)
            for who in [who for who, played in self.players.items() if played == name]:
                del self.players[who]
                self.downloads.leave(who)
        self.running.pop(name, None)
        self.players = {who: played for who, played in self.players.items() if played != name}
        if well:
            self.disk.add(name)
            self.whole.add(name)
            self.downloads.ended(fx.Downloaded(name, f"/cache/{name}", SIZE_BYTES), self.now_us)
        else:
            self.disk.discard(name)
            self.downloads.ended(fx.DownloadFailed(name, "status", "HTTP status 404"), self.now_us)

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        copy, _ = self.held.pop(pick % len(self.held))
        assert copy.name in self.disk or not copy.there
        self.downloads.release(copy, self.now_us)

    @rule(seconds=st.sampled_from([0.5, 2, 7, 40]))
    def time_passes(self, seconds: float) -> None:
        until_us = self.now_us + int(seconds * US_PER_S)
        while due := sorted((when, key) for key, when in self.timers.items() if when <= until_us):
            self.now_us, key = due[0]
            del self.timers[key]
            if key == CLEANUP:
                self.downloads.clean(self.now_us)
            else:
                assert key[0] == TIMER
                self.downloads.timed_out(key[1])
        self.now_us = until_us

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "downloads"):
            return
        downloads = self.downloads
        assert set(downloads.running) == set(self.running)
        assert not self.limit or len(self.running) <= self.limit
        assert not downloads.waiting or len(self.running) == self.limit
        wanted = {source for source, *_ in self.open.values()}
        wanted |= {self.running[name] for name in self.players.values()}
        loading = [d.source for d in (*downloads.running.values(), *downloads.waiting.values())]
        assert len(loading) == len(set(loading)), "two downloads of one source"
        assert set(loading) == wanted, "a download nobody waits for, or nothing is done for one who waits"
        assert {copy.name for copy, _ in self.held if copy.there} <= self.disk
        assert {copy.name for copy in downloads.copies.values()} <= self.disk
        assert downloads.cache_bytes == SIZE_BYTES * len(self.disk & self.whole)
        assert set(self.answered.values()) <= {1}
        assert {key[1] for key in self.timers if key[0] == TIMER} == set(self.open)

    def teardown(self) -> None:
        """When all have gone and time has passed nothing is left."""
        if not hasattr(self, "downloads"):
            return
        for who in list(self.open):
            del self.open[who]
            self.downloads.leave(who)
        for who in list(self.players):
            self.downloads.leave(who)
        self.players.clear()
        while self.held:
            self.downloads.release(self.held.pop()[0], self.now_us)
        self.time_passes(60)
        assert not self.running and not self.disk and not self.timers
        assert self.downloads.cache_bytes == 0
        assert sum(self.downloads.outcomes.values()) == self.downloads.wished["download"]


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
