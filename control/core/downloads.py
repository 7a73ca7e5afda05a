"""Copies of what URLs name: one download for all who want the same, and a cache of what came.

Theory of operation
-------------------
What is the same is a `Source`: URL, headers, cache key.  Whoever wants one gets a copy that is young enough
for him, else he waits for the download of that source, which is begun if there is none.  At most `limit` run;
further ones begin in the order in which they were wanted.

A copy is handed out when enough of it is there to begin playing; its download goes on behind those who play.
A download ends once: it arrived, it failed, or the last who waited for it or plays it left (his time was
over, or his endpoint is gone).  Each who waits has a deadline of his own, counted from his wish, and is
answered once: with a copy, or with the reason why there is none.

A copy that was handed out is *held* until `release`, so that it is there when a worker opens it; a worker
that has opened it needs its name no more.  A copy is deleted when nobody holds it, its download is over, and
it is past the longest time to live that was asked for, or a younger one has taken its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec import Struct, field

from roomtone.control.core import effects
from roomtone.control.core.config import Config

US_PER_S = 1_000_000
TIMER = "download"  # of one who waits, with his id
CLEANUP = ("cache",)

# Outcomes beside those that control/io/fetch.py gives.
ARRIVED, TIMEOUT, LEFT = "ok", "timeout", "left"


# What programs are told of an outcome, if not its own name.
CODES = {
    "not_allowed": "forbidden_address",
    **dict.fromkeys(("dns", "connect", "tls", "url", "http"), "unreachable"),
    **dict.fromkeys(("disk_full", "internal"), "storage"),
}


class Source(Struct, frozen=True):
    """headers: (name in lower case, value), sorted."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    cache_key: str | None = None


class Copy(Struct, eq=False):
    """A file in the cache.  holders: how many were given it and have not released it.

    size_bytes: 0 as long as it comes.  there False: it will never be whole, and io has removed it.
    """

    name: str
    source: Source
    path: str
    fetched_us: int
    expires_us: int
    size_bytes: int = 0
    holders: int = 0
    there: bool = True


class Reason(str):
    """Why there is no copy, for a person.

    code: for programs, http_404 (http_ and the status), too_large, forbidden_address, timeout, unreachable,
    incomplete, redirects or storage.
    """

    __slots__ = ("code",)
    code: str

    def __new__(cls, text: str = "", code: str = "") -> Reason:
        reason = super().__new__(cls, text)
        reason.code = code
        return reason


# Called once: a copy that is held for the caller, or None and why.
Then = Callable[[Copy | None, Reason], None]


class Wish(Struct, eq=False):
    download: Download
    timeout_us: int
    then: Then


class Download(Struct, eq=False):
    """wishes: in the order they came, by the id of who wishes.  ttl_us: the longest that was asked for.

    copy: once enough is there; players: who were given it.
    """

    name: str
    source: Source
    ttl_us: int
    wishes: dict[str, Wish] = field(default_factory=dict)
    copy: Copy | None = None
    players: set[str] = field(default_factory=set)


class Downloads:
    """All downloads and copies.

    next_name: names for files, never the same again.  effect: takes what is to be done.
    """

    def __init__(
        self, config: Config, next_name: Callable[[], str], effect: Callable[[effects.Effect], None]
    ) -> None:
        self.running: dict[str, Download] = {}
        self.waiting: dict[str, Download] = {}
        self.copies: dict[Source, Copy] = {}
        self.cache_bytes = 0  # copies that others replaced but somebody holds included
        self.wished: Counter[str] = Counter()  # hit, joined, download
        self.outcomes: Counter[str] = Counter()
        self._limit = config.max_concurrent_downloads
        self._interval_us = config.cache_cleanup_interval_secs * US_PER_S
        self._next_name = next_name
        self._effect = effect
        self._by_source: dict[Source, Download] = {}
        self._wishes: dict[str, Wish] = {}
        self._plays: dict[str, set[str]] = {}  # what is still coming of what somebody was given: names
        self._cleaning = False  # the timer is set

    # -- those who want a copy -------------------------------------------------------------------------------

    def want(
        self, who: str, source: Source, *, ttl_us: int, timeout_us: int, now_us: int, then: Then
    ) -> None:
        """Get a copy younger than ttl_us, now or later, and have it go on coming until `leave`.

        who: waits for one at a time.
        """
        copy, download = self.copies.get(source), self._by_source.get(source)
        if copy is not None and download is None and now_us - copy.fetched_us < ttl_us:
            self.wished["hit"] += 1
            copy.expires_us = max(copy.expires_us, copy.fetched_us + ttl_us)
            copy.holders += 1
            then(copy, Reason())
            return
        self.wished["download" if download is None else "joined"] += 1
        if download is None:
            download = Download(self._next_name(), source, ttl_us)
            self._by_source[source] = self.waiting[download.name] = download
        download.ttl_us = max(download.ttl_us, ttl_us)
        if download.copy is not None:
            self._give(download, download.copy, [(who, Wish(download, timeout_us, then))])
            return
        download.wishes[who] = self._wishes[who] = Wish(download, timeout_us, then)
        self._effect(effects.ScheduleAt(now_us + timeout_us, (TIMER, who)))
        self._begin()

    def leave(self, who: str, outcome: str = LEFT) -> bool:
        """Neither want nor play anything any more; nothing is called.  False: he did not wait."""
        wish = self._wishes.get(who)
        left = [self.running[name] for name in self._plays.pop(who, ())]
        for download in left:
            download.players.remove(who)
        if wish is not None:
            self._granted(who)
            left.append(wish.download)
        for download in left:
            if not download.wishes and not download.players:
                self._stop(download, outcome)
        return wish is not None

    def _stop(self, download: Download, outcome: str) -> None:
        self._ended(download, outcome)
        if self.running.pop(download.name, None) is not None:
            self._effect(effects.StopDownload(download.name))
            self._lose(download)
        else:
            del self.waiting[download.name]
        self._begin()

    def timed_out(self, who: str) -> None:
        wish = self._wishes.get(who)
        if wish is not None:
            self.leave(who, TIMEOUT)
            wish.then(None, Reason(f"Nothing to play came within {wish.timeout_us // 1000} ms", TIMEOUT))

    def release(self, copy: Copy, now_us: int) -> None:
        """One who was given the copy needs its name no longer."""
        copy.holders -= 1
        self._forget_old(copy, now_us)

    # -- what becomes of downloads ---------------------------------------------------------------------------

    def begun(self, given: effects.DownloadBegun, now_us: int) -> None:
        """Enough is there to begin playing: all who wait are answered."""
        download = self.running.get(given.name)
        if download is not None and download.copy is None:  # else it was stopped meanwhile
            self._give(download, self._keep(download, given.path, now_us), self._grant_all(download))

    def ended(self, given: effects.Downloaded | effects.DownloadFailed, now_us: int) -> None:
        """io has done with one: all who wait are answered."""
        download = self.running.pop(given.name, None)
        if download is None:  # stopped meanwhile
            if isinstance(given, effects.Downloaded):
                self._effect(effects.DeleteCopy(given.name))
            return
        self._forget_players(download)
        if isinstance(given, effects.Downloaded):
            self._arrived(download, given, now_us)
            return
        wishes = self._grant_all(download)
        self._ended(download, given.outcome, message=given.message)
        self._lose(download)
        self._begin()
        code = given.code or CODES.get(given.outcome, given.outcome)
        for _, wish in wishes:
            wish.then(None, Reason(given.message, code))

    def _arrived(self, download: Download, given: effects.Downloaded, now_us: int) -> None:
        copy = download.copy or self._keep(download, given.path, now_us)
        copy.size_bytes, copy.fetched_us = given.size_bytes, now_us
        copy.expires_us = now_us + download.ttl_us
        self.cache_bytes += given.size_bytes
        self._ended(download, ARRIVED, size_bytes=given.size_bytes)
        self._begin()
        self._give(download, copy, self._grant_all(download))
        self._forget_old(copy, now_us)

    def _grant_all(self, download: Download) -> list[tuple[str, Wish]]:
        wishes = list(download.wishes.items())
        for who, _ in wishes:
            self._granted(who)
        return wishes

    def _give(self, download: Download, copy: Copy, wishes: list[tuple[str, Wish]]) -> None:
        """They have it, and what follows; then they are told."""
        copy.holders += len(wishes)
        if download.name in self.running:
            for who, _ in wishes:
                download.players.add(who)
                self._plays.setdefault(who, set()).add(download.name)
        for _, wish in wishes:
            wish.then(copy, Reason())

    def _forget_players(self, download: Download) -> None:
        """Nothing of it comes any more."""
        for who in download.players:
            names = self._plays[who]
            names.discard(download.name)
            if not names:
                del self._plays[who]
        download.players.clear()

    def _lose(self, download: Download) -> None:
        """What came of it is gone."""
        copy = download.copy
        if copy is not None:
            copy.there = False
            if self.copies.get(copy.source) is copy:
                del self.copies[copy.source]
                self._rest()

    def clean(self, now_us: int) -> None:
        """The timer fired: delete what is past its time."""
        self._cleaning = False
        for copy in [copy for copy in self.copies.values() if copy.expires_us <= now_us]:
            self._delete_unheld(copy)
        self._plan_cleaning(now_us)

    def _begin(self) -> None:
        while self.waiting and not (self._limit and len(self.running) >= self._limit):
            download = self.waiting.pop(next(iter(self.waiting)))
            self.running[download.name] = download
            source = download.source
            self._effect(effects.StartDownload(download.name, source.url, source.headers))

    def _granted(self, who: str) -> None:
        """He does not wait any more."""
        del self._wishes.pop(who).download.wishes[who]
        self._effect(effects.CancelTimer((TIMER, who)))

    def _ended(self, download: Download, outcome: str, **fields: object) -> None:
        del self._by_source[download.source]
        self.outcomes[outcome] += 1
        fields = {"url": shown(download.source.url), "outcome": outcome, **fields}
        self._effect(effects.Log("info", "file_download_ended", fields))

    # -- copies ----------------------------------------------------------------------------------------------

    def _keep(self, download: Download, path: str, now_us: int) -> Copy:
        old = self.copies.pop(download.source, None)
        if old is not None:
            self._delete_unheld(old)
        copy = download.copy = Copy(
            name=download.name,
            source=download.source,
            path=path,
            fetched_us=now_us,
            expires_us=now_us + download.ttl_us,
        )
        self.copies[copy.source] = copy
        self._plan_cleaning(now_us)
        return copy

    def _forget_old(self, copy: Copy, now_us: int) -> None:
        if copy.expires_us <= now_us or self.copies.get(copy.source) is not copy:
            self._delete_unheld(copy)

    def _delete_unheld(self, copy: Copy) -> None:
        if copy.holders or copy.name in self.running or not copy.there:
            return
        copy.there = False
        if self.copies.get(copy.source) is copy:
            del self.copies[copy.source]
        self.cache_bytes -= copy.size_bytes
        self._effect(effects.DeleteCopy(copy.name))
        self._rest()

    def _rest(self) -> None:
        """An empty cache needs no cleaning."""
        if not self.copies and self._cleaning:
            self._cleaning = False
            self._effect(effects.CancelTimer(CLEANUP))

    def _plan_cleaning(self, now_us: int) -> None:
        if self.copies and not self._cleaning:
            self._cleaning = True
            self._effect(effects.ScheduleAt(now_us + self._interval_us, CLEANUP))


def shown(url: str) -> str:
    """A URL as it may stand in a log: without user, query and fragment, where secrets are."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
