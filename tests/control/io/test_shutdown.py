"""The end of the control process: what still goes, what is refused, and the exit."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from control_process import Control, log_lines, running, until
from raw_websocket import RawPeer

from roomtone.client import RoomtoneError
from roomtone.control.app import EXIT_FAILED, EXIT_OK, App
from roomtone.control.core.config import load
from roomtone.engine.log import Log
from roomtone.engine.process_messages import EXIT_CONFIG, Drained, WorkerExited


async def status(control: Control, path: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(control.http + path) as answer:
        return answer.status


def test_running_sessions_go_on_and_nothing_new_begins(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client, other = await control.client(), await control.client()
            await client.call("session.create")
            control.app.catch_signals()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: control.app.state.draining)
            assert await status(control, "/health") == 200
            assert await status(control, "/readyz") == 503
            _, refused, _ = await RawPeer.request(control.app.port)
            assert refused == 503
            with pytest.raises(RoomtoneError) as caught:
                await other.call("session.create")
            assert caught.value.code == "SHUTTING_DOWN"
            await client.call("endpoint.create_tone", tone="ringback")
            assert not control.app.ended.is_set()
            await client.call("session.destroy")
            await control.app.ended.wait()

    run(body())


def test_without_sessions_the_end_is_at_once_and_connections_are_told(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port)
            await peer.call("server.info")
            control.app.signal()
            assert await peer.ended() == 1001  # RFC 6455 section 7.4.1: going away
            await control.app.ended.wait()

    run(body())


def test_sessions_that_outlive_the_wait_are_closed(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, shutdown_max_wait_secs=0) as control:
            client = await control.client()
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="ringback")
            control.app.signal()
            await control.app.ended.wait()
            assert not control.app.core.sessions

    run(body())


async def whole_life(tmp_path: Path, act: Callable[[App, socket.socket], object]) -> tuple[int, list[object]]:
    """Run an App under a made-up supervisor; `act` comes once it listens.  Exit code and what it said."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with (tmp_path / "control.log").open("wb") as file:
        app = App(
            load("", {"listen": "127.0.0.1:0"}),
            runtime_dir=str(tmp_path),
            workers=1,
            supervisor_fd=theirs.detach(),
            log=Log("debug", fd=file.fileno()),
        )
        life = asyncio.ensure_future(app.run())
        await until(lambda: app.port != 0)
        act(app, ours)
        code = await life
    said: list[object] = []
    while ours.fileno() >= 0:
        data = ours.recv(4096)
        if not data:
            break
        said.append(msgspec.msgpack.decode(data, type=Drained))
    return code, said


def test_the_supervisor_is_told_when_all_is_drained(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        code, said = await whole_life(tmp_path, lambda app, _: app.signal())
        assert (code, said) == (EXIT_OK, [Drained()])

    run(body())


def test_the_supervisors_death_ends_the_process(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        code, _ = await whole_life(tmp_path, lambda _, supervisor: supervisor.close())
        assert code == EXIT_FAILED
        assert "supervisor_gone" in [line["event"] for line in log_lines(tmp_path)]

    run(body())


def test_the_third_signal_ends_it_at_once(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        def thrice(app: App, _: socket.socket) -> None:
            app.shut_down = lambda: None  # type: ignore[method-assign]  # a drain that takes for ever
            for _ in range(3):
                app.signal()

        code, _ = await whole_life(tmp_path, thrice)
        assert code == EXIT_FAILED

    run(body())


def test_a_workers_death_told_by_the_supervisor_is_logged(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        def tell(app: App, supervisor: socket.socket) -> None:
            supervisor.send(msgspec.msgpack.encode(WorkerExited(worker=0, epoch=1, status=-9)))
            app.signal()

        await whole_life(tmp_path, tell)
        exited = [line for line in log_lines(tmp_path) if line["event"] == "worker_exited"]
        assert [(line["worker"], line["status"]) for line in exited] == [(0, -9)]

    run(body())


def test_a_runtime_directory_that_cannot_be_used_is_one_too(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        with (tmp_path / "control.log").open("wb") as file:
            app = App(
                load("", {"listen": "127.0.0.1:0"}),
                runtime_dir=str(tmp_path / "none"),
                workers=1,
                log=Log(fd=file.fileno()),
            )
            assert await app.run() == EXIT_CONFIG
        assert [line["event"] for line in log_lines(tmp_path)] == ["cannot_start"]

    run(body())


def test_an_address_in_use_is_a_fault_of_the_configuration(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, (tmp_path / "control.log").open("wb") as file:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            app = App(
                load("", {"listen": address}), runtime_dir=str(tmp_path), workers=1, log=Log(fd=file.fileno())
            )
            assert await app.run() == EXIT_CONFIG
        assert [line["listen"] for line in log_lines(tmp_path) if line["event"] == "cannot_start"] == [
            address
        ]

    run(body())
