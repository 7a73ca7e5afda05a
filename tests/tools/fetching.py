"""A fetcher with a cache of its own, what it tells core, and when it has nothing left to do."""

import asyncio
import itertools
import os
import stat
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from uuid import UUID

from aiohttp.abc import AbstractResolver, ResolveResult
from file_server import LIMIT_S

from roomtone.control.core import effects as fx
from roomtone.control.io.address_guard import AddressGuard
from roomtone.control.io.disk import Disk
from roomtone.control.io.fetch import Fetcher
from roomtone.control.io.log import Log

MUSIC = bytes(range(256)) * 4000  # about a megabyte
LIMIT_BYTES = 2_000_000


class NoDns(AbstractResolver):
    """Knows no name."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        raise OSError(None, "unknown")

    async def close(self) -> None:
        pass


class Watched(Disk):
    """Threads of which one can tell when they have nothing left to do."""

    def __init__(self) -> None:
        super().__init__("files")
        self._work: set[Future[Any]] = set()
        threads, submit = self._threads, self._threads.submit

        def watched(*args: Any) -> Future[Any]:
            work: Future[Any] = submit(*args)
            self._work.add(work)
            return work

        threads.submit = watched  # type: ignore[assignment]

    async def idle(self) -> None:
        """Until everything is done, with what followed from it on the loop."""
        while self._work:
            done, self._work = self._work, set()
            await asyncio.wait([asyncio.wrap_future(each) for each in done])
            for _ in range(3):  # a result, what waited for it, and what that began
                await asyncio.sleep(0)


class Bench:
    """A fetcher and what it tells core."""

    def __init__(self, folder: Path, networks: tuple[str, ...] = ("127.0.0.1/32",)) -> None:
        self.told: asyncio.Queue[fx.Input] = asyncio.Queue()
        self.cache = folder / "cache"
        self.media = folder / "media"
        self.media.mkdir(exist_ok=True)
        self._names = (str(UUID(int=number)) for number in itertools.count(1))
        self.fetcher = Fetcher(
            media_dir=str(self.media),
            cache_dir=str(self.cache),
            max_bytes=LIMIT_BYTES,
            guard=AddressGuard(networks),
            user_agent="roomtone/test",
            submit=self.told.put_nowait,
            log=Log("error", process="test"),
            resolver=NoDns(),
        )
        self.disk = self.fetcher._disk = Watched()
        self.fetcher.start()

    def begin(self, url: str, headers: tuple[tuple[str, str], ...] = ()) -> str:
        name = next(self._names)
        self.fetcher.download(fx.StartDownload(name, url, headers))
        return name

    async def fetch(self, url: str, headers: tuple[tuple[str, str], ...] = ()) -> Any:
        """How it ended."""
        name = self.begin(url, headers)
        end = await asyncio.wait_for(self.told.get(), LIMIT_S)
        if isinstance(end, fx.DownloadBegun):
            assert end == fx.DownloadBegun(name, str(self.cache / name))
            end = await asyncio.wait_for(self.told.get(), LIMIT_S)
        return end

    def mode(self, name: str) -> int:
        return stat.S_IMODE((self.cache / name).stat().st_mode)

    async def settle(self) -> None:
        """Until what was given up has ended, and threads have done what they do behind the answer."""
        await asyncio.gather(*self.fetcher._tasks.values(), return_exceptions=True)
        await self.disk.idle()

    async def files(self, *expected: str) -> None:
        """The cache holds these and nothing else when all is done."""
        await self.settle()
        assert sorted(os.listdir(self.cache)) == sorted(expected)
