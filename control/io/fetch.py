"""Files for playback: clients' paths looked up below media_dir, their URLs downloaded into cache_dir.

What is downloaded for whom and how long it is kept is core's business (core/downloads.py); here one download
is carried out: at most five redirects, each checked like the first URL, streamed to a file that workers may
play while it comes.  What may wait for a disk is done on threads.

A file's mode tells whoever has it open how it stands (ext/file/decoder.pyi): it has the sticky bit and is our
own to write as long as it comes, to read when it is complete, and neither when it will never be.

The client's headers go to the origin that was asked for and not to where that redirects.  Cookies, proxies of
the environment and .netrc play no part.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from roomtone.control.core.effects import (
    DeleteCopy,
    DownloadBegun,
    Downloaded,
    DownloadFailed,
    FileLooked,
    Input,
    Located,
    LocateFile,
    StartDownload,
    StopDownload,
)
from roomtone.control.core.problems import ENDPOINT_ERROR
from roomtone.control.io.address_guard import AddressGuard, NotAllowed, origin
from roomtone.control.io.disk import Disk
from roomtone.control.io.log import Log
from roomtone.control.io.media_dir import NotPlayable, locate
from roomtone.engine.id3 import tag_bytes
from roomtone.engine.messages import Failed

MAX_REDIRECTS = 5  # websocket.md section 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110 section 15.4
OK = 200
BLOCK_BYTES = 256 * 1024  # read and written at once, at most
LOCATE_WAIT_S = 5.0  # as long as a worker has for an answer
BEGIN_BYTES = 64 * 1024  # behind a tag at the front; with so much of it a worker can begin to play
STALL_S = 60.0  # a body of which nothing comes for so long will not come
COMES, WHOLE, BROKEN = stat.S_ISVTX | 0o600, stat.S_ISVTX | 0o400, stat.S_ISVTX
OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # names that core gives


class Unfetched(Exception):
    """A download that failed.  outcome: one word for metrics; message: for a person; code: for programs."""

    def __init__(self, outcome: str, message: str, code: str = "") -> None:
        super().__init__(outcome, message, code)
        self.outcome = outcome
        self.message = message
        self.code = code


class Fetcher:
    """Performs core's effects about files.

    max_bytes: size of the largest file that is downloaded, 0: any.  resolver None: the system's.
    """

    def __init__(
        self,
        *,
        media_dir: str | None,
        cache_dir: str,
        max_bytes: int,
        guard: AddressGuard,
        user_agent: str,
        submit: Callable[[Input], None],
        log: Log,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._media_dir = media_dir
        self._cache_dir = cache_dir
        self._max_bytes = max_bytes
        self._guard = guard
        self._user_agent = user_agent
        self._submit = submit
        self._log = log
        self._resolver = resolver
        self._client: aiohttp.ClientSession | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lookups: set[asyncio.Task[None]] = set()
        self._disk = Disk("files")

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the cache and delete what an earlier process left there.  Raises OSError."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._cache_dir, 0o700)
        self._empty()

    async def close(self) -> None:
        """Stop everything; the cache is empty then."""
        tasks = [*self._tasks.values(), *self._lookups]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        self._disk.close()
        with contextlib.suppress(OSError):
            self._empty()

    def _empty(self) -> None:
        for entry in os.scandir(self._cache_dir):
            if OURS.fullmatch(entry.name):
                self._discard(entry.path)

    # -- effects ---------------------------------------------------------------------------------------------

    def locate(self, effect: LocateFile) -> None:
        task = asyncio.get_running_loop().create_task(self._locate(effect))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    def download(self, effect: StartDownload) -> None:
        self._tasks[effect.name] = asyncio.get_running_loop().create_task(self._download(effect))

    def stop(self, effect: StopDownload) -> None:
        task = self._tasks.get(effect.name)
        if task is not None:  # else core is about to be told how it ended
            task.cancel()

    def delete(self, effect: DeleteCopy) -> None:
        self._disk.later(self._unlink, self._path(effect.name))

    # -- local files -----------------------------------------------------------------------------------------

    async def _locate(self, effect: LocateFile) -> None:
        body: Located | Failed
        assert self._media_dir is not None
        looking = self._disk.do(locate, self._media_dir, effect.source)
        try:
            body = await asyncio.wait_for(looking, LOCATE_WAIT_S)
        except NotPlayable as error:
            body = Failed(code=ENDPOINT_ERROR, message=str(error))
        except TimeoutError:
            body = Failed(code=ENDPOINT_ERROR, message="The file system of media_dir does not answer")
        self._submit(FileLooked(effect.n, body))

    # -- downloads -------------------------------------------------------------------------------------------

    async def _download(self, effect: StartDownload) -> None:
        path = self._path(effect.name)
        done: Downloaded | DownloadFailed | None = None
        try:
            size_bytes = await self._fetch(effect, path)
            done = Downloaded(effect.name, path, size_bytes)
        except Exception as error:
            code = error.code if isinstance(error, Unfetched) else ""
            done = DownloadFailed(effect.name, *self._reason(error), code)
        finally:
            del self._tasks[effect.name]
            if not isinstance(done, Downloaded):
                self._disk.later(self._discard, path)
        self._submit(done)

    def _reason(self, error: Exception) -> tuple[str, str]:
        """Of a failure: a word for metrics and a text for a person, which says nothing of our network."""
        match error:
            case Unfetched():
                return error.outcome, error.message
            case NotAllowed():
                return "not_allowed", error.message
            case aiohttp.ClientConnectorDNSError():
                return "dns", "The host's name cannot be resolved"
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return "tls", "TLS failed, or the certificate is not valid for the host"
            case aiohttp.ClientConnectorError(os_error=NotAllowed() as refused):
                return "not_allowed", refused.message
            case aiohttp.ClientConnectorError():
                return "connect", "The host does not take the connection"
            case aiohttp.InvalidURL() | ValueError():
                return "url", "The URL cannot be used"
            case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
                return "incomplete", "The connection ended before the file did"
            case aiohttp.ServerTimeoutError():
                return "timeout", "The host stopped sending"
            case aiohttp.ClientError():
                return "http", "The host's answer is not proper HTTP"
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return "disk_full", "cache_dir has no room left"
        self._log.error("download_broken", kind=type(error).__name__, error=str(error))
        return "internal", "The file could not be kept in cache_dir"

    async def _fetch(self, effect: StartDownload, path: str) -> int:
        """The size of what lies at `path` now: where the URL leads in the end."""
        url, headers = _url(effect.url), dict(effect.headers)
        client = self._client or self._open_client()
        for _ in range(MAX_REDIRECTS + 1):
            self._guard.check(url)
            async with client.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status not in REDIRECTS:
                    self._check(answer)
                    return await self._keep(effect.name, answer.content, path)
                target = answer.headers.get("Location")
            if target is None:
                raise Unfetched("http", "A redirect without a target")
            onward = url.join(_url(target))
            if origin(onward) != origin(url):
                headers = {}
            url = onward
        raise Unfetched("redirects", f"More than {MAX_REDIRECTS} redirects")

    def _open_client(self) -> aiohttp.ClientSession:
        self._client = aiohttp.ClientSession(
            connector=self._guard.connector(self._resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            # Core stops what nobody waits for any more.
            timeout=aiohttp.ClientTimeout(total=None, sock_read=STALL_S),
            auto_decompress=False,
            read_bufsize=BLOCK_BYTES,
        )
        return self._client

    def _check(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status != OK:
            status = answer.status
            raise Unfetched("status", f"The host answered with HTTP status {status}", f"http_{status}")
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Unfetched("http", "The host compressed the file, though asked not to")
        if answer.content_length is not None:
            self._check_size(answer.content_length)

    def _check_size(self, size_bytes: int) -> None:
        if self._max_bytes and size_bytes > self._max_bytes:
            raise Unfetched("too_large", f"The file is larger than {self._max_bytes} bytes")

    async def _keep(self, name: str, content: aiohttp.StreamReader, path: str) -> int:
        """Stream the answer's body to the disk."""
        size_bytes, begin_bytes = 0, 0
        making = self._disk.do(_create, path)
        try:
            file = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(partial(self._drop_made, path))
            raise
        try:
            async for block in content.iter_chunked(BLOCK_BYTES):
                begin_bytes = begin_bytes or BEGIN_BYTES + tag_bytes(block)
                enough = size_bytes < begin_bytes <= size_bytes + len(block)
                size_bytes += len(block)
                self._check_size(size_bytes)
                await self._disk.do(_write, file, block)
                if enough:
                    self._submit(DownloadBegun(name, path))
            await self._disk.do(_complete, file)
        finally:
            self._disk.later(_close, file)
        return size_bytes

    def _drop_made(self, path: str, made: asyncio.Future[BinaryIO]) -> None:
        """A file that was made when nobody waited for it any more, perhaps after it was to be discarded."""
        if not made.cancelled() and made.exception() is None:
            self._disk.later(_close, made.result())
            self._disk.later(self._discard, path)

    # -- the cache -------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return os.path.join(self._cache_dir, name)

    def _discard(self, path: str) -> None:
        """What there is of a download that failed: who plays it learns that no more comes."""
        with contextlib.suppress(OSError):
            if os.stat(path).st_mode & stat.S_IWUSR:
                os.chmod(path, BROKEN)
        self._unlink(path)

    def _unlink(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # a download that failed before it wrote
        except OSError as error:
            self._log.error("cache_file_not_deleted", path=path, error=str(error))


def _url(text: str) -> URL:
    """As it is written: whoever signed it signed these characters.  Only what is not ASCII is encoded."""
    return URL(text, encoded=text.isascii())


def _create(path: str) -> BinaryIO:
    """A file that its owner may read and write as long as it comes."""
    return open(path, "xb", opener=partial(os.open, mode=COMES))


def _write(file: BinaryIO, block: bytes) -> None:
    file.write(block)
    file.flush()


def _complete(file: BinaryIO) -> None:
    os.fchmod(file.fileno(), WHOLE)
    file.close()


def _close(file: BinaryIO) -> None:
    """At the latest now; what could not be written before cannot be written at the close."""
    with contextlib.suppress(OSError):
        file.close()
