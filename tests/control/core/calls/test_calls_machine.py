"""Anything may happen to calls: each is told of from call.new to call.hangup, and nothing stays owed.

Commands, keys, files, recordings, WebSockets, deaths of workers and of control, disks and workers that stall.
"""

from collections import Counter
from typing import Any

from desk import OFFER, Client, Desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomtone.engine import messages as ms

FILES = ["https://media.example/a.wav", "https://media.example/b.wav"]
FREE = "limits = { playback_ms = 0, seek_ms = 0, heavy_ms = 0 }\n"
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("answer", {}),
    ("playback/start", {"urls": FILES[:1]}),
    ("playback/start", {"urls": FILES}),
    ("playback/silence", {"duration_ms": 500}),
    ("playback/stop", {}),
    ("playback/pause", {}),
    ("playback/resume", {}),
    ("playback/restart", {}),
    ("playback/seek", {"offset_ms": 100}),
    ("play_and_get_digits", {"urls": FILES[:1], "tries": 2, "max_digits": 2}),
    ("record/start", {}),
    ("record/stop", {}),
]
PLAYS = [what for what in COMMANDS if "urls" in what[1]]
ENDS: list[tuple[str, dict[str, Any]]] = [("hangup", {}), ("disconnect", {})]
DISASTERS = [
    "attach",
    "leave",
    "destroy",
    "nobody_speaks",
    "worker_stalls",
    "worker_goes_on",
    "worker_goes_on",
    "worker_dies",
    "disk_stalls",
    "disk_goes_on",
    "disk_goes_on",
    "control_dies",
]


class Calls(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.desk = Desk(config=FREE + 'recording_dir = "/rec"')
        self.asked: dict[int, str] = {}  # request -> its command
        self.clients: list[Client] = []
        self.calls: list[str] = []
        self.call()

    @property
    def worker(self) -> Any:
        return self.desk.workers[0]

    def call(self) -> None:
        n = self.desk.ask("session.create", {"sdp": OFFER})
        if n in self.desk.replies and self.desk.reply(n)[0] == 201:
            self.calls.append(self.desk.reply(n)[1]["session_uuid"])

    @rule(which=st.integers(0, 1), what=st.sampled_from(COMMANDS))
    def command(self, which: int, what: tuple[str, dict[str, Any]]) -> None:
        for call in self.calls[-1 - which :][:1]:
            n = self.desk.ask(f"command.{what[0]}", what[1], session_uuid=call)
            self.asked[n] = what[0]

    @rule(what=st.sampled_from(PLAYS))
    def play_to_the_end(self, what: tuple[str, dict[str, Any]]) -> None:
        """Or nearly: other things come between in other examples."""
        self.command(0, what)
        for url in FILES:
            self.download_ends(url, there=True)
        self.files("begins")

    @rule(what=st.sampled_from(ENDS))
    def hang_up_and_call_again(self, what: tuple[str, dict[str, Any]]) -> None:
        self.command(0, what)
        self.call()

    @rule(key=st.sampled_from("12#"))
    def press(self, key: str) -> None:
        for endpoint, session in list(self.worker.endpoints.items()):
            if endpoint in self.worker.created:
                event = ms.KeyPressed(session=session, endpoint=endpoint, digit=key, duration_ms=100)
                self.desk.event(0, event)

    @rule(url=st.sampled_from(FILES), there=st.booleans())
    def download_ends(self, url: str, there: bool) -> None:
        if url in [effect.url for effect in self.desk.downloading.values()]:
            (self.desk.arrive if there else self.desk.fail)(url)

    @rule(what=st.sampled_from(["begins", "goes on", "ends", "breaks"]))
    def files(self, what: str) -> None:
        for endpoint, file in list(self.worker.files.items()):
            who = {"session": file.session, "endpoint": endpoint}
            if what == "begins" and not file.started:
                file.started = True
                self.desk.event(0, ms.FileStarted(**who, started_at_us=self.desk.now_us))
            elif what == "goes on" and file.started and file.item + 1 < len(file.paths):
                file.item += 1
                self.desk.event(0, ms.FileNext(**who, item=file.item))
            elif what in ("ends", "breaks") and file.started and not file.ended:
                file.ended = True
                how = {"reason": "error", "error": "noise"} if what == "breaks" else {"reason": "completed"}
                self.desk.event(0, ms.FileFinished(**who, **how))

    @rule()
    def tones_end(self) -> None:
        for body in self.worker.of(ms.CreateTone):
            if body.endpoint in self.worker.endpoints:
                self.desk.event(0, ms.ToneFinished(session=body.session, endpoint=body.endpoint))

    @rule(reason=st.sampled_from(["write_error", "session_destroyed"]))
    def recordings_end(self, reason: str) -> None:
        stopped = {body.recording for body in self.worker.of(ms.StopRecording)}
        closed = {body.session for body in self.worker.of(ms.CloseSession)}
        unanswered = [body for _, body in self.worker.held]  # what has not begun does not end
        for body in self.worker.of(ms.StartRecording):
            if body in unanswered:
                continue
            over = body.session in closed
            if body.recording not in stopped and over == (reason == "session_destroyed"):
                self.recording_ended(body, reason)

    def recording_ended(self, body: ms.StartRecording, reason: str) -> None:
        """The worker's last word about one; it is not asked about it any more."""
        self.worker.commands.append(ms.StopRecording(body.recording))
        self.desk.event(
            0,
            ms.RecordingStopped(
                session=body.session,
                recording=body.recording,
                file_path=body.file_path,
                duration_ms=1,
                packets=1,
                dropped_packets=0,
                reason=reason,
            ),
        )

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.desk.advance(seconds)

    @rule(what=st.sampled_from(DISASTERS))
    def disaster(self, what: str) -> None:
        getattr(self, what)()
        if not self.calls or self.calls[-1].partition("-")[2] not in self.desk.core.sessions:
            self.call()

    def attach(self) -> None:
        for call in self.calls[-1:]:
            client = self.desk.connect("app")
            client.send("session.attach", session_id=call.partition("-")[2])
            self.clients.append(client)

    def leave(self) -> None:
        if self.clients:
            self.clients.pop().close()

    def destroy(self) -> None:
        if self.clients and self.clients[-1].ready:
            self.clients[-1].send("session.destroy")

    def nobody_speaks(self) -> None:
        self.desk.advance(131)

    def worker_stalls(self) -> None:
        self.worker.stalled = True

    def worker_goes_on(self) -> None:
        self.worker.stalled = False
        self.desk.answer_late(0)

    def worker_dies(self) -> None:
        self.desk.kill(0)
        self.desk.restart(0)

    def disk_stalls(self) -> None:
        self.desk.disk_stalled = True

    def disk_goes_on(self) -> None:
        self.desk.write_on()

    def control_dies(self) -> None:
        self.desk.disk_stalled = False
        self.clients.clear()
        self.worker.stalled = False
        self.desk.reboot()

    @invariant()
    def each_call_is_told_of_in_order(self) -> None:
        for call, names in self.told().items():
            assert names[0] == "call.new", (call, names)
            assert names.count("call.new") == 1, names
            assert "call.hangup" not in names[:-1], names

    def told(self) -> dict[str, list[str]]:
        told: dict[str, list[str]] = {}
        for event in self.desk.published:
            told.setdefault(str(event.session_uuid), []).append(event.name)
        return told

    def teardown(self) -> None:
        self.disk_goes_on()
        self.worker_goes_on()
        while self.clients:
            self.leave()
        for url in FILES:
            self.download_ends(url, there=False)
        for call in self.calls:
            self.asked[self.desk.ask("command.hangup", {}, session_uuid=call)] = "hangup"
        self.recordings_end("session_destroyed")
        self.nobody_speaks()
        self.nothing_is_owed()

    def nothing_is_owed(self) -> None:
        desk = self.desk
        for call, names in self.told().items():
            assert names[-1] == "call.hangup", (call, names)
        results = Counter(result["operation_id"] for result in desk.told("command.result"))
        accepted = {n: desk.reply(n)[1] for n in self.asked if n in desk.replies and desk.reply(n)[0] == 202}
        for n, body in accepted.items():
            assert results[body["operation_id"]] == 1, (self.asked[n], results[body["operation_id"]])
        started = Counter(told["command_uid"] for told in desk.told("playback.started"))
        stopped = Counter(told["command_uid"] for told in desk.told("playback.stopped"))
        assert started == stopped
        assert set(started.values()) <= {1}
        collected = Counter(told["command_uid"] for told in desk.told("digits.collected"))
        wished = {
            body["operation_id"] for n, body in accepted.items() if self.asked[n] == "play_and_get_digits"
        }
        assert set(collected.values()) <= {1} and wished <= set(collected)
        completed = Counter(told["command_uid"] for told in desk.told("recording.completed"))
        assert set(completed.values()) <= {1}
        assert not [key for key in desk.rows if key[0] == "call"]
        assert desk.core.sessions == {}


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
