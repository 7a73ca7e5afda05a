"""Janus AudioBridge with plain-RTP participants, steered over its HTTP interface.

One Janus session a room; in it a handle that made the room and a handle for each participant.  Joining is
answered by an event, which a session's long poll brings.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from roomtone.bench.load.payload import Format
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import IP, RTP_PORTS, Placement, free_port
from roomtone.bench.peers.peer import Peer, PeerError

PLUGIN = "janus.plugin.audiobridge"
LIBRARIES = "/usr/lib"
PREBUFFERING_PACKETS = 2
LOG_ERRORS = 2  # its levels: 1 fatal, 2 errors, 3 warnings
CONCURRENT_ROOMS = 4
EVENTS_A_POLL = 100
JOIN_WAIT_S = 30.0


class Janus(Peer):
    """prebuffering: packets a participant keeps before he is mixed; Janus' own choice is 6."""

    name = "janus"
    program = "janus"

    def __init__(
        self, placement: Placement, *, fifo: bool = False, prebuffering: int = PREBUFFERING_PACKETS
    ) -> None:
        super().__init__(placement, fifo=fifo)
        self.prebuffering = prebuffering
        self.port = free_port()
        self.http: aiohttp.ClientSession | None = None
        self.numbers = itertools.count(1)

    def arguments(self, folder: Path) -> list[str]:
        """A configuration of its own, in which there is nothing but the AudioBridge and HTTP."""
        for kind, library in (("plugins", "libjanus_audiobridge.so"), ("transports", "libjanus_http.so")):
            (folder / kind).mkdir()
            os.symlink(find_library(kind, library), folder / kind / library)
        for kind in ("loggers", "events"):
            (folder / kind).mkdir()
        for name, text in self.configuration(folder).items():
            (folder / name).write_text(text)
        return [
            f"--config={folder}/janus.jcfg",
            f"--configs-folder={folder}",
            f"--debug-level={LOG_ERRORS}",
            "--disable-colors",
        ]

    def configuration(self, folder: Path) -> dict[str, str]:
        """File names and their texts."""
        folders = {
            "configs": folder,
            "plugins": folder / "plugins",
            "transports": folder / "transports",
            "events": folder / "events",
            "loggers": folder / "loggers",
        }
        general = "".join(f' {kind}_folder = "{path}"\n' for kind, path in folders.items())
        return {
            "janus.jcfg": "general: {\n"
            + general
            + f' interface = "{IP}"\n session_timeout = 0\n debug_level = {LOG_ERRORS}\n}}\n',
            "janus.plugin.audiobridge.jcfg": "general: {\n"
            f' rtp_port_range = "{RTP_PORTS[0]}-{RTP_PORTS[1]}"\n local_ip = "{IP}"\n events = false\n}}\n',
            "janus.transport.http.jcfg": "general: {\n"
            f' json = "compact"\n base_path = "/janus"\n http = true\n port = {self.port}\n ip = "{IP}"\n'
            " https = false\n}\nadmin: {\n admin_http = false\n admin_https = false\n}\n",
        }

    async def answers(self) -> bool:
        if self.http is None:
            self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        with suppress(aiohttp.ClientError):
            async with self.http.get(f"http://{IP}:{self.port}/janus/info") as reply:
                return reply.status == 200
        return False

    async def ask(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        """One request; PeerError: refused.  What the plugin says at once is under "plugindata"."""
        assert self.http
        body = message | {"transaction": str(next(self.numbers))}
        async with self.http.post(f"http://{IP}:{self.port}/janus{path}", json=body) as reply:
            answer: dict[str, Any] = await reply.json(content_type=None)
        refuse(answer)
        return answer

    async def open(self, scenario: Scenario, callers: list[tuple[str, int]]) -> list[tuple[str, int]]:
        gate = asyncio.Semaphore(CONCURRENT_ROOMS)

        async def room(number: int) -> list[tuple[str, int]]:
            async with gate, self.session() as session:
                first = number * scenario.size
                members = callers[first : first + scenario.size]
                return await self.fill(session, number, scenario.format, members)

        made = await asyncio.gather(*(room(number) for number in range(scenario.rooms)))
        return [address for addresses in made for address in addresses]

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """A session whose events are read; it stays when reading ends."""
        number = (await self.ask("", {"janus": "create"}))["data"]["id"]
        session = Session(self, number)
        reader = asyncio.create_task(session.read())
        try:
            yield session
        finally:
            reader.cancel()

    async def fill(
        self, session: "Session", number: int, fmt: Format, members: list[tuple[str, int]]
    ) -> list[tuple[str, int]]:
        """Make a room and let everybody in; where each of them sends to."""
        maker = await session.attach()
        await session.message(maker, room_request(number + 1, fmt))
        out = []
        for member in members:
            handle = await session.attach()
            joined = await session.join(handle, join_request(number + 1, fmt, member, self.prebuffering))
            out.append((str(joined["rtp"]["ip"]), int(joined["rtp"]["port"])))
        return out

    async def stop(self) -> None:
        if self.http:
            await self.http.close()
        await super().stop()


class Session:
    """One Janus session and the joins it is waiting for."""

    def __init__(self, janus: Janus, number: int) -> None:
        self.janus = janus
        self.number = number
        self.waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def attach(self) -> int:
        answer = await self.janus.ask(f"/{self.number}", {"janus": "attach", "plugin": PLUGIN})
        return int(answer["data"]["id"])

    async def message(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        return await self.janus.ask(f"/{self.number}/{handle}", {"janus": "message", "body": body})

    async def join(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        """What the plugin says when the participant is in."""
        self.waiting[handle] = asyncio.get_running_loop().create_future()
        await self.message(handle, body)
        return await asyncio.wait_for(self.waiting[handle], JOIN_WAIT_S)

    async def read(self) -> None:
        """Hand events to those who wait for them, for ever."""
        assert self.janus.http
        url = f"http://{IP}:{self.janus.port}/janus/{self.number}?maxev={EVENTS_A_POLL}"
        while True:
            async with self.janus.http.get(url) as reply:
                events = await reply.json(content_type=None)
            for event in events if isinstance(events, list) else [events]:
                self.hear(event)

    def hear(self, event: dict[str, Any]) -> None:
        future = self.waiting.get(event.get("sender", 0))
        if future is None or future.done():
            return
        data = event.get("plugindata", {}).get("data", {})
        if "error" in data:
            future.set_exception(PeerError(f"janus: {data['error']}"))
        elif data.get("audiobridge") == "joined" and "rtp" in data:
            future.set_result(data)


def refuse(answer: dict[str, Any]) -> None:
    """PeerError when Janus or the plugin answered with an error."""
    data = answer.get("plugindata", {}).get("data", {})
    if answer.get("janus") == "error" or "error" in data:
        raise PeerError(f"janus: {answer.get('error') or data['error']}")


def room_request(number: int, fmt: Format) -> dict[str, Any]:
    """No recording, no events about who speaks, no header extensions."""
    return {
        "request": "create",
        "room": number,
        "sampling_rate": fmt.rate_hz,
        "allow_rtp_participants": True,
        "audiolevel_ext": False,
        "audiolevel_event": False,
    }


def join_request(room: int, fmt: Format, member: tuple[str, int], prebuffering: int) -> dict[str, Any]:
    """A participant over plain RTP.  Janus knows G.711 and Opus only."""
    if fmt.encoding not in ("PCMU", "PCMA"):
        raise PeerError(f"janus does not speak {fmt.name}")
    return {
        "request": "join",
        "room": room,
        "codec": fmt.encoding.lower(),
        "prebuffer": prebuffering,
        "rtp": {"ip": member[0], "port": member[1], "payload_type": fmt.payload_type},
    }


def find_library(kind: str, name: str) -> Path:
    """Janus' own folders lie in the architecture's library folder."""
    found = sorted(Path(LIBRARIES).glob(f"*/janus/{kind}/{name}"))
    if not found:
        raise PeerError(f"{name} is not installed: Janus' {kind} were looked for below {LIBRARIES}")
    return found[0]
