"""A worker process plays a file over a real socket, in real time."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loopback import HERE, port_range
from test_processes import PATIENCE_MS, Product

from roomtone.engine import messages as m
from roomtone.engine.codecs import Codec
from roomtone.engine.process_messages import WorkerSpawned
from roomtone.engine.side_threads import NICE

pytestmark = [pytest.mark.process, pytest.mark.real_time]

RATE = 16_000
L16_TYPE = 97
WIDE = m.Media(
    receive=[m.PayloadType(L16_TYPE, Codec.L16_16K)], send_payload_type=L16_TYPE, send_codec=Codec.L16_16K
)


@pytest.fixture
def running() -> Iterator[Product]:
    made = Product(1, port_range(8))
    assert made.told() == "up"
    assert isinstance(made.told(), WorkerSpawned)
    yield made
    made.close()


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(PATIENCE_MS / 1000)
        yield made


def listen(running: Product, port: int) -> None:
    remote = m.Remote(ip="127.0.0.1", port=port, rtcp_port=port + 1)
    created = running.do(
        0,
        1,
        m.CreateRtp(
            session="s", endpoint="e", phase=0, media_ip=HERE, rtcp_mux=True, is_source=False,
            is_destination=True, send_at_once=True, media=WIDE, remote=remote,
        ),
    )  # fmt: skip
    assert isinstance(created, m.RtpCreated)


def hear(ear: socket.socket, frames: int) -> np.ndarray:
    """So many packets of audio, in sequence."""
    heard: list[bytes] = []
    last = None
    while len(heard) < frames:
        data = ear.recv(2048)
        if data[1] & 0x7F != L16_TYPE:
            continue  # RTCP
        (seq,) = struct.unpack_from("!H", data, 2)
        assert last is None or seq == (last + 1) & 0xFFFF
        last = seq
        heard.append(data[12:])
    return np.frombuffer(b"".join(heard), ">i2").astype(np.int16)


def test_a_file_is_heard_over_the_network_and_decoded_beside_everything_else(
    running: Product, ear: socket.socket, tmp_path: Path
) -> None:
    pcm = np.random.default_rng(5).integers(-9000, 9000, RATE).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, RATE)
    up = running.event(m.WorkerUp, 0, 1)
    listen(running, ear.getsockname()[1])
    created = running.do(
        0,
        1,
        m.CreateFile(session="s", endpoint="f", phase=0, path=str(tmp_path / "a.wav"), key="a", loop_count=1),
    )
    assert created == m.FileCreated(duration_ms=1000)
    heard = hear(ear, 105)
    assert np.array_equal(heard[: 2 * RATE], np.tile(pcm, 2)) and not heard[2 * RATE :].any()
    started = running.event(m.FileStarted, 0, 1)
    finished = running.event(m.FileFinished, 0, 1)
    assert (started.endpoint, finished.endpoint, finished.reason) == ("f", "f", "completed")
    assert running.do(0, 1, m.GetMetrics()).counters["file_underruns"] == 0
    threads = [int(task) for task in os.listdir(f"/proc/{up.pid}/task")]
    assert NICE in {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
    assert running.do(0, 1, m.RemoveEndpoint("f")) == m.Done()
