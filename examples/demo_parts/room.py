"""One session, its callers, and what the engine tells about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from demo_parts.caller import Caller
from roomtone.client import Client, api

STATS_EVERY_MS = 2000


class Room:
    """Order of use: open; what is to be done meanwhile; lost, stop_recording, close."""

    def __init__(self, client: Client, callers: list[Caller], say: Callable[[str], None]) -> None:
        self.client = client
        self.callers = callers
        self.endpoints: dict[str, str] = {}  # endpoint_id -> caller's name
        self.keys: list[str] = []
        self.timeouts: list[str] = []
        self.began_to_speak: list[tuple[str, float]] = []  # name, time of the loop
        self.played: list[str] = []  # why each file ended
        self.loss_told: dict[str, int] = {}
        self._recording = ""
        self._say = say

    async def open(self) -> None:
        await self.client.session_create()
        for caller in self.callers:
            await caller.open()
            made = await self.client.endpoint_create_from_offer(caller.offer_sdp())
            caller.connect(made.sdp_answer)
            self.endpoints[made.endpoint_id] = caller.name
        await self.client.stats_subscribe(interval_ms=STATS_EVERY_MS)

    async def listen_for_speech(self) -> None:
        for endpoint_id in self.endpoints:
            await self.client.vad_start(endpoint_id)

    async def record(self, path: str) -> None:
        """A channel for each of the callers, in the order they came."""
        self._recording = (await self.client.recording_start(path)).recording_id
        self._say("recording.start: a channel for each voice")

    async def stop_recording(self) -> api.RecordingDone:
        return await self.client.recording_stop(self._recording)

    async def play(self, source: str) -> None:
        """To everybody; source: a path below media_dir."""
        await self.client.endpoint_create_with_file(source)
        self._say("endpoint.create_with_file: a prompt for everybody")

    async def listen(self) -> None:
        """Take note of the events until the connection ends."""
        async for event in self.client:
            match event:
                case api.Stats():
                    self._stats(event.endpoints)
                case api.Dtmf():
                    self.keys.append(event.digit)
                    name = self.endpoints[event.endpoint_id]
                    self._say(f"dtmf: {name} pressed {event.digit} for {event.duration_ms} ms")
                case api.MediaTimeout():
                    name = self.endpoints[event.endpoint_id]
                    self.timeouts.append(name)
                    self._say(f"endpoint.media_timeout: nothing of {name} for {event.duration_ms} ms")
                case api.SpeechStarted():
                    name = self.endpoints[event.endpoint_id]
                    self.began_to_speak.append((name, asyncio.get_running_loop().time()))
                    self._say(f"vad.speech_started: {name}")
                case api.Silence():
                    pass  # once a second for everybody who says nothing
                case api.FileFinished():
                    self.played.append(event.reason)
                    self._say(f"endpoint.file.finished: {event.reason}")
                case _:
                    self._say(str(event))

    def _stats(self, endpoints: list[api.EndpointStats]) -> None:
        for stats in endpoints:
            name, inbound = self.endpoints.get(stats.endpoint_id), stats.inbound
            if name is not None and inbound.packets_lost != self.loss_told.get(name, 0):
                self.loss_told[name] = inbound.packets_lost
                jitter = f"jitter {inbound.jitter_ms:.1f} ms"
                self._say(f"stats: {inbound.packets_lost} packets of {name} lost, {jitter}")

    async def lost(self) -> dict[str, int]:
        """Caller -> packets the engine misses."""
        endpoints = (await self.client.stats_snapshot()).endpoints
        return {
            self.endpoints[each.endpoint_id]: each.inbound.packets_lost
            for each in endpoints
            if each.endpoint_id in self.endpoints
        }

    async def close(self) -> None:
        """Remove the endpoints, so that each caller gets its RTCP BYE, then the session."""
        for endpoint_id in self.endpoints:
            await self.client.endpoint_remove(endpoint_id)
        await self.client.session_destroy()
