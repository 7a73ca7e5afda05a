"""A load of rooms and calls that goes on whatever is killed, and notes down what it was promised."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import aiohttp
import numpy as np
from demo_parts.rest import App, Refused
from demo_parts.sound import RATE_HZ
from demo_parts.web import Web

ACTORS = 4
CALLS_AN_ACTOR = 2
STEP_S = (0.02, 0.25)
AGAIN_S = 0.05  # after an answer that did not come
FRAME_S = 0.02
SILENCE = b"\xff" * 160  # PCMU
CALL_COMMANDS = (
    "conference/join",
    "conference/leave",
    "conference/mute",
    "conference/unmute",
    "playback/start",
    "playback/stop",
    "play_and_get_digits",
    "record/start",
    "record/stop",
)
IN_THE_ROOM = 0.5  # of what is done; the other half with calls


@dataclass
class Ledger:
    """What replies of 2xx promised: ids, and operations with what they were.  refused: how often, by code."""

    rooms: set[str] = field(default_factory=set)
    destroyed: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    plays: set[str] = field(default_factory=set)
    recordings: set[str] = field(default_factory=set)
    commands: dict[str, str] = field(default_factory=dict)
    room_commands: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counts = {name: len(value) for name, value in vars(self).items() if name != "refused"}
        return f"{counts} refused {dict(self.refused)}"


class Telephones:
    """Sends silence from many ports at once.  Order of use: as an async context manager; open, connect."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}  # by port
        self._to: dict[int, tuple[str, int]] = {}

    def open(self) -> tuple[int, str]:
        """Port and offer of a new one."""
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        port = int(one.getsockname()[1])
        self._sockets[port] = one
        lines = ["v=0", f"o=- {port} 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
        lines += [f"m=audio {port} RTP/AVP 0", "a=rtcp-mux"]
        return port, "\r\n".join([*lines, ""])

    def connect(self, port: int, answer: str) -> None:
        self._to[port] = ("127.0.0.1", int(answer.split("m=audio ")[1].split()[0]))

    def close(self, port: int) -> None:
        self._to.pop(port, None)
        self._sockets.pop(port).close()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        for port in list(self._sockets):
            self.close(port)

    async def _send(self) -> None:
        now = asyncio.get_running_loop().time
        begun_s = now()
        number = 0
        while True:
            for port, to in list(self._to.items()):
                header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, port)
                with contextlib.suppress(OSError):
                    self._sockets[port].sendto(header + SILENCE, to)
            number += 1
            await asyncio.sleep(begun_s + number * FRAME_S - now())


class Load:
    """Order of use: as an async context manager, while things are killed; then end."""

    def __init__(self, app: App, seed: int) -> None:
        self.ledger = Ledger()
        self._app = app
        self._chances = [random.Random(f"{seed}/{number}") for number in range(ACTORS)]
        self._ids = random.Random(f"{seed}/ids")
        self._telephones = Telephones()
        self._web = Web()
        self._ports: dict[str, int] = {}  # of the telephones, by call
        self._over = False

    async def __aenter__(self) -> Self:
        await self._telephones.__aenter__()
        await self._web.__aenter__()
        noise = np.random.default_rng(1).normal(0, 1000, 20 * RATE_HZ).astype(np.int16)
        short = self._web.offer("/short.wav", noise[: RATE_HZ // 2])
        long = self._web.offer("/long.wav", noise)
        self.urls = [[short], [long], [short, long], [short.replace("short", "missing")]]
        self._actors = [asyncio.create_task(Actor(self, *each).act()) for each in enumerate(self._chances)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for actor in self._actors:
            actor.cancel()
        await asyncio.gather(*self._actors, return_exceptions=True)
        await self._web.__aexit__()
        await self._telephones.__aexit__()

    async def end(self) -> None:
        """No more of it; every room and every call is ended."""
        self._over = True
        await asyncio.gather(*self._actors)
        for room in await self._all("/conferences"):
            await self.destroy(room["room_id"])
        for call in await self._all("/sessions"):
            self.ledger.calls.add(call["session_uuid"])
            with contextlib.suppress(Refused):  # it may end by itself just now
                await self.command(call["session_uuid"], "hangup")

    @property
    def over(self) -> bool:
        return self._over

    async def _all(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        more = "?limit=200"
        while more:
            page = await self.ask("GET", path + more)
            items += page["items"]
            more = f"?limit=200&cursor={page['next_cursor']}" if page.get("next_cursor") else ""
        return items

    async def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Until there is an answer: the same `command_uid` makes it one request.  Raises Refused: 4xx."""
        if method == "POST":
            body.setdefault("command_uid", str(UUID(int=self._ids.getrandbits(128))))
        while True:
            try:
                return await self._app.request(method, path, body or None)
            except Refused as refused:
                self.ledger.refused[refused.code] += 1
                if refused.status < 500:
                    raise
            except (aiohttp.ClientError, TimeoutError):
                self.ledger.refused["no answer"] += 1
            await asyncio.sleep(AGAIN_S)

    # -- what can be done; all raise Refused -----------------------------------------------------------------

    async def room(self, name: str) -> str:
        made = await self.ask("POST", "/conferences", name=name)
        self.ledger.rooms.add(made["room_id"])
        return str(made["room_id"])

    async def destroy(self, room_id: str) -> None:
        await self.ask("DELETE", f"/conferences/{room_id}")
        self.ledger.destroyed.add(room_id)

    async def call(self) -> str:
        port, offer = self._telephones.open()
        made = await self.ask("POST", "/sessions", caller_id=f"+1555{port}", sdp=offer)
        self._telephones.connect(port, made["sdp_answer"])
        call = str(made["session_uuid"])
        self.ledger.calls.add(call)
        self._ports[call] = port
        return call

    def gone(self, call: str) -> None:
        """Nobody sends for it any more."""
        self._telephones.close(self._ports.pop(call))

    async def command(self, session_uuid: str, command: str, **body: Any) -> None:
        done = await self.ask("POST", f"/sessions/{session_uuid}/commands/{command}", **body)
        self.ledger.commands[done["operation_id"]] = command

    async def play(self, room_id: str, urls: list[str]) -> None:
        done = await self.ask("POST", f"/conferences/{room_id}/play", urls=urls)
        self.ledger.plays.add(done["operation_id"])

    async def record(self, room_id: str) -> None:
        done = await self.ask("POST", f"/conferences/{room_id}/record")
        self.ledger.recordings.add(done["recording_id"])

    async def stop_recording(self, room_id: str) -> None:
        await self.ask("DELETE", f"/conferences/{room_id}/record")

    async def room_command(self, room_id: str, command: str, **body: Any) -> None:
        done = await self.ask("POST", f"/conferences/{room_id}/{command}", **body)
        if done.get("changed", True):
            self.ledger.room_commands[done["operation_id"]] = command


class Actor:
    """Somebody with one room at a time and some calls."""

    def __init__(self, load: Load, name: int, chance: random.Random) -> None:
        self._load = load
        self._name = name
        self._chance = chance
        self._room: str | None = None
        self._calls: list[str] = []
        self._number = 0

    async def act(self) -> None:
        while not self._load.over:
            with contextlib.suppress(Refused):
                await self._step()
            await asyncio.sleep(self._chance.uniform(*STEP_S))

    async def _step(self) -> None:
        if self._room is None:
            self._number += 1
            self._room = await self._load.room(f"room {self._name}/{self._number}")
        elif len(self._calls) < CALLS_AN_ACTOR:
            call = await self._load.call()
            self._calls.append(call)
            await self._load.command(call, "answer")
            await self._load.command(call, "conference/join", room_id=self._room)
        elif self._chance.random() < IN_THE_ROOM:
            await self._with_room(self._room)
        else:
            await self._with_call(self._chance.choice(self._calls), self._room)

    async def _with_room(self, room: str) -> None:
        load, chance = self._load, self._chance
        command = chance.choice(("play", "play", "pause", "volume", "stop", "record", "keep", "destroy"))
        if command == "play":
            await load.play(room, chance.choice(load.urls))
        elif command == "record":
            await load.record(room)
        elif command == "keep":
            await load.stop_recording(room)
        elif command == "destroy":
            self._room = None
            await load.destroy(room)
        else:
            await load.room_command(room, command, **({"volume": -3} if command == "volume" else {}))

    async def _with_call(self, call: str, room: str) -> None:
        """One that a killed worker took with it is forgotten."""
        load, chance = self._load, self._chance
        command = chance.choice((*CALL_COMMANDS, "hangup"))
        more: dict[str, dict[str, Any]] = {
            "conference/join": {"room_id": room},
            "playback/start": {"urls": load.urls[0]},
            "play_and_get_digits": {"urls": load.urls[0], "timeout_ms": 1000},
        }
        try:
            await load.command(call, command, **more.get(command, {}))
        except Refused as refused:
            if refused.code != "session_not_found":
                raise
            command = "hangup"
        if command == "hangup":
            self._calls.remove(call)
            load.gone(call)
