"""Recordings as a client sees them: begun, listed, ended once for one reason."""

from __future__ import annotations

from typing import Any

import pytest
from desk import OFFER, Client, Desk, Refused

from roomtone.control.core.effects import ShutdownBegan, WorkerDied, WorkerHolds, WorkerStarted
from roomtone.control.core.recordings import RECORDING_TRANSITIONS, RecordingFact
from roomtone.engine import messages as ms
from roomtone.engine.recording_counts import Left


def start(client: Client, name: str = "a.pcap", **params: Any) -> str:
    return client.call("recording.start", file_path=f"/rec/{name}", **params)["recording_id"]


def rtp(client: Client) -> str:
    return client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]


def session_of(desk: Desk) -> str:
    """The first one."""
    return next(iter(desk.core.sessions))


def ended(desk: Desk, session: str, recording: str, reason: str, worker: int = 0) -> None:
    event = ms.RecordingStopped(
        session=session,
        recording=recording,
        file_path="/rec/a.pcap",
        duration_ms=1000,
        packets=50,
        dropped_packets=2,
        reason=reason,
    )
    desk.event(worker, event)


def test_a_recording_is_listed_until_it_is_stopped(desk: Desk, client: Client) -> None:
    leg = rtp(client)
    whole, one = start(client, "a.wav?mix"), start(client, "b.pcap", endpoint_id=leg.upper())
    commands = desk.workers[0].of(ms.StartRecording)
    assert [(c.endpoint, c.file_path) for c in commands] == [(None, "/rec/a.wav?mix"), (leg, "/rec/b.pcap")]
    assert client.call("session.info")["recordings"] == [
        {"recording_id": whole, "endpoint_id": None, "file_path": "/rec/a.wav", "state": "active"},
        {"recording_id": one, "endpoint_id": leg, "file_path": "/rec/b.pcap", "state": "active"},
    ]
    assert client.call("recording.stop", recording_id=one)["packets"] == 3
    assert [r["recording_id"] for r in client.call("session.info")["recordings"]] == [whole]
    with pytest.raises(Refused, match="RECORDING_ERROR"):
        client.call("recording.stop", recording_id=one)
    assert not client.events()


def test_the_limit_is_kept_and_a_place_is_free_again_at_once() -> None:
    client = Desk(config="max_recordings_per_session = 2").connect()
    client.call("session.create")
    first, _ = start(client, "a.wav"), start(client, "b.wav")
    with pytest.raises(Refused, match="maximum of 2"):
        start(client, "c.wav")
    client.call("recording.stop", recording_id=first)
    start(client, "c.wav")


def test_a_file_has_one_recording_at_a_time(desk: Desk, client: Client) -> None:
    start(client)
    other = desk.connect()
    other.call("session.create")
    with pytest.raises(Refused, match="RECORDING_ERROR"):
        start(other)


@pytest.mark.parametrize("reason", ["endpoint_removed", "endpoint_transferred", "write_error"])
def test_what_ends_by_itself_is_told_once(desk: Desk, client: Client, reason: str) -> None:
    recording = start(client)
    for _ in range(2):
        ended(desk, session_of(desk), recording, reason)
    (told,) = client.events("recording.stopped")
    assert told == {
        "recording_id": recording,
        "file_path": "/rec/a.pcap",
        "duration_ms": 1000,
        "packets": 50,
        "dropped_packets": 2,
        "reason": reason,
    }
    assert client.call("session.info")["recordings"] == []


def test_what_a_removal_ends_is_told_behind_its_reply(desk: Desk, client: Client) -> None:
    leg = rtp(client)
    recording = start(client, endpoint_id=leg)
    desk.workers[0].mute.add(ms.RemoveEndpoint)
    asked = client.send("endpoint.remove", endpoint_id=leg)
    ended(desk, session_of(desk), recording, "endpoint_removed")
    assert client.reply(asked) is None and not client.events()
    desk.answer_late(0)
    assert [m.get("id") or m["event"] for m in client.log][-2:] == [asked, "recording.stopped"]


def test_a_destroyed_session_tells_of_its_recordings_behind_the_reply(desk: Desk, client: Client) -> None:
    session = session_of(desk)
    recording = start(client)
    client.call("session.destroy")
    (closed,) = desk.workers[0].of(ms.CloseSession)
    assert (closed.session, closed.reason) == (session, "session_destroyed")
    assert not client.events()
    client.call("session.create")
    ended(desk, session, recording, "session_destroyed")
    (told,) = client.events("recording.stopped")
    assert told["reason"] == "session_destroyed"


def test_at_shutdown_the_reason_is_the_shutdown(desk: Desk, client: Client) -> None:
    start(client)
    desk.give(ShutdownBegan())
    desk.advance(301)
    assert [closed.reason for closed in desk.workers[0].of(ms.CloseSession)] == ["shutdown"]


def test_a_dead_worker_ends_its_recordings_before_the_session_is_lost(desk: Desk, client: Client) -> None:
    rtp(client)
    recordings = {start(client, f"{n}.wav") for n in range(3)}
    desk.kill(0)
    names = [m["event"] for m in client.log if "event" in m]
    assert names == ["recording.stopped"] * 3 + ["session.lost"]
    told = client.events("recording.stopped")
    assert {t["recording_id"] for t in told} == recordings and {t["reason"] for t in told} == {"worker_lost"}
    for recording in recordings:
        ended(desk, "gone", recording, "write_error")
    assert len(client.events("recording.stopped")) == 3


def test_a_worker_that_dies_after_the_session_was_destroyed_still_ends_it_once(
    desk: Desk, client: Client
) -> None:
    start(client)
    client.call("session.destroy")
    desk.kill(0)
    desk.restart(0)
    assert [t["reason"] for t in client.events("recording.stopped")] == ["worker_lost"]


def test_a_stop_may_take_as_long_as_the_disk_is_waited_for(desk: Desk, client: Client) -> None:
    recording = start(client)
    desk.workers[0].mute.add(ms.StopRecording)
    asked = client.send("recording.stop", recording_id=recording)
    desk.advance(14)
    assert client.reply(asked) is None
    shown = desk.core.session(session_of(desk))
    assert shown is not None and [r.state for r in shown.recordings] == ["stopping"]
    desk.answer_late(0)
    assert client.result(asked)["dropped_packets"] == 1


def test_a_start_nobody_waits_for_any_more_is_undone(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.StartRecording)
    asked = client.send("recording.start", file_path="/rec/a.wav")
    desk.advance(6)
    with pytest.raises(Refused, match="SESSION_UNRESPONSIVE"):
        client.result(asked)
    desk.answer_late(0)
    (begun,) = desk.workers[0].of(ms.StartRecording)
    assert [stop.recording for stop in desk.workers[0].of(ms.StopRecording)] == [begun.recording]
    assert client.call("session.info")["recordings"] == []


def spread_desk() -> tuple[Desk, Client]:
    """Two workers; a session's second endpoint is on the second one."""
    desk = Desk(workers=2, config="session_spread_at = 1")
    client = desk.connect()
    client.call("session.create")
    return desk, client


def test_a_session_on_several_workers_is_kept_by_its_home_and_fed_by_the_others() -> None:
    desk, client = spread_desk()
    legs = [rtp(client), rtp(client)]
    home = desk.core.sessions[session_of(desk)].home
    assert home is not None
    recording = start(client, "a.wav?mix")
    (begun,) = desk.workers[home].of(ms.StartRecording)
    (asked,) = desk.workers[home].of(ms.OpenFeed)
    (fed,) = desk.workers[1 - home].of(ms.StartFeed)
    assert begun.legs == legs and not begun.wide
    assert (asked.recording, asked.worker) == (recording, 1 - home)
    assert fed.path == f"/run/feed-{recording}-{1 - home}" and fed.legs == legs
    assert (fed.session, fed.recording, fed.keeper, fed.wav) == (session_of(desk), recording, home, True)
    client.call("recording.stop", recording_id=recording)
    assert [len(worker.of(ms.StopRecording)) for worker in desk.workers.values()] == [1, 1]


def test_who_comes_to_another_worker_while_it_is_recorded_is_fed_first() -> None:
    desk, client = spread_desk()
    start(client, "a.pcap")
    rtp(client)
    home = desk.core.sessions[session_of(desk)].home
    assert home is not None
    away = desk.workers[1 - home]
    assert away.of(ms.StartFeed) == []
    rtp(client)
    kinds = [type(body) for body in away.commands]
    assert kinds.index(ms.StartFeed) < kinds.index(ms.CreateRtp)
    assert not away.of(ms.StartFeed)[0].wav
    rtp(client)
    assert len(away.of(ms.StartFeed)) == 1


@pytest.mark.parametrize("kind", [ms.OpenFeed, ms.StartFeed])
def test_a_session_that_cannot_be_fed_is_not_recorded(kind: type) -> None:
    desk, client = spread_desk()
    legs = [rtp(client), rtp(client)]
    refusal = ms.Failed(code="RECORDING_ERROR", message="No way to the other worker")
    for worker in desk.workers.values():
        worker.refuse[kind] = refusal
    with pytest.raises(Refused, match="No way to the other worker"):
        start(client)
    assert client.call("session.info")["recordings"] == []
    assert all(worker.of(ms.StopRecording) for worker in desk.workers.values())
    start(client, endpoint_id=legs[0])


def test_where_a_recording_cannot_go_on_no_endpoint_is_made_unless_it_has_ended() -> None:
    desk, client = spread_desk()
    recording = start(client, "a.pcap")
    rtp(client)
    session = desk.core.sessions[session_of(desk)]
    assert session.home is not None
    keeper = desk.workers[session.home]
    keeper.refuse[ms.OpenFeed] = ms.Failed(code="RECORDING_ERROR", message="No space left")
    with pytest.raises(Refused, match="cannot go on there: No space left") as refused:
        rtp(client)
    assert refused.value.code == "ENDPOINT_ERROR"
    assert set(session.counts) == {session.home}
    keeper.mute.add(ms.OpenFeed)
    asked = client.send("endpoint.create_from_offer", sdp=OFFER)
    ended(desk, session.id, recording, "write_error", worker=session.home)
    desk.answer_late(session.home)
    assert client.result(asked)["endpoint_id"] in session.endpoints


def test_a_worker_that_died_and_came_back_is_asked_to_feed_again() -> None:
    desk, client = spread_desk()
    leg, away = rtp(client), rtp(client)
    recording = start(client, "a.pcap")
    home = desk.core.sessions[session_of(desk)].home
    assert home is not None
    client.call("endpoint.remove", endpoint_id=away)
    desk.kill(1 - home)
    desk.restart(1 - home)
    assert [r["recording_id"] for r in client.call("session.info")["recordings"]] == [recording]
    assert [e["endpoint_id"] for e in client.call("session.info")["endpoints"]] == [leg]
    rtp(client)
    assert [fed.recording for fed in desk.workers[1 - home].of(ms.StartFeed)] == [recording]


def moved_away() -> tuple[Desk, Client, Client, str, int]:
    """A recorded session, all of whose endpoints went to another one; then one of another worker came."""
    desk = Desk(workers=2)
    clients = [desk.connect(), desk.connect()]
    sessions = [client.call("session.create")["session_id"] for client in clients]
    legs = [rtp(client) for client in clients]
    keeper, other = (desk.core.sessions[session].home for session in sessions)
    assert keeper is not None and keeper != other
    recording = start(clients[0])
    for client, leg, target in zip(clients, legs, reversed(sessions), strict=True):
        client.call("endpoint.transfer", endpoint_id=leg, target_session_id=target)
    return desk, clients[0], clients[1], recording, keeper


def test_a_recording_goes_on_when_its_session_has_moved_away() -> None:
    desk, client, _, recording, keeper = moved_away()
    closed = [c for c in desk.workers[keeper].of(ms.CloseSession) if c.session == session_of(desk)]
    assert closed and all(c.reason is None for c in closed), "it lives on elsewhere"
    assert [r["recording_id"] for r in client.call("session.info")["recordings"]] == [recording]
    (fed,) = desk.workers[1 - keeper].of(ms.StartFeed)
    assert (fed.recording, fed.keeper) == (recording, keeper)
    client.call("session.destroy")
    for worker in desk.workers.values():
        assert worker.of(ms.CloseSession)[-1].reason == "session_destroyed"


def test_a_recording_whose_keeper_dies_is_told_though_its_session_lives_on() -> None:
    desk, client, _, recording, keeper = moved_away()
    desk.kill(keeper)
    (told,) = client.events("recording.stopped")
    assert (told["recording_id"], told["reason"]) == (recording, "worker_lost")
    assert client.call("session.info")["recordings"] == []
    assert not client.events("session.lost")


def test_a_new_control_process_finds_the_session_of_a_recording_on_another_worker() -> None:
    desk, _, _, recording, keeper = moved_away()
    (moved,) = desk.workers[1 - keeper].of(ms.MoveEndpoint)
    entry = ms.SnapshotEndpoint(session=moved.session, endpoint=moved.endpoint, kind="rtp", note=moved.note)
    held = [
        ms.SnapshotRecording(
            session=session, recording=id, endpoint=None, file_path="/rec/a.wav", started_us=5,
            feeders=[1 - keeper],
        )
        for session, id in ((moved.session, recording), ("gone", "r2"))
    ]  # fmt: skip
    fresh = Desk(workers=2, unheard=2, started=False)
    for index in range(2):
        fresh.give(WorkerStarted(index, 1, running=True))
    fresh.give(WorkerHolds(keeper, [], held))
    assert not fresh.workers[keeper].of(ms.CloseSession)
    fresh.give(WorkerHolds(1 - keeper, [entry], []))
    shown = fresh.core.session(moved.session)
    assert shown is not None and [r.recording_id for r in shown.recordings] == [recording]
    for worker in fresh.workers.values():
        assert [closed.session for closed in worker.of(ms.CloseSession)] == ["gone"]


def test_a_new_control_process_knows_what_is_being_recorded(desk: Desk, client: Client) -> None:
    leg = rtp(client)
    session = session_of(desk)
    (made,) = desk.workers[0].of(ms.CreateRtp)
    entry = ms.SnapshotEndpoint(session=session, endpoint=leg, kind="rtp", note=made.note)
    held = [
        ms.SnapshotRecording(session=at, recording=id, endpoint=of, file_path="/rec/a.wav", started_us=5)
        for at, id, of in ((session, "r1", leg), ("other", "r2", None))
    ]
    fresh = Desk()
    fresh.give(WorkerHolds(0, [entry], held))
    shown = fresh.core.session(session)
    assert shown is not None
    assert [(r.recording_id, r.endpoint_id, r.file_path) for r in shown.recordings] == [
        ("r1", leg, "/rec/a.wav")
    ]
    assert [c.session for c in fresh.workers[0].of(ms.CloseSession)] == ["other"]
    other = fresh.connect()
    other.call("session.attach", session_id=session)
    ended(fresh, session, "r1", "endpoint_removed")
    assert len(other.events("recording.stopped")) == 1


def test_every_state_leads_to_an_end_and_none_leads_out_of_it() -> None:
    assert RECORDING_TRANSITIONS["ended"] == {}
    for state in ("active", "stopping"):
        assert RECORDING_TRANSITIONS[state][RecordingFact.ENDED] == "ended"


def test_the_last_word_for_a_dead_worker_is_what_had_reached_the_file(desk: Desk, client: Client) -> None:
    rtp(client)
    known, unknown = start(client, "a.wav"), start(client, "b.wav")
    desk.give(WorkerDied(0, 1, {known: Left(packets=7, dropped_packets=2, duration_us=3_500_000)}))
    told = {event["recording_id"]: event for event in client.events("recording.stopped")}
    assert told[known] == {
        "recording_id": known,
        "file_path": "/rec/a.wav",
        "duration_ms": 3500,
        "packets": 7,
        "dropped_packets": 2,
        "reason": "worker_lost",
    }
    assert (told[unknown]["packets"], told[unknown]["duration_ms"]) == (0, 0)
