"""The store: what is on disk when core is told so, what a restart finds, and a disk that is not well."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from writing import ALL, Writing, attempt, deliveries, event, key, row, table, until, webhook, writing

from roomtone.control.core.effects import Row
from roomtone.control.dispatcher.messages import DELIVERED, LATE
from roomtone.control.dispatcher.outbox_reader import OutboxReader
from roomtone.control.io import store, store_file
from roomtone.control.io.store_file import FILE, StoreError
from roomtone.control.io.vault import Unsealable, Vault

Run = Callable
HOUR_US = 3_600_000_000


def hung(one: Writing) -> threading.Event:
    """The disk does not answer until the event is set."""
    goes_on, commit = threading.Event(), one.store._file.commit

    def hang() -> None:
        goes_on.wait()
        commit()

    one.store._file.commit = hang  # type: ignore[method-assign]
    return goes_on


def test_a_restart_finds_records_and_goes_on_counting(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as first:
            await first.commit(event("r"), rows=[Row("room", "r", b"state"), Row("room", "x", b"gone")])
            await first.commit(rows=[Row("room", "x", None)])
        async with writing(tmp_path, bare=True) as second:
            assert {(each.kind, each.id) for each in second.rows} == {
                ("webhook", "app/default"),
                ("room", "r"),
            }
            await second.commit(event("r"))
            told = await second.reader.events("app", room_id="r", limit=9)
            assert [int(str(bytes(raw)).partition('room_sequence":')[2][0]) for raw in told] == [1, 2]

    run(body())


def test_endpoints_are_on_disk_sealed_and_only_for_us(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path / "state") as one:
            await one.commit(event("r"))
        held = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir() if path.name != "key")
        assert b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" not in held and b"conference.created" in held
        for path in (tmp_path / "state").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        async with writing(tmp_path / "state", bare=True) as again:
            assert again.rows == [row(webhook())]

    run(body())


def test_a_vault_opens_only_what_it_sealed_under_that_name() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal("webhook a", b"a secret" * 20)
    assert vault.open_sealed("webhook a", sealed) == b"a secret" * 20
    assert vault.seal("webhook a", b"a secret" * 20) != sealed
    broken = bytes([sealed[20] ^ 1])
    for other, name, text in (
        (vault, "webhook b", sealed),
        (Vault(b"x" * 32), "webhook a", sealed),
        (vault, "webhook a", sealed[:20] + broken + sealed[21:]),
        (vault, "webhook a", sealed[:40]),
    ):
        with pytest.raises(Unsealable):
            other.open_sealed(name, text)


@pytest.mark.parametrize("damage", ["version", "text", "other", "key"])
def test_a_store_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path, run: Run, damage: str) -> None:
    async def body() -> None:
        async with writing(tmp_path):
            pass
        path = tmp_path / FILE
        if damage == "version":
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 9")
        elif damage == "text":
            path.write_bytes(b"this is no database at all, but long enough to be looked at" * 20)
        elif damage == "other":
            path.unlink()
            with sqlite3.connect(path) as db:
                db.execute("CREATE TABLE somebody (elses TEXT)")
        else:
            (tmp_path / "key").write_bytes(b"x" * 32)
        with pytest.raises(StoreError, match=FILE.replace(".", "[.]")):
            Writing(tmp_path).store.open()

    run(body())


def test_two_servers_never_share_a_store(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path):
            with pytest.raises(StoreError, match="another roomtone"):
                Writing(tmp_path).store.open()

    run(body())


def test_a_store_that_begins_anew_gives_other_ids(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        seen = []
        for name in ("a", "b"):
            async with writing(tmp_path / name) as one:
                await one.commit(event("r"))
            seen += table(tmp_path / name, "SELECT seq FROM event")
        assert seen[0] < seen[1]

    run(body())


def test_no_id_is_given_twice_though_the_store_has_lost_its_last_events(tmp_path: Path, run: Run) -> None:
    """The power failed before they were on the disk, or the directory was put back from a copy."""

    async def body() -> None:
        state, copy = tmp_path / "state", tmp_path / "copy"
        async with writing(state) as one:
            await one.commit(event("r"))
        shutil.copytree(state, copy)
        seen = []
        for path in (state, copy):
            async with writing(path, bare=True) as one:
                await one.commit(key("s"))
            seen += table(path, "SELECT seq FROM event")
        assert len(set(seen)) == 3, seen

    run(body())


@pytest.mark.parametrize("name", ["what?", "100%25", "a#b", "a b"])
def test_a_state_dir_may_have_any_name(tmp_path: Path, run: Run, name: str) -> None:
    async def body() -> None:
        async with writing(tmp_path / name) as one:
            await one.commit(event("r"))
            assert len((await one.reader.deliveries(ALL, limit=9))[0]) == 1
            assert OutboxReader(str(tmp_path / name)).webhooks() == ["app/default"]

    run(body())


def test_endpoints_hold_for_what_is_published_after_them(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path, bare=True) as one:
            one.begin(event("r1"))
            one.begin(event("r2"), rows=[row(webhook())])
            one.begin(event("r3"), rows=[row(webhook(id="b"))])
            await one.commit(event("r4"), rows=[row(webhook(), gone=True)])
            found = table(
                tmp_path, "SELECT room_id, webhook FROM delivery JOIN event ON seq = id >> 10 ORDER BY id"
            )
            assert found == [("r3", "app/b"), ("r4", "app/b")]

    run(body())


def test_a_report_is_written_once_however_often_it_is_told(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(event("r"))
            (id,) = deliveries(tmp_path)
            failed = attempt(id, 1, state=LATE, due_us=99)
            await one.report(failed)
            await one.report(attempt(id, 2))
            await one.report(failed)
            assert table(tmp_path, "SELECT state, attempts, due_us FROM delivery") == [(DELIVERED, 2, None)]
            found, _ = await one.reader.deliveries(ALL, limit=5)
            details = await one.reader.delivery("app", found[0].id)
            assert details is not None
            assert [each.number for each in details[1].tries] == [1, 2]
            assert details[1].tries[0].body_head == "ok"

    run(body())


def test_a_disk_that_takes_nothing_holds_everything_up_and_loses_nothing(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
            one.store._file._db.execute("PRAGMA busy_timeout = 0")
            other.execute("BEGIN IMMEDIATE")
            begun = [one.begin(event("r")) for _ in range(3)]
            await until(lambda: one.troubles == ["store_unavailable"])
            assert not [told for told in one.told if getattr(told, "n", 0) in begun]
            other.execute("ROLLBACK")
            other.close()
            await until(lambda: one.troubles == ["store_unavailable", None])
            await one.commit(event("r"))
            assert table(tmp_path, "SELECT room_sequence FROM event") == [(1,), (2,), (3,), (4,)]
            assert not one.broken

    run(body())


def test_a_disk_that_is_full_is_told_and_everything_is_written_when_it_has_room(
    tmp_path: Path, run: Run
) -> None:
    async def body() -> None:
        async with writing(tmp_path) as one:
            await one.commit(event("r"))
            db = one.store._file._db
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages}")
            begun = one.begin(*(event("r") for _ in range(200)))
            await until(lambda: one.troubles == ["store_unavailable"])
            db.execute("PRAGMA max_page_count = 1000000")
            await until(lambda: one.troubles == ["store_unavailable", None])
            await until(lambda: any(getattr(told, "n", 0) == begun for told in one.told))
            assert table(tmp_path, "SELECT count(*), max(room_sequence) FROM event") == [(201, 201)]

    run(body())


def test_a_disk_that_does_not_answer_is_told_to_who_asks_meanwhile(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path, stall_s=0.01) as one:
            goes_on = hung(one)
            begun = one.begin(event("r"))
            while not one.troubles:
                begun = one.begin(event("r"))
                await asyncio.sleep(0.001)
            assert one.troubles == ["store_unavailable"]
            goes_on.set()
            await until(lambda: any(getattr(told, "n", 0) == begun for told in one.told))
            assert one.troubles == ["store_unavailable", None]

    run(body())


def test_keys_that_come_while_the_disk_does_not_answer_are_shed_and_told(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "QUEUED_LOW_VALUE", 10)

    async def body() -> None:
        async with writing(tmp_path, stall_s=0.01) as one:
            goes_on = hung(one)
            while not one.troubles:
                one.begin(key("s"))
                await asyncio.sleep(0.001)
            for _ in range(1000):
                one.begin(key("s"))
            assert one.store._waiting < 1000
            goes_on.set()
            await one.commit(event("r"))
            told = table(tmp_path, "SELECT body FROM event WHERE name = 'events.dropped'")
            count = sum(json.loads(text)["count"] for (text,) in told)
            assert count == one.store.totals.shed_waiting > 900

    run(body())


def test_readers_who_follow_one_upon_another_do_not_let_the_log_grow(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "WAL_BYTES", 1 << 20)
    monkeypatch.setattr(store, "PRUNE_EVERY_S", 0.01)

    async def body() -> None:
        log = tmp_path / f"{FILE}-wal"
        async with writing(tmp_path) as one:
            readers = [sqlite3.connect(tmp_path / FILE, isolation_level=None) for _ in range(2)]
            for turn in range(20):  # one of them always reads
                readers[turn % 2].execute("BEGIN")
                readers[turn % 2].execute("SELECT count(*) FROM event").fetchone()
                await one.commit(*(event("r") for _ in range(500)))
                if turn:
                    readers[(turn + 1) % 2].execute("COMMIT")
            grown = log.stat().st_size
            assert grown > 1 << 20
            readers[1].execute("COMMIT")
            await until(lambda: log.stat().st_size < 1 << 20)
            for each in readers:
                each.close()
            assert table(tmp_path, "SELECT count(*) FROM event") == [(10_000,)]

    run(body())


def test_near_the_bound_delivered_history_goes_first(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path, max_events=100) as one:
            await one.commit(*(event("r") for _ in range(60)))
            kept = deliveries(tmp_path)[50:]
            await one.report(*(attempt(id) for id in deliveries(tmp_path)[:50]))
            await one.commit(*(event("r") for _ in range(31)))
            await until(lambda: one.store.totals.stored == 41)
            assert deliveries(tmp_path)[:10] == kept
            assert one.troubles == []
            await one.commit(event("r"))
            last = table(tmp_path, "SELECT max(room_sequence) FROM event")
            assert last == [(92,)], "numbers go on"

    run(body())


def test_at_the_bound_low_value_events_are_shed_and_told(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path, max_events=100) as one:
            await one.commit(*(event("r") for _ in range(96)))
            await until(lambda: one.troubles == ["overloaded"])
            await one.commit(key("s"))
            await one.commit(*(event("r") for _ in range(4)))
            await one.commit(key("s"), key("s"))
            await one.commit(event("r"))
            names = [name for (name,) in table(tmp_path, "SELECT name FROM event ORDER BY seq")]
            assert names[96] == "dtmf" and names[101:] == ["events.dropped", "conference.created"]
            (told,) = table(tmp_path, "SELECT body FROM event WHERE name = 'events.dropped'")
            assert b'"count":2' in told[0]
            assert one.store.totals.shed_full == 2
            await one.report(*(attempt(id) for id in deliveries(tmp_path)))
            await until(lambda: one.troubles == ["overloaded", None])

    run(body())


def test_what_is_past_its_time_goes_and_what_nobody_took_is_counted(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        async with writing(tmp_path, retention_s=3600) as one:
            old_us = time.time_ns() // 1000 - HOUR_US - 1
            await one.commit(event("r", at_us=old_us), event("r", at_us=old_us), event("r"))
            await one.report(attempt(deliveries(tmp_path)[0]))
            await until(lambda: one.store.totals.stored == 1)
            assert one.store.totals.expired == 1
            assert len(deliveries(tmp_path)) == 1 and not table(tmp_path, "SELECT * FROM attempt")

    run(body())


def test_a_room_that_was_long_quiet_goes_on_counting_and_one_that_is_gone_is_forgotten(
    tmp_path: Path, run: Run
) -> None:
    async def body() -> None:
        async with writing(tmp_path, retention_s=3600) as one:
            old_us = time.time_ns() // 1000 - HOUR_US - 1
            await one.commit(event("r", at_us=old_us), rows=[Row("room", "r", b"")])
            await one.commit(event("gone", at_us=old_us))
            await one.commit(event(app_id="other"))
            lanes = "SELECT key FROM lane WHERE key != '' ORDER BY key"
            await until(lambda: table(tmp_path, lanes) == [("app/default room:r",), ("room:r",)])
            await one.commit(event("r"))
            assert table(tmp_path, "SELECT room_sequence FROM event") == [(None,), (2,)]

    run(body())


def test_a_directory_that_is_not_there_is_named(tmp_path: Path, run: Run) -> None:
    async def body() -> None:
        with pytest.raises(StoreError, match="state_dir"):
            Writing(tmp_path / "none" / "state").store.open()
        assert os.listdir(tmp_path) == []

    run(body())
