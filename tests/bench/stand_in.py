"""A tiny engine for testing the load tool: mixes rooms of PCMU and PCMA callers, steered like the real one.

    python stand_in.py serve -c FILE

The parent is the "supervisor"; the child is titled "roomtone: worker 0" and does everything.  STAND_IN_FAULT
plants a fault: "echo" (everybody hears himself), "mute" (nobody hears the first member), "hole" (every 10th
packet is missing), "withhold" (one packet that came is not counted).
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tomllib
from pathlib import Path

import numpy as np
from aiohttp import WSMsgType, web
from setproctitle import setproctitle

from roomtone.bench.load.payload import FORMATS, decode, encode

FMT = FORMATS["PCMU"]
BY_TYPE = {f.payload_type: f for f in (FMT, FORMATS["PCMA"])}
TICK_S = 0.02
HEADER_BYTES = 12
HOLE_EVERY = 10


class Leg:
    """One endpoint: its socket and what it last said."""

    def __init__(self, ip: str, peer: tuple[str, int], number: int, payload_type: int) -> None:
        self.fmt = BY_TYPE[payload_type]
        self.came = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((ip, 0))
        self.socket.connect(peer)
        self.number = number
        self.tick = 0
        self.pcm = np.zeros(FMT.samples, dtype=np.int64)
        self.frames: list[bytes] = []
        self.heard = False

    def read(self) -> None:
        while True:
            try:
                self.frames.append(self.socket.recv(1500)[HEADER_BYTES:])
                self.came += 1
                self.heard = True
            except (BlockingIOError, ConnectionError):
                break
        self.frames = self.frames[-3:]
        self.pcm = np.zeros(FMT.samples, dtype=np.int64)
        if self.frames:
            self.pcm = decode(self.fmt, np.frombuffer(self.frames.pop(0), dtype=np.uint8)).astype(np.int64)

    def send(self, pcm: np.ndarray, fault: str) -> None:
        self.tick += 1
        if fault == "hole" and self.tick % HOLE_EVERY == 0:
            return
        header = bytes([128, self.fmt.payload_type]) + (self.tick % 65536).to_bytes(2, "big")
        header += (self.tick * FMT.samples).to_bytes(4, "big") + self.number.to_bytes(4, "big")
        try:
            mixed = np.clip(pcm, -32768, 32767).astype(np.int16)
            self.socket.send(header + encode(self.fmt, mixed).tobytes())
        except ConnectionError:
            self.heard = False


class StandIn:
    def __init__(self, ip: str, fault: str) -> None:
        self.ip = ip
        self.fault = fault
        self.rooms: list[list[Leg]] = []
        self.asked = 0

    async def control(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        room: list[Leg] = []
        self.rooms.append(room)
        async for frame in ws:
            if frame.type is not WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            await ws.send_json({"id": message["id"], "result": self.result(room, message)})
        self.rooms.remove(room)
        return ws

    def result(self, room: list[Leg], message: dict) -> dict:
        if message["method"] == "endpoint.create_from_offer":
            sdp = message["params"]["sdp"]
            media = next(line for line in sdp.splitlines() if line.startswith("m=")).split()
            ip = next(line for line in sdp.splitlines() if line.startswith("c=")).split()[2]
            room.append(Leg(self.ip, (ip, int(media[1])), len(room), int(media[3])))
            local = room[-1].socket.getsockname()[1]
            return {
                "endpoint_id": str(local),
                "sdp_answer": f"c=IN IP4 {self.ip}\r\nm=audio {local} RTP/AVP 0\r\n",
            }
        if message["method"] == "stats.snapshot":
            return {"endpoints": [{"playout": {"delay_ms": 20.0}} for _ in room]}
        return {"session_id": "1"}

    async def metrics(self, _: web.Request) -> web.Response:
        self.asked += 1
        late = f'roomtone_rtp_dropped_packets_total{{reason="late",worker="0"}} {7.0 * self.asked}\n'
        came = sum(leg.came for room in self.rooms for leg in room)
        came -= self.fault == "withhold" and came > 0
        raw = f'roomtone_worker_rx_raw_packets_total{{worker="0"}} {came}\n'
        return web.Response(text='roomtone_tick_overruns_total{worker="0"} 5.0\n' + late + raw)

    async def ready(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += TICK_S
            await asyncio.sleep(due - loop.time())
            for room in self.rooms:
                self.mix(room)

    def mix(self, room: list[Leg]) -> None:
        for leg in room:
            leg.read()
        total = sum((leg.pcm for leg in room), np.zeros(FMT.samples, dtype=np.int64))
        for leg in room:
            mixed = total if self.fault == "echo" else total - leg.pcm
            if self.fault == "mute" and leg is not room[0]:
                mixed = mixed - room[0].pcm
            if leg.heard:
                leg.send(mixed, self.fault)


async def work(config: dict) -> None:
    app_of = StandIn(config["media_ip"], os.environ.get("STAND_IN_FAULT", ""))
    app = web.Application()
    app.router.add_get("/", app_of.control)
    app.router.add_get("/metrics", app_of.metrics)
    app.router.add_get("/readyz", app_of.ready)
    runner = web.AppRunner(app)
    await runner.setup()
    host, _, port = config["listen"].rpartition(":")
    await web.TCPSite(runner, host, int(port)).start()
    await app_of.tick()


def main() -> None:
    config = tomllib.loads(Path(sys.argv[sys.argv.index("-c") + 1]).read_text())
    child = os.fork()
    if child == 0:
        setproctitle("roomtone: worker 0")
        asyncio.run(work(config))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
