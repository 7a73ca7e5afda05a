"""Endpoints go from session to session, and sessions are bridged, while everybody talks."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from product import Phone, Product, wait_for

from roomtone.client import Client, RoomtoneError, connect
from roomtone.ext.codec import codec as codecs

pytestmark = [pytest.mark.process, pytest.mark.real_time]

FRAME = 160
GAP_MAX = 480  # samples: 60 ms
AMPLITUDE = 4000
STORM_SECONDS = 8
SEED = 20261121


def tone(frequency_hz: int) -> bytes:
    """A frame of it that goes on in the next one: a multiple of 50 Hz."""
    pcm = np.round(AMPLITUDE * np.sin(2 * np.pi * frequency_hz * np.arange(FRAME) / 8000)).astype(np.int16)
    out = np.zeros(FRAME, np.uint8)
    codecs.encode(codecs.PCMU, pcm, out)
    return out.tobytes()


def hears(phone: Phone, frequencies: list[int], last: int = 25) -> list[int]:
    """Which of the frequencies are in what it heard last."""
    pcm = np.zeros(last * FRAME, np.int16)
    payload = b"".join(data[12:] for data in phone.heard[-last:])
    codecs.decode(codecs.PCMU, np.frombuffer(payload, np.uint8), pcm[: len(payload)])
    wave = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(len(pcm))) / 8000)
    levels = 2 * np.abs(wave @ pcm) / len(pcm)
    return [f for f, level in zip(frequencies, levels, strict=True) if level > AMPLITUDE / 2]


def steps(phone: Phone) -> list[tuple[int, int]]:
    """Of sequence and timestamp, from packet to packet."""
    lines = [(int.from_bytes(d[2:4], "big"), int.from_bytes(d[4:8], "big")) for d in phone.heard]
    return [((b[0] - a[0]) & 0xFFFF, (b[1] - a[1]) & 0xFFFFFFFF) for a, b in pairwise(lines)]


def descriptors(product: Product) -> dict[str, int]:
    return {
        title: len(list(Path(f"/proc/{pid}/fd").iterdir()))
        for title, pid in product.children().items()
        if "worker" in title
    }


async def until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what=what)


async def join(client: Client, phone: Phone) -> str:
    made = await client.call("endpoint.create_from_offer", sdp=phone.offer())
    phone.answered(made["sdp_answer"])
    phone.call()
    return str(made["endpoint_id"])


def check_lines(phones: list[Phone]) -> None:
    """No sequence number is missing."""
    for phone in phones:
        assert {seq for seq, _ in steps(phone)} == {1}


def check_gaps(product: Product, phones: list[Phone]) -> None:
    """A gap of over 60 ms is only there when the machine stood still.  For those who always had company."""
    overruns = product.total("roomtone_tick_overruns_total")
    for phone in phones:
        assert sum(samples > GAP_MAX for _, samples in steps(phone)) <= overruns


def test_a_caller_goes_to_a_session_on_the_other_worker_and_back_and_all_hear_whom_they_should(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=2)
    frequencies = [400, 600, 800, 1000, 1200]
    phones = [phone(payload=tone(f)) for f in frequencies]
    mover = phones[0]

    async def all_hear(*together: int) -> None:
        wanted = {i: sorted(frequencies[k] for k in together if k != i) for i in together}
        await until(lambda: all(hears(phones[i], frequencies) == w for i, w in wanted.items()), f"{wanted}")

    async def scenario() -> None:
        async with await connect(product.url) as one, await connect(product.url) as other:
            ids = [(await c.call("session.create"))["session_id"] for c in (one, other)]
            leg = await join(one, mover)
            for client, member in ((one, 1), (one, 2), (other, 3), (other, 4)):
                await join(client, phones[member])
            assert product.metrics()['roomtone_worker_endpoints{worker="1"}'] == 2
            await all_hear(0, 1, 2)
            for _ in range(3):
                await one.call("endpoint.transfer", endpoint_id=leg, target_session_id=ids[1])
                await all_hear(0, 3, 4)
                await all_hear(1, 2)
                await other.call("endpoint.transfer", endpoint_id=leg, target_session_id=ids[0])
                await all_hear(0, 1, 2)
            ends = await one.call("session.bridge", target_session_id=ids[1])
            await all_hear(0, 1, 2, 3, 4)
            await other.call("endpoint.remove", endpoint_id=ends["target_endpoint_id"])
            await all_hear(0, 1, 2)
            await all_hear(3, 4)

    asyncio.run(scenario())
    check_lines(phones)
    check_gaps(product, phones)
    assert len(mover.heard) > 100


def test_a_storm_of_transfers_and_bridges_loses_no_endpoint_and_no_socket(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=2)
    before = descriptors(product)
    chance = random.Random(SEED)
    phones = [phone(payload=tone(400 + 50 * i)) for i in range(8)]
    done = {"endpoint.transfer": 0, "session.bridge": 0, "endpoint.remove": 0, "refused": 0}
    home: dict[str, int] = {}  # endpoint -> session it was last transferred to

    async def act(clients: list[Client], ids: list[str], bridges: list[tuple[int, str]]) -> None:
        """One random step; what is refused must have changed nothing."""
        what = chance.random()
        try:
            if what < 0.6:
                leg = chance.choice(sorted(home))
                source, target = home[leg], chance.randrange(len(ids))
                await clients[source].call(
                    "endpoint.transfer", endpoint_id=leg, target_session_id=ids[target]
                )
                home[leg] = target
                done["endpoint.transfer"] += 1
            elif what < 0.8 or not bridges:
                here, there = chance.sample(range(len(ids)), 2)
                made = await clients[here].call("session.bridge", target_session_id=ids[there])
                bridges.append((here, made["endpoint_id"]))
                done["session.bridge"] += 1
            else:
                here, end = bridges.pop(chance.randrange(len(bridges)))
                await clients[here].call("endpoint.remove", endpoint_id=end)
                done["endpoint.remove"] += 1
        except RoomtoneError as error:
            assert error.code in ("INVALID_PARAMS", "TRANSFER_FAILED", "ENDPOINT_ERROR"), error
            done["refused"] += 1

    async def scenario(stack: contextlib.AsyncExitStack) -> None:
        clients = [await stack.enter_async_context(connect(product.url)) for _ in range(4)]
        ids = [(await c.call("session.create"))["session_id"] for c in clients]
        for number, one in enumerate(phones):
            home[await join(clients[number % 4], one)] = number % 4
        bridges: list[tuple[int, str]] = []
        until_s = asyncio.get_running_loop().time() + STORM_SECONDS
        while asyncio.get_running_loop().time() < until_s:
            await act(clients, ids, bridges)
        for here, end in bridges:
            await clients[here].call("endpoint.remove", endpoint_id=end)
        for number, client in enumerate(clients):
            info = await client.call("session.info")
            listed = {endpoint["endpoint_id"] for endpoint in info["endpoints"]}
            assert listed == {leg for leg, at in home.items() if at == number}
        check_lines(phones)
        for client in clients:
            await client.call("session.destroy")

    async def play() -> None:
        async with contextlib.AsyncExitStack() as stack:
            await scenario(stack)

    asyncio.run(play())
    print(f"seed {SEED}: {done}")
    assert done["endpoint.transfer"] > 50 and done["session.bridge"] > 10
    wait_for(lambda: product.total("roomtone_worker_endpoints") == 0, what="no endpoint")
    wait_for(lambda: product.total("roomtone_worker_sessions") == 0, what="no session")
    wait_for(lambda: descriptors(product) == before, what=f"descriptors as before: {before}")
