"""A bot that says what it hears, a second later.

    python examples/bot_echo.py OFFER.sdp [ws://127.0.0.1:9100/]

OFFER.sdp is the offer of a telephone; the answer to it is printed, and the bot talks to whoever calls there
until it is interrupted.
"""

import asyncio
import sys
from collections import deque
from pathlib import Path

from roomtone.client import Audio, connect

RATE_HZ = 16_000
FRAME_BYTES = RATE_HZ // 50 * 2  # 20 ms of 16-bit samples
DELAY_FRAMES = 50


async def echo(audio: Audio) -> None:
    """Frames come every 20 ms, so a line of so many of them is so long."""
    line = deque([bytes(FRAME_BYTES)] * DELAY_FRAMES)
    async for heard in audio:
        if isinstance(heard, bytes):
            line.append(heard)
            await audio.send(line.popleft())


async def main(offer: str, url: str) -> None:
    async with connect(url) as client:
        await client.session_create()
        caller = await client.endpoint_create_from_offer(offer)
        bot = await client.endpoint_create_websocket(sample_rate=RATE_HZ)
        async with client.audio(bot.connect_token) as audio:
            print(caller.sdp_answer, flush=True)
            await echo(audio)


if __name__ == "__main__":
    url = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:9100/"
    asyncio.run(main(Path(sys.argv[1]).read_text(), url))
