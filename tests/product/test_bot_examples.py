"""The bots among the examples, called by a telephone."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from demo_parts.machine import Machine
from demo_parts.speech import spoken
from product import Product
from telephone import ULAW, WIDE, Codec, Telephone

pytestmark = [pytest.mark.process, pytest.mark.real_time]
EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT_S = 60.0
RATE = WIDE.rate


@asynccontextmanager
async def called(
    product: Product, script: str, tmp_path: Path, codec: Codec = WIDE
) -> AsyncIterator[tuple[Telephone, Process]]:
    """A telephone in a call with the bot."""
    telephone = Telephone(codec)
    (tmp_path / "offer.sdp").write_text(await telephone.offer(), newline="")
    bot = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / script), str(tmp_path / "offer.sdp"), product.url, stdout=PIPE
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            assert bot.stdout is not None
            telephone.answered((await bot.stdout.readuntil(b"cname")).decode())
            yield telephone, bot
    finally:
        telephone.hang_up()
        if bot.returncode is None:
            bot.kill()
        await bot.wait()


def speech(seconds: float) -> np.ndarray:
    """Noise: nothing is like it but itself."""
    return np.random.default_rng(5).normal(0, 3000, int(RATE * seconds)).astype(np.int16)


def found(said: np.ndarray, heard: np.ndarray) -> tuple[int, float]:
    """Where it is heard, and how loud: (sample, factor)."""
    size = len(said) + len(heard)
    spectrum = np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(said.astype(float), size))
    agreement = np.fft.irfft(spectrum, size)[: len(heard)]
    at = int(np.argmax(agreement))
    return at, float(agreement[at] / np.sum(np.square(said.astype(float))))


def test_the_echo_comes_back_a_second_later_as_loud_as_it_was(
    serve: Callable[..., Product], machine: Machine, tmp_path: Path
) -> None:
    product = serve(workers=1)

    async def body() -> None:
        async with called(product, "bot_echo.py", tmp_path) as (telephone, _):
            await telephone.until_heard(0.2)
            said, begun = speech(1.0), len(telephone.heard())
            telephone.say(said)
            await telephone.until_heard(begun / RATE + 3)
            at, factor = found(said, telephone.heard()[begun:])
            away_ms = 1000 * machine.away_s()
            assert factor == pytest.approx(1, abs=0.05 + away_ms / 1000)
            assert 980 <= at * 1000 / RATE <= 1250 + away_ms

    asyncio.run(body())


def sounds(pcm: np.ndarray, hz: float) -> np.ndarray:
    """In which frames of 20 ms of a narrow line that tone is the sound."""
    frames = pcm[: len(pcm) // ULAW.frame * ULAW.frame].reshape(-1, ULAW.frame).astype(float)
    at = 2j * np.pi * hz * np.arange(ULAW.frame) / ULAW.rate
    tone = np.square(np.abs(frames @ np.exp(-at)) * 2 / ULAW.frame) / 2
    return (tone > 1000**2) & (tone > np.mean(np.square(frames), axis=1) / 2)


def test_the_bot_is_interrupted_and_answers_when_the_caller_has_finished(
    serve: Callable[..., Product], machine: Machine, tmp_path: Path
) -> None:
    product = serve(workers=1)

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.02)

    async def body() -> None:
        sentence = spoken("I would like to know when the next train leaves", "en", 40)
        async with called(product, "bot_answer.py", tmp_path, ULAW) as (telephone, bot):
            await until(lambda: sounds(telephone.heard(), 440).sum() >= 15)
            telephone.say(sentence)
            await until(lambda: not telephone.talking)
            line = telephone.heard()
            assert not sounds(line, 880).any(), "the bot lets the caller finish"
            assert sounds(line, 440).sum() < 75, "and was cut short, of 75 frames"
            assert await bot.wait() == 0
            rest = telephone.heard()[len(line) :]
            assert not sounds(rest, 440).any()
            away_ms = 1000 * machine.away_s()
            assert 1440 - away_ms <= sounds(rest, 880).sum() * 20 <= 1520

    asyncio.run(body())
