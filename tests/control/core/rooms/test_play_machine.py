"""Commands, reports, late reports, restarts and stalled disks in any order: what must hold of plays."""

from collections import defaultdict
from typing import Any

from fake_worker import FakeWorker
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stage import A, B, C, Stage

from roomtone.control.core.rooms.play_machine import STATUS
from roomtone.engine import messages as ms

ENDS = ("finished", "failed", "stopped")
picks = st.integers(0, 20)


class AnyOrder(RuleBasedStateMachine):
    """One room, its clients, an origin and a worker that do what they like.

    plays: accepted ones, and those whose answer was lost in a restart and that may or may not have been.
    """

    @initialize(at_once=st.booleans())
    def begin(self, at_once: bool) -> None:
        self.at_once = at_once
        self.stage = Stage("[compat]\nstarted_on_dispatch = true\n" if at_once else "")
        self.desk = self.stage.desk
        self.plays: set[str] = set()
        self.asked: set[int] = set()
        self.late: list[ms.Event] = []

    # -- clients ---------------------------------------------------------------------------------------------

    @rule(
        urls=st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=3),
        on_busy=st.sampled_from(["reject", "replace", "queue", "overlay"]),
        on_error=st.sampled_from(["fail", "skip"]),
        repeat=st.sampled_from([0, 0, -1, 2]),
        max_pause_s=st.sampled_from([0, 5]),
    )
    def play(self, **body: Any) -> None:
        self.ask("play", body)

    @rule(action=st.sampled_from([None, "pause", "resume"]))
    def pause(self, action: str | None) -> None:
        self.ask("pause", {"action": action})

    @rule()
    def stop(self) -> None:
        self.ask("stop", {})

    @rule(volume=st.integers(-50, 7))
    def volume(self, volume: int) -> None:
        self.ask("volume", {"volume": volume})

    @rule(offset_ms=st.integers(0, 1200))
    def seek(self, offset_ms: int) -> None:
        self.ask("seek", {"offset_ms": offset_ms})

    @precondition(lambda self: self.named())
    @rule(operation=st.sampled_from(["stop", "pause"]), pick=picks)
    def of_one(self, operation: str, pick: int) -> None:
        named = self.named()
        self.ask(operation, {"operation_id": named[pick % len(named)]})

    def named(self) -> list[str]:
        return list(self.room.plays)

    def ask(self, operation: str, body: dict[str, Any]) -> None:
        n = self.desk.ask(f"conference.{operation}", body, room_id=self.stage.room)
        if operation == "play":
            self.asked.add(n)

    # -- the origin and the worker ---------------------------------------------------------------------------

    @precondition(lambda self: self.desk.downloading)
    @rule(pick=picks, well=st.booleans())
    def download_ends(self, pick: int, well: bool) -> None:
        urls = [download.url for download in self.desk.downloading.values()]
        url = urls[pick % len(urls)]
        self.desk.arrive(url) if well else self.desk.fail(url)

    @precondition(lambda self: self.stage.files)
    @rule(pick=picks, what=st.sampled_from(["started", "next", "end", "error"]), lost=st.booleans())
    def report(self, pick: int, what: str, lost: bool) -> None:
        """lost: the report is on its way when control dies, or comes much later."""
        file = self.stage.files[pick % len(self.stage.files)]
        event = self.happens(file, what)
        if event is not None:
            self.late.append(event)
            if not lost:
                self.desk.event(0, event)

    def happens(self, file: Any, what: str) -> ms.Event | None:
        """In the order in which a worker can say it."""
        if file.ended or file.paused:
            return None
        if not file.started:
            file.started = True
            return ms.FileStarted(session=file.session, endpoint=file.endpoint, started_at_us=0)
        if what == "next":
            if file.item + 1 == len(file.paths):
                return None
            file.item += 1
            return ms.FileNext(session=file.session, endpoint=file.endpoint, item=file.item)
        if what == "started" or (what == "end" and (file.more or file.item + 1 < len(file.paths))):
            return None
        file.ended = True
        values = {"reason": "completed"} if what == "end" else {"reason": "error", "code": "decode_error"}
        return ms.FileFinished(session=file.session, endpoint=file.endpoint, item=file.item, **values)

    @precondition(lambda self: self.late)
    @rule(pick=picks)
    def late_report(self, pick: int) -> None:
        """Of a playback that is over: one that runs says nothing twice."""
        event = self.late[pick % len(self.late)]
        if all(file.endpoint != event.endpoint for file in self.stage.files):
            self.desk.event(0, event)

    @rule(how=st.sampled_from(["refuse", "accept", "stall", "go on"]))
    def worker_changes(self, how: str) -> None:
        worker = self.desk.workers[0]
        if how == "stall":
            worker.stalled = True
            return
        if how == "go on":
            worker.stalled = False
            self.desk.answer_late(0)
        for kind in (ms.CreateFile, ms.QueueFile):
            worker.refuse.pop(kind, None)
            if how == "refuse":
                worker.refuse[kind] = ms.Failed(code="ENDPOINT_ERROR", message="no", detail="decode_error")

    # -- surroundings ----------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 1.5, 4, 11]), moves=st.booleans())
    def time_passes(self, seconds: float, moves: bool) -> None:
        for file in self.stage.files if moves else ():
            file.position_ms += 20
        self.desk.advance(seconds)

    @rule(stalled=st.booleans())
    def disk(self, stalled: bool) -> None:
        if stalled:
            self.desk.disk_stalled = True
        else:
            self.desk.write_on()

    @rule(worker_too=st.booleans())
    def control_restarts(self, worker_too: bool) -> None:
        self.desk.disk_stalled = False
        self.collect()
        if worker_too:
            self.desk.workers[0] = FakeWorker(0, self.desk.workers[0].epoch + 1)
        self.desk.workers[0].stalled = False
        self.desk.downloading.clear()
        self.desk.disk.clear()
        self.asked.clear()
        self.desk.reboot()

    @rule()
    def worker_dies(self) -> None:
        self.desk.kill(0)
        self.desk.restart(0)

    # -- what must hold --------------------------------------------------------------------------------------

    @property
    def room(self) -> Any:
        return self.desk.core.rooms[self.stage.room]

    def collect(self) -> None:
        """Answers that came."""
        for n in list(self.asked):
            if n in self.desk.replies:
                self.asked.discard(n)
                status, reply = self.desk.reply(n)
                if status == 202:
                    self.plays.add(reply["operation_id"])

    def told(self) -> dict[str, list[str]]:
        by_play = defaultdict(list)
        for event in self.desk.told():
            if event["event"].startswith("conference.play."):
                by_play[event["play_operation_id"]].append(event["event"].rpartition(".")[2])
        return by_play

    @invariant()
    def every_play_is_told_well(self) -> None:
        if not hasattr(self, "desk"):
            return
        self.collect()
        told = self.told()
        for play, names in told.items():
            ends = [name for name in names if name in ENDS]
            assert len(ends) <= 1, (play, names)
            assert not ends or names[-1] == ends[0], "something follows the end"
            assert names.count("started") <= 1, names
            begun = names.index("started") if "started" in names else len(names)
            assert not set(names[:begun]) - set(ENDS), "something goes before the start"
        on_disk = {id for kind, id in self.desk.rows if kind == "play"}
        for play in self.plays:
            over = any(name in ENDS for name in told[play])
            assert over != (play in on_disk), "a play is neither over nor kept, or both"

    @invariant()
    def memory_agrees(self) -> None:
        if not hasattr(self, "desk") or self.desk.disk_stalled:
            return
        plays = self.room.plays
        assert set(plays) == {id for kind, id in self.desk.rows if kind == "play"}
        own = [p for p in plays.values() if not p.overlay and p.state.value != "waiting"]
        assert len(own) <= 1
        assert own or not [p for p in plays.values() if p.state.value == "waiting"], (
            "who waits, waits for ever"
        )
        if own:
            assert STATUS[own[0].state] in ("playing", "paused")
        if not self.desk.workers[0].stalled:
            wanted = {p.endpoint for p in plays.values() if p.asked}
            assert {file.endpoint for file in self.stage.files} == wanted
            for file in self.stage.files:
                play = next(p for p in plays.values() if p.endpoint == file.endpoint)
                assert file.ended or (file.paused, file.gain_db) == (
                    play.held,
                    None if play.volume == -50 else play.volume,
                )

    def teardown(self) -> None:
        """Without anybody's doing everything comes to its end, but a pause."""
        if not hasattr(self, "desk"):
            return
        self.desk.write_on()
        self.desk.workers[0].stalled = False
        self.desk.answer_late(0)
        self.every_play_is_told_well()
        self.memory_agrees()
        for _ in range(100):
            for file in self.stage.files:
                file.starving = True
            self.desk.advance(13)
            for play in self.named():
                if self.room.plays[play].held:
                    self.ask("stop", {"operation_id": play})
        assert not self.named()
        self.every_play_is_told_well()
        told = self.told()
        assert all(any(name in ENDS for name in told[play]) for play in self.plays)
        assert not self.stage.files and not self.desk.downloading
        assert not [key for key in self.desk.timers if key[0] == "play"]


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
