"""Procedures: what a command does step by step, as generators that ask workers and get their answers.

A procedure yields a list of `Ask` and is resumed with a list of answers in the same order, when all are
there; or it yields `PAUSE` between two pieces of long work.  It returns its result or raises `Problem`.
Nothing waits: between the steps the procedure is only kept here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

from msgspec import Struct, field

from roomtone.control.core.api import EventData
from roomtone.control.core.effects import AskStore, Located, LocateFile, SendToWorker
from roomtone.control.core.problems import CODES, INTERNAL_ERROR, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.rest.store_questions import Question, Said
from roomtone.control.core.session import Session
from roomtone.engine.messages import CommandBody, Failed, ReplyBody

COMMAND_DEADLINE_US = 5_000_000  # websocket.md section 1: SESSION_UNRESPONSIVE after 5 s

FILES = -1  # asked like a worker: where a file of that name lies
STORE = -2  # asked like a worker: what the store knows of events and their deliveries


class Locate(Struct, frozen=True):
    """The question to FILES; answered with `Located` or `Failed`.  source: as the client named it."""

    source: str


class Ask(Struct, eq=False):
    """One command to a worker, to be answered within that time.

    late: called with a success that comes after it, to undo it.  still: of a command that is told, whether
    it is to be told again when it was not answered; None: always.
    """

    worker: int
    body: CommandBody | Locate | Question
    late: Callable[[ReplyBody | Located | Said], None] | None = None
    within_us: int | None = None  # to answer; None: COMMAND_DEADLINE_US
    still: Callable[[], bool] | None = None

    def effect(self, n: int, deadline_us: int) -> SendToWorker | LocateFile | AskStore:
        if isinstance(self.body, Locate):
            return LocateFile(n, self.body.source)
        if isinstance(self.body, Question):
            return AskStore(n, self.body)
        return SendToWorker(self.worker, n, deadline_us, self.body)


PAUSE: list[Ask] = []  # yielded instead of asks: go on when other work had its turn
PAUSED = "paused"  # the timers of those that paused


class Unanswered(Struct):
    """Stands for the answer of a worker that gave none in time, or died."""

    reason: str


Answer = ReplyBody | Located | Said | Unanswered
Procedure = Generator[list[Ask], list[Answer], Struct]
Work = Generator[list[Ask], list[Answer], None]  # a procedure without a client
Ended = Callable[[Struct | None, Problem | None], None]  # what a procedure came to


class Run(Struct, eq=False):
    """A procedure between two steps.  open: the places of the answers still missing, by command number."""

    procedure: Procedure | Work
    done: Ended
    call: Call | None = None
    started: bool = False
    answers: list[Answer | None] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)


class Open(Struct, eq=False):
    """A command on its way.  run None: nobody waits for the answer; it is sent again when none comes."""

    ask: Ask
    deadline_us: int
    run: Run | None


class Call(Struct, eq=False):
    """One request of a client.

    asked_us: when it came.  followers: events it causes at once; they stand behind its reply.  then: done
    when the reply is queued.
    """

    connection: int
    app_id: str
    request_id: str
    method: str
    bound: Session | None
    asked_us: int
    followers: list[EventData] = field(default_factory=list)
    then: Callable[[], None] | None = None

    @property
    def session(self) -> Session:
        assert self.bound is not None
        return self.bound

    def emit(self, event: EventData) -> None:
        self.followers.append(event)


def unanswered(answer: Answer) -> bool:
    """The worker did not begin: no answer, or one that the deadline had passed before it looked."""
    return isinstance(answer, Unanswered) or (
        isinstance(answer, Failed) and answer.code == SESSION_UNRESPONSIVE
    )


def defer(session: Session, begin: Callable[[], None]) -> None:
    """Keep what wants to begin until the session's open procedure is done."""
    if session.waiting is None:
        session.waiting = deque()
    session.waiting.append(begin)


def next_deferred(session: Session) -> None:
    while session.waiting and session.run is None:
        session.waiting.popleft()()


T = TypeVar("T", bound=Struct)


def expect(answer: Answer, kind: type[T]) -> T:
    """The answer as what it must be.  Raises `Problem` when the worker refused or gave none."""
    if isinstance(answer, Failed):
        code = answer.code if answer.code in CODES else INTERNAL_ERROR
        raise Problem(code, answer.message, cause=answer.detail)
    if isinstance(answer, Unanswered):
        raise Problem(SESSION_UNRESPONSIVE, f"The media worker did not answer: {answer.reason}")
    assert isinstance(answer, kind), answer
    return answer
