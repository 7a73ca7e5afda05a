"""What the store says to those who ask: deliveries, attempts, events; and what is asked for again."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from writing import ALL, attempt, deliveries, event, key, row, webhook, writing

from roomtone.control.core.rest.store_questions import Chosen
from roomtone.control.core.rest.webhook_events import WebhookTest
from roomtone.control.dispatcher.messages import DEAD
from roomtone.control.io import store_reader

Run = Callable


def test_deliveries_are_found_by_what_they_are_about(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(rows=[row(webhook(app_id="other"))])
            await one.commit(event("a"), event("b"), event("a", app_id="other"), key("s"))
            a, b, _, _ = deliveries(tmp_path)
            await one.report(attempt(a), attempt(b, state=DEAD))

            async def rooms(**chosen: object) -> list[str | None]:
                found, _ = await one.reader.deliveries(Chosen(app_id="app", **chosen), limit=9)  # type: ignore[arg-type]
                return [each.room_id for each in found]

            assert await rooms() == [None, "b", "a"]
            assert await rooms(status="dead") == ["b"]
            assert await rooms(status="delivered") == ["a"]
            assert await rooms(status="pending") == [None]
            assert await rooms(room_id="a") == ["a"]
            assert await rooms(events=("dtmf",)) == await rooms(session_uuid="s") == [None]
            first, more = await one.reader.deliveries(ALL, limit=2)
            rest, end = await one.reader.deliveries(ALL, limit=2, before=more)
            assert [each.room_id for each in (*first, *rest)] == [None, "b", "a"] and end is None
            assert await one.reader.delivery("other", first[0].id) is None
            for nonsense in ("", "dlv_", "dlv_zz", "dlv_-1", "dlv_" + "f" * 40, "x"):
                assert await one.reader.delivery("app", nonsense) is None

    run(body())


def test_a_replay_opens_what_was_at_its_end(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            grown: list[set[str]] = []
            await one.commit(event("a"), event("a"), event("b"))
            ids = deliveries(tmp_path)
            await one.report(attempt(ids[0], state=DEAD), attempt(ids[2]))
            one.store.grown = grown.append
            assert await one.reader.replay(Chosen(app_id="app", room_id="a"), one.store) == 1
            assert grown == [{"app/default"}]
            assert await one.reader.replay(Chosen(app_id="other"), one.store) == 0
            found, _ = await one.reader.deliveries(Chosen(app_id="app", status="pending"), limit=9)
            assert [each.attempts for each in found] == [0, 1]

    run(body())


def test_events_are_pulled_by_the_number_of_their_lane(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(*(event("r", "s") for _ in range(5)))
            pulled = await one.reader.events("app", session_uuid="s", after=3, limit=9)
            assert [b'"session_sequence":%d' % n in bytes(raw) for n, raw in zip((4, 5), pulled, strict=True)]
            assert len(await one.reader.events("app", room_id="r", limit=2)) == 2
            assert await one.reader.events("other", room_id="r", limit=9) == []

    run(body())


def test_the_test_that_a_request_sent_is_found_among_all_that_is_sent(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            for request in ("mine", "yours"):
                tried = event(data=WebhookTest("default"), request_id=request, webhook="app/default")
                await one.commit(event("r", request_id="mine"), tried)
            await one.commit(*(event("r") for _ in range(100)))
            id = await one.reader.asked_by("app", "app/default", "mine")
            assert id == f"dlv_{deliveries(tmp_path)[1]:x}"
            assert await one.reader.asked_by("app", "app/default", "nobody's") is None
            assert await one.reader.asked_by("other", "app/default", "mine") is None

    run(body())


def test_a_delivery_has_one_name(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(event("r"))
            (number,) = deliveries(tmp_path)
            assert await one.reader.delivery("app", f"dlv_{number:x}") is not None
            for id in (f"dlv_0x{number:x}", f"dlv_+{number:x}", f"dlv_ {number:x}", f"{number:x}", "dlv_"):
                assert await one.reader.delivery("app", id) is None, id

    run(body())


def test_what_went_to_an_endpoint_that_is_gone_is_not_sent_again(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(event("r"), rows=[row(webhook(id="b"))])
            await one.report(*(attempt(id) for id in deliveries(tmp_path)))
            await one.commit(rows=[row(webhook(), gone=True)])
            await one.reader.replay(ALL, one.store)
            found, _ = await one.reader.deliveries(ALL, limit=9)
            assert {each.endpoint_id: each.status for each in found} == {
                "default": "delivered",
                "b": "pending",
            }

    run(body())


def test_an_app_that_asks_much_keeps_no_other_from_asking(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, find = threading.Event(), store_reader._deliveries

    def slow(db: sqlite3.Connection, chosen: Chosen, *args: Any) -> Any:
        if chosen == ALL:
            answers.wait()
        return find(db, chosen, *args)

    monkeypatch.setattr(store_reader, "_deliveries", slow)

    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(event("r"))
            asked = [asyncio.ensure_future(one.reader.deliveries(ALL, limit=9)) for _ in range(20)]
            await asyncio.sleep(0)
            try:
                async with asyncio.timeout(10):
                    assert await one.reader.deliveries(Chosen(app_id="other"), limit=9) == ([], None)
            finally:
                answers.set()
            assert {len(found) for found, _ in await asyncio.gather(*asked)} == {1}

    run(body())
