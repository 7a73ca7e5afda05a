"""Downloads from a real HTTP server that answers well, badly, slowly and falsely."""

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import pytest
from fetching import LIMIT_BYTES, MUSIC, Bench
from file_server import LIMIT_S, FileServer, Stalled, Visitor, redirect, status, unmeasured, whole

from roomtone.control.core import effects as fx
from roomtone.control.io import fetch as fetch_module
from roomtone.control.io.fetch import BROKEN, COMES, WHOLE
from roomtone.engine.messages import Failed

Body = Callable[[Bench, FileServer], Any]


@pytest.fixture
def told(tmp_path: Path, run: Callable) -> Callable[[Body], None]:
    """Run a test's coroutine with a bench and a server."""

    def runner(body: Body) -> None:
        async def around() -> None:
            bench = Bench(tmp_path)
            with FileServer() as server:
                try:
                    await body(bench, server)
                finally:
                    await bench.fetcher.close()
            assert os.listdir(bench.cache) == []

        run(around())

    return runner


def test_a_file_comes_whole_and_for_our_eyes_only(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/hold.ogg?a=b%2Fc"] = whole(MUSIC)
        done = await bench.fetch(server.url("/hold.ogg?a=b%2Fc"), (("authorization", "Bearer x"),))
        assert isinstance(done, fx.Downloaded)
        assert done.size_bytes == len(MUSIC)
        path = Path(done.path)
        assert path.read_bytes() == MUSIC
        assert bench.mode(path.name) == WHOLE
        assert stat.S_IMODE(bench.cache.stat().st_mode) == 0o700
        asked = server.seen["/hold.ogg?a=b%2Fc"]
        assert asked.method == "GET"
        assert asked.headers["authorization"] == "Bearer x"
        assert asked.headers["accept-encoding"] == "identity"
        assert asked.headers["user-agent"] == "roomtone/test"

    told(body)


def written(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> asyncio.Event:
    """Set when so much of a file is on the disk."""
    there, loop, write = asyncio.Event(), asyncio.get_running_loop(), fetch_module._write

    def watched(file: BinaryIO, block: bytes) -> None:
        write(file, block)
        if file.tell() == size_bytes:
            loop.call_soon_threadsafe(there.set)

    monkeypatch.setattr(fetch_module, "_write", watched)
    return there


def test_a_file_says_by_its_mode_how_it_stands(told: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        begun = written(monkeypatch, 1000)
        server.routes["/"] = stalled = Stalled(MUSIC, 1000)
        name = bench.begin(server.url("/"))
        await begun.wait()
        assert bench.mode(name) == COMES
        stalled.go_on.set()
        while not isinstance(await bench.told.get(), fx.Downloaded):
            pass
        assert bench.mode(name) == WHOLE

    told(body)


@pytest.mark.parametrize("tag", [0, 200_000])
def test_that_it_can_be_played_is_told_when_a_beginning_is_there(
    told: Callable, monkeypatch: pytest.MonkeyPatch, tag: int
) -> None:
    """Behind a tag: pictures of albums are as large as songs."""
    header = b"ID3\4\0\0" + bytes((tag >> 7 * place) & 0x7F for place in (3, 2, 1, 0)) if tag else b""
    music = header + MUSIC

    async def body(bench: Bench, server: FileServer) -> None:
        begins = len(header) + tag + 65_536
        arrived = written(monkeypatch, begins - 1)
        server.routes["/"] = stalled = Stalled(music, begins - 1)
        name = bench.begin(server.url("/"))
        await arrived.wait()
        await bench.disk.idle()
        assert bench.told.empty()
        stalled.go_on.set()
        assert await bench.told.get() == fx.DownloadBegun(name, str(bench.cache / name))
        assert isinstance(await bench.told.get(), fx.Downloaded)

    told(body)


def test_who_plays_a_file_that_breaks_off_learns_it(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        end = threading.Event()

        def breaks_off(visitor: Visitor) -> None:
            whole(MUSIC[:100_000], length=len(MUSIC))(visitor)
            assert end.wait(LIMIT_S)

        server.routes["/"] = breaks_off
        bench.begin(server.url("/"))
        begun = await bench.told.get()
        with Path(begun.path).open("rb") as reader:
            end.set()
            assert (await bench.told.get()).outcome == "incomplete"
            await bench.settle()
            assert stat.S_IMODE(os.fstat(reader.fileno()).st_mode) == BROKEN

    told(body)


def test_a_host_that_stops_sending_is_left(told: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "STALL_S", 0.1)

    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = stalled = Stalled(MUSIC, 100_000)
        failed = await bench.fetch(server.url("/"))
        assert (failed.outcome, failed.message) == ("timeout", "The host stopped sending")
        assert await asyncio.to_thread(stalled.left.wait, LIMIT_S)
        await bench.files()

    told(body)


def test_a_file_without_a_length_ends_with_the_connection(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = unmeasured(MUSIC)
        done = await bench.fetch(server.url("/"))
        assert Path(done.path).read_bytes() == MUSIC

    told(body)


FAILURES = {
    "not found": (status("404 Not Found"), "status"),
    "a server in trouble": (status("503 Service Unavailable"), "status"),
    "half a file": (status("206 Partial Content"), "status"),
    "nothing new": (status("304 Not Modified"), "status"),
    "too big as it says": (whole(b"", length=LIMIT_BYTES + 1), "too_large"),
    "too big without saying": (unmeasured(bytes(LIMIT_BYTES + 1)), "too_large"),
    "shorter than it says": (whole(MUSIC, length=len(MUSIC) + 1), "incomplete"),
    "closed at once": (lambda visitor: None, "incomplete"),
    "closed in the head": (lambda visitor: visitor.send(b"HTTP/1.1 200 OK\r\nConte"), "incomplete"),
    "an unfinished chunk": (
        lambda visitor: visitor.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc"),
        "incomplete",
    ),
    "no HTTP": (lambda visitor: visitor.send(b"220 mail.example ESMTP\r\n\r\n"), "http"),
    "compressed": (whole(b"\x1f\x8b", "Content-Encoding: gzip"), "http"),
    "a redirect to nowhere": (status("302 Found"), "http"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "not_allowed"),
    "a redirect to a bad URL": (redirect("http://[::1"), "url"),
    "a redirect to another address": (redirect("http://127.0.0.2/"), "not_allowed"),
    "a redirect to metadata": (redirect("http://169.254.169.254/latest/"), "not_allowed"),
    "a redirect to a number": (redirect("http://2130706433/"), "not_allowed"),
    "a redirect to itself": (redirect("/"), "redirects"),
}


@pytest.mark.parametrize(("answer", "outcome"), FAILURES.values(), ids=FAILURES.keys())
def test_what_fails_is_named_and_leaves_nothing(told: Callable, answer: Any, outcome: str) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = answer
        failed = await bench.fetch(server.url("/"))
        assert isinstance(failed, fx.DownloadFailed)
        assert failed.outcome == outcome
        assert failed.message and "127.0.0" not in failed.message
        await bench.files()

    told(body)


def test_more_bytes_than_announced_are_no_http(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = whole(b"music and more", length=5)
        failed = await bench.fetch(server.url("/"))
        assert failed.outcome == "http"

    told(body)


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("http://127.0.0.2:{port}/", "not_allowed"),
        ("http://127.0.0.1:{dead}/", "connect"),
        ("http://media.example/", "dns"),
        ("https://127.0.0.1:{port}/", "tls"),
    ],
)
def test_what_cannot_be_reached_is_named(told: Callable, url: str, outcome: str) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        with FileServer() as other:
            dead = other.port
        failed = await bench.fetch(url.format(port=server.port, dead=dead))
        assert failed.outcome == outcome
        assert server.visits == {}

    told(body)


# -- redirects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hops", [5, 6])
def test_five_redirects_are_followed(told: Callable, hops: int) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        for hop in range(hops):
            server.routes[f"/{hop}"] = redirect(
                f"{hop + 1}", ("301 A", "302 B", "303 C", "307 D", "308 E")[hop % 5]
            )
        server.routes[f"/{hops}"] = whole(b"music")
        done = await bench.fetch(server.url("/0"))
        if hops == 5:
            assert Path(done.path).read_bytes() == b"music"
        else:
            assert (done.outcome, server.visits["/6"]) == ("redirects", 0)

    told(body)


def test_headers_stay_with_the_origin_that_was_asked(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        with FileServer() as other:
            server.routes["/a"] = redirect("/b")
            server.routes["/b"] = redirect(other.url("/c"))
            other.routes["/c"] = redirect(server.url("/d"))
            server.routes["/d"] = whole(b"music")
            done = await bench.fetch(server.url("/a"), (("authorization", "Bearer x"), ("cookie", "s=1")))
            assert isinstance(done, fx.Downloaded)
            sent = [
                at.seen[path].headers
                for at, path in ((server, "/a"), (server, "/b"), (other, "/c"), (server, "/d"))
            ]
            assert [headers.get("authorization") for headers in sent] == ["Bearer x", "Bearer x", None, None]
            assert [headers.get("cookie") for headers in sent] == ["s=1", "s=1", None, None]

    told(body)


def test_cookies_are_not_kept(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/a"] = status("302 Found", "Location: /b", "Set-Cookie: session=1; Path=/")
        server.routes["/b"] = whole(b"music")
        await bench.fetch(server.url("/a"))
        assert "cookie" not in server.seen["/b"].headers

    told(body)


# -- stopping, deleting, cleaning ----------------------------------------------------------------------------


def test_a_stopped_download_closes_its_connection_and_leaves_nothing(
    told: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        begun = written(monkeypatch, 1000)
        server.routes["/"] = stalled = Stalled(MUSIC, 1000)
        name = bench.begin(server.url("/"))
        await begun.wait()
        bench.fetcher.stop(fx.StopDownload(name))
        assert await asyncio.to_thread(stalled.left.wait, LIMIT_S)
        await bench.files()
        assert bench.told.empty()

    told(body)


def test_the_end_of_the_process_stops_everything(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/whole"] = whole(MUSIC)
        server.routes["/"] = stalled = Stalled(MUSIC, 1000)
        await bench.fetch(server.url("/whole"))
        bench.begin(server.url("/"))
        await asyncio.to_thread(stalled.begun.wait, LIMIT_S)
        await bench.fetcher.close()
        assert await asyncio.to_thread(stalled.left.wait, LIMIT_S)

    told(body)


def test_a_deleted_copy_is_gone_but_for_who_has_it_open(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = whole(MUSIC)
        done = await bench.fetch(server.url("/"))
        with Path(done.path).open("rb") as reader:
            bench.fetcher.delete(fx.DeleteCopy(done.name))
            await bench.files()
            assert reader.read() == MUSIC

    told(body)


def test_what_an_earlier_process_left_is_deleted_at_the_start_and_nothing_else(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        cache = tmp_path / "cache"
        cache.mkdir()
        for name in (str(UUID(int=7)), "README", "holiday.wav"):
            (cache / name).write_bytes(b"x")
        bench = Bench(tmp_path)
        await bench.files("README", "holiday.wav")
        await bench.fetcher.close()

    run(body())


def test_who_plays_what_an_earlier_process_was_fetching_learns_that_no_more_comes(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        cache = tmp_path / "cache"
        cache.mkdir()
        readers = []
        for number, mode in enumerate((COMES, WHOLE)):
            path = cache / str(UUID(int=number))
            path.write_bytes(b"x")
            readers.append(os.open(path, os.O_RDONLY))
            path.chmod(mode)
        bench = Bench(tmp_path)
        assert [stat.S_IMODE(os.fstat(reader).st_mode) for reader in readers] == [BROKEN, WHOLE]
        for reader in readers:
            os.close(reader)
        await bench.files()
        await bench.fetcher.close()

    run(body())


def test_a_full_disk_is_named(told: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full: every write fails with ENOSPC."""

    def full(*_: Any, **__: Any) -> BinaryIO:
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(fetch_module, "open", full, raising=False)

    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = whole(MUSIC)
        failed = await bench.fetch(server.url("/"))
        assert (failed.outcome, failed.message) == ("disk_full", "cache_dir has no room left")

    told(body)


def test_a_cache_that_cannot_be_written_is_named(told: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(fetch_module, "open", refuse, raising=False)

    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = whole(MUSIC)
        failed = await bench.fetch(server.url("/"))
        assert failed.outcome == "internal"

    told(body)


# -- local files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["_create", "_write", "_complete"])
def test_a_download_given_up_while_the_disk_hangs_leaves_nothing(
    told: Callable, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    reached, answers = threading.Event(), threading.Event()

    def hung(work: Callable[..., Any]) -> Callable[..., Any]:
        def at_last(*args: Any) -> Any:
            reached.set()
            assert answers.wait(LIMIT_S)
            return work(*args)

        return at_last

    monkeypatch.setattr(fetch_module, place, hung(getattr(fetch_module, place)))

    async def body(bench: Bench, server: FileServer) -> None:
        server.routes["/"] = whole(MUSIC)
        before = set(os.listdir("/proc/self/fd"))
        name = bench.begin(server.url("/"))
        assert await asyncio.to_thread(reached.wait, LIMIT_S)  # and the loop goes on meanwhile
        bench.fetcher.stop(fx.StopDownload(name))
        answers.set()
        await bench.files()
        assert not any(open_below(bench.cache, fd) for fd in set(os.listdir("/proc/self/fd")) - before)
        assert place == "_complete" or bench.told.empty()

    told(body)


def open_below(folder: Path, fd: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith(str(folder))
    except OSError:
        return False  # closed meanwhile


def test_a_local_file_is_looked_up(told: Callable) -> None:
    async def body(bench: Bench, server: FileServer) -> None:
        (bench.media / "hold.wav").write_bytes(b"RIFF")
        bench.fetcher.locate(fx.LocateFile(7, "hold.wav"))
        found = await bench.told.get()
        assert isinstance(found, fx.FileLooked) and found.n == 7
        assert isinstance(found.body, fx.Located) and found.body.path == str(bench.media / "hold.wav")
        bench.fetcher.locate(fx.LocateFile(8, "../cache"))
        missed = await bench.told.get()
        assert isinstance(missed, fx.FileLooked) and isinstance(missed.body, Failed)
        assert (missed.n, missed.body.code) == (8, "ENDPOINT_ERROR")
        assert missed.body.message == "The file is outside media_dir"

    told(body)
