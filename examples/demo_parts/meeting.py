"""A room over REST: who dials in, what is done there, who has no business there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from demo_parts.caller import Caller
from demo_parts.receiver import Receiver
from demo_parts.rest import App, Refused
from demo_parts.sound import FRAMES_A_SECOND

NAME = "Team Standup"
EVENT_WAIT_S = 10.0


class Meeting:
    """Order of use: open; join and other steps, while the callers speak; close.

    app: whose the room is.  stranger: another application.  numbers, roles: caller -> what it is called by,
    and what it is in the room, if not just one of them.
    """

    def __init__(
        self,
        app: App,
        stranger: App,
        receiver: Receiver,
        callers: Mapping[str, Caller],
        numbers: Mapping[str, str],
        roles: Mapping[str, str],
        urls: list[str],
        say: Callable[[str], None],
    ) -> None:
        self.callers = callers
        self.numbers = numbers
        self.urls = urls
        self.sessions: dict[str, str] = {}  # caller -> session_uuid
        self.room_id = ""
        self.members: list[str] = []  # as the room shows them when all are there
        self.refused: dict[str, Refused | None] = {}  # what the stranger tried -> what it was told
        self._app = app
        self._stranger = stranger
        self._receiver = receiver
        self._roles = roles
        self._say = say
        self._room = ""

    async def open(self) -> None:
        """The room, and everybody's call."""
        self.room_id = (await self._app.post("/conferences", name=NAME))["room_id"]
        self._room = f"/conferences/{self.room_id}"
        for name, caller in self.callers.items():
            await caller.open()
            made = await self._app.post("/sessions", caller_id=self.numbers[name], sdp=caller.offer_sdp())
            caller.connect(made["sdp_answer"])
            self.sessions[name] = made["session_uuid"]
            await self._app.command(made["session_uuid"], "answer")

    # -- steps -----------------------------------------------------------------------------------------------

    async def join(self) -> None:
        """Everybody; who has joined is in the mix."""
        for name, session_uuid in self.sessions.items():
            role = {"role": self._roles[name]} if name in self._roles else {}
            await self._app.command(session_uuid, "conference/join", room_id=self.room_id, **role)
            await self._receiver.wait_for("conference.member.joined", session_uuid=session_uuid)
        shown = await self._app.get(self._room)
        self.members = [member["caller_id"] for member in shown["members"]]

    async def play(self) -> None:
        self._say("POST /conferences/{room_id}/play: two announcements")
        await self._app.post(f"{self._room}/play", urls=self.urls)

    async def pause(self) -> None:
        """Or go on: what it comes to is told by the event."""
        self._say("POST /conferences/{room_id}/pause")
        await self._app.post(f"{self._room}/pause")

    async def volume(self, decibels: int) -> None:
        self._say(f"POST /conferences/{{room_id}}/volume: {decibels} dB")
        await self._app.post(f"{self._room}/volume", volume=decibels)

    async def command(self, name: str, command: str) -> None:
        self._say(f"POST /sessions/{{session_uuid}}/commands/{command}: {name}")
        await self._app.command(self.sessions[name], command)

    async def put_out(self, name: str) -> None:
        self._say(f"DELETE /conferences/{{room_id}}/members/{{session_uuid}}: {name}")
        await self._app.delete(f"{self._room}/members/{self.sessions[name]}")

    async def trespass(self) -> None:
        """The other application tries whatever the first one did."""
        anna = self.sessions["Anna"]
        stranger = self._stranger
        for what, attempt in {
            "see the room": stranger.get(self._room),
            "play there": stranger.post(f"{self._room}/play", urls=self.urls),
            "end it": stranger.delete(self._room),
            "mute Anna": stranger.command(anna, "conference/mute"),
            "hang up for Anna": stranger.command(anna, "hangup"),
        }.items():
            try:
                await attempt
                self.refused[what] = None
            except Refused as refused:
                self.refused[what] = refused
                self._say(f"another application tries to {what}: {refused.status} {refused.code}")

    # -- the end ---------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """The room ends, everybody hangs up, every event has come, and every telephone its goodbye."""
        await self._app.delete(self._room)
        await self._receiver.wait_for("conference.destroyed", room_id=self.room_id)
        for session_uuid in self.sessions.values():
            await self._app.command(session_uuid, "hangup")
        for session_uuid in self.sessions.values():
            await self._receiver.wait_for("call.hangup", session_uuid=session_uuid)
        async with asyncio.timeout(EVENT_WAIT_S):
            while not all(caller.totals.byes for caller in self.callers.values()):
                await asyncio.sleep(1 / FRAMES_A_SECOND)
        for caller in self.callers.values():
            caller.close()
