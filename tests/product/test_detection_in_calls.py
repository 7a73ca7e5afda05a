"""Speech, keys in the audio and fax tones of real calls."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from product import Phone, Product, call, wait_for

from roomtone.client import Client, connect
from roomtone.engine.neural import loader
from roomtone.ext.codec import codec as codecs

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from sounds import CODES, key, rest, sine, spoken

pytestmark = [pytest.mark.process, pytest.mark.real_time]

# a relay and a mix; with the neural model where there is a wheel of it (pyproject.toml)
ROUTES = [(1, "energy"), (2, "energy"), *([(1, "neural")] if loader() is not None else [])]
RATE_HZ = 8000
FRAME = 160


class Talker(Phone):
    """A phone that says what it is given, and silence between."""

    def __init__(self, *, events: bool = True) -> None:
        super().__init__()
        self.events = events
        self.saying: deque[bytes] = deque()

    def offer(self, direction: str = "sendrecv") -> str:
        sdp = super().offer(direction)
        if self.events:
            return sdp
        return sdp.replace(" 101\r\na=rtpmap:101 telephone-event/8000", "")

    def say(self, *parts: np.ndarray) -> None:
        pcm = np.concatenate(parts)
        pcm = np.concatenate((pcm, np.zeros(-len(pcm) % FRAME, np.int16)))
        out = np.zeros(len(pcm), np.uint8)
        codecs.encode(codecs.PCMU, pcm, out)
        self.saying.extend(out[i : i + FRAME].tobytes() for i in range(0, len(out), FRAME))

    def packet(self) -> bytes:
        if self.saying:
            return super().packet()[:12] + self.saying.popleft()
        return super().packet()


@pytest.fixture
def talker() -> Iterator[Callable[..., Talker]]:
    made: list[Talker] = []

    def make(**options: Any) -> Talker:
        made.append(Talker(**options))
        return made[-1]

    yield make
    for one in made:
        one.hang_up()


async def told(client: Client, count: int, prefix: tuple[str, ...], limit_s: float = 20.0) -> list[Any]:
    """The next so many events with one of these names' beginnings."""
    out: list[Any] = []
    async with asyncio.timeout(limit_s):
        async for event in client.events():
            if event.name.startswith(prefix):
                out.append(event)
            if len(out) == count:
                break
    return out


@pytest.mark.parametrize(("others", "model"), ROUTES)
def test_a_caller_who_speaks_twice_is_told_of_with_the_silence_between(
    serve: Callable[..., Product], talker: Callable[..., Talker], others: int, model: str
) -> None:
    product = serve(workers=1)
    phones = [talker() for _ in range(1 + others)]
    sentence = spoken("My telephone is broken")

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await client.call("session.create")
            caller, *_ = await call(client, phones)
            await client.call("vad.start", endpoint_id=caller, silence_interval_ms=1000, model=model)
            assert (await client.call("session.info"))["vad_active"] == [caller]
            phones[0].say(rest(500), sentence, rest(1500), sentence)
            first, silence, again, more = await told(client, 4, ("vad.",))
            assert [first.name, silence.name, again.name, more.name] == [
                "vad.speech_started", "vad.silence", "vad.speech_started", "vad.silence",
            ]  # fmt: skip
            assert silence.data == {"endpoint_id": caller, "silence_duration_ms": 1320}
            await client.call("vad.stop", endpoint_id=caller)
            phones[0].say(sentence)
            await client.call("fax_detect.start", endpoint_id=caller)
            phones[0].say(sine(2100, 2600))
            (tone,) = await told(client, 1, ("vad.", "fax."))
            assert tone.name == "fax.ced_detected"

    asyncio.run(scenario())


def test_keys_in_the_audio_of_a_relayed_call_are_told_once_each(
    serve: Callable[..., Product], talker: Callable[..., Talker]
) -> None:
    product = serve(workers=1)
    phones = [talker(events=False), talker(events=True)]

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await client.call("session.create")
            caller, _ = await call(client, phones)
            for one in phones:  # the second has telephone-events: its tones are no keys
                one.say(rest(400), *(part for digit in CODES for part in (key(digit, 80), rest(80))))
            await asyncio.to_thread(wait_for, lambda: not any(one.saying for one in phones))
            phones[0].say(rest(100), key("5", 100), rest(200), key("#", 100), rest(200))
            events = await told(client, 18, ("dtmf",))
            assert [event.data["digit"] for event in events] == [*CODES, "5", "#"]
            assert {event.data["endpoint_id"] for event in events} == {caller}
            assert {event.data["source"] for event in events} == {"inband"}

    asyncio.run(scenario())
    assert product.total("roomtone_worker_relayed_packets_total") > 0
    assert product.total("roomtone_worker_mixed_packets_total") == 0


def test_what_is_watched_outlives_control(
    serve: Callable[..., Product], talker: Callable[..., Talker]
) -> None:
    product = serve(workers=1)
    phone = talker()
    sentence = spoken("Is anybody still there?")

    async def scenario() -> None:
        async with await connect(product.url) as client:
            session = (await client.call("session.create"))["session_id"]
            (caller,) = await call(client, [phone])
            await client.call("vad.start", endpoint_id=caller, silence_interval_ms=500)
            await client.call("fax_detect.start", endpoint_id=caller)
            await client.call("endpoint.dtmf.set_sensitive", endpoint_id=caller, enabled=True)
            old = product.kill("roomtone: control")
        await asyncio.to_thread(product.wait_for_another, "roomtone: control", old)
        async with await connect(product.url) as client:
            await client.call("session.attach", session_id=session)
            info = await client.call("session.info")
            assert (info["vad_active"], info["fax_detect_active"]) == ([caller], [caller])
            phone.say(rest(200), sentence)
            started, silence = await told(client, 2, ("vad.",))
            assert (started.name, silence.data["silence_duration_ms"]) == ("vad.speech_started", 820)

    asyncio.run(scenario())
