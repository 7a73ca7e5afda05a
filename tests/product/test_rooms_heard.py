"""Calls in a room, over HTTP and real RTP: who hears whom, told from the spectrum of what they hear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_parts.sound import PCMU
from product import PCMU_SILENCE, Phone, Product, gaps, wait_for
from rest import AT_ONCE, Api

pytestmark = [pytest.mark.process, pytest.mark.real_time]

RATE_HZ, FRAME = 8000, 160
TONES_HZ = (450, 1050, 1950, 2650)
WINDOW = 25  # packets that are listened to
LOUD = 1000.0  # of an amplitude of 8000


class Voice(Phone):
    """A phone that says a tone of its own."""

    def __init__(self, tone_hz: int) -> None:
        super().__init__()
        self.tone_hz = tone_hz
        at = np.arange(RATE_HZ // 50 * 50) / RATE_HZ
        pcm = np.round(8000 * np.sin(2 * np.pi * tone_hz * at)).astype(np.int16)
        coded = PCMU.encode(pcm)
        self.frames = [coded[i : i + FRAME] for i in range(0, len(coded), FRAME)]
        self.silent = False
        self.session = ""

    def packet(self) -> bytes:
        self.payload = PCMU_SILENCE if self.silent else self.frames[self.sent % len(self.frames)]
        return super().packet()


def tones(packets: list[bytes]) -> set[int]:
    """Which of the tones are in it."""
    pcm = PCMU.decode(b"".join(packet[12:] for packet in packets)).astype(float)
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)))) / len(pcm) * 4
    bin_hz = RATE_HZ / len(pcm)
    return {
        tone for tone in TONES_HZ if spectrum[int(tone / bin_hz) - 2 : int(tone / bin_hz) + 4].max() > LOUD
    }


async def next_packets(phone: Phone) -> list[bytes]:
    mark = len(phone.heard)
    await asyncio.to_thread(wait_for, lambda: len(phone.heard) >= mark + WINDOW, what="audio")
    return phone.heard[mark : mark + WINDOW]


async def hears(phone: Phone, expected: set[int], what: str) -> None:
    """Until a whole window is just that; what does not come true says what was heard."""
    deadline = time.monotonic() + 10
    while True:
        found = tones(await next_packets(phone))
        if found == expected:
            return
        assert time.monotonic() < deadline, f"{what}: {found} instead of {expected}"


class Meeting:
    """Callers of one app in one room."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.room = ""

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = await asyncio.to_thread(self.api, method, path, body)
        assert reply.status in (200, 201, 202), reply
        return reply.body

    async def begin(self, **wishes: Any) -> None:
        self.room = (await self.ask("POST", "/conferences", {"name": "standup", **wishes}))["room_id"]

    async def call(self, phone: Voice) -> None:
        made = await self.ask("POST", "/sessions", {"sdp": phone.offer(), "caller_id": f"{phone.tone_hz}"})
        phone.session = made["session_uuid"]
        phone.answered(made["sdp_answer"])
        phone.call()
        await self.command(phone, "answer")

    async def command(self, phone: Voice, name: str, **body: Any) -> None:
        await self.ask("POST", f"/sessions/{phone.session}/commands/{name}", body)

    async def join(self, phone: Voice, **wishes: Any) -> None:
        await self.command(phone, "conference/join", room_id=self.room, **wishes)
        await self.until(lambda members: phone.session in members)

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Until the room's members are so."""
        deadline = time.monotonic() + 5
        while True:
            shown = await self.ask("GET", f"/conferences/{self.room}")
            if condition({member["session_uuid"]: member for member in shown["members"]}):
                return
            assert time.monotonic() < deadline, shown
            await asyncio.sleep(0.01)


@pytest.fixture
def voices() -> Iterator[list[Voice]]:
    phones = [Voice(tone) for tone in TONES_HZ]
    yield phones
    for phone in phones:
        phone.hang_up()


def run(product: Product, scenario: Callable[[Meeting], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario(Meeting(await asyncio.to_thread(product.api)))

    asyncio.run(whole())


def test_three_callers_on_two_workers_hear_each_other(
    serve: Callable[..., Product], voices: list[Voice]
) -> None:
    product = serve(workers=2, **AT_ONCE)
    a, b, c = voices[:3]

    async def scenario(meeting: Meeting) -> None:
        await meeting.begin()
        for phone in (a, b, c):
            await meeting.call(phone)
        await meeting.join(a)
        await hears(a, set(), "who is alone")
        await meeting.join(b)
        await meeting.join(c)
        assert len({worker for worker, count in workers_of(product).items() if count}) == 2
        for phone in (a, b, c):
            others = {other.tone_hz for other in (a, b, c) if other is not phone}
            await hears(phone, others, "one of three")
        await meeting.command(a, "conference/mute")
        await hears(b, {c.tone_hz}, "beside a muted one")
        await hears(a, {b.tone_hz, c.tone_hz}, "a muted one")
        await meeting.command(a, "conference/unmute")
        await hears(b, {a.tone_hz, c.tone_hz}, "beside an unmuted one")
        await meeting.command(a, "conference/deaf")
        await hears(a, set(), "a deaf one")
        await hears(b, {a.tone_hz, c.tone_hz}, "beside a deaf one")
        await meeting.command(a, "conference/undeaf")
        await meeting.ask("DELETE", f"/conferences/{meeting.room}/members/{c.session}")
        await hears(a, {b.tone_hz}, "after a kick")
        shown = await meeting.ask("GET", f"/sessions/{c.session}")
        assert (shown["state"], shown["room_id"]) == ("answered", None)  # the call goes on
        await meeting.join(c, muted=True)
        assert tones(await next_packets(a)) == {b.tone_hz}
        await meeting.ask("DELETE", f"/conferences/{meeting.room}")

    run(product, scenario)


def workers_of(product: Product) -> dict[str, float]:
    return {
        name: value
        for name, value in product.metrics().items()
        if name.startswith("roomtone_worker_endpoints")
    }


def test_a_coach_is_heard_by_the_agent_only(serve: Callable[..., Product], voices: list[Voice]) -> None:
    product = serve(workers=2, **AT_ONCE)
    customer, agent, coach, monitor = voices
    roles = {"participant": customer, "agent": agent, "coach": coach, "monitor": monitor}

    async def scenario(meeting: Meeting) -> None:
        await meeting.begin()
        for role, phone in roles.items():
            await meeting.call(phone)
            await meeting.join(phone, role=role)
        await hears(customer, {agent.tone_hz}, "the customer")
        await hears(agent, {customer.tone_hz, coach.tone_hz}, "the agent")
        await hears(coach, {customer.tone_hz, agent.tone_hz}, "the coach")
        await hears(monitor, {customer.tone_hz, agent.tone_hz}, "the monitor")
        await meeting.ask(
            "PATCH", f"/conferences/{meeting.room}/members/{coach.session}", {"role": "participant"}
        )
        await hears(customer, {agent.tone_hz, coach.tone_hz}, "the customer, when the coach barges in")

    run(product, scenario)


def test_who_moves_hears_the_other_room(serve: Callable[..., Product], voices: list[Voice]) -> None:
    product = serve(workers=2, **AT_ONCE)
    a, b, mover = voices[:3]

    async def scenario(meeting: Meeting) -> None:
        await meeting.begin()
        first = meeting.room
        for phone in (a, b, mover):
            await meeting.call(phone)
        await meeting.join(a)
        await meeting.join(mover)
        await hears(mover, {a.tone_hz}, "the first room")
        meeting.room = (await meeting.ask("POST", "/conferences", {"name": "other"}))["room_id"]
        await meeting.join(b)
        mark = len(mover.heard)
        await meeting.join(mover)
        await hears(mover, {b.tone_hz}, "the second room")
        await hears(a, set(), "who is left")
        assert gaps(mover.sequence_numbers()[mark:]) == 0
        await meeting.ask("DELETE", f"/conferences/{first}")

    run(product, scenario)


def test_members_go_on_talking_while_control_dies(serve: Callable[..., Product], voices: list[Voice]) -> None:
    product = serve(workers=2, **AT_ONCE)
    a, b = voices[:2]

    async def scenario(meeting: Meeting) -> None:
        await meeting.begin()
        for phone in (a, b):
            await meeting.call(phone)
            await meeting.join(phone)
        await hears(a, {b.tone_hz}, "before")
        mark = len(a.heard)
        title = "roomtone: control"
        old = await asyncio.to_thread(product.kill, title)
        await asyncio.to_thread(product.wait_for_another, title, old)
        await hears(a, {b.tone_hz}, "after")
        assert gaps(a.sequence_numbers()[mark:]) == 0
        await meeting.until(lambda members: set(members) == {a.session, b.session})
        await meeting.command(b, "conference/mute")
        await hears(a, set(), "beside a muted one, after")

    run(product, scenario)


def test_a_room_s_mix_is_forwarded_and_recorded(
    serve: Callable[..., Product], voices: list[Voice], tmp_path: Path
) -> None:
    product = serve(workers=2, recording_dir=str(tmp_path), **AT_ONCE)
    a, b, listener = voices[:3]

    async def scenario(meeting: Meeting) -> None:
        await meeting.begin()
        for phone in (a, b):
            await meeting.call(phone)
            await meeting.join(phone)
        there = {"ip": "127.0.0.1", "port": listener.port, "rtcp_port": listener.port}
        made = await meeting.ask("POST", f"/conferences/{meeting.room}/forwarders", {"remote": there})
        listener.call()
        await hears(listener, {a.tone_hz, b.tone_hz}, "where it is forwarded to")
        recording = await meeting.ask("POST", f"/conferences/{meeting.room}/record")
        await hears(a, {b.tone_hz}, "while it is recorded")
        await hears(a, {b.tone_hz}, "while it is recorded")
        stopped = await meeting.ask("DELETE", f"/conferences/{meeting.room}/record")
        assert stopped["duration_ms"] > 500
        assert stopped["recording_url"] == recording["recording_url"]
        name = recording["recording_url"].removeprefix("/recordings/")
        pcm = np.frombuffer((tmp_path / name).read_bytes()[44:], np.int16)
        middle = PCMU.encode(pcm[len(pcm) // 4 : len(pcm) * 3 // 4])
        assert tones([bytes(12) + middle]) == {a.tone_hz, b.tone_hz}
        await meeting.ask("DELETE", f"/conferences/{meeting.room}/forwarders/{made['forwarder_id']}")

    run(product, scenario)


def test_a_plain_rtp_member_is_heard_and_pointed_elsewhere(
    serve: Callable[..., Product], voices: list[Voice]
) -> None:
    product = serve(workers=2, **AT_ONCE)
    caller, door, elsewhere = voices[:3]

    def address(phone: Voice) -> dict[str, Any]:
        return {"ip": "127.0.0.1", "port": phone.port, "rtcp_port": phone.port}

    async def scenario(meeting: Meeting) -> None:
        await meeting.begin()
        await meeting.call(caller)
        await meeting.join(caller)
        members = f"/conferences/{meeting.room}/rtp-members"
        made = await meeting.ask("POST", members, {"remote": address(door), "caller_id": "door"})
        door.to = elsewhere.to = (made["local"]["ip"], made["local"]["rtp_port"])
        door.call()
        await hears(caller, {door.tone_hz}, "beside a plain member")
        await hears(door, {caller.tone_hz}, "a plain member")
        door.to = None
        await meeting.ask("PATCH", f"{members}/{made['session_uuid']}", {"remote": address(elsewhere)})
        elsewhere.call()
        await hears(elsewhere, {caller.tone_hz}, "where it went")
        await hears(caller, {elsewhere.tone_hz}, "beside where it went")
        await meeting.ask("DELETE", f"/conferences/{meeting.room}")

    run(product, scenario)
