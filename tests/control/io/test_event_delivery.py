"""What a client is told that reads slowly or whose connection breaks: all of it once, or the exact count."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from control_process import Control, running, until
from raw_websocket import RawPeer

from roomtone.engine.messages import KeyPressed, ToneFinished

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
RAISED = 6000  # more than all buffers hold
NEVER_US = 60_000_000


class Story:
    """Numbered events of one session, and what all its connections together were told of them."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.raised = 0
        self.told: list[int] = []
        self.lost = 0
        self.ends: list[tuple[str, str]] = []  # the other events, and of which endpoint
        self.ending = 0  # how many of them there are

    async def begin(self, peer: RawPeer) -> None:
        self.session = (await peer.call("session.create"))["session_id"]
        self.endpoint = (await peer.call("endpoint.create_from_offer", sdp=OFFER))["endpoint_id"]

    async def happen(self, count: int) -> None:
        for _ in range(count):
            self.control.workers[0].emit(
                KeyPressed(session=self.session, endpoint=self.endpoint, digit="5", duration_ms=self.raised)
            )
            self.raised += 1
        await until(lambda: self.control.app.counters.worker_events["key"] == self.raised)

    async def break_off(self, peer: RawPeer) -> None:
        """The connection breaks while the kernel takes no more; what it took still reaches the peer."""
        connection = next(iter(self.control.app.connections.open.values()))
        assert not connection.writable
        connection.transport.abort()
        await until(lambda: not self.control.app.connections.open)
        self.former = peer

    async def inherit(self) -> None:
        """A new connection takes the session and hears all there is."""
        heir = await RawPeer.open(self.control.app.port)
        on_its_way = asyncio.ensure_future(self.hear_what_was_on_its_way())
        attach = heir.send("session.attach", session_id=self.session)
        reply = await heir.json()
        assert (reply["id"], reply.get("result")) == (attach, {})
        await on_its_way
        while self.more:
            self.hear(await heir.json())
        heir.close()

    @property
    def more(self) -> bool:
        return len(self.told) + self.lost + len(self.ends) < self.raised + self.ending

    def hear(self, message: dict[str, Any]) -> None:
        if message.get("event") == "dtmf":
            self.told.append(message["data"]["duration_ms"])
        elif message.get("event") == "events.dropped":
            self.lost += message["data"]["count"]
        elif "event" in message:
            self.ends.append((message["event"], message["data"]["endpoint_id"]))

    async def hear_out(self, peer: RawPeer) -> None:
        while self.more:
            self.hear(await peer.json())

    async def hear_what_was_on_its_way(self) -> None:
        """Until the broken connection ends for its peer too."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.hear(await self.former.json())


def test_a_connection_that_breaks_loses_nothing_that_the_kernel_had_not_taken(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(NEVER_US, NEVER_US), event_channel_size=RAISED) as control:
            deaf = await RawPeer.open(control.app.port)
            story = Story(control)
            await story.begin(deaf)
            await story.happen(RAISED)
            await story.break_off(deaf)
            await story.happen(3)
            await story.inherit()
            assert story.lost == 0
            assert sorted(story.told) == list(range(story.raised))

    run(body())


def test_what_the_queue_could_not_hold_is_counted_across_connections(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(NEVER_US, NEVER_US), event_channel_size=10) as control:
            deaf = await RawPeer.open(control.app.port)
            story = Story(control)
            await story.begin(deaf)
            await story.happen(RAISED)
            await story.break_off(deaf)
            await story.happen(20)
            await story.inherit()
            assert len(set(story.told)) == len(story.told)
            assert story.lost == control.app.core.counters.events_dropped > 20
            assert len(story.told) + story.lost == story.raised

    run(body())


def test_a_client_that_reads_one_message_where_fifty_happen_is_told_the_exact_loss(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(NEVER_US, NEVER_US), event_channel_size=20) as control:
            slow = await RawPeer.open(control.app.port)
            story = Story(control)
            await story.begin(slow)
            connection = next(iter(control.app.connections.open.values()))
            tcp = connection.transport.get_extra_info("socket")
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least the kernel allows
            for _ in range(60):
                await story.happen(50)
                story.hear(await slow.json())
            await story.hear_out(slow)
            assert story.told == sorted(set(story.told))
            assert story.lost == control.app.core.counters.events_dropped > 0
            slow.close()

    run(body())


def test_a_tone_that_ends_as_the_connection_breaks_is_reported_once(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(NEVER_US, NEVER_US), event_channel_size=RAISED) as control:
            deaf = await RawPeer.open(control.app.port)
            story = Story(control)
            await story.begin(deaf)
            tone = (await deaf.call("endpoint.create_tone", tone="beep", duration_ms=1))["endpoint_id"]
            await story.happen(RAISED)  # the kernel takes no more: what ends now waits for a connection
            control.workers[0].emit(ToneFinished(session=story.session, endpoint=tone))
            story.ending = 2
            await until(lambda: control.app.counters.worker_events["tone_finished"] == 1)
            await story.break_off(deaf)
            await story.inherit()
            assert story.ends == [("endpoint.state_changed", tone), ("endpoint.tone.finished", tone)]

    run(body())
