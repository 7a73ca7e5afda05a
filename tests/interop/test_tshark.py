"""What Wireshark's dissectors say of our packets, captured on the wire."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from demo_parts.caller import KEYS, Caller, Script
from demo_parts.server import Server
from demo_parts.sound import FRAME_SAMPLES, RATE_HZ
from peers import HOST, answered_port, session, until

from roomtone.client import Client

pytestmark = [pytest.mark.interop, pytest.mark.real_time]

SECONDS = 60  # of speech at hand; the test ends long before
KEY_PAYLOAD_TYPE = 101
PRESSED = {25: "5", 50: "*"}  # frame -> key
INJECTED = "9"
FRAME_S = 0.02
REPORTS = 2  # compounds a caller waits for
STREAM = re.compile(
    r"^ *\S+ +\S+ +\S+ +(?P<source_port>\d+) +\S+ +\d+ +0x\w+ .*? (?P<packets>\d+) +(?P<lost>-?\d+) \(", re.M
)


class Capture:
    """tshark on the loopback interface, for the ports of one server."""

    def __init__(self, process: Process, file: Path) -> None:
        self._process = process
        self._file = file
        self._lines = 0
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout
        while await self._process.stdout.readline():
            self._lines += 1

    async def marked(self, port: int) -> None:
        """Until a datagram of our own to that port has been captured: all before it is in the file."""
        before = self._lines
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while self._lines == before:
                sender.sendto(b"mark", (HOST, port))
                await asyncio.sleep(FRAME_S)

    async def end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        await self._process.wait()
        await self._reader

    async def fields(self, decode: list[str], shown: str, *names: str) -> list[list[str]]:
        """The named fields of every packet that the display filter shows."""
        wanted = [word for name in names for word in ("-e", name)]
        text = await self._tshark(*decode, "-Y", shown, "-T", "fields", "-E", "occurrence=a", *wanted)
        return [line.split("\t") for line in text.splitlines()]

    async def streams(self, decode: list[str]) -> list[dict[str, str]]:
        """The RTP stream analysis, a row a stream."""
        text = await self._tshark(*decode, "-q", "-z", "rtp,streams")
        return [match.groupdict() for match in STREAM.finditer(text)]

    async def _tshark(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "tshark", "-r", str(self._file), *words, stdout=PIPE, stderr=PIPE
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()


@asynccontextmanager
async def capturing(server: Server, file: Path) -> AsyncIterator[Capture]:
    first, last = server.media_ports
    words = ["-i", "lo", "-p", "-n", "-l", "-P", "-f", f"udp portrange {first}-{last}", "-w", str(file)]
    process = await asyncio.create_subprocess_exec(
        "tshark", *words, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield Capture(process, file)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def caller(name: str, tone_hz: int, keys: dict[int, str] | None = None, codec: str = "PCMU") -> Caller:
    at = np.arange(SECONDS * RATE_HZ)
    track = (4000 * np.sin(2 * np.pi * tone_hz * at / RATE_HZ)).astype(np.int16)
    return Caller(name, codec, Script(track, keys=keys or {}), seed=tone_hz)


async def call_with_everything(client: Client, callers: list[Caller], key_to: int) -> list[int]:
    """Audio, keys from the first caller and to another, reports, goodbye.  Returns the engine's ports."""
    endpoints, ports = [], []
    for each in callers:
        await each.open()
        made = await client.call("endpoint.create_from_offer", sdp=each.offer_sdp())
        each.connect(made["sdp_answer"])
        each.begin(asyncio.get_running_loop().time())
        endpoints.append(made["endpoint_id"])
        ports.append(answered_port(made["sdp_answer"]))

    async def talk() -> None:
        for number in range(SECONDS * RATE_HZ // FRAME_SAMPLES):
            for each in callers:
                each.frame(number)
            await asyncio.sleep(FRAME_S)

    talking = asyncio.create_task(talk())
    await until(lambda: all(each.totals.received > 0 for each in callers))
    await client.call("endpoint.dtmf.inject", endpoint_id=endpoints[key_to], digit=INJECTED, duration_ms=100)
    await until(lambda: all(each.totals.reports >= REPORTS for each in callers))
    await until(lambda: len(callers[key_to].keys_heard) == len(PRESSED) + 1)
    for endpoint in endpoints:
        await client.call("endpoint.remove", endpoint_id=endpoint)
    await until(lambda: all(each.totals.byes for each in callers))
    talking.cancel()
    for each in callers:
        each.close()
    return ports


@pytest.mark.parametrize("size", [pytest.param(2, id="relayed"), pytest.param(3, id="mixed")])
def test_wireshark_finds_nothing_wrong_and_reads_every_part(
    server: Server, run: Callable, tmp_path: Path, size: int
) -> None:
    async def body() -> None:
        callers = [caller("first", 400, PRESSED), caller("second", 700), caller("third", 1300, codec="PCMA")]
        async with session(server) as client, capturing(server, tmp_path / "lo.pcapng") as capture:
            await capture.marked(server.media_ports[1])
            ports = await call_with_everything(client, callers[:size], key_to=1)
            await capture.marked(server.media_ports[1])
            await capture.end()
        decode = ["-o", f"rtpevent.event_payload_type_value:{KEY_PAYLOAD_TYPE}"]
        for port in ports:
            decode += ["-d", f"udp.port=={port},rtp"]
        ours = " or ".join(f"udp.srcport == {port}" for port in ports)
        await nothing_wrong(capture, decode, ours)
        await keys_read(capture, decode, ports)
        await reports_read(capture, decode, ports)
        streams = [row for row in await capture.streams(decode) if int(row["source_port"]) in ports]
        assert len(streams) == size
        for row in streams:
            assert int(row["packets"]) > 100
            assert row["lost"] == "0"

    run(body())


async def nothing_wrong(capture: Capture, decode: list[str], ours: str) -> None:
    everything = await capture.fields(decode, ours, "frame.number")
    read = await capture.fields(decode, f"({ours}) and (rtp or rtcp)", "frame.number")
    assert len(read) == len(everything) > 0
    wrong = await capture.fields(
        decode, f"({ours}) and (_ws.malformed or _ws.expert)", "frame.number", "_ws.expert.message"
    )
    assert wrong == []


async def keys_read(capture: Capture, decode: list[str], ports: list[int]) -> None:
    """Relayed and injected keys on the way to the second caller, relayed ones to the others but the first."""
    names = ("rtp.timestamp", "rtpevent.event_id", "rtpevent.end_of_event", "rtpevent.duration", "rtp.marker")
    for index, port in enumerate(ports):
        rows = await capture.fields(decode, f"udp.srcport == {port} and rtpevent", *names)
        events: dict[str, list[list[str]]] = {}
        for row in rows:
            events.setdefault(row[0], []).append(row)
        keys = "".join(KEYS[int(group[0][1])] for group in events.values())
        relayed = "".join(PRESSED.values()) if index != 0 else ""
        assert sorted(keys) == sorted(relayed + (INJECTED if index == 1 else ""))
        for group in events.values():
            assert truth(group[0][4]) and not any(truth(row[4]) for row in group[1:])
            assert sum(truth(row[2]) for row in group) >= 3
            durations = [int(row[3]) for row in group]
            assert durations == sorted(durations)


def truth(field: str) -> bool:
    """tshark writes a boolean as 1 or True, depending on its version."""
    return field in ("1", "True")


async def reports_read(capture: Capture, decode: list[str], ports: list[int]) -> None:
    for port in ports:
        rows = await capture.fields(decode, f"udp.srcport == {port} and rtcp", "rtcp.pt")
        compounds = [row[0].split(",") for row in rows]
        assert sum("200" in types for types in compounds) >= REPORTS
        assert all("202" in types for types in compounds)
        assert sum("203" in types for types in compounds) == 1
