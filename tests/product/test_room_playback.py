"""A room's playback as its members hear it: without gaps and clicks, held, softened, joined late, broken."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
import soundfile
from demo_parts.receiver import Receiver
from file_server import FileServer, Stalled, Visitor, whole
from product import Product
from rest import AT_ONCE
from telephone import WIDE, Telephone
from test_files_heard import LOOPBACK

pytestmark = [pytest.mark.process, pytest.mark.real_time]

LOCAL = {
    "webhooks.allow_http": True,
    "webhooks.allow_localhost": True,
    "file_download_networks": LOOPBACK,
    **AT_ONCE,
}
RATE = WIDE.rate
AMPLITUDE = 8000
HZ = 500.0
STEP_HZ = 100  # of `staircase`, a second
BLOCK = RATE // 10
QUIET_RMS = 20


def sine(seconds: float) -> np.ndarray:
    place = np.arange(int(seconds * RATE))
    return np.round(AMPLITUDE * np.sin(2 * np.pi * HZ * place / RATE)).astype(np.int16)


def staircase(seconds: int) -> np.ndarray:
    """A tone that is STEP_HZ higher every second: whoever hears it knows where it is."""
    hz = np.repeat(300 + STEP_HZ * np.arange(seconds), RATE)
    return np.round(AMPLITUDE * np.sin(2 * np.pi * np.cumsum(hz) / RATE)).astype(np.int16)


def wav(pcm: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def rms(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


def pitch(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum) * RATE / len(pcm))


def sharpest(pcm: np.ndarray) -> int:
    """The largest second difference: a click is a large one."""
    return int(np.abs(np.diff(pcm.astype(np.int64), 2)).max())


class Room:
    """One room: asked over HTTP, heard by telephones, told of by webhooks."""

    def __init__(self, product: Product, receiver: Receiver, web: FileServer) -> None:
        self.product = product
        self.receiver = receiver
        self.web = web
        self.phones: list[Telephone] = []

    async def open(self) -> None:
        self.api = await asyncio.to_thread(self.product.api, webhook_url=self.receiver.url())
        self.receiver.secrets["/"] = [self.api.secret]
        self.id = (await self.ask("POST", "/conferences", {"name": "stage"}))["room_id"]

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = await asyncio.to_thread(self.api, method, path, body)
        assert reply.status in (200, 201, 202), reply
        return reply.body

    async def join(self) -> Telephone:
        """A member that hears the room."""
        phone = Telephone(WIDE)
        self.phones.append(phone)
        made = await self.ask("POST", "/sessions", {"sdp": await phone.offer(), "caller_id": "+1555"})
        phone.answered(made["sdp_answer"])
        call = f"/sessions/{made['session_uuid']}/commands"
        await self.ask("POST", f"{call}/answer", {})
        await self.ask("POST", f"{call}/conference/join", {"room_id": self.id})
        await self.receiver.wait_for("conference.member.joined", session_uuid=made["session_uuid"])
        return phone

    async def did(self, command: str, **body: Any) -> str:
        return str((await self.ask("POST", f"/conferences/{self.id}/{command}", body))["operation_id"])

    async def play(self, *paths: str, **options: Any) -> str:
        return await self.did("play", urls=[self.web.url(path) for path in paths], **options)

    async def told(self, name: str, operation: str, patience: int = 1) -> dict[str, Any]:
        """patience: how many times as long as usual it may take."""
        for _ in range(patience - 1):
            with suppress(TimeoutError):
                return await self.told(name, operation)
        return await self.receiver.wait_for(f"conference.play.{name}", operation_id=operation)

    @property
    def names(self) -> list[str]:
        told = (event["event"] for event in self.receiver.events)
        return [name.rpartition(".")[2] for name in told if name.startswith("conference.play.")]


@asynccontextmanager
async def room(product: Product, web: FileServer) -> AsyncIterator[Room]:
    async with Receiver() as receiver:
        one = Room(product, receiver, web)
        try:
            await one.open()
            yield one
        finally:
            for phone in one.phones:
                phone.hang_up()


@pytest.fixture
def web() -> Any:
    with FileServer() as server:
        yield server


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


async def latest(phone: Telephone, seconds: float) -> np.ndarray:
    """What it hears from now on, so long."""
    begin = phone.length
    await phone.until_heard(begin / RATE + seconds)
    return phone.heard()[begin : begin + int(seconds * RATE)]


def test_two_urls_are_heard_as_one_and_a_pause_and_the_volume_without_a_click(
    serve: Callable[..., Product], web: FileServer
) -> None:
    pcm = sine(12)
    cut = 3 * RATE + 124  # in the middle of a frame
    web.routes |= {"/a.wav": whole(wav(pcm[:cut])), "/b.wav": whole(wav(pcm[cut:]))}
    product = serve(workers=2, **LOCAL)

    async def scenario() -> None:
        async with room(product, web) as stage:
            phone = await stage.join()
            play = await stage.play("/a.wav", "/b.wav")
            started = await stage.told("started", play)
            assert started["urls"] == [web.url("/a.wav"), web.url("/b.wav")]
            begin = phone.length
            await phone.until_heard(begin / RATE + 4)
            joined = phone.heard()[begin : begin + 4 * RATE]
            calm = sharpest(pcm)
            assert abs(rms(joined) / rms(pcm) - 1) < 0.02
            assert sharpest(joined) < 2 * calm, "a gap or a click"

            begin = phone.length
            await stage.told("paused", await stage.did("pause"))
            held = await latest(phone, 0.5)
            assert rms(held[RATE // 5 :]) < QUIET_RMS
            await stage.told("resumed", await stage.did("pause"))
            await latest(phone, 0.5)
            whole_of_it = phone.heard()[begin:]
            assert sharpest(whole_of_it) < 2 * calm, "a click at the pause"

            before = rms(await latest(phone, 0.5))
            begin = phone.length
            await stage.told("volume_changed", await stage.did("volume", volume=-6))
            await latest(phone, 0.2)
            after = rms(await latest(phone, 0.5))
            assert abs(20 * np.log10(before / after) - 6) < 0.3
            assert sharpest(phone.heard()[begin:]) < 2 * calm, "a click at the change"
            await stage.told("stopped", await stage.did("stop"))
            assert rms((await latest(phone, 0.4))[BLOCK:]) < QUIET_RMS
            assert stage.names == ["started", "paused", "resumed", "volume_changed", "stopped"]

    run(scenario)


def test_who_joins_late_hears_what_the_others_hear(serve: Callable[..., Product], web: FileServer) -> None:
    web.routes["/long.wav"] = whole(wav(staircase(20)))
    product = serve(workers=2, **LOCAL)

    async def scenario() -> None:
        async with room(product, web) as stage:
            play = await stage.play("/long.wav")  # to nobody yet
            await stage.told("started", play)
            early = await stage.join()
            await early.until_heard(1)
            late = await stage.join()
            await late.until_heard(1)
            for _ in range(6):
                heard = await asyncio.gather(latest(early, 0.2), latest(late, 0.2))
                steps = [(pitch(one) - 300) / STEP_HZ for one in heard]
                assert abs(steps[0] - steps[1]) <= 1.1
            shown = await stage.ask("GET", f"/conferences/{stage.id}/play")
            assert abs(shown["position_ms"] / 1000 - steps[0]) < 1.5
            assert shown["duration_ms"] == 20_000
            await stage.ask("DELETE", f"/conferences/{stage.id}")
            stopped = await stage.receiver.wait_for("conference.play.stopped")
            assert stopped["cause"] == "room_destroyed"
            ended = await stage.receiver.wait_for("conference.destroyed")
            assert stage.receiver.events[-1] == ended

    run(scenario)


def slowly(body: bytes, pieces: int) -> Callable[[Visitor], None]:
    """An origin that is hardly faster than the file is played."""

    def answer(visitor: Visitor) -> None:
        visitor.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        step = -(-len(body) // pieces)
        visitor.connection.settimeout(0.2)
        for at in range(0, len(body), step):
            visitor.send(body[at : at + step])
            try:
                if visitor.gone():
                    return
            except TimeoutError:
                continue

    return answer


def test_a_slow_origin_is_played_while_it_sends(serve: Callable[..., Product], web: FileServer) -> None:
    web.routes["/slow.wav"] = slowly(wav(sine(6)), 15)  # 3 s for 6 s of sound
    product = serve(workers=1, **LOCAL)

    async def scenario() -> None:
        async with room(product, web) as stage:
            phone = await stage.join()
            play = await stage.play("/slow.wav")
            await stage.told("started", play)
            heard = await latest(phone, 3)
            assert sharpest(heard) < 2 * sharpest(sine(1))
            finished = await stage.told("finished", play)
            assert finished["urls"] == [web.url("/slow.wav")]

    run(scenario)


def test_a_body_that_stalls_is_a_timeout_and_what_is_missing_never_started(
    serve: Callable[..., Product], web: FileServer
) -> None:
    body = wav(sine(60))
    stalled = Stalled(body, len(body) // 20)
    web.routes["/stalled.wav"] = stalled
    product = serve(workers=1, **LOCAL)

    async def scenario() -> None:
        async with room(product, web) as stage:
            missing = await stage.play("/missing.wav")
            failed = await stage.told("failed", missing)
            assert (failed["error"], failed["error_detail"]) == ("playback_error", "http_404")
            play = await stage.play("/stalled.wav")
            await stage.told("started", play)
            failed = await stage.told("failed", play, patience=3)
            assert (failed["error"], failed["urls"]) == ("playback_timeout", [web.url("/stalled.wav")])
            assert stage.names == ["failed", "started", "failed"]
            assert await asyncio.to_thread(stalled.left.wait, 10), "the origin is let go of"
            again = await stage.ask("GET", f"/conferences/{stage.id}")
            assert again["playback_status"] == "stopped"

    run(scenario)


def test_playback_survives_control_and_not_its_worker(serve: Callable[..., Product], web: FileServer) -> None:
    web.routes["/long.wav"] = whole(wav(sine(20)))
    web.routes["/short.wav"] = whole(wav(sine(6)))
    product = serve(workers=1, **LOCAL)

    async def scenario() -> None:
        async with room(product, web) as stage:
            phone = await stage.join()
            play = await stage.play("/short.wav")
            await stage.told("started", play)
            old = product.kill("roomtone: control")
            assert rms(await latest(phone, 0.5)) > AMPLITUDE / 2
            await asyncio.to_thread(product.wait_for_another, "roomtone: control", old)
            await stage.told("finished", play)
            second = await stage.play("/long.wav")
            await stage.told("started", second)
            product.kill("roomtone: worker 0")
            failed = await stage.told("failed", second)
            assert (failed["error"], failed["cause"]) == ("playback_error", "worker_lost")
            assert stage.names == ["started", "finished", "started", "failed"]

    run(scenario)
