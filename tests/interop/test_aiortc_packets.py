"""aiortc's RTP and RTCP classes as an independent reader of what we send and writer of what we read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    RtpPacket,
)
from demo_parts.server import Server
from peers import HOST, answered_port, session, until

from roomtone.client import Client

pytestmark = pytest.mark.interop

FRAME_S = 0.02
FRAME_SAMPLES = 160
CNAME_ITEM = 1  # RFC 3550 section 6.5.1
KEY_PAYLOAD_TYPE = 101
SOME_FRAMES = 50


class Telephone(asyncio.DatagramProtocol):
    """Sends what aiortc builds, keeps what aiortc reads of what came; rtcp-mux on one socket."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.rtp: list[RtpPacket] = []
        self.rtcp: list[RtcpPacket] = []
        self.raw: list[bytes] = []
        self._sent = 0
        self._transport: asyncio.DatagramTransport
        self.endpoint_id = ""
        self.answer = ""

    async def join(self, client: Client, seed: int) -> None:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(HOST, 0)
        )
        self._seq, self._timestamp = 65500 + seed, 0xFFFFF000  # both wrap within the test
        port = self._transport.get_extra_info("sockname")[1]
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 {KEY_PAYLOAD_TYPE}\r\n"
            f"a=rtpmap:{KEY_PAYLOAD_TYPE} telephone-event/8000\r\na=rtcp-mux\r\n"
        )
        made = await client.call("endpoint.create_from_offer", sdp=sdp)
        self.endpoint_id, self.answer = made["endpoint_id"], made["sdp_answer"]
        self._remote = (HOST, answered_port(self.answer))

    def close(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.raw.append(data)
        if 200 <= data[1] <= 204:
            self.rtcp += RtcpPacket.parse(data)
        else:
            self.rtp.append(RtpPacket.parse(data))

    def send_frame(self) -> None:
        packet = RtpPacket(
            payload_type=0,
            marker=int(self._sent == 0),
            sequence_number=self._seq + self._sent & 0xFFFF,
            timestamp=self._timestamp + self._sent * FRAME_SAMPLES & 0xFFFFFFFF,
            ssrc=self.ssrc,
            payload=bytes([self._sent & 0xFF]) * FRAME_SAMPLES,
        )
        self._transport.sendto(packet.serialize(), self._remote)
        self._sent += 1

    def send_rtcp(self, *packets: RtcpPacket) -> None:
        self._transport.sendto(b"".join(bytes(packet) for packet in packets), self._remote)

    def reports(self) -> list[RtcpSrPacket]:
        return [packet for packet in self.rtcp if isinstance(packet, RtcpSrPacket)]


@asynccontextmanager
async def talking(client: Client, telephones: list[Telephone]) -> AsyncIterator[None]:
    """All of them send a frame every 20 ms until the block ends."""
    for seed, telephone in enumerate(telephones):
        await telephone.join(client, seed)

    async def talk() -> None:
        while True:
            for telephone in telephones:
                telephone.send_frame()
            await asyncio.sleep(FRAME_S)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for telephone in telephones:
            telephone.close()


@pytest.mark.parametrize("size", [pytest.param(2, id="relayed"), pytest.param(3, id="mixed")])
def test_every_packet_we_send_is_read_by_aiortc_and_written_again_the_same(
    server: Server, run: Callable, size: int
) -> None:
    async def body() -> None:
        telephones = [Telephone(1000 + i) for i in range(size)]
        async with session(server) as client, talking(client, telephones):
            await until(lambda: all(len(t.rtp) >= SOME_FRAMES and t.reports() for t in telephones))
            await client.call("endpoint.dtmf.inject", endpoint_id=telephones[0].endpoint_id, digit="7")
            await until(lambda: sum(p.payload_type == KEY_PAYLOAD_TYPE for p in telephones[0].rtp) >= 3)
        for telephone in telephones:
            first = telephone.rtp[0]
            assert f"a=ssrc:{first.ssrc} cname:" in telephone.answer
            for number, packet in enumerate(telephone.rtp):
                assert (packet.version, packet.csrc, packet.ssrc) == (2, [], first.ssrc)
                assert packet.sequence_number == first.sequence_number + number & 0xFFFF
            for data in telephone.raw:
                again = (
                    b"".join(bytes(packet) for packet in RtcpPacket.parse(data))
                    if 200 <= data[1] <= 204
                    else RtpPacket.parse(data).serialize()
                )
                assert again == data

    run(body())


def test_our_reports_name_the_sender_it_hears_and_the_cname_of_the_answer(
    server: Server, run: Callable
) -> None:
    async def body() -> None:
        one, two = Telephone(0xFFFFFFFE), Telephone(7)
        async with session(server) as client, talking(client, [one, two]):
            await until(lambda: bool(one.reports()))
            told = one.reports()[-1]
            assert told.ssrc == one.rtp[0].ssrc
            assert 0 < told.sender_info.packet_count <= len(one.rtp) + 1
            assert told.sender_info.octet_count == told.sender_info.packet_count * FRAME_SAMPLES
            assert [report.ssrc for report in told.reports] == [one.ssrc]
            assert (told.reports[0].packets_lost, told.reports[0].fraction_lost) == (0, 0)
            sdes = next(packet for packet in one.rtcp if isinstance(packet, RtcpSdesPacket))
            cname = dict(sdes.chunks[0].items)[CNAME_ITEM].decode()
            assert f"cname:{cname}" in one.answer

    run(body())


def test_aiortcs_receiver_report_gives_round_trip_and_remote_loss(server: Server, run: Callable) -> None:
    async def body() -> None:
        one, two = Telephone(11), Telephone(12)
        async with session(server) as client, talking(client, [one, two]):
            await until(lambda: bool(one.reports()))
            heard = one.reports()[-1]
            report = RtcpReceiverInfo(
                ssrc=heard.ssrc,
                fraction_lost=3,
                packets_lost=5,
                highest_sequence=one.rtp[-1].sequence_number,
                jitter=16,
                lsr=heard.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF,
                dlsr=0,
            )
            sender = RtcpSenderInfo(ntp_timestamp=1 << 40, rtp_timestamp=0, packet_count=1, octet_count=160)
            one.send_rtcp(
                RtcpSrPacket(ssrc=one.ssrc, sender_info=sender, reports=[report]),
                RtcpRrPacket(ssrc=one.ssrc, reports=[report]),
            )
            stats = await stats_with_round_trip(client, one.endpoint_id)
            assert 0 <= stats["rtt_ms"] < 10_000
            assert stats["outbound"]["remote_packets_lost"] == 5
            assert stats["outbound"]["remote_jitter_ms"] == pytest.approx(2.0)

    run(body())


async def stats_with_round_trip(client: Client, endpoint_id: str) -> dict:
    while True:
        for stats in (await client.call("stats.snapshot"))["endpoints"]:
            if stats["endpoint_id"] == endpoint_id and stats["rtt_ms"] is not None:
                return stats
        await asyncio.sleep(FRAME_S)


def test_aiortcs_bye_becomes_an_event(server: Server, run: Callable) -> None:
    async def body() -> None:
        one, two = Telephone(21), Telephone(22)
        async with session(server) as client, talking(client, [one, two]):
            await until(lambda: len(one.rtp) > 0)
            one.send_rtcp(RtcpRrPacket(ssrc=one.ssrc, reports=[]), RtcpByePacket(sources=[one.ssrc, 99]))
            bye = await client.event("endpoint.rtcp_bye")
            assert bye.data == {"endpoint_id": one.endpoint_id, "ssrc_list": [one.ssrc, 99], "reason": None}

    run(body())


def test_removing_an_endpoint_sends_a_bye_that_aiortc_reads(server: Server, run: Callable) -> None:
    async def body() -> None:
        one, two = Telephone(31), Telephone(32)
        async with session(server) as client, talking(client, [one, two]):
            await until(lambda: len(one.rtp) > 0)
            await client.call("endpoint.remove", endpoint_id=one.endpoint_id)
            await until(lambda: any(isinstance(packet, RtcpByePacket) for packet in one.rtcp))
            bye = next(packet for packet in one.rtcp if isinstance(packet, RtcpByePacket))
            assert bye.sources == [one.rtp[0].ssrc]

    run(body())
