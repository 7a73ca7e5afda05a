"""Rooms and calls under any interleaving of commands, deaths and delays: what was told is one true story."""

import itertools
from typing import Any

from desk import OFFER, Client, Desk
from gathering import AT_ONCE, call, room_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from roomtone.engine import messages as ms

WORKERS = 2
MEMBER = "conference.member."


class Rooms(RuleBasedStateMachine):
    calls = Bundle("calls")
    rooms = Bundle("rooms")

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(workers=WORKERS, config='recording_dir = "/rec"\n' + AT_ONCE)
        self.names = (f"room {n}" for n in itertools.count())
        self.clients: list[Client] = []
        self.read = 0
        self.inside: dict[str, set[str]] = {}  # room -> members, as events tell
        self.over: set[str] = set()  # rooms and calls
        self.recorded: dict[str, str] = {}  # room -> its recording
        self.talk: set[tuple[str, str]] = set()  # rooms and who talks there
        self.asked: list[int] = []  # requests without an answer yet
        self.accepted: list[str] = []  # operation ids
        self.results: dict[str, int] = {}

    def command(self, session: str, name: str, body: Any = None) -> None:
        self.asked.append(self.desk.ask(f"command.{name}", body, session_uuid=session))
        self.read_replies()

    def read_replies(self) -> None:
        for n in [n for n in self.asked if n in self.desk.replies]:
            self.asked.remove(n)
            status, reply = self.desk.reply(n)
            assert status in (202, 404), reply
            if status == 202:
                self.accepted.append(reply["operation_id"])

    # -- what clients do -------------------------------------------------------------------------------------

    @rule(target=rooms, limit=st.sampled_from([0, 0, 2]))
    def make_room(self, limit: int) -> Any:
        if self.desk.disk_stalled:
            return multiple()
        return room_of(self.desk, next(self.names), max_members=limit)

    @rule(target=calls)
    def make_call(self) -> Any:
        if self.desk.disk_stalled or any(worker.stalled for worker in self.desk.workers.values()):
            return multiple()
        return call(self.desk)

    @rule(
        who=calls, where=rooms, muted=st.booleans(), move=st.booleans(), role=st.sampled_from([None, "coach"])
    )
    def join(self, who: str, where: str, muted: bool, move: bool, role: str | None) -> None:
        self.command(who, "conference/join", {"room_id": where, "muted": muted, "move": move, "role": role})

    @rule(who=calls)
    def leave(self, who: str) -> None:
        self.command(who, "conference/leave")

    @rule(who=calls, what=st.sampled_from(["mute", "unmute", "deaf", "undeaf"]))
    def change(self, who: str, what: str) -> None:
        self.command(who, f"conference/{what}")

    @rule(who=calls, where=rooms)
    def kick(self, who: str, where: str) -> None:
        self.desk.ask("conference.member.kick", room_id=where, member=who)
        if not self.desk.disk_stalled:
            assert who not in self.present(where)

    @rule(who=consumes(calls))
    def hang_up(self, who: str) -> None:
        self.command(who, "hangup")

    @rule(target=calls, where=rooms, muted=st.booleans(), role=st.sampled_from([None, "coach"]))
    def add_stream(self, where: str, muted: bool, role: str | None) -> Any:
        if self.desk.disk_stalled or any(worker.stalled for worker in self.desk.workers.values()):
            return multiple()
        wish = {"remote": {"ip": "192.0.2.9", "port": 5004}, "muted": muted, "role": role}
        status, made = self.desk.rest("conference.rtp_member.create", wish, room_id=where)
        return made["session_uuid"] if status == 201 else multiple()

    @rule(who=calls, where=rooms, role=st.sampled_from(["participant", "agent", "coach"]))
    def give_role(self, who: str, where: str, role: str) -> None:
        self.desk.ask("conference.member.change", {"role": role}, room_id=where, member=who)

    @rule(where=rooms, what=st.sampled_from(["start", "pause", "resume", "stop"]))
    def record(self, where: str, what: str) -> None:
        self.desk.ask(f"conference.record.{what}", room_id=where)

    @rule(who=calls, speaks=st.booleans())
    def utter(self, who: str, speaks: bool) -> None:
        for worker in self.desk.workers.values():
            for endpoint in [e for e in worker.created if worker.endpoints.get(e) == who[6:]]:
                heard = {"session": who[6:], "endpoint": endpoint}
                self.desk.event(
                    worker.index,
                    ms.SpeechStarted(**heard) if speaks else ms.Silent(**heard, duration_ms=500),
                )

    @rule(where=consumes(rooms), hangup=st.sampled_from(["true", "false"]))
    def delete(self, where: str, hangup: str) -> None:
        self.desk.ask("conference.delete", query={"hangup": hangup}, room_id=where)

    @rule(who=calls, method=st.sampled_from(["endpoint.create_tone", "endpoint.create_from_offer"]))
    def make_more(self, who: str, method: str) -> None:
        """Over a WebSocket, which may find the call gone, or bound to another one."""
        client = self.desk.connect("app")
        client.send("session.attach", session_id=who[6:])
        client.send(method, **({"tone": "beep"} if "tone" in method else {"sdp": OFFER}))
        self.clients.append(client)

    @rule()
    def unbind(self) -> None:
        for client in self.clients:
            client.close()
        self.clients.clear()

    # -- what befalls them -----------------------------------------------------------------------------------

    @rule(index=st.integers(0, WORKERS - 1), silent=st.booleans())
    def hear_of_nobody(self, index: int, silent: bool) -> None:
        self.desk.workers[index].mute = {ms.Seated} if silent else set()

    @rule(index=st.integers(0, WORKERS - 1))
    def stall(self, index: int) -> None:
        self.desk.workers[index].stalled = True

    @rule(index=st.integers(0, WORKERS - 1))
    def go_on(self, index: int) -> None:
        self.desk.workers[index].stalled = False
        self.desk.answer_late(index)

    @rule(index=st.integers(0, WORKERS - 1))
    def die(self, index: int) -> None:
        self.desk.kill(index)
        self.desk.restart(index)

    @rule()
    def restart(self) -> None:
        for worker in self.desk.workers.values():
            worker.stalled, worker.held = False, []
        self.desk.disk_stalled = False
        self.asked.clear()
        self.clients.clear()
        self.desk.reboot()
        for worker in self.desk.workers.values():  # a bus that it was not told any more to close
            worker.rooms &= set(self.desk.core.rooms)

    @rule()
    def stall_the_disk(self) -> None:
        self.desk.disk_stalled = True

    @rule()
    def write_on(self) -> None:
        self.desk.write_on()
        self.read_replies()

    @rule(seconds=st.sampled_from([0.5, 2, 10]))
    def wait(self, seconds: float) -> None:
        self.desk.advance(seconds)

    # -- what has to hold ------------------------------------------------------------------------------------

    def present(self, room: str) -> set[str]:
        status, shown = self.desk.rest("conference.get", room_id=room)
        return {member["session_uuid"] for member in shown["members"]} if status == 200 else set()

    @invariant()
    def the_story_is_whole(self) -> None:
        for event in self.desk.published[self.read :]:
            fields = event.fields
            for lane in filter(None, (event.room_id, event.session_uuid)):
                assert lane not in self.over, (event.name, lane)
            if event.name == MEMBER + "joined":
                members = self.inside.setdefault(event.room_id, set())
                assert event.session_uuid not in members
                members.add(event.session_uuid)
                assert fields.member_count == len(members)
            elif event.name == MEMBER + "left":
                members = self.inside[event.room_id]
                members.remove(event.session_uuid)
                assert fields.member_count == len(members)
                assert (event.room_id, event.session_uuid) not in self.talk
            elif event.name == MEMBER + "talking_started":
                assert event.session_uuid in self.inside[event.room_id]
                assert (event.room_id, event.session_uuid) not in self.talk
                self.talk.add((event.room_id, event.session_uuid))
            elif event.name == MEMBER + "talking_stopped":
                self.talk.remove((event.room_id, event.session_uuid))
            elif event.name == "conference.recording.started":
                assert self.recorded.setdefault(event.room_id, fields.recording_id) == fields.recording_id
            elif event.name == "conference.recording.stopped":
                assert self.recorded.pop(event.room_id) == fields.recording_id
            elif event.name.startswith("conference.recording."):
                assert self.recorded[event.room_id] == fields.recording_id
            elif event.name == "command.result":
                self.results[fields.operation_id] = self.results.get(fields.operation_id, 0) + 1
            elif event.name == "conference.destroyed":
                assert not self.inside.get(event.room_id)
                assert event.room_id not in self.recorded
                self.over.add(event.room_id)
            elif event.name == "call.hangup":
                assert all(event.session_uuid not in members for members in self.inside.values())
                self.over.add(event.session_uuid)
        self.read = len(self.desk.published)
        assert all(count == 1 for count in self.results.values())
        if not self.desk.disk_stalled:
            for room in self.desk.core.rooms:
                assert self.present(room) == self.inside.get(room, set())

    def teardown(self) -> None:
        """Left alone, everything comes to rest: every command has its result, every member its seat."""
        self.write_on()
        for worker in self.desk.workers.values():
            worker.mute = set()
            worker.stalled = False
            self.desk.answer_late(worker.index)
        self.desk.advance(30)
        self.the_story_is_whole()
        assert set(self.accepted) <= set(self.results)
        sits = {
            session: (member.room.id, not member.muted)
            for session, member in ((s.id, s.member) for s in self.desk.core.sessions.values())
            if member is not None
        }
        for worker in self.desk.workers.values():
            for endpoint, session in worker.endpoints.items():
                where, seat = worker.seats.get(endpoint, (None, None))
                assert where == sits.get(session, (None, True))[0]
                heard = seat is not None and endpoint in worker.created
                assert not heard or seat.speaks is sits[session][1]
        for room in list(self.desk.core.rooms):
            self.desk.rest("conference.delete", room_id=room)
        for session in list(self.desk.core.sessions):
            self.command(f"{self.desk.core.node}-{session}", "hangup")
        assert set(self.desk.core.workers.loads().values()) <= {0}
        for worker in self.desk.workers.values():
            assert not worker.seats and not worker.endpoints and not worker.rooms
        for row in self.desk.rows:
            assert row[0] not in ("room", "member", "call"), row


Rooms.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRooms = Rooms.TestCase
