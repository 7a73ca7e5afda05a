"""A call over HTTP: heard, listened to, recorded, and told of by webhooks."""

from __future__ import annotations

import asyncio
import io
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from demo_parts.receiver import Receiver
from file_server import FileServer, whole
from keypad import Keypad
from product import Product, wait_for
from rest import AT_ONCE, Api
from test_files_heard import LOOPBACK, share_of_tone, tone

pytestmark = [pytest.mark.process, pytest.mark.real_time]

LOCAL = {
    "webhooks.allow_http": True,
    "webhooks.allow_localhost": True,
    "file_download_networks": LOOPBACK,
    **AT_ONCE,
}


@pytest.fixture
def web() -> Iterator[FileServer]:
    with FileServer() as server:
        server.routes["/prompt.wav"] = whole(tone(30))
        server.routes["/short.wav"] = whole(tone(1))
        yield server


@pytest.fixture
def caller() -> Iterator[Keypad]:
    phone = Keypad()
    yield phone
    phone.hang_up()


class Application:
    """An app: commands over HTTP, and what it is told."""

    def __init__(self, api: Api, receiver: Receiver) -> None:
        self.api = api
        self.receiver = receiver
        self.call = ""

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = await asyncio.to_thread(self.api, method, path, body)
        assert reply.status in (200, 201, 202), reply
        return reply.body

    async def takes(self, phone: Keypad) -> None:
        """A call that comes in, answered."""
        made = await self.ask("POST", "/sessions", {"sdp": phone.offer(), "caller_id": "+15551234567"})
        self.call = made["session_uuid"]
        phone.answered(made["sdp_answer"])
        phone.call()
        await self.command("answer")

    async def command(self, name: str, **body: Any) -> None:
        await self.ask("POST", f"/sessions/{self.call}/commands/{name}", body)

    async def told(self, name: str, **keys: Any) -> dict[str, Any]:
        return await self.receiver.wait_for(name, session_uuid=self.call, **keys)

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.receiver.events if event.get("session_uuid") == self.call]


def run(product: Product, scenario: Callable[[Application], Any]) -> None:
    async def whole() -> None:
        async with Receiver() as receiver:
            api = await asyncio.to_thread(product.api, webhook_url=receiver.url())
            receiver.secrets["/"] = [api.secret]
            await scenario(Application(api, receiver))
            assert not receiver.refused

    asyncio.run(whole())


async def heard(phone: Keypad, packets: int = 60) -> float:
    """The share of the prompt's tone in what comes next."""
    mark = len(phone.heard)
    await asyncio.to_thread(wait_for, lambda: len(phone.heard) > mark + packets, what="audio")
    return share_of_tone(phone.heard[mark + 10 : mark + packets])


def test_a_caller_hears_a_prompt_presses_keys_is_recorded_and_hung_up(
    serve: Callable[..., Product], caller: Keypad, web: FileServer, tmp_path: Path
) -> None:
    product = serve(workers=2, recording_dir=str(tmp_path), **LOCAL)

    async def scenario(app: Application) -> None:
        await app.takes(caller)
        await app.command("record/start")
        await app.command("play_and_get_digits", urls=[web.url("/prompt.wav")], max_digits=4, pattern="12.+")
        assert (await app.told("command.result", command="play_and_get_digits"))["success"]
        assert await heard(caller) > 0.9
        caller.press(1, 2, 3, 11)  # 11: the key #
        collected = await app.told("digits.collected")
        assert (collected["digits"], collected["terminator"], collected["status"]) == ("123", "#", "success")
        assert [key["digit"] for key in app.receiver.named("dtmf")] == ["1", "2", "3", "#"]
        await app.command("playback/start", urls=[web.url("/short.wav"), web.url("/short.wav")])
        stopped = await app.told("playback.stopped")
        assert (stopped["cause"], stopped["urls"]) == ("finished", [web.url("/short.wav")] * 2)
        assert 1900 <= stopped["duration_ms"] <= 2200
        await app.command("record/stop")
        recording = await app.told("recording.completed")
        await app.command("hangup", cause="NORMAL_CLEARING")
        hangup = await app.told("call.hangup")
        assert (hangup["hangup_cause"], hangup["cause"]) == ("completed", "api_hangup")
        assert app.names[0] == "call.new" and app.names[-1] == "call.hangup"
        assert [event["sequence"] for event in app.receiver.events] == [*range(1, len(app.names) + 1)]
        url = f"http://127.0.0.1:{product.port}{recording['recording_url']}"
        with await asyncio.to_thread(urllib.request.urlopen, url) as reply:
            sound, rate = soundfile.read(io.BytesIO(reply.read()))
        assert abs(len(sound) / rate - recording["duration"]) < 0.1
        spectrum = np.abs(np.fft.rfft(sound)) ** 2
        assert abs(np.argmax(spectrum) * rate / len(sound) - 1000) < 5

    run(product, scenario)


def test_a_paused_playback_is_silent_and_goes_on(
    serve: Callable[..., Product], caller: Keypad, web: FileServer
) -> None:
    product = serve(workers=1, **LOCAL)

    async def scenario(app: Application) -> None:
        await app.takes(caller)
        await app.command("playback/start", urls=[web.url("/prompt.wav")], offset_sec=2)
        await app.told("playback.started")
        assert await heard(caller) > 0.9
        await app.command("playback/pause")
        await app.told("command.result", command="playback/pause")
        await app.command("playback/silence", duration_ms=0)
        assert (await app.told("playback.stopped"))["cause"] == "replaced"
        assert await heard(caller) < 0.1
        await app.command("playback/stop")
        await app.command("hangup")
        await app.told("call.hangup")

    run(product, scenario)


def test_a_file_that_is_not_there_is_told_of(
    serve: Callable[..., Product], caller: Keypad, web: FileServer
) -> None:
    product = serve(workers=1, **LOCAL)

    async def scenario(app: Application) -> None:
        await app.takes(caller)
        await app.command("playback/start", urls=[web.url("/missing.wav")])
        assert (await app.told("playback.file_not_found"))["urls"] == [web.url("/missing.wav")]
        result = await app.told("command.result", command="playback/start")
        assert (result["success"], result["error"]) == (False, "file_not_found")

    run(product, scenario)


def test_a_call_goes_on_while_control_is_replaced(
    serve: Callable[..., Product], caller: Keypad, web: FileServer
) -> None:
    product = serve(workers=1, **LOCAL)

    async def scenario(app: Application) -> None:
        await app.takes(caller)
        await app.command("playback/start", urls=[web.url("/prompt.wav")])
        await app.told("playback.started")
        old = await asyncio.to_thread(product.kill, "roomtone: control")
        await asyncio.to_thread(product.wait_for_another, "roomtone: control", old)
        shown = await app.ask("GET", f"/sessions/{app.call}")
        assert (shown["state"], shown["caller_id"]) == ("answered", "+15551234567")
        assert shown["playback_status"] == "playing"
        assert await heard(caller) > 0.9
        await app.command("playback/stop")
        stopped = await app.told("playback.stopped")
        assert stopped["cause"] == "stopped" and 1000 < stopped["offset_ms"] < 30_000
        await app.command("hangup")
        await app.told("call.hangup")
        assert app.names.count("call.hangup") == app.names.count("call.new") == 1

    run(product, scenario)
