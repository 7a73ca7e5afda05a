"""Hostile and broken peers and clients: a clear error or a named counter, and the other calls go on."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable

import pytest
from loopback import HERE, port_range
from product import Phone, Product, gaps, wait_for

from roomtone.client import Client, RoomtoneError, connect

pytestmark = pytest.mark.process


async def join(client: Client, one: Phone) -> None:
    one.answered((await client.call("endpoint.create_from_offer", sdp=one.offer()))["sdp_answer"])
    one.call()


async def listen(phones: list[Phone], packets: int) -> None:
    marks = [len(one.heard) for one in phones]
    await asyncio.to_thread(
        wait_for,
        lambda: all(len(one.heard) > mark + packets for one, mark in zip(phones, marks, strict=True)),
        what="audio",
    )


def test_a_peer_that_floods_or_sends_garbage_costs_only_itself(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=1)
    good, bad = [phone() for _ in range(3)], [phone(), phone(payload=b"\xff" * 1488), phone()]
    bad[0].every = 10

    async def scenario() -> None:
        async with await connect(product.url) as client, await connect(product.url) as other:
            await client.call("session.create")
            await other.call("session.create")
            for one in good:
                await join(client, one)
            await listen(good, 20)
            for one in bad:
                await join(other, one)
            chance = random.Random(4)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for _ in range(300):
                    assert bad[2].to
                    size = chance.choice([1, 2, 11, 12, 13, 60, 1499, 1501, 2000])
                    bad[2].socket.sendto(chance.randbytes(size), bad[2].to)
                    stranger.sendto(bytes([0x80, 0]) + chance.randbytes(100), good[0].to)
            await listen(good, 100)

    asyncio.run(scenario())
    for one in good:
        assert gaps(one.sequence_numbers()) == 0
        assert len(one.heard) > 100
    wait_for(lambda: product.total("roomtone_rtp_dropped_packets_total") > 0, what="counted drops")
    dropped = {k for k, v in product.metrics().items() if k.startswith("roomtone_rtp_dropped") and v}
    assert any('reason="oversize"' in key for key in dropped)
    assert product.ready()


def test_requests_that_make_no_sense_are_answered_by_name_and_leave_nothing_behind(
    serve: Callable[..., Product],
) -> None:
    product = serve(workers=1)

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await client.call("session.create")
            for sdp, code in [
                ("", "ENDPOINT_ERROR"),
                ("v=0\r\n", "ENDPOINT_ERROR"),
                ("v=0\r\n" + "a=x\r\n" * 20000, "INVALID_PARAMS"),
                ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 host.example\r\nt=0 0\r\n"
                 "m=audio 4000 RTP/AVP 0\r\n", "ENDPOINT_ERROR"),
                ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                 "m=audio 4000 RTP/AVP 18\r\n", "ENDPOINT_ERROR"),
            ]:  # fmt: skip
                with pytest.raises(RoomtoneError) as refused:
                    await client.call("endpoint.create_from_offer", sdp=sdp)
                assert refused.value.code == code, sdp[:60]
            for params in [{}, {"sdp": 5}, {"sdp": None}, {"sdp": "v=0", "direction": "sideways"}]:
                with pytest.raises(RoomtoneError) as refused:
                    await client.call("endpoint.create_from_offer", **params)
                assert refused.value.code == "INVALID_PARAMS"
            assert (await client.call("session.info"))["endpoints"] == []

    asyncio.run(scenario())
    assert json.loads(product.get("/sessions")[1]) is not None
    wait_for(lambda: product.total("roomtone_endpoints") == 0, what="no endpoint")


def test_when_the_ports_run_out_the_error_says_so_and_a_freed_port_serves_again(
    serve: Callable[..., Product], phone: Callable[..., Phone]
) -> None:
    product = serve(workers=1, media_ip=HERE, rtp_port_range=list(port_range(4)))

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await client.call("session.create")
            made = []
            with pytest.raises(RoomtoneError) as refused:
                while True:
                    one = phone()
                    made.append(
                        (await client.call("endpoint.create_from_offer", sdp=one.offer()))["endpoint_id"]
                    )
            assert refused.value.code == "ENDPOINT_ERROR"
            assert 3 <= len(made) <= 4, "one pair may be taken by the worker's self-probe"
            await client.call("endpoint.remove", endpoint_id=made[0])
            deadline = asyncio.get_running_loop().time() + 10
            while True:  # a freed port rests before it is used again
                try:
                    await client.call("endpoint.create_from_offer", sdp=phone().offer())
                    return
                except RoomtoneError as error:
                    assert error.code == "ENDPOINT_ERROR"
                    assert asyncio.get_running_loop().time() < deadline
                    await asyncio.sleep(0.1)

    asyncio.run(scenario())
