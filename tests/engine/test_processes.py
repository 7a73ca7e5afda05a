"""The supervisor with real workers, as an operator sees them die and return."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import zmq
from loopback import HERE, port_range
from stand_in_control import TOLD_ENDPOINT

from roomtone.control.core.config import Config
from roomtone.engine import messages as m
from roomtone.engine import process_messages as pm
from roomtone.engine.codecs import Codec
from roomtone.engine.inspect import collect, run_inspect, table
from roomtone.ext.event.stats_record import stats_event

pytestmark = pytest.mark.process

TOOLS = Path(__file__).parents[1] / "tools"
PATIENCE_MS = 30_000
MEDIA = m.Media(receive=[m.PayloadType(0, Codec.PCMU)], send_payload_type=0, send_codec=Codec.PCMU)


class Product:
    """A running supervisor; this test is its control's ZeroMQ side."""

    def __init__(self, workers: int, ports: tuple[int, int], **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rt")
        self.runtime_dir = Path(self._folder.name)
        self._context = zmq.Context()
        self.router = self._socket(zmq.ROUTER, pm.COMMANDS_ENDPOINT)
        self.router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.pull = self._socket(zmq.PULL, pm.EVENTS_ENDPOINT)
        self.told_pull = self._socket(zmq.PULL, TOLD_ENDPOINT)
        config = Config(
            workers=workers, runtime_dir=self._folder.name, rtp_port_range=ports, worker_endpoints=64
        )
        self.process = subprocess.Popen(
            [sys.executable, str(TOOLS / "stand_in_serve.py"), msgspec.json.encode(config).decode()],
            env={**os.environ, **environment},
        )
        self.control_pid = 0
        self.spawned: dict[int, pm.WorkerSpawned] = {}
        self._n = 0

    def _socket(self, kind: int, endpoint: str) -> Any:
        made = self._context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        made.bind(endpoint.format(runtime_dir=self.runtime_dir))
        return made

    def told(self) -> Any:
        """The next thing the supervisor told control."""
        self.control_pid, raw = msgspec.msgpack.decode(self.told_pull.recv())
        if isinstance(raw, str):
            return raw
        message = msgspec.convert(raw, pm.ControlMessage)
        if isinstance(message, pm.WorkerSpawned):
            self.spawned[message.worker] = message
        return message

    def items(self) -> Iterator[tuple[m.Batch, Any]]:
        while True:
            batch = msgspec.msgpack.decode(self.pull.recv(), type=m.Batch)
            for item in batch.items:
                yield batch, item

    def event(self, kind: type, worker: int, epoch: int) -> Any:
        for batch, item in self.items():
            if isinstance(item, kind) and (batch.worker, batch.epoch) == (worker, epoch):
                return item
        raise AssertionError

    def do(self, worker: int, epoch: int, body: m.CommandBody) -> Any:
        self._n += 1
        deadline_us = time.monotonic_ns() // 1000 + PATIENCE_MS * 1000
        data = msgspec.msgpack.encode(m.Command(n=self._n, deadline_us=deadline_us, body=body))
        identity = pm.worker_identity(worker, epoch)
        while True:
            try:
                self.router.send_multipart((identity, data))
                break
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self.router.poll(5)  # its handshake is under way
        for _, item in self.items():
            if isinstance(item, m.Reply) and item.n == self._n:
                return item.body
        raise AssertionError

    def create(self, worker: int, epoch: int, endpoint: str) -> m.RtpCreated:
        created = self.do(
            worker,
            epoch,
            m.CreateRtp(
                session="s", endpoint=endpoint, phase=0, media_ip=HERE, rtcp_mux=False, is_source=True,
                is_destination=True, media=MEDIA, remote=m.Remote(ip="127.0.0.1", port=9, rtcp_port=10),
            ),
        )  # fmt: skip
        assert isinstance(created, m.RtpCreated)
        return created

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            for pid in [self.control_pid, *(spawned.pid for spawned in self.spawned.values())]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                assert ends(pid), "its ports are the next test's"
        self._context.destroy(linger=0)
        self._folder.cleanup()


@pytest.fixture
def product() -> Iterator[Callable[..., Product]]:
    made: list[Product] = []

    def start(workers: int = 1, **environment: str) -> Product:
        made.append(Product(workers, port_range(32), **environment))
        assert made[-1].told() == "up"
        for _ in range(workers):
            assert isinstance(made[-1].told(), pm.WorkerSpawned)
        return made[-1]

    yield start
    for each in made:
        each.close()


def rtp(seq: int, ssrc: bytes) -> bytes:
    """20 ms of PCMU."""
    return struct.pack("!BBHI4s160x", 0x80, 0, seq, 160 * seq, ssrc)


def is_bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HERE, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def ends(pid: int) -> bool:
    """The process has ended, or does so within our patience."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready = select.select([pidfd], [], [], PATIENCE_MS / 1000)[0]
    os.close(pidfd)
    return bool(ready)


def test_a_killed_worker_returns_and_its_endpoints_and_ports_can_still_be_seen(
    product: Callable[..., Product], capsys: pytest.CaptureFixture[str]
) -> None:
    running = product(workers=2)
    running.event(m.WorkerUp, 0, 1)
    made = [running.create(0, 1, f"e{number}") for number in range(3)]
    old_pid = running.spawned[0].pid
    while not all(each["bound"] for report in collect(running.runtime_dir) for each in report.endpoints):
        pass  # it is told of new sockets at intervals
    running.kill(old_pid)
    assert running.told() == pm.WorkerExited(worker=0, epoch=1, status=-signal.SIGKILL)
    again = running.told()
    assert (again.worker, again.epoch) == (0, 2) and again.pid != old_pid
    assert running.event(m.WorkerUp, 0, 2).pid == again.pid

    reports = {(report.worker, report.epoch): report for report in collect(running.runtime_dir)}
    assert set(reports) == {(0, 1), (0, 2), (1, 1)}
    dead = reports[0, 1]
    assert dead.state == "dead (signal 9)" and dead.pid == old_pid
    assert reports[0, 2].state == "alive" and not reports[0, 2].endpoints
    for created, endpoint in zip(made, dead.endpoints, strict=True):
        assert endpoint["handle"] == created.handle and endpoint["ssrc_tx"] == created.ssrc
        assert endpoint["local"] == f"{HERE}:{created.rtp_port}"
        assert endpoint["bound"] == [created.rtp_port, created.rtcp_port]
        assert is_bound(created.rtp_port) and is_bound(created.rtcp_port)

    assert f"{HERE}:{made[0].rtp_port}" in table(list(reports.values()))
    assert run_inspect(str(running.runtime_dir), as_json=True) == 0
    printed = msgspec.json.decode(capsys.readouterr().out)
    assert [len(report["sockets"]) for report in printed if report["epoch"] == 1] == [6, 0]

    # The new process finds ports of its own although the old ones are still taken.
    assert running.create(0, 2, "new").rtp_port not in [created.rtp_port for created in made]


def test_a_killed_control_returns_and_is_told_the_living_workers(product: Callable[..., Product]) -> None:
    running = product(workers=2)
    running.event(m.WorkerUp, 1, 1)
    before, old_pid = dict(running.spawned), running.control_pid
    running.kill(old_pid)
    assert running.told() == "up" and running.control_pid != old_pid
    assert [running.told(), running.told()] == [before[0], before[1]]
    running.create(1, 1, "e")  # the worker noticed nothing


def test_packets_of_two_endpoints_are_relayed_and_a_removed_port_is_free(
    product: Callable[..., Product],
) -> None:
    running = product()
    udp = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*udp) as a, socket.socket(*udp) as b:
        made = []
        for number, peer in enumerate((a, b)):
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(PATIENCE_MS / 1000)
            made.append(running.create(0, 1, f"e{number}"))
            peer.connect((HERE, made[-1].rtp_port))
        for seq in range(3):
            b.send(rtp(seq, b"ssrc"))
        learned = running.event(m.PeerLearned, 0, 1)
        assert learned.endpoint == "e1" and learned.remote_rtp_addr == f"127.0.0.1:{b.getsockname()[1]}"
        for seq in range(3):
            a.send(rtp(seq, b"SSRC"))
        heard = b.recv(2048)
        assert len(heard) == 172 and heard[8:12] == made[1].ssrc.to_bytes(4, "big")
    stats = running.do(0, 1, m.GetStats("s")).endpoints
    assert [entry.rx_raw_packets for entry in stats] == [3, 3]
    polled = running.do(0, 1, m.PollStats(["s"]))
    shown = {
        entry.endpoint: SimpleNamespace(state="connected", codec="", remote_rtp_addr=None) for entry in stats
    }
    event = msgspec.json.decode(
        stats_event(shown, polled.endpoints[0], polled.records, 0, ("", "PCMU"), True)
    )
    for told, entry in zip(event["data"]["endpoints"], stats, strict=True):
        inbound, outbound = told["inbound"], told["outbound"]
        assert (told["endpoint_id"], told["codec"]) == (entry.endpoint, entry.codec)
        assert (inbound["packets"], inbound["bytes"]) == (entry.rx_packets, entry.rx_bytes)
        assert inbound["jitter_ms"] == pytest.approx(entry.rx_jitter_ms, abs=0.002)
        assert inbound["ssrc"] == entry.ssrc_rx
        assert (outbound["packets"], outbound["ssrc"]) == (entry.tx_packets, entry.ssrc_tx)
        assert told["local_rtp_addr"] == entry.local_rtp_addr
        assert told["remote_rtp_addr"] == entry.remote_rtp_addr
    assert running.do(0, 1, m.RemoveEndpoint("e0")) == m.Done()
    assert running.do(0, 1, m.CloseSession("s")) == m.Done()
    while running.do(0, 1, m.GetMetrics()).gauges["ports_used"]:
        pass  # the supervisor lets go at intervals
    assert not is_bound(made[0].rtp_port) and not is_bound(made[1].rtcp_port)


def test_sigterm_ends_everything_in_order(product: Callable[..., Product]) -> None:
    running = product(workers=2)
    running.event(m.WorkerUp, 0, 1)
    running.process.send_signal(signal.SIGHUP)
    assert running.told() == "SIGHUP"
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_MS / 1000) == 0
    assert all(ends(spawned.pid) for spawned in running.spawned.values())
    assert not (running.runtime_dir / "supervisor.sock").exists()


def test_a_third_signal_ends_everything_at_once(product: Callable[..., Product]) -> None:
    running = product(STAND_IN_DEAF="1")
    for _ in range(2):
        running.process.send_signal(signal.SIGTERM)
        assert running.told() == "SIGTERM"
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_MS / 1000) == 1
    assert ends(running.control_pid) and ends(running.spawned[0].pid)


def test_the_processes_have_names(product: Callable[..., Product]) -> None:
    running = product()
    running.event(m.WorkerUp, 0, 1)
    assert Path(f"/proc/{running.spawned[0].pid}/cmdline").read_bytes().startswith(b"roomtone: worker 0")


def test_a_control_that_cannot_work_with_its_configuration_ends_everything(
    product: Callable[..., Product],
) -> None:
    running = product(STAND_IN_EXIT=str(pm.EXIT_CONFIG))
    assert running.process.wait(PATIENCE_MS / 1000) == pm.EXIT_CONFIG
    assert ends(running.spawned[0].pid)


def test_a_control_that_fails_otherwise_is_started_again(product: Callable[..., Product]) -> None:
    running = product(STAND_IN_EXIT="1")
    first = running.control_pid
    assert running.told() == "up" and running.control_pid != first
    assert running.process.poll() is None
