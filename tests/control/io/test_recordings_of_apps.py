"""/recordings with tokens: an application finds, reads and removes its own files and no others'."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import aiohttp
from control_process import Control, running

from roomtone.engine.recording_path import create


async def ask(control: Control, path: str, token: str = "", method: str = "GET") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, control.http + path, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


def made(folder: Path, name: str, app: str) -> bool:
    """A recording of that application.  False: this file system cannot keep whose it is."""
    opened = create(str(folder), (name,), app)
    os.write(opened.fd, app.encode())
    os.close(opened.fd)
    os.close(opened.folder_fd)
    return opened.owned


def test_an_application_has_its_own_recordings_and_no_others(tmp_path: Path, run: Callable) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    kept = made(folder, "a.wav", "alpha") and made(folder, "b.wav", "beta")
    (folder / "nobodys.wav").write_bytes(b"from elsewhere")
    tokens = tmp_path / "tokens"
    tokens.write_text("alpha:one\nbeta:two\n")

    async def body() -> None:
        options = {"auth_token_file": str(tokens), "recording_dir": str(folder)}
        async with running(tmp_path, **options) as control:
            for path in ("/recordings", "/recordings/a.wav"):
                assert (await ask(control, path))[0] == 401
                assert (await ask(control, path, "three", "DELETE"))[0] == 401
            own = b'"a.wav"' if kept else b""
            total = int(kept)
            page = b'{"recordings":[%b],"total":%d,"skip":0,"limit":100}' % (own, total)
            assert await ask(control, "/recordings", "one") == (200, page)
            assert (await ask(control, "/recordings/a.wav", "one"))[0] == (200 if kept else 404)
            for path in ("/recordings/b.wav", "/recordings/nobodys.wav"):
                assert (await ask(control, path, "one"))[0] == 404
                assert (await ask(control, path, "one", "DELETE"))[0] == 404
            assert (await ask(control, "/recordings/b.wav", "two", "DELETE"))[0] == (200 if kept else 404)
        assert (folder / "a.wav").exists() and (folder / "nobodys.wav").exists()
        assert (folder / "b.wav").exists() != kept

    run(body())


def test_without_recording_dir_there_is_nothing(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            page = b'{"recordings":[],"total":0,"skip":0,"limit":100}'
            assert await ask(control, "/recordings") == (200, page)
            assert (await ask(control, "/recordings/a.wav"))[0] == 404
            assert (await ask(control, "/recordings?limit=x"))[0] == 400

    run(body())


def test_what_lies_too_deep_is_no_recording(tmp_path: Path, run: Callable) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    deepest = create(str(folder), (*["d"] * 31, "call.wav"), "default")
    beyond = create(str(folder), (*["e"] * 32, "call.wav"), "default")
    for opened in (deepest, beyond):
        os.close(opened.fd)
        os.close(opened.folder_fd)

    async def body() -> None:
        async with running(tmp_path, recording_dir=str(folder)) as control:
            name = "d/" * 31 + "call.wav"
            page = b'{"recordings":["%b"],"total":1,"skip":0,"limit":100}' % name.encode()
            assert await ask(control, "/recordings") == (200, page)
            assert (await ask(control, "/recordings/" + name))[0] == 200
            assert (await ask(control, "/recordings/" + "e/" * 32 + "call.wav"))[0] == 403

    run(body())
