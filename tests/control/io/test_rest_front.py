"""REST as HTTP clients meet it: who may ask, how often, and how it is refused."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_process import Control, running, until
from rest import ADMIN_KEY, Api, Reply, send

from roomtone.control.core.effects import RestRequest
from roomtone.control.io import rest

ADMIN = {"X-Admin-API-Key": ADMIN_KEY}
PROBLEM = "application/problem+json"


@pytest.fixture(autouse=True)
def administered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", ADMIN_KEY)


async def asked(control: Control, *args: Any, **more: Any) -> Reply:
    return await asyncio.to_thread(send, control.http, *args, **more)


async def member(control: Control, app_id: str = "app", **settings: Any) -> Callable[..., Any]:
    """An app; awaited calls."""
    api = await asyncio.to_thread(Api, control.http, app_id, **settings)

    async def call(*args: Any, **more: Any) -> Reply:
        return await asyncio.to_thread(api, *args, **more)

    return call


def test_a_room_is_made_and_shown_over_http(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            made = await app("POST", "/conferences", {"name": "Team Standup"}, X_Request_Id="r-1")
            assert made.status == 201
            assert made.headers["x-request-id"] == "r-1"
            room_id = made.body["room_id"]
            shown = await app("GET", f"/conferences/{room_id}")
            assert (shown.status, shown.body["name"]) == (200, "Team Standup")
            assert (await app("DELETE", f"/conferences/{room_id}")).status == 200
            gone = await app("GET", f"/conferences/{room_id}")
            assert (gone.status, gone.body["code"]) == (404, "room_not_found")

    run(body())


WRONG_CALLERS: dict[str, tuple[dict[str, str], int, str]] = {
    "nobody": ({}, 400, "missing_app_id"),
    "a name that is none": ({"X-App-ID": "a b"}, 400, "invalid_app_id"),
    "too long a name": ({"X-App-ID": "a" * 65}, 400, "invalid_app_id"),
    "no key": ({"X-App-ID": "app"}, 401, "missing_api_key"),
    "a wrong key": ({"X-App-ID": "app", "X-API-Key": "wrong-key-wrong-key"}, 401, "invalid_api_key"),
    "an unknown app": ({"X-App-ID": "none", "X-API-Key": "wrong-key-wrong-key"}, 401, "invalid_api_key"),
    "bytes beyond ASCII": ({"X-App-ID": "app", "X-API-Key": "\xff" * 20}, 401, "invalid_api_key"),
}


@pytest.mark.parametrize("who", WRONG_CALLERS)
def test_who_may_not_ask_is_told_why_in_both_formats(tmp_path: Path, run: Any, who: str) -> None:
    headers, status, code = WRONG_CALLERS[who]

    async def body() -> None:
        async with running(tmp_path) as control:
            await member(control)
            plain = await asked(control, "GET", "/api/v1/conferences/x", headers=headers)
            assert (plain.status, plain.body["success"], plain.body["code"]) == (status, False, code)
            assert plain.body["request_id"] == plain.headers["x-request-id"]
            assert isinstance(plain.body["error"], str)
            problem = await asked(
                control,
                "GET",
                "/api/v1/conferences/x",
                headers={**headers, "Accept": f"text/html, {PROBLEM}"},
            )
            assert problem.headers["content-type"].startswith(PROBLEM)
            assert problem.status == problem.body["status"] == status
            assert problem.body["type"].endswith("/" + code) and problem.body["code"] == code
            assert problem.body["instance"] == "/api/v1/conferences/x"
            assert isinstance(problem.body["detail"], str)

    run(body())


def test_administration_needs_its_key(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            for headers, code in (
                ({}, "missing_admin_key"),
                ({"X-Admin-API-Key": "no"}, "invalid_admin_key"),
            ):
                reply = await asked(control, "GET", "/admin/apps/app", headers=headers)
                assert (reply.status, reply.body["code"]) == (401, code)
            assert (await asked(control, "GET", "/admin/apps/app", headers=ADMIN)).status == 404
        monkeypatch.delenv("ADMIN_API_KEY")
        async with running(tmp_path) as control:
            reply = await asked(control, "GET", "/admin/apps/app", headers=ADMIN)
            assert (reply.status, reply.body["code"]) == (503, "admin_disabled")

    run(body())


def test_paths_methods_and_commands_that_are_not_there(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            reply = await app("GET", "/nothing")
            assert (reply.status, reply.body["code"]) == (404, "not_found")
            reply = await app("PUT", "/conferences/abcde-room-1", {})
            assert (reply.status, reply.body["code"]) == (405, "method_not_allowed")
            assert "GET" in reply.headers["allow"]
            reply = await app("POST", "/sessions/abcde-1/commands/dance", {})
            assert (reply.status, reply.body["error"]) == (400, "Invalid command")

    run(body())


def test_bodies_that_cannot_be_read(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            for text, status, code in (
                (b"{", 400, "invalid_body"),
                (b"\xff", 400, "invalid_body"),
                (b"[" * 5000, 400, "invalid_body"),
                (b"[]", 400, "invalid_body"),
                (b'{"name":"' + b"x" * 140_000 + b'"}', 413, "body_too_large"),
            ):
                reply = await app("POST", "/conferences", text)
                assert (reply.status, reply.body["code"]) == (status, code), text[:9]
            reply = await app(
                "POST", "/conferences", b"name=x", Content_Type="application/x-www-form-urlencoded"
            )
            assert (reply.status, reply.body["code"]) == (415, "unsupported_media_type")
            squeezed = gzip.compress(b'{"name":"' + b"x" * 10_000_000 + b'"}')
            reply = await app("POST", "/conferences", squeezed, Content_Encoding="gzip")
            assert (reply.status, reply.body["code"]) == (413, "body_too_large")

    run(body())


def test_an_app_has_so_many_requests_a_second(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "now_us", lambda: 7_400_000)

    async def body() -> None:
        async with running(tmp_path) as control:
            app, other = await member(control, rate_limit=2), await member(control, "other")
            replies = [await app("GET", "/nothing") for _ in range(3)]
            assert [reply.status for reply in replies] == [404, 404, 429]
            assert [reply.headers["ratelimit-remaining"] for reply in replies] == ["1", "0", "0"]
            assert {reply.headers["ratelimit-limit"] for reply in replies} == {"2"}
            assert replies[2].body["code"] == "rate_limited"
            assert replies[2].body["retry_after_ms"] == 600
            assert replies[2].headers["retry-after"] == replies[2].headers["ratelimit-reset"] == "1"
            assert (await other("GET", "/nothing")).status == 404
            assert (await asked(control, "GET", "/health")).status == 200
            monkeypatch.setattr(rest, "now_us", lambda: 8_000_000)
            assert (await app("GET", "/nothing")).status == 404

    run(body())


def test_keys_are_guessed_no_faster_than_ten_a_second(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "now_us", lambda: 7_000_000)

    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            wrong = {"X-App-ID": "app", "X-API-Key": "wrong-key-wrong-key"}
            path = "/api/v1/nothing"
            tries = [(await asked(control, "GET", path, headers=wrong)).status for _ in range(11)]
            assert tries == [401] * 10 + [429]
            assert (await app("GET", "/nothing")).status == 429, "the right key would be told from the others"
            nameless = [(await asked(control, "GET", path)).status for _ in range(11)]
            assert nameless == [400] * 10 + [429]
            assert (await asked(control, "GET", "/admin/apps/app", headers=ADMIN)).status == 200
            monkeypatch.setattr(rest, "now_us", lambda: 8_000_000)
            assert (await app("GET", "/nothing")).status == 404

    run(body())


def test_a_core_that_does_not_answer_is_told_after_a_while(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            monkeypatch.setattr(rest, "ANSWER_S", 0.01)
            submit = control.app.rest._submit
            held: list[Any] = []
            monkeypatch.setattr(
                control.app.rest,
                "_submit",
                lambda i: held.append(i) if isinstance(i, RestRequest) else submit(i),
            )
            reply = await app("POST", "/conferences", {"name": "late"})
            assert (reply.status, reply.body["code"]) == (503, "node_unavailable")
            assert reply.headers["retry-after"] == "1"
            submit(held[0])
            await until(lambda: control.app.counters.rest_unheard == 1)

    run(body())


def test_an_error_of_ours_is_an_answer_too(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)

            def broken(*_: Any) -> Any:
                raise RuntimeError("of ours")

            monkeypatch.setattr("roomtone.control.core.core.front.handle", broken)
            reply = await app("POST", "/conferences", {"name": "x"})
            assert (reply.status, reply.body["code"]) == (500, "internal_error")

    run(body())


def test_an_app_is_overwritten_shown_and_removed(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            path = "/admin/apps/my-app"
            key = {"api_key": "0123456789abcdef"}
            first = await asked(control, "POST", path, {**key, "rate_limit": 5}, ADMIN)
            assert (first.status, first.body["app_id"]) == (201, "my-app")
            shown = await asked(control, "GET", path, headers=ADMIN)
            assert shown.body["rate_limit"] == 5 and "0123456789abcdef" not in str(shown.body)
            assert (await asked(control, "POST", path, key, ADMIN)).status == 200
            assert (await asked(control, "GET", path, headers=ADMIN)).body["rate_limit"] == 10_000
            mine = {"X-App-ID": "my-app", "X-API-Key": "0123456789abcdef"}
            assert (await asked(control, "GET", "/api/v1/nothing", headers=mine)).status == 404
            for api_key in ("0123456789abcde", "0123456789abcde\n", "ключ-ключ-ключ-ключ"):
                refused = await asked(control, "POST", path, {"api_key": api_key}, ADMIN)
                assert (refused.status, refused.body["code"]) == (400, "validation_error")
            assert (await asked(control, "DELETE", path, headers=ADMIN)).status == 200
            assert (await asked(control, "GET", path, headers=ADMIN)).body["code"] == "app_not_found"
            assert (await asked(control, "GET", "/api/v1/nothing", headers=mine)).status == 401

    run(body())


def test_as_many_and_as_long_urls_as_a_command_may_name_fit(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            urls = ["https://media.example/" + "x" * 2026] * 128
            call = "/sessions/abcde-00000000-0000-4000-8000-000000000000/commands"
            assert (await app("POST", f"{call}/playback/start", {"urls": urls})).status == 404
            prompts = {"urls": urls, "invalid_urls": urls}
            assert (await app("POST", f"{call}/play_and_get_digits", prompts)).status == 404
            reply = await app("POST", "/conferences/abcde-room-1/play", {"urls": urls[:9]})
            assert (reply.status, reply.body["code"]) == (413, "body_too_large")

    run(body())


async def raw(control: Control, headers: dict[str, str], text: bytes) -> tuple[Any, Any]:
    """A connection on which this request has been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", control.app.port)
    lines = ["POST /api/v1/conferences HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + text)
    return reader, writer


def test_what_a_client_asked_for_happens_though_it_has_gone(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            api = await asyncio.to_thread(Api, control.http)
            submit, held = control.app.rest._submit, []
            monkeypatch.setattr(control.app.rest, "_submit", held.append)
            text = b'{"name": "gone"}'
            _, writer = await raw(control, {**api.headers, "Content-Length": str(len(text))}, text)
            await until(lambda: bool(held))
            (connection,) = control.app.http._web.connections
            writer.transport.abort()
            await until(lambda: connection.transport is None)
            submit(held[0])
            await until(lambda: control.app.counters.rest_unheard == 1)
            assert [room.name for room in control.app.core.rooms.values()] == ["gone"]

    run(body())


def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "BODY_S", 0.05)
    monkeypatch.setattr("roomtone.control.app.CLOSE_WAIT_S", 0.05)

    async def body() -> None:
        async with running(tmp_path) as control:
            api = await asyncio.to_thread(Api, control.http)
            reader, writer = await raw(control, {**api.headers, "Content-Length": "100"}, b"{")
            assert b" 400 " in await reader.readline()
            writer.close()

    run(body())


def test_who_asks_whether_to_send_the_body_is_told_to(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomtone.control.app.CLOSE_WAIT_S", 0.05)

    async def body() -> None:
        async with running(tmp_path) as control:
            api = await asyncio.to_thread(Api, control.http)
            text = b'{"name": "expected"}'
            asks = {"Expect": "100-continue", "Content-Length": str(len(text))}
            reader, writer = await raw(control, {**api.headers, **asks}, b"")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(text)
            assert b" 201 " in await reader.readline()
            writer.close()
            reader, writer = await raw(control, {**asks, "X-App-ID": "app"}, b"")
            assert b" 401 " in await reader.readline()
            writer.close()

    run(body())


def test_what_is_no_http_is_counted_and_not_quoted_in_the_log(
    tmp_path: Path, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            reader, writer = await asyncio.open_connection("127.0.0.1", control.app.port)
            writer.write(b"GET /sessions?caller=%2B15550001234 or so HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
            reply = await app("POST", "/conferences", b"no gzip at all", Content_Encoding="gzip")
            assert (reply.status, reply.body["code"]) == (400, "invalid_body")
            await until(lambda: control.app.counters.http_malformed == 2)
        assert not [record for record in caplog.records if record.name == "aiohttp.server"]

    run(body())


def test_only_the_head_of_an_answer_can_be_asked_for(tmp_path: Path, run: Any) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            app = await member(control)
            reply = await app("HEAD", "/conferences")
            assert (reply.status, reply.body) == (200, None)
            assert int(reply.headers["content-length"]) > 0

    run(body())
