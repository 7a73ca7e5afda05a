"""ffmpeg speaks, another ffmpeg listens by an SDP made of our answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from demo_parts.machine import Machine
from demo_parts.server import Server
from peers import (
    HOST,
    L16,
    L16_8K,
    PCMA,
    PCMU,
    SINE_DBOV,
    Format,
    answered_port,
    as_receiver,
    enough,
    ffmpeg_receiver,
    ffmpeg_sender,
    finished,
    heard_by_engine,
    offer,
    port_pair,
    program,
    recorded,
    session,
)

from roomtone.client import Client

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

SECONDS = 2.0
LEVEL_TOLERANCE_DB = 0.5
RELAY_TONE_HZ = 1000


async def own_words(form: Format, port: int) -> str:
    """The SDP ffmpeg writes for itself, as our offer."""
    command = ffmpeg_sender(form, RELAY_TONE_HZ, 160, f"rtp://{HOST}:{port}")
    at = command.index("-f", command.index("-c:a"))
    async with program(*command[:at], "-t", "0.02", "-sdp_file", "/dev/stdout", *command[at:]) as ffmpeg:
        text = await finished(ffmpeg)
    return text.partition("SDP:\n")[2] or text


async def speaker(client: Client, form: Format, tone_hz: int, frame_samples: int) -> list[str]:
    """An endpoint for an ffmpeg that speaks; returns the command that does."""
    port = port_pair()
    made = await client.call(
        "endpoint.create_from_offer", sdp=await own_words(form, port), direction="sendonly"
    )
    to = answered_port(made["sdp_answer"])
    destination = f"rtp://{HOST}:{to}?localrtpport={port}&localrtcpport={port + 1}"
    return ffmpeg_sender(form, tone_hz, frame_samples, destination)


async def listener(client: Client, form: Format, folder: Path) -> tuple[list[str], Path]:
    """An endpoint for an ffmpeg that listens; returns the command that does, and what it writes."""
    port = port_pair()
    made = await client.call("endpoint.create_from_offer", sdp=offer(form, port, "recvonly"))
    sdp, wav = folder / f"{port}.sdp", folder / f"{port}.wav"
    sdp.write_text(as_receiver(made["sdp_answer"], port))
    return ffmpeg_receiver(sdp, wav, SECONDS), wav


@pytest.mark.parametrize(
    ("spoken", "heard", "frame_ms"),
    [
        pytest.param(PCMU, PCMU, 20, id="pcmu-relayed"),
        pytest.param(L16, L16, 20, id="l16-relayed"),
        pytest.param(PCMA, PCMU, 20, id="pcma-to-pcmu"),
        pytest.param(PCMU, L16, 20, id="pcmu-to-l16-at-16-khz"),
        pytest.param(L16, PCMA, 20, id="l16-at-16-khz-to-pcma"),
        pytest.param(L16_8K, PCMU, 20, id="l16-at-8-khz-to-pcmu"),
        pytest.param(PCMU, PCMU, 40, id="packets-of-40-ms-to-20-ms"),
    ],
)
def test_what_one_ffmpeg_says_another_hears_at_the_same_level(
    server: Server,
    run: Callable,
    tmp_path: Path,
    machine: Machine,
    spoken: Format,
    heard: Format,
    frame_ms: int,
) -> None:
    async def body() -> None:
        async with session(server) as client:
            say = await speaker(client, spoken, RELAY_TONE_HZ, spoken.rate_hz * frame_ms // 1000)
            listen, wav = await listener(client, heard, tmp_path)
            async with program(*listen) as recording, program(*say):
                await finished(recording)
        tone = recorded(wav, RELAY_TONE_HZ)
        assert (
            SECONDS - 0.1 - machine.away_s() <= tone.seconds <= SECONDS + 0.1
        )  # what ffmpeg got, without gaps
        assert tone.level_dbov == pytest.approx(SINE_DBOV, abs=LEVEL_TOLERANCE_DB)
        assert tone.present >= enough(machine, SECONDS)

    run(body())


def test_two_ffmpegs_in_different_codecs_are_mixed_for_a_third(
    server: Server, run: Callable, tmp_path: Path, machine: Machine
) -> None:
    async def body() -> None:
        async with session(server) as client:
            low = await speaker(client, PCMA, 400, 160)
            high = await speaker(client, L16, 1500, 320)
            listen, wav = await listener(client, PCMU, tmp_path)
            async with program(*low), program(*high):
                await heard_by_engine(client, 2)
                async with program(*listen) as recording:
                    await finished(recording)
        for tone_hz in (400, 1500):
            tone = recorded(wav, tone_hz)
            assert tone.level_dbov == pytest.approx(SINE_DBOV, abs=LEVEL_TOLERANCE_DB)
            assert tone.present >= enough(machine, SECONDS)
        assert recorded(wav, 1000).level_dbov < SINE_DBOV - 30  # nothing that nobody said

    run(body())
