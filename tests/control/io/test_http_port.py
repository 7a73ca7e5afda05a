"""The one port over HTTP: health, readiness, metrics, sessions, and who is let in."""

import asyncio
import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from certificate import certificate
from control_process import Control, log_lines, running, until
from prometheus_client.parser import text_string_to_metric_families
from raw_websocket import CLOSE, RawPeer

from roomtone.client import RoomtoneError, connect
from roomtone.engine.messages import EndedStreams, GetMetrics, Metrics, Probe

MISSED = "worker 0 missed 3 self-probes"


async def get(
    control: Control, path: str, token: str | None = None, method: str = "GET"
) -> tuple[int, object]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, control.http + path, headers=headers) as answer,
    ):
        if answer.content_type == "application/json":
            return answer.status, await answer.json()
        return answer.status, await answer.text()


async def metrics(control: Control) -> dict[tuple[str, ...], float]:
    """Samples by (name, label values in the order of the label names)."""
    _, text = await get(control, "/metrics")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(str(text))
        for sample in family.samples
    }


def test_health_says_ok_and_unknown_paths_are_not_found(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            assert await get(control, "/health") == (200, {"status": "ok"})
            assert await get(control, "/livez") == (200, {"status": "ok"})
            assert (await get(control, "/nothing"))[0] == 404
            assert (await get(control, "/health", method="POST"))[0] == 405

    run(body())


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /health",
        "GET /nothing",
        "GET /api/v1/conferences",
        "POST /metrics",
        "GET /recordings",
        "NONSENSE",
    ],
)
@pytest.mark.parametrize("upgrade", [False, True])
def test_no_answer_tells_what_it_was_made_with(
    tmp_path: Path, run: Callable, request_line: str, upgrade: bool
) -> None:
    lines = [f"{request_line} HTTP/1.1", "Host: x", "Connection: close"]
    if upgrade:
        lines[-1:] = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]

    async def body() -> None:
        async with running(tmp_path) as control:
            reader, writer = await asyncio.open_connection("127.0.0.1", control.app.port)
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.")
            assert b"server:" not in head and b"aiohttp" not in head and b"python" not in head
            writer.close()

    run(body())


def test_a_refused_method_names_the_methods_of_the_path(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, aiohttp.ClientSession() as http:
            for path, allowed in (("/sessions", "GET, HEAD"), ("/recordings/a.wav", "GET, HEAD, DELETE")):
                async with http.post(control.http + path) as answer:
                    assert (answer.status, answer.headers["Allow"]) == (405, allowed)

    run(body())


def test_ready_only_while_every_worker_is_up_and_its_probes_come_back(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, workers=2, start=False) as control:
            status, answer = await get(control, "/readyz")
            assert (status, answer["reasons"]) == (503, ["worker 0 is down", "worker 1 is down"])
            first = await control.worker(0)
            await control.worker(1)
            assert await get(control, "/readyz") == (200, {"status": "ready"})
            first.emit(Probe(ok=False), Probe(ok=False))
            await until(lambda: control.app.counters.worker_events["probe"] == 4)
            assert (await get(control, "/readyz"))[0] == 200
            first.emit(Probe(ok=False))
            await until(lambda: control.app.counters.worker_events["probe"] == 5)
            assert (await get(control, "/readyz"))[1] == {"status": "not ready", "reasons": [MISSED]}
            first.emit(Probe(ok=True))
            await until(lambda: control.app.counters.worker_events["probe"] == 6)
            assert (await get(control, "/readyz"))[0] == 200

    run(body())


def test_probes_that_do_not_come_count_as_missed(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            control.app.workers.states[0].last_probe_us -= 4_100_000
            assert (await get(control, "/readyz"))[1] == {"status": "not ready", "reasons": [MISSED]}

    run(body())


def test_livez_fails_when_the_loop_was_stuck_for_five_seconds(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            control.app.lag._due_us -= 6_000_000
            assert await get(control, "/livez") == (503, {"status": "stuck"})

    run(body())


def test_sessions_are_listed_and_shown(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            assert await get(control, "/sessions") == (200, [])
            client = await control.client()
            session = (await client.call("session.create"))["session_id"]
            await client.call("endpoint.create_tone", tone="ringback")
            status, summaries = await get(control, "/sessions")
            assert status == 200
            assert [(each["session_id"], each["endpoint_count"]) for each in summaries] == [(session, 1)]
            info = await client.call("session.info")
            assert await get(control, f"/sessions/{session}") == (200, info)
            assert await get(control, f"/sessions/{session.upper()}") == (200, info)
            assert (await get(control, f"/sessions/{uuid4()}"))[0] == 404
            assert (await get(control, "/sessions/not-a-uuid"))[0] == 400

    run(body())


def test_metrics_show_control_and_its_workers(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            control.workers[0].metrics = Metrics(
                counters={"rx_packets": 10, "tx_packets": 20, "rx_bytes": 1600, "tx_bytes": 3200, "edits": 4},
                drops={"late": 3},
                gauges={"endpoints_in_use": 2.0},
                tick_duration_us=[(100, 5), (200, 1), (400, 2)],
                tick_late_us=[(100, 8)],
                ended={"estimated_mos": EndedStreams(bounds=[3.0, 4.0], counts=[1, 2, 4], sum=26.5)},
            )
            client = await control.client()
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="ringback")
            with pytest.raises(RoomtoneError):
                await client.call("nonsense")
            page = await metrics(control)
            for sample, value in {
                ("roomtone_worker_up", "0"): 1,
                ("roomtone_websocket_connections",): 1,
                ("roomtone_sessions", "active"): 1,
                ("roomtone_endpoints", "tone"): 1,
                ("roomtone_rtp_packets_total", "rx", "0"): 10,
                ("roomtone_rtp_packets_total", "tx", "0"): 20,
                ("roomtone_rtp_bytes_total", "tx", "0"): 3200,
                ("roomtone_worker_edits_total", "0"): 4,
                ("roomtone_worker_endpoints_in_use", "0"): 2,
                ("roomtone_rtp_dropped_packets_total", "late"): 3,
                ("roomtone_tick_duration_seconds_bucket", "0.0001", "0"): 5,
                ("roomtone_tick_duration_seconds_bucket", "0.0002", "0"): 6,
                ("roomtone_tick_duration_seconds_bucket", "+Inf", "0"): 8,
                ("roomtone_tick_duration_seconds_count", "0"): 8,
                ("roomtone_estimated_mos_bucket", "3.0", "0"): 1,
                ("roomtone_estimated_mos_bucket", "4.0", "0"): 3,
                ("roomtone_estimated_mos_bucket", "+Inf", "0"): 7,
                ("roomtone_estimated_mos_sum", "0"): 26.5,
                ("roomtone_commands_total", "session.create", "ok"): 1,
                ("roomtone_command_duration_seconds_count", "session.create"): 1,
                ("roomtone_command_duration_seconds_count", "endpoint.create_tone"): 1,
                ("roomtone_command_duration_seconds_count", ""): 1,
                ("roomtone_worker_commands_total", "create_tone", "ok"): 1,
                ("roomtone_worker_command_duration_seconds_count", "create_tone"): 1,
                ("roomtone_events_dropped_total", "queue_full"): 0,
            }.items():
                assert page[sample] == value, sample
            assert page["roomtone_control_loop_lag_seconds",] >= 0

    run(body())


def test_a_worker_that_does_not_answer_keeps_the_page_from_nobody(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, workers=2) as control:
            control.workers[0].hold = True
            control.workers[1].metrics.drops["late"] = 7
            page = await metrics(control)
            assert page["roomtone_rtp_dropped_packets_total", "late"] == 7

    run(body())


def test_scrapes_close_together_ask_each_worker_once(
    tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomtone.control.io.metrics.CACHE_US", 3600_000_000)

    async def body() -> None:
        async with running(tmp_path) as control:
            await control.workers[0].command(GetMetrics)  # with it the worker was taken into service
            control.workers[0].commands.clear()
            control.workers[0].metrics.drops["late"] = 1
            pages = await asyncio.gather(*(metrics(control) for _ in range(3)))
            pages.append(await metrics(control))
            assert [page["roomtone_rtp_dropped_packets_total", "late"] for page in pages] == [1, 1, 1, 1]
            assert control.workers[0].commands == [GetMetrics()]

    run(body())


def tokens(tmp_path: Path, text: str) -> str:
    path = tmp_path / "tokens"
    path.write_text(text)
    return str(path)


def test_tokens_close_all_but_health_and_show_each_app_its_own(tmp_path: Path, run: Callable) -> None:
    path = tokens(tmp_path, "alpha:one\nbeta:two\n")

    async def body() -> None:
        async with running(tmp_path, auth_token_file=path) as control:
            for open_path in ("/health", "/livez", "/readyz"):
                assert (await get(control, open_path))[0] == 200
            for closed_path in ("/metrics", "/sessions", f"/sessions/{uuid4()}"):
                assert (await get(control, closed_path))[0] == 401
                assert (await get(control, closed_path, "three"))[0] == 401
            client = await control.client(token="one")
            session = (await client.call("session.create"))["session_id"]
            assert [each["session_id"] for each in (await get(control, "/sessions", "one"))[1]] == [session]
            assert (await get(control, "/sessions", "two"))[1] == []
            assert (await get(control, f"/sessions/{session}", "two"))[0] == 404
            other = await control.client(token="two")
            with pytest.raises(RoomtoneError) as caught:
                await other.call("session.attach", session_id=session)
            assert caught.value.code == "SESSION_NOT_FOUND"

    run(body())


def test_without_a_good_token_the_upgrade_is_refused(tmp_path: Path, run: Callable) -> None:
    path = tokens(tmp_path, "alpha:one\n")

    async def body() -> None:
        async with running(tmp_path, auth_token_file=path) as control:
            for headers in ({}, {"Authorization": "Bearer two"}, {"Sec-WebSocket-Protocol": "bearer.two"}):
                _, status, answer = await RawPeer.request(control.app.port, headers=headers)
                assert (status, answer["www-authenticate"]) == (401, "Bearer")
            peer, status, answer = await RawPeer.request(
                control.app.port, headers={"Sec-WebSocket-Protocol": "chat, bearer.one"}
            )
            assert (status, answer["sec-websocket-protocol"]) == (101, "bearer.one")
            peer.close()
        assert "bearer" not in (tmp_path / "control.log").read_text()

    run(body())


def test_tokens_are_read_again_and_a_faulty_file_changes_nothing(tmp_path: Path, run: Callable) -> None:
    path = tokens(tmp_path, "alpha:one\n")

    async def body() -> None:
        async with running(tmp_path, auth_token_file=path) as control:
            tokens(tmp_path, "alpha:new\n")
            control.app.reload_tokens()
            assert (await get(control, "/sessions", "one"))[0] == 401
            assert (await get(control, "/sessions", "new"))[0] == 200
            tokens(tmp_path, "a fault\n")
            control.app.reload_tokens()
            assert (await get(control, "/sessions", "new"))[0] == 200
        assert "tokens_not_read" in [line["event"] for line in log_lines(tmp_path)]

    run(body())


def test_an_unknown_audio_token_closes_with_1008(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port, "/audio/some-token")
            opcode, payload = await peer.read()
            assert (opcode, payload[:2]) == (CLOSE, (1008).to_bytes(2, "big"))
            peer.close()

    run(body())


def test_any_other_path_is_a_control_connection(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            for path in ("/", "/ws", "/health", "/v1/control?x=1"):
                peer = await RawPeer.open(control.app.port, path)
                assert (await peer.call("server.info"))["version"]
                peer.close()

    run(body())


def test_a_malformed_upgrade_is_refused_and_takes_no_place(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, max_connections=1) as control:
            for headers in ({"Sec-WebSocket-Version": "5"}, {"Connection": "close"}):
                _, status, _ = await RawPeer.request(control.app.port, headers=headers)
                assert status == 400
            peer = await RawPeer.open(control.app.port)
            peer.close()

    run(body())


def test_with_a_certificate_the_port_speaks_tls(tmp_path: Path, run: Callable) -> None:
    cert, key = certificate(tmp_path)

    async def body() -> None:
        async with running(tmp_path, tls={"cert_path": cert, "key_path": key}) as control:
            trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=cert))
            async with aiohttp.ClientSession(connector=trust) as http:
                url = f"wss://localhost:{control.app.port}/"
                async with await connect(url, session=http) as client:
                    session = (await client.call("session.create"))["session_id"]
                    assert (await client.call("session.info"))["session_id"] == session

    run(body())


def test_the_start_names_what_ends_first(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, rtp_port_range=[40000, 40009]):
            lines = [line for line in log_lines(tmp_path) if line["event"] == "capacity"]
            assert [(line["level"], line["endpoints"], line["limited_by"]) for line in lines] == [
                ("warning", 5, "ports")
            ]

    run(body())


def test_the_signal_that_reads_tokens_again_is_sighup(tmp_path: Path, run: Callable) -> None:
    path = tokens(tmp_path, "alpha:one\n")

    async def body() -> None:
        async with running(tmp_path, auth_token_file=path) as control:
            control.app.catch_signals()
            tokens(tmp_path, "alpha:one\nbeta:two\n")
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: control.app.state.tokens is not None and len(control.app.state.tokens) == 2)

    run(body())
