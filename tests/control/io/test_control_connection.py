"""A control connection as its peer sees it: order, limits, pings, and what a slow reader loses."""

from collections.abc import Callable
from pathlib import Path

import pytest
from control_process import Control, log_lines, running, until
from raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, RawPeer

from roomtone.client import RoomtoneError
from roomtone.control.core.effects import ConnectionMessage
from roomtone.control.io.ws import PENDING_FRAMES
from roomtone.engine.messages import CreateTone, KeyPressed, MediaTimeout

KB = 1024
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
)


def test_a_session_is_made_used_and_destroyed(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await control.client()
            session = (await client.call("session.create"))["session_id"]
            made = await client.call("endpoint.create_from_offer", sdp=OFFER)
            assert "m=audio" in made["sdp_answer"]
            info = await client.call("session.info")
            assert info["session_id"] == session
            assert [endpoint["endpoint_id"] for endpoint in info["endpoints"]] == [made["endpoint_id"]]
            await client.call("session.destroy")
            with pytest.raises(RoomtoneError) as caught:
                await client.call("session.info")
            assert caught.value.code == "NO_SESSION"

    run(body())


def test_requests_sent_at_once_are_answered_in_order_and_one_at_a_time(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port)
            control.workers[0].hold = True
            ids = [peer.send("session.create")]
            ids += [peer.send("endpoint.create_tone", tone="ringback") for _ in range(3)]
            ids += [peer.send("server.info"), peer.send("nonsense")]
            await control.workers[0].command(CreateTone)
            made = [body for body in control.workers[0].commands if isinstance(body, CreateTone)]
            assert len(made) == 1
            control.workers[0].release()
            answered = []
            while len(answered) < len(ids):
                message = await peer.json()
                if "id" in message:
                    answered.append(message["id"])
            assert answered == ids
            peer.close()

    run(body())


def test_more_requests_than_are_kept_waiting_are_all_answered(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port)
            control.workers[0].hold = True
            ids = [peer.send("session.create"), peer.send("endpoint.create_tone", tone="busy")]
            ids += [peer.send("server.info") for _ in range(500)]
            await control.workers[0].command(CreateTone)
            connection = next(iter(control.app.connections.open.values()))
            await peer.writer.drain()
            await until(lambda: not connection.reading)
            assert len(connection.pending) == PENDING_FRAMES + 1  # the others wait in the socket
            control.workers[0].release()
            assert [(await peer.json())["id"] for _ in ids] == ids
            peer.close()

    run(body())


def test_a_message_of_the_greatest_size_passes_and_one_byte_more_closes(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path, ws_max_message_size_kb=4) as control:
            peer = await RawPeer.open(control.app.port)
            text = b'{"id":"1","method":"server.info"}'
            peer.frame(TEXT, text.ljust(4 * KB))
            assert (await peer.json())["id"] == "1"
            session = (await peer.call("session.create"))["session_id"]
            peer.frame(TEXT, text.ljust(4 * KB + 1))
            assert await peer.ended() == 1009  # RFC 6455 section 7.4.1: too big
            other = await control.client()
            await until(lambda: not control.app.core.sessions[session].connection)
            await other.call("session.attach", session_id=session)

    run(body())


def test_a_message_may_come_in_fragments_up_to_the_same_size(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, ws_max_message_size_kb=4) as control:
            peer = await RawPeer.open(control.app.port)
            peer.frame(TEXT, b'{"id":"1",', final=False)
            peer.frame(0, b'"method":"server.info"}')
            assert (await peer.json())["id"] == "1"
            peer.frame(TEXT, b" " * 3 * KB, final=False)
            peer.frame(0, b" " * 2 * KB)
            assert await peer.ended() == 1009

    run(body())


def test_binary_frames_are_ignored_and_pings_answered(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port)
            peer.frame(BINARY, b'{"id":"binary","method":"server.info"}')
            peer.frame(PING, b"are you there")
            assert await peer.read() == (PONG, b"are you there")
            peer.send("server.info")
            assert (await peer.json())["id"] == "1"
            peer.frame(CLOSE, (1000).to_bytes(2, "big"))
            assert await peer.ended() == 1000

    run(body())


def test_requests_sent_before_an_orderly_close_are_carried_out(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port)
            await peer.call("session.create")
            control.workers[0].hold = True
            peer.send("endpoint.create_tone", tone="busy")
            peer.send("session.destroy")
            peer.frame(CLOSE, (1000).to_bytes(2, "big"))
            await control.workers[0].command(CreateTone)
            control.workers[0].release()
            await peer.ended()
            await until(lambda: not control.app.core.sessions)

    run(body())


async def session_with_endpoint(control: Control, peer: RawPeer) -> tuple[str, str]:
    session = (await peer.call("session.create"))["session_id"]
    return session, (await peer.call("endpoint.create_from_offer", sdp=OFFER))["endpoint_id"]


def test_a_client_that_does_not_read_loses_a_told_number_where_it_was_lost(
    tmp_path: Path, run: Callable
) -> None:
    raised = 6000  # more than all buffers hold: 4 KB there, 64 KiB here twice, 256 events in the queue

    async def body() -> None:
        async with running(tmp_path) as control:
            peer = await RawPeer.open(control.app.port)
            session, endpoint = await session_with_endpoint(control, peer)
            for start in range(0, raised, 100):
                control.workers[0].emit(
                    *(
                        KeyPressed(session=session, endpoint=endpoint, digit="5", duration_ms=number)
                        for number in range(start, start + 100)
                    )
                )
            await until(lambda: control.app.counters.worker_events["key"] == raised)
            peer.send("server.info")
            expected = lost = 0
            while "id" not in (message := await peer.json()):
                if message["event"] == "dtmf":
                    assert message["data"]["duration_ms"] == expected
                    expected += 1
                elif message["event"] == "events.dropped":
                    expected += message["data"]["count"]
                    lost += message["data"]["count"]
            while expected < raised:  # a reply passes what waits in the normal lane
                message = await peer.json()
                if message["event"] == "events.dropped":
                    expected += message["data"]["count"]
                    lost += message["data"]["count"]
                else:
                    assert message["data"]["duration_ms"] == expected
                    expected += 1
            assert expected == raised
            assert 0 < lost < raised
            assert control.app.core.counts().events_dropped == lost

    run(body())


def test_a_client_that_does_not_read_costs_another_nothing(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            deaf = await RawPeer.open(control.app.port)
            session, endpoint = await session_with_endpoint(control, deaf)
            client = await control.client()
            other = (await client.call("session.create"))["session_id"]
            tone = (await client.call("endpoint.create_from_offer", sdp=OFFER))["endpoint_id"]
            for number in range(3000):
                control.workers[0].emit(
                    KeyPressed(session=session, endpoint=endpoint, digit="1", duration_ms=number),
                    KeyPressed(session=other, endpoint=tone, digit="2", duration_ms=number),
                )
                event = await client.event("dtmf")
                assert event.data["duration_ms"] == number
            deaf.close()

    run(body())


def test_a_write_that_stalls_ends_the_connection(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(60_000_000, 100_000)) as control:
            peer = await RawPeer.open(control.app.port)
            session, endpoint = await session_with_endpoint(control, peer)
            keys = [KeyPressed(session=session, endpoint=endpoint, digit="5", duration_ms=1)] * 100
            for _ in range(60):
                control.workers[0].emit(*keys)
            await until(lambda: control.app.counters.connections_dropped["write_stalled"] == 1)
            await until(lambda: not control.app.connections.open)
            assert control.app.core.sessions[session].state == "orphaned"

    run(body())


def test_replies_are_never_lost_and_a_client_that_leaves_them_unread_is_not_served_on(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(60_000_000, 60_000_000)) as control:
            peer = await RawPeer.open(control.app.port)
            clients = [await control.client() for _ in range(40)]
            for client in clients:
                await client.call("session.create")
            ids = [peer.send("session.list") for _ in range(400)]  # 4 KB an answer
            connection = min(control.app.connections.open.items())[1]
            await until(lambda: connection.withheld)
            assert [(await peer.json())["id"] for _ in ids] == ids
            peer.close()

    run(body())


def test_an_unanswered_ping_ends_the_connection_and_an_answered_one_does_not(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path, waits=(200_000, 60_000_000), ws_ping_interval_secs=1) as control:
            mute = await RawPeer.open(control.app.port)
            alive = await control.client()
            assert await mute.ended() is None
            assert control.app.counters.connections_dropped["ping_unanswered"] == 1
            await alive.call("server.info")

    run(body())


def test_the_connection_beyond_the_last_gets_503_until_one_leaves(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, max_connections=2) as control:
            first, second = [await RawPeer.open(control.app.port) for _ in range(2)]
            _, status, headers = await RawPeer.request(control.app.port)
            assert (status, headers["retry-after"]) == (503, "1")
            first.close()
            await until(lambda: len(control.app.connections.open) < 2)
            third = await RawPeer.open(control.app.port)
            second.close()
            third.close()

    run(body())


def test_a_fault_of_ours_ends_one_connection_and_is_logged(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            broken = await RawPeer.open(control.app.port)
            client = await control.client()
            handle = control.app.core.handle

            def faulty(given: object, now_us: int) -> object:
                if isinstance(given, ConnectionMessage) and b"trip" in given.data:
                    raise RuntimeError("planted")
                return handle(given, now_us)

            control.app.core.handle = faulty
            broken.send("trip")
            assert await broken.ended() == 1011  # RFC 6455 section 7.4.1: unexpected condition
            await client.call("server.info")
        traces = [line["traceback"] for line in log_lines(tmp_path) if line["event"] == "core_failed"]
        assert len(traces) == 1 and "planted" in traces[0]

    run(body())


def test_critical_events_reach_a_slow_reader_before_normal_ones(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await control.client()
            session = (await client.call("session.create"))["session_id"]
            endpoint = (await client.call("endpoint.create_from_offer", sdp=OFFER))["endpoint_id"]
            control.workers[0].emit(MediaTimeout(session=session, endpoint=endpoint, duration_ms=5000))
            event = await client.event("endpoint.media_timeout")
            assert event.data == {"endpoint_id": endpoint, "duration_ms": 5000}

    run(body())


def test_texts_told_at_once_stay_in_order_when_the_peer_reads_late(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, event_channel_size=10) as control:
            slow = await RawPeer.open(control.app.port)
            connections, counted = control.app.connections, control.app.core.counters
            await until(lambda: len(connections.open) == 1)
            slow.writer.transport.pause_reading()
            told = 0
            while counted.events_dropped < 5:
                text = b'{"event":"stats","data":{"n":%d,"x":"%b"}}' % (told, b"x" * 4000)
                connections.tell(list(connections.open), [text])
                told += 1
            slow.writer.transport.resume_reading()
            messages = [await slow.json() for _ in range(told - 5 + 1)]
            assert messages.pop() == {"event": "events.dropped", "data": {"count": 5}}
            assert [message["data"]["n"] for message in messages] == list(range(told - 5))
            connections.tell(list(connections.open), [b'{"event":"stats","data":{}}'])
            assert await slow.json() == {"event": "stats", "data": {}}
            slow.close()

    run(body())
