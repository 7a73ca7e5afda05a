"""Procedures being carried out, and the commands they have open with workers.

What a worker answers too late is undone (`Ask.late`); a command that nobody waits for is sent again until it
is answered or the worker dies.
"""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from roomtone.control.core import effects
from roomtone.control.core.placement import Workers
from roomtone.control.core.problems import INTERNAL_ERROR, SESSION_GONE, Problem
from roomtone.control.core.run import (
    COMMAND_DEADLINE_US,
    FILES,
    PAUSE,
    PAUSED,
    STORE,
    Answer,
    Ask,
    Ended,
    Open,
    Procedure,
    Run,
    Unanswered,
    Work,
    defer,
    next_deferred,
    unanswered,
)
from roomtone.control.core.session import Session
from roomtone.engine.messages import CommandBody, Failed

LATE_KEPT_US = 60_000_000  # how long an answer after its deadline is waited for, to undo it


class Procedures:
    """Base of `Core`: effects gathered, procedures stepped, commands kept until they are answered."""

    def __init__(self) -> None:
        self.now_us = 0
        self.workers = Workers()
        self.paused: dict[str, Run] = {}  # by the name of the timer that resumes them
        self._out: list[effects.Effect] = []
        self._number = 0
        self._open: dict[int, Open] = {}
        self._late: OrderedDict[int, Open] = OrderedDict()

    def log(self, level: str, event: str, **fields: object) -> None:
        self._out.append(effects.Log(level, event, fields))

    def effect(self, effect: effects.Effect) -> None:
        self._out.append(effect)

    def internal_error(self, what: str) -> Problem:
        self.log("error", "internal_error", what=what, traceback=traceback.format_exc())
        return Problem(INTERNAL_ERROR, "Internal error")

    def tell(self, worker: int, body: CommandBody, still: Callable[[], bool] | None = None) -> None:
        """A command nobody waits for.  It is sent again until it is answered or the worker dies.

        still: whether it is to be sent again; one that has been overtaken by another is not.
        """
        if worker in self.workers:
            self._send(Ask(worker, body, still=still), None)

    def work(self, procedure: Work) -> None:
        """Run a procedure that no client waits for."""
        run = Run(procedure, lambda _result, _problem: None)
        self.step(run, [])

    def in_turn(
        self,
        session: Session,
        procedure: Procedure | Work,
        done: Ended,
    ) -> None:
        """Run a procedure behind what is open in its session; it does not outlive that."""
        if session.ended:
            procedure.close()
            done(None, Problem(SESSION_GONE, "The session has ended"))
        elif session.run is not None:
            defer(session, partial(self.in_turn, session, procedure, done))
        else:
            run = session.run = Run(procedure, partial(self._turn_over, session, done))
            self.step(run, [])

    def _turn_over(
        self,
        session: Session,
        done: Ended,
        result: Struct | None,
        problem: Problem | None,
    ) -> None:
        session.run = None
        done(result, problem)
        next_deferred(session)

    def step(self, run: Run, answers: list[Answer]) -> None:
        """Resume a procedure until it waits for a worker or ends."""
        result: Struct | None = None
        problem: Problem | None = None
        try:
            asks = run.procedure.send(answers if run.started else None)  # type: ignore[arg-type]
            run.started = True
            while not asks and asks is not PAUSE:
                asks = run.procedure.send([])
        except StopIteration as stop:
            result = stop.value
        except Problem as refused:
            problem = refused
        except Exception:
            problem = self.internal_error("procedure")
        else:
            if asks is PAUSE:
                self._pause(run)
                return
            run.answers = [None] * len(asks)
            run.open = {}
            for place, ask in enumerate(asks):
                if ask.worker in self.workers or ask.worker in (FILES, STORE):
                    run.open[self._send(ask, run)] = place
                else:
                    run.answers[place] = Unanswered("it is not running")
            if not run.open:
                self.step(run, run.answers)  # type: ignore[arg-type]
            return
        run.done(result, problem)

    def _pause(self, run: Run) -> None:
        self._number += 1
        self.paused[str(self._number)] = run
        self._out.append(effects.ScheduleAt(self.now_us, (PAUSED, str(self._number))))

    def resume(self, name: str) -> None:
        """The timer of a procedure that paused fired."""
        run = self.paused.pop(name, None)
        if run is not None:
            self.step(run, [])

    def _send(self, ask: Ask, run: Run | None) -> int:
        self._number += 1
        deadline_us = self.now_us + (ask.within_us or COMMAND_DEADLINE_US)
        self._open[self._number] = Open(ask, deadline_us, run)
        self._out.append(ask.effect(self._number, deadline_us))
        return self._number

    def replied(self, given: effects.WorkerReply | effects.FileLooked | effects.StoreSaid) -> None:
        opened = self._open.pop(given.n, None)
        if opened is not None:
            self._resume(opened, given.n, given.body)
            return
        late = self._late.pop(given.n, None)
        if late is not None and late.ask.late is not None and not isinstance(given.body, Failed):
            late.ask.late(given.body)

    def _resume(self, opened: Open, n: int, answer: Answer) -> None:
        run = opened.run
        if run is None:
            ask = opened.ask
            if unanswered(answer) and (ask.still is None or ask.still()):
                command = type(ask.body).__name__
                self.log("warning", "command_repeated", worker=ask.worker, command=command)
                self._send(ask, None)
            elif isinstance(answer, Failed):
                command = type(opened.ask.body).__name__
                self.log(
                    "debug", "command_refused", command=command, code=answer.code, message=answer.message
                )
            return
        run.answers[run.open.pop(n)] = answer
        if not run.open:
            self.step(run, run.answers)  # type: ignore[arg-type]

    def timed_out(self, n: int) -> None:
        opened = self._open.pop(n, None)
        if opened is None:
            return
        self._keep_late(n, opened)
        self._resume(opened, n, Unanswered("no answer within 5 s"))

    def _keep_late(self, n: int, opened: Open) -> None:
        while self._late and next(iter(self._late.values())).deadline_us + LATE_KEPT_US < self.now_us:
            self._late.popitem(last=False)
        if opened.ask.late is not None:
            self._late[n] = opened

    def abort(self, run: Run, problem: Problem) -> None:
        """End a procedure before its time; what its open commands still bring about is undone later."""
        for n in list(run.open):
            self._keep_late(n, self._open.pop(n))
        run.open = {}
        self.paused = {name: paused for name, paused in self.paused.items() if paused is not run}
        run.procedure.close()
        run.done(None, problem)

    def lose(self, worker: int) -> None:
        """That worker is dead: what it has open fails, and nothing comes late."""
        for n in [n for n, late in self._late.items() if late.ask.worker == worker]:
            del self._late[n]
        failed = [(n, opened) for n, opened in self._open.items() if opened.ask.worker == worker]
        for n, _ in failed:
            del self._open[n]
        for n, opened in failed:
            if opened.run is not None and n in opened.run.open:
                self._resume(opened, n, Unanswered("it died"))

    def untold(self) -> bool:
        """Commands that nobody waits for are still open."""
        return any(opened.run is None for opened in self._open.values())

    def give_up_waiting(self) -> None:
        """At shutdown: workers had their time to close what was left."""
        self._open = {n: opened for n, opened in self._open.items() if opened.run is not None}
