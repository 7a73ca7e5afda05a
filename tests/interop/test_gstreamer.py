"""GStreamer's RTP elements as telephones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from demo_parts.machine import Machine
from demo_parts.server import Server
from peers import (
    FRAME_MS,
    L16,
    PCMA,
    PCMU,
    SINE_DBOV,
    Format,
    answered_port,
    enough,
    finished,
    gst_receiver,
    gst_sender,
    heard_by_engine,
    offer,
    port_pair,
    program,
    recorded,
    session,
)

from roomtone.client import Client

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

PACKETS = 100  # 2 s
LEVEL_TOLERANCE_DB = 0.5


async def speaker(client: Client, form: Format, tone_hz: int) -> list[str]:
    port = port_pair()
    made = await client.call("endpoint.create_from_offer", sdp=offer(form, port, "sendonly"))
    return gst_sender(form, tone_hz, port, answered_port(made["sdp_answer"]))


async def listener(client: Client, form: Format, folder: Path) -> tuple[list[str], Path]:
    port = port_pair()
    await client.call("endpoint.create_from_offer", sdp=offer(form, port, "recvonly"))
    wav = folder / f"{port}.wav"
    return gst_receiver(form, port, PACKETS, wav), wav


@pytest.mark.parametrize(
    ("spoken", "heard"),
    [
        pytest.param(PCMU, PCMU, id="pcmu-relayed"),
        pytest.param(PCMA, PCMU, id="pcma-to-pcmu"),
        pytest.param(L16, PCMA, id="l16-at-16-khz-to-pcma"),
        pytest.param(PCMU, L16, id="pcmu-to-l16-at-16-khz"),
    ],
)
def test_gstreamer_is_heard_by_gstreamer_at_the_same_level(
    server: Server, run: Callable, tmp_path: Path, machine: Machine, spoken: Format, heard: Format
) -> None:
    async def body() -> None:
        async with session(server) as client:
            say = await speaker(client, spoken, 700)
            listen, wav = await listener(client, heard, tmp_path)
            async with program(*listen) as recording, program(*say):
                await finished(recording)
        tone = recorded(wav, 700)
        assert tone.level_dbov == pytest.approx(SINE_DBOV, abs=LEVEL_TOLERANCE_DB)
        assert tone.present >= enough(machine, PACKETS * FRAME_MS / 1000)

    run(body())


def test_three_gstreamers_in_a_conference_are_heard_by_a_fourth(
    server: Server, run: Callable, tmp_path: Path, machine: Machine
) -> None:
    async def body() -> None:
        async with session(server) as client:
            a = await speaker(client, PCMU, 400)
            b = await speaker(client, PCMA, 1100)
            c = await speaker(client, L16, 1700)
            listen, wav = await listener(client, PCMU, tmp_path)
            async with program(*a), program(*b), program(*c):
                await heard_by_engine(client, 3)
                async with program(*listen) as recording:
                    await finished(recording)
        for tone_hz in (400, 1100, 1700):
            tone = recorded(wav, tone_hz)
            assert tone.level_dbov == pytest.approx(SINE_DBOV, abs=LEVEL_TOLERANCE_DB)
            assert tone.present >= enough(machine, PACKETS * FRAME_MS / 1000)

    run(body())
