"""A bot that asks, listens, and answers when the caller has finished speaking.

    python examples/bot_answer.py OFFER.sdp [ws://127.0.0.1:9100/]

OFFER.sdp is the offer of a telephone; the answer to it is printed.  The bot's words are tones: a real one
would have them made by a speech synthesis, and give what it hears to a recogniser.  A caller who speaks while
the bot does interrupts it.
"""

import asyncio
import math
import struct
import sys
from pathlib import Path

from roomtone.client import Audio, api, connect

RATE_HZ = 16_000
QUESTION_HZ, ANSWER_HZ = 440, 880
SECONDS = 1.5
SILENCE_MS = 500  # the caller has finished


def words(frequency_hz: float) -> bytes:
    """Raw audio as the server wants it: 16-bit little-endian samples, mono."""
    step = 2 * math.pi * frequency_hz / RATE_HZ
    samples = [round(8000 * math.sin(step * n)) for n in range(int(RATE_HZ * SECONDS))]
    return struct.pack(f"<{len(samples)}h", *samples)


async def hear(audio: Audio, said: asyncio.Event) -> None:
    """Take what the caller says, and notice when the bot's words have been heard."""
    async for heard in audio:
        if not isinstance(heard, bytes):  # a mark, or a flush that is done
            said.set()


async def main(offer: str, url: str) -> None:
    async with connect(url) as client:
        await client.session_create()
        caller = await client.endpoint_create_from_offer(offer)
        bot = await client.endpoint_create_websocket(sample_rate=RATE_HZ)
        async with client.audio(bot.connect_token) as audio:
            said = asyncio.Event()
            hearing = asyncio.create_task(hear(audio, said))
            await client.vad_start(caller.endpoint_id, silence_interval_ms=SILENCE_MS)
            print(caller.sdp_answer, flush=True)

            await audio.send(words(QUESTION_HZ))
            await client.wait_for(api.SpeechStarted)
            await audio.flush()  # who is interrupted falls silent
            await client.wait_for(api.Silence)

            said.clear()
            await audio.send(words(ANSWER_HZ))
            await audio.mark("answered")
            await said.wait()
            hearing.cancel()
        await client.session_destroy()


if __name__ == "__main__":
    url = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:9100/"
    asyncio.run(main(Path(sys.argv[1]).read_text(), url))
