"""The same over IPv6, and between the families."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from demo_parts.caller import Caller, Script, every_frame
from demo_parts.hearing import Utterance, find
from demo_parts.machine import Machine
from demo_parts.server import Server
from demo_parts.sound import FRAME_SAMPLES, FRAMES_A_SECOND
from peers import loopbacks, session

from roomtone.client import RoomtoneError

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

SECONDS = 2
FRAMES = SECONDS * FRAMES_A_SECOND
NOISE_AMPLITUDE = 3000
SIX = loopbacks()[-1]  # ::1; on a machine without IPv6 the same is done over what it has
SETTLED = FRAMES_A_SECOND // 2 * FRAME_SAMPLES  # both are known and heard by then


def noisy(name: str, host: str, seed: int) -> Caller:
    """Noise of its own: nothing else agrees with it."""
    noise = np.random.default_rng(seed).normal(0, NOISE_AMPLITUDE, FRAMES * FRAME_SAMPLES)
    return Caller(name, "PCMU", Script(noise.astype(np.int16)), seed, host)


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param((SIX, SIX), id="relayed"),
        pytest.param((SIX, "127.0.0.1"), id="relayed-between-families"),
        pytest.param((SIX, "127.0.0.1", SIX), id="mixed-between-families"),
    ],
)
def test_callers_hear_each_other_over_ipv6(
    server: Server, run: Callable, hosts: tuple[str, ...], machine: Machine
) -> None:
    async def body() -> None:
        callers = [noisy(f"caller{i}", host, i) for i, host in enumerate(hosts)]
        async with session(server) as client:
            for caller in callers:
                await caller.open()
                made = await client.call("endpoint.create_from_offer", sdp=caller.offer_sdp())
                assert ("IN IP6 ::1" in made["sdp_answer"]) == (caller.host == "::1")
                caller.connect(made["sdp_answer"])
            info = await client.call("session.info")
            for caller, endpoint in zip(callers, info["endpoints"], strict=True):
                shown = f"[{caller.host}]:" if ":" in caller.host else f"{caller.host}:"
                assert endpoint["local_rtp_addr"].startswith(shown)
                assert endpoint["remote_rtp_addr"].startswith(shown)
            begun_s = asyncio.get_running_loop().time()
            for caller in callers:
                caller.begin(begun_s)
            await every_frame(FRAMES, callers, begun_s)
        for listener in callers:
            for speaker in callers:
                said = Utterance(speaker.name, SETTLED, speaker.script.track[SETTLED:])
                share = find(said, listener.heard()).share
                if speaker is listener:
                    assert abs(share) < 0.2
                else:
                    assert share > 0.85 - machine.away_s() / SECONDS
            listener.close()

    run(body())


def test_an_offer_of_a_family_without_media_address_is_refused(run: Callable) -> None:
    async def body() -> None:
        with Server(workers=1) as server:
            async with session(server) as client:
                offer = noisy("six", "::1", 1).offer_sdp()
                with pytest.raises(RoomtoneError) as refused:
                    await client.call("endpoint.create_from_offer", sdp=offer)
                assert refused.value.code == "ENDPOINT_ERROR"

    run(body())
