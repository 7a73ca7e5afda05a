"""/recordings: what lies below `recording_dir`, over HTTP.

An application sees the files whose attribute names it (engine/recording_path.py); without tokens everybody
sees all.  A file that is being recorded can be read as far as it is written, and not be deleted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
from aiohttp import web

from roomtone.control.io.disk import Disk
from roomtone.engine.recording_path import (
    PARTS,
    PCAP,
    WAV,
    PathError,
    open_file,
    open_folder,
    owner_of,
    split,
)

ROOT = "/recordings"
LIMIT, LIMIT_MAX = 100, 1000
CHUNK_BYTES = 1 << 18
TYPES = {PCAP: "application/vnd.tcpdump.pcap", WAV: "audio/wav"}
JSON = "application/json"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class Recordings:
    """The routes.  in_use: whether a path is being written; most_bytes 0: files of any size are served."""

    def __init__(self, folder: str | None, most_bytes: int, in_use: Callable[[str], bool]) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._in_use = in_use
        self._disk = Disk("recordings")

    async def answer(self, request: web.BaseRequest, app_id: str | None) -> web.StreamResponse:
        """GET and HEAD of the list or of a file, DELETE of a file.  Raises `Refusal`."""
        if request.path == ROOT:
            if request.method == "DELETE":
                raise Refusal(405, "METHOD_NOT_ALLOWED", "the list cannot be deleted", Allow="GET, HEAD")
            return await self._list(request, app_id)
        if self._folder is None:
            raise Refusal(404, "NOT_FOUND", "recording is off")
        try:
            parts = split(unquote(request.rel_url.raw_path[len(ROOT) + 1 :]))
        except PathError as error:
            raise Refusal(403, "FORBIDDEN", str(error)) from None
        if request.method == "DELETE":
            return await self._delete(parts, app_id)
        return await self._file(request, parts, app_id)

    # -- the list ------------------------------------------------------------------------------------------

    async def _list(self, request: web.BaseRequest, app_id: str | None) -> web.Response:
        query = request.query
        skip, limit = _number(query.get("skip"), 0), min(_number(query.get("limit"), LIMIT), LIMIT_MAX)
        names: list[str] = []
        if self._folder is not None:
            names = await self._disk.do(_names, self._folder, query.get("startsWith", ""), app_id)
        page = {"recordings": names[skip : skip + limit], "total": len(names), "skip": skip, "limit": limit}
        return web.Response(body=msgspec.json.encode(page), content_type=JSON)

    # -- a file --------------------------------------------------------------------------------------------

    async def _file(
        self, request: web.BaseRequest, parts: tuple[str, ...], app_id: str | None
    ) -> web.StreamResponse:
        fd = await self._disk.do(self._open, parts, app_id)
        try:
            size = os.fstat(fd).st_size
            if self._most_bytes and size > self._most_bytes:
                raise Refusal(413, "TOO_LARGE", f"over max_recording_download_bytes ({self._most_bytes})")
            span = _span(request.headers.get("Range"), size)
            first, end = span if span is not None else (0, size)
            response = web.StreamResponse(status=200 if span is None else 206)
            response.content_type = TYPES[os.path.splitext(parts[-1])[1]]
            response.content_length = end - first
            response.headers["Accept-Ranges"] = "bytes"
            if span is not None:
                response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
            await response.prepare(request)
            while first < end and request.method != "HEAD":
                data = await self._disk.do(os.pread, fd, min(CHUNK_BYTES, end - first), first)
                if not data:
                    break  # cut back meanwhile
                await response.write(data)
                first += len(data)
            await response.write_eof()
            return response
        finally:
            os.close(fd)

    async def _delete(self, parts: tuple[str, ...], app_id: str | None) -> web.Response:
        assert self._folder is not None
        if self._in_use("/".join((self._folder.rstrip("/"), *parts))):
            raise Refusal(409, "RECORDING_ERROR", "it is being recorded")
        await self._disk.do(self._unlink, parts, app_id)
        return web.Response(body=b'{"deleted":true}', content_type=JSON)

    # -- on a thread ---------------------------------------------------------------------------------------

    def _open(self, parts: tuple[str, ...], app_id: str | None) -> int:
        """A recording for reading; somebody else's is as unknown as one that is not there."""
        assert self._folder is not None
        try:
            if not parts[-1].endswith((PCAP, WAV)):
                raise FileNotFoundError
            fd = open_file(self._folder, parts)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Refusal(403, "FORBIDDEN", "symbolic links are not followed") from None
            raise Refusal(404, "NOT_FOUND", "no such recording") from None
        if app_id is not None and owner_of(fd) != app_id:
            os.close(fd)
            raise Refusal(404, "NOT_FOUND", "no such recording")
        return fd

    def _unlink(self, parts: tuple[str, ...], app_id: str | None) -> None:
        assert self._folder is not None
        os.close(self._open(parts, app_id))
        try:
            folder = open_folder(self._folder, parts[:-1])
            try:
                os.unlink(parts[-1], dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Refusal(500, "INTERNAL_ERROR", f"not deleted: {error.strerror}") from None


def _names(folder: str, prefix: str, app_id: str | None) -> list[str]:
    """Paths below the folder, sorted.  Links, what is no recording and what lies too deep are passed over."""
    found = (name for name in _walk(Path(folder), "") if name.startswith(prefix))
    return sorted(name for name in found if _owned(folder, name, app_id))


def _walk(folder: Path, below: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False) and below.count("/") < PARTS - 1:
                yield from _walk(folder / entry.name, f"{below}{entry.name}/")
            elif entry.name.endswith((PCAP, WAV)) and entry.is_file(follow_symlinks=False):
                yield below + entry.name


def _owned(folder: str, name: str, app_id: str | None) -> bool:
    if app_id is None:
        return True
    try:
        fd = open_file(folder, tuple(name.split("/")))
    except OSError:
        return False
    try:
        return owner_of(fd) == app_id
    finally:
        os.close(fd)


def _number(text: str | None, default: int) -> int:
    if text is None or text == "":
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refusal(400, "INVALID_PARAMS", "skip and limit are numbers")
    return int(text)


def _span(text: str | None, size: int) -> tuple[int, int] | None:
    """(first, end) of one range, RFC 9110 section 14.  None: all; also for what is no single range."""
    match = _RANGE.fullmatch(text.strip()) if text is not None else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        first, end = max(0, size - int(match[2])), size
        satisfied = int(match[2]) > 0 and size > 0
    else:
        first, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < first:
            return None
        satisfied = first < size
    if not satisfied:
        raise Refusal(416, "RANGE_NOT_SATISFIABLE", "no such range", **{"Content-Range": f"bytes */{size}"})
    return first, end
