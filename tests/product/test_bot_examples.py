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
from product import Product
from telephone import WIDE, Telephone

pytestmark = pytest.mark.process
EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT_S = 60.0
RATE = WIDE.rate


@asynccontextmanager
async def called(product: Product, script: str, tmp_path: Path) -> AsyncIterator[tuple[Telephone, Process]]:
    """A telephone in a call with the bot."""
    telephone = Telephone(WIDE)
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
    serve: Callable[..., Product], tmp_path: Path
) -> None:
    product = serve(workers=1)

    async def body() -> None:
        machine = Machine()
        async with called(product, "bot_echo.py", tmp_path) as (telephone, _):
            await telephone.until_heard(0.2)
            said, begun = speech(1.0), len(telephone.heard())
            telephone.say(said)
            await telephone.until_heard(begun / RATE + 3)
            at, factor = found(said, telephone.heard()[begun:])
            away_ms = 1000 * machine.away_s(product.process.pid)
            assert factor == pytest.approx(1, abs=0.05 + away_ms / 1000)
            assert 980 <= at * 1000 / RATE <= 1250 + away_ms

    asyncio.run(body())
