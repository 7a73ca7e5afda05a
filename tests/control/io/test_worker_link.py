"""Workers as control sees them: up, silent, dead, back again, and heard of too late."""

from collections.abc import Callable
from pathlib import Path

import pytest
from control_process import log_lines, running, until
from desk import Desk

from roomtone.client import RoomtoneError
from roomtone.engine.messages import (
    CloseSession,
    CreateFile,
    CreateTone,
    Done,
    Failed,
    FileFinished,
    KeyPressed,
    Probe,
    RemoveEndpoint,
    Reply,
    Snapshot,
    SnapshotEndpoint,
    TakeSnapshot,
)

SESSION = "00000000-0000-4000-8000-00000000000a"


def note_of_a_file() -> bytes:
    """What control lets a worker keep of a file endpoint."""
    desk = Desk(config='media_dir = "/media"')
    client = desk.connect()
    client.call("session.create")
    client.call("endpoint.create_with_file", source="hold.wav")
    (made,) = desk.workers[0].of(CreateFile)
    return bytes(made.note)


def test_a_refusal_of_the_worker_reaches_the_client(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            control.workers[0].refuse[CreateTone] = Failed(code="ENDPOINT_ERROR", message="the arena is full")
            client = await control.client()
            await client.call("session.create")
            with pytest.raises(RoomtoneError) as caught:
                await client.call("endpoint.create_tone", tone="busy")
            assert (caught.value.code, caught.value.message) == ("ENDPOINT_ERROR", "the arena is full")

    run(body())


def test_a_workers_death_fails_its_open_commands_at_once_and_its_sessions_are_lost(
    tmp_path: Path, run: Callable
) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await control.client()
            session = (await client.call("session.create"))["session_id"]
            await client.call("endpoint.create_tone", tone="ringback")
            control.workers[0].hold = True
            control.workers[0].commands.clear()
            request = client.start("endpoint.create_tone", tone="busy")
            await control.workers[0].command(CreateTone)
            control.workers[0].die()
            control.app.workers.exited(0, 1)
            with pytest.raises(RoomtoneError) as caught:
                await request
            assert caught.value.code in ("SESSION_GONE", "SESSION_UNRESPONSIVE")
            event = await client.event("session.lost")
            assert event.data["session_id"] == session

    run(body())


def test_a_worker_that_was_restarted_serves_new_sessions(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            control.workers[0].die()
            control.app.workers.exited(0, 1)
            worker = await control.worker(0, epoch=2)
            client = await control.client()
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="ringback")
            assert isinstance(await worker.command(CreateTone), CreateTone)

    run(body())


def test_a_new_epoch_ends_the_old_one_even_if_nobody_told_of_its_death(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await control.client()
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="ringback")
            await control.worker(0, epoch=2)
            await client.event("session.lost")
            control.app.workers.exited(0, 1)  # comes late: the new epoch stays up
            assert control.app.workers.faults() == []

    run(body())


def test_what_a_dead_epoch_still_sends_is_not_heard(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            client = await control.client()
            session = (await client.call("session.create"))["session_id"]
            tone = (await client.call("endpoint.create_tone", tone="ringback"))["endpoint_id"]
            old = control.workers[0]
            key = KeyPressed(session=session, endpoint=tone, digit="1", duration_ms=1)
            control.app.workers.exited(0, 1)
            old.emit(key)  # while no other epoch is known
            old.send_nonsense()
            await until(lambda: control.app.counters.bad_batches == 1)
            await control.worker(0, epoch=2)
            old.emit(key)
            old.send_nonsense()
            await until(lambda: control.app.counters.bad_batches == 2)
            assert control.app.counters.worker_events["key"] == 0
            assert control.app.workers.faults() == []

    run(body())


def test_a_command_without_an_answer_times_out_and_a_late_success_is_undone(
    tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomtone.control.core.procedures.COMMAND_DEADLINE_US", 50_000)

    async def body() -> None:
        async with running(tmp_path) as control:
            client = await control.client()
            await client.call("session.create")
            control.workers[0].hold = True
            with pytest.raises(RoomtoneError) as caught:
                await client.call("endpoint.create_tone", tone="busy")
            assert caught.value.code == "SESSION_UNRESPONSIVE"
            made = await control.workers[0].command(CreateTone)
            control.workers[0].release()
            removed = await control.workers[0].command(RemoveEndpoint)
            assert removed.endpoint == made.endpoint
            assert control.app.counters.commands["create_tone", "timed_out"] == 1

    run(body())


def test_a_hole_in_the_numbers_asks_for_a_snapshot_and_fails_what_was_lost(
    tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_us = 3600_000_000
    monkeypatch.setattr("roomtone.control.core.procedures.COMMAND_DEADLINE_US", never_us)

    async def body() -> None:
        async with running(tmp_path) as control:
            worker = control.workers[0]
            client = await control.client()
            session = (await client.call("session.create"))["session_id"]
            tone = (await client.call("endpoint.create_tone", tone="ringback"))["endpoint_id"]
            worker.snapshot = Snapshot(
                endpoints=[SnapshotEndpoint(session=session, endpoint=tone, kind="tone", finished=True)]
            )
            worker.hold = True
            request = client.start("endpoint.create_tone", tone="busy")
            await until(lambda: len(worker.held) == 1)
            worker.held.clear()  # this reply and a ToneFinished never arrive
            worker.lose(2)
            worker.hold = False
            worker.emit(Reply(n=1 << 40, body=Done()))
            with pytest.raises(RoomtoneError) as caught:
                await request
            assert caught.value.code == "SESSION_UNRESPONSIVE"
            event = await client.event("endpoint.tone.finished")
            assert event.data["endpoint_id"] == tone
            assert control.app.counters.event_gaps == 1

    run(body())


def test_a_control_process_that_came_back_ends_what_nobody_owns(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path, start=False) as control:
            worker = await control.worker_from_before(
                Snapshot(endpoints=[SnapshotEndpoint(session="of-before", endpoint="e", kind="rtp")])
            )
            assert isinstance(await worker.command(TakeSnapshot), TakeSnapshot)
            assert (await worker.command(CloseSession)).session == "of-before"
            client = await control.client()
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="ringback")

    run(body())


def test_what_a_worker_tells_while_it_is_asked_what_it_holds_is_told_once(
    tmp_path: Path, run: Callable
) -> None:
    """One file ended when there was no control, another one before, which the former control has told."""

    async def body() -> None:
        async with running(tmp_path, start=False) as control:
            note = note_of_a_file()
            held = [
                SnapshotEndpoint(session=SESSION, endpoint=id, kind="file", note=note, finished=True)
                for id in ("ended-now", "ended-before")
            ]
            end = FileFinished(session=SESSION, endpoint="ended-now", reason="error", error="unreadable")
            await control.worker_from_before(Snapshot(endpoints=held), Probe(ok=True), end)
            client = await control.client()
            await until(lambda: SESSION in control.app.core.sessions)
            await client.call("session.attach", session_id=SESSION)
            told = await client.event("endpoint.file.finished")
            assert told.data == {"endpoint_id": "ended-now", "reason": "error", "error": "unreadable"}
            control.workers[0].emit(
                *(KeyPressed(session=SESSION, endpoint=e.endpoint, digit="1", duration_ms=9) for e in held)
            )
            for _ in held:  # nothing else came before these
                assert (await anext(client.events())).name == "dtmf"
            states = {e["state"] for e in (await client.call("session.info"))["endpoints"]}
            assert states == {"finished"}

    run(body())


def test_a_message_that_is_no_batch_is_counted_and_passed_over(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control:
            control.workers[0].send_nonsense()
            await until(lambda: control.app.counters.bad_batches == 1)
            client = await control.client()
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="ringback")
        assert "batch_unreadable" in [line["event"] for line in log_lines(tmp_path)]

    run(body())
