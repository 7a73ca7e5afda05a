"""A room with playback: what clients ask, what the origin and the worker do, what is told."""

from __future__ import annotations

from typing import Any

from desk import Desk
from fake_files import FakeFile

from roomtone.engine import messages as ms

BASE = "https://cdn.example/"
A, B, C = (f"{BASE}{name}.wav" for name in "abc")
UNHURRIED = "[limits]\nconference_play_ms = 0\nconference_control_ms = 0\n"


class Stage:
    """One room of one app.  last: the endpoint that was played last."""

    def __init__(self, config: str = "", workers: int = 1) -> None:
        self.desk = Desk(workers, config=UNHURRIED + config)
        self.room = self.desk.rest("conference.create", {"name": "stage"})[1]["room_id"]
        self.last = ""
        self.seen = len(self.desk.published)

    # -- clients ---------------------------------------------------------------------------------------------

    def ask(self, operation: str, **body: Any) -> tuple[int, dict[str, Any]]:
        return self.desk.rest(f"conference.{operation}", body, room_id=self.room)

    def play(self, *urls: str, **options: Any) -> str:
        """An accepted play; its operation id."""
        return self.did("play", urls=urls or (A,), **options)

    def did(self, operation: str, **body: Any) -> str:
        status, reply = self.ask(operation, **body)
        assert (status, reply["status"]) == (202, "in_progress"), reply
        return str(reply["operation_id"])

    @property
    def status(self) -> str:
        return str(self.ask("get")[1]["playback_status"])

    def news(self) -> list[dict[str, Any]]:
        """The play events since the last time, without the common keys."""
        fresh = self.desk.published[self.seen :]
        self.seen = len(self.desk.published)
        told = self.desk.told()[-len(fresh) :] if fresh else []
        return [event for event in told if event["event"].startswith("conference.play.")]

    def names(self) -> list[str]:
        return [event["event"].rpartition(".")[2] for event in self.news()]

    # -- the worker ------------------------------------------------------------------------------------------

    @property
    def file(self) -> FakeFile:
        """What the worker plays in the room."""
        (file,) = self.files
        return file

    @property
    def files(self) -> list[FakeFile]:
        return [f for worker in self.desk.workers.values() for f in worker.files.values()]

    def begin(self, *urls: str, **options: Any) -> str:
        """A play that is heard."""
        operation = self.play(*urls, **options)
        if self.desk.downloading:
            self.desk.arrive((urls or (A,))[0])
        self.first_frame()
        return operation

    def first_frame(self) -> None:
        self.last = self.file.endpoint
        self.file.started = True
        self._report(ms.FileStarted(session=self.room, endpoint=self.last, started_at_us=self.desk.now_us))

    def next_item(self) -> None:
        self.file.item += 1
        self.file.position_ms = 0
        self._report(ms.FileNext(session=self.room, endpoint=self.file.endpoint, item=self.file.item))

    def end(self) -> None:
        if self.files:
            self.last, self.file.ended = self.file.endpoint, True
        self._report(ms.FileFinished(session=self.room, endpoint=self.last, reason="completed"))

    def break_off(self, code: str = "decode_error") -> None:
        item = 0
        if self.files:
            self.last, self.file.ended, item = self.file.endpoint, True, self.file.item
        event = ms.FileFinished(
            session=self.room, endpoint=self.last, reason="error", error="broken", code=code, item=item
        )
        self._report(event)

    def move(self, seconds: float) -> None:
        """Time passes and the file moves, as long as it is not at its end."""
        self.file.position_ms += round(seconds * 1000)
        self.desk.advance(seconds)

    def _report(self, event: ms.Event) -> None:
        self.desk.event(0, event)
