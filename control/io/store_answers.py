"""What core asks the store (core/rest/store_questions.py), answered by its reader; one task a question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from roomtone.control.core.effects import AskStore, Input, StoreSaid
from roomtone.control.core.rest.store_questions import (
    AwaitAttempt,
    Deliveries,
    DeliveryDetails,
    Events,
    FindDeliveries,
    FindDelivery,
    FindEvents,
    Question,
    Replay,
    Replayed,
    Resend,
    Said,
    Unknown,
    Unreadable,
)
from roomtone.control.io.log import Log
from roomtone.control.io.store import Store
from roomtone.control.io.store_reader import StoreReader, TooLong

ATTEMPT_S = 8.0  # how long an attempt is waited for; REST answers within ten
LOOK_S = 0.05


class StoreAnswers:
    def __init__(self, reader: StoreReader, store: Store, submit: Callable[[Input], None], log: Log) -> None:
        self._reader = reader
        self._store = store
        self._submit = submit
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, effect: AskStore) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._reader.close()

    async def _answer(self, effect: AskStore) -> None:
        said: Said = Unreadable()
        try:
            said = await self._said(effect.question)
        except TooLong as error:
            self._log.warning("store_not_read", question=type(effect.question).__name__, error=str(error))
        except Exception as error:
            self._log.error("store_not_read", question=type(effect.question).__name__, error=repr(error))
        self._submit(StoreSaid(effect.n, said))

    async def _said(self, question: Question) -> Said:
        """Raises TooLong."""
        match question:
            case FindDeliveries():
                return Deliveries(
                    *await self._reader.deliveries(
                        question.chosen, limit=question.limit, before=question.before
                    )
                )
            case FindDelivery():
                found = await self._reader.delivery(question.app_id, question.id)
                return Unknown() if found is None else found[1]
            case Resend():
                return await self._resend(question)
            case Replay():
                return Replayed(await self._reader.replay(question.chosen, self._store))
            case AwaitAttempt():
                return await self._attempt(question)
            case FindEvents():
                return Events(
                    await self._reader.events(
                        question.app_id,
                        room_id=question.room_id,
                        session_uuid=question.session_uuid,
                        after=question.after,
                        limit=question.limit,
                    )
                )

    async def _resend(self, question: Resend) -> Said:
        found = await self._reader.delivery(question.app_id, question.id)
        if found is None:
            return Unknown()
        await self._store.replay([found[0]])
        again = await self._reader.delivery(question.app_id, question.id)
        return Unknown() if again is None else again[1]

    async def _attempt(self, question: AwaitAttempt) -> Said:
        """The delivery as it is when it was tried, or when nobody waits longer."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ATTEMPT_S
        id: str | None = None
        said: DeliveryDetails | Unknown = Unknown()
        while loop.time() < until_s:
            id = id or await self._reader.asked_by(question.app_id, question.webhook, question.request_id)
            found = await self._reader.delivery(question.app_id, id) if id is not None else None
            if found is not None:
                said = found[1]
                if said.tries:
                    break
            await asyncio.sleep(LOOK_S)
        return said
