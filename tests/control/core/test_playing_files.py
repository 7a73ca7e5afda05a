"""Playing files: what a client is told, what a worker is told, and what is left when a process dies."""

from typing import Any

import pytest
from desk import Client, Desk, Refused
from playing import URL, play, states

from roomtone.control.core import effects as fx
from roomtone.engine import messages as ms

FILES = 'media_dir = "/media"\n'


@pytest.fixture
def desk() -> Desk:
    return Desk(config=FILES)


def finished(desk: Desk, endpoint: str, reason: str = "completed", error: str | None = None) -> None:
    session = desk.workers[0].endpoints[endpoint]
    desk.event(0, ms.FileFinished(session=session, endpoint=endpoint, reason=reason, error=error))


# -- local files ---------------------------------------------------------------------------------------------


def test_a_local_file_plays_when_the_reply_comes(desk: Desk, client: Client) -> None:
    endpoint = play(client, start_ms=1500, loop_count=None, gain_db=-6)
    info = client.call("session.info")["endpoints"]
    assert info == [
        {
            "endpoint_id": endpoint,
            "endpoint_type": "file",
            "direction": "sendonly",
            "state": "playing",
            "codec": None,
            "local_rtp_addr": None,
            "remote_rtp_addr": None,
        }
    ]
    assert client.events() == []
    (made,) = desk.workers[0].of(ms.CreateFile)
    assert (made.path, made.key) == ("/media/hold.wav", "hold")
    assert (made.start_ms, made.loop_count, made.gain_db, made.shared) == (1500, None, -6.0, False)


def test_a_started_file_is_reported_with_the_time_of_its_first_sound(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    session = desk.workers[0].endpoints[endpoint]
    desk.event(0, ms.FileStarted(session=session, endpoint=endpoint, started_at_us=1_020_000))
    assert client.events("endpoint.file.started") == [
        {"endpoint_id": endpoint, "started_at_epoch_ms": 1_700_000_001_020}
    ]


def test_a_finished_file_is_told_once_and_listed_until_it_is_removed(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    finished(desk, endpoint)
    finished(desk, endpoint)
    assert client.events() == [
        {
            "event": "endpoint.state_changed",
            "data": {"endpoint_id": endpoint, "old_state": "playing", "new_state": "finished"},
        },
        {
            "event": "endpoint.file.finished",
            "data": {"endpoint_id": endpoint, "reason": "completed", "error": None},
        },
    ]
    assert states(client) == {endpoint: "finished"}
    client.call("endpoint.remove", endpoint_id=endpoint)
    assert states(client) == {}


def test_a_file_that_breaks_off_says_why(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    finished(desk, endpoint, "error", "unreadable frame")
    (told,) = client.events("endpoint.file.finished")
    assert told == {"endpoint_id": endpoint, "reason": "error", "error": "unreadable frame"}


@pytest.mark.parametrize("source", ["gone.wav", "../etc/passwd", "C:\\hold.wav", "mailto:x"])
def test_a_file_that_is_not_there_is_refused_and_not_listed(desk: Desk, client: Client, source: str) -> None:
    with pytest.raises(Refused) as refused:
        play(client, source)
    assert (refused.value.code, refused.value.message) == ("ENDPOINT_ERROR", "File not found")
    assert states(client) == {}
    assert desk.core.workers.loads() == {0: 0}


def test_a_file_that_the_worker_cannot_open_is_refused_with_its_reason(desk: Desk, client: Client) -> None:
    desk.workers[0].refuse = {ms.CreateFile: ms.Failed(code="ENDPOINT_ERROR", message="Not an audio file")}
    with pytest.raises(Refused) as refused:
        play(client)
    assert (refused.value.code, refused.value.message) == ("ENDPOINT_ERROR", "Not an audio file")
    assert states(client) == {}
    assert desk.core.workers.loads() == {0: 0}


def test_without_media_dir_there_are_no_local_files() -> None:
    client = Desk().connect()
    client.call("session.create")
    with pytest.raises(Refused) as refused:
        play(client)
    assert refused.value.code == "ENDPOINT_ERROR"
    assert "media_dir" in refused.value.message
    assert play(client, URL)


def test_a_file_opened_after_the_deadline_is_removed_again(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.CreateFile)
    request = client.send("endpoint.create_with_file", source="hold.wav")
    desk.advance(5)
    with pytest.raises(Refused) as refused:
        client.result(request)
    assert refused.value.code == "SESSION_UNRESPONSIVE"
    desk.answer_late(0)
    assert desk.workers[0].endpoints == {}


def test_those_who_share_a_decoder_see_it_in_the_info(desk: Desk, client: Client) -> None:
    play(client, shared=True)
    play(client)
    shared, alone = client.call("session.info")["endpoints"]
    assert shared["shared_playback_id"] == "shared"
    assert "shared_playback_id" not in alone


# -- parameters ----------------------------------------------------------------------------------------------

BAD = {
    "no source": {"source": ""},
    "a zero in the path": {"source": "a\0b"},
    "a number": {"source": 5},
    "another scheme": {"source": "ftp://media.example/hold.ogg"},
    "a file URL": {"source": "file:///etc/passwd"},
    "no host": {"source": "http:///hold.ogg"},
    "a blank in the URL": {"source": "http://media.example/hold music.ogg"},
    "a line end in the URL": {"source": "http://media.example/\r\nX: y"},
    "a port beyond ports": {"source": "http://media.example:65536/"},
    "port 0": {"source": "http://media.example:0/"},
    "an open bracket": {"source": "http://[::1/"},
    "start before the beginning": {"start_ms": -1},
    "a broken start": {"start_ms": 1.5},
    "too many loops": {"loop_count": 10_001},
    "loops less than none": {"loop_count": -1},
    "no time": {"timeout_ms": 0},
    "too much time": {"timeout_ms": 60_001},
    "negative time to live": {"cache_ttl_secs": -1},
    "too loud": {"gain_db": 60.5},
    "louder than numbers": {"gain_db": 1e300},
    "gain in words": {"gain_db": "3"},
    "shared in words": {"shared": "yes"},
    "a list of headers": {"headers": ["A: b"]},
    "a header of two lines": {"headers": {"A": "b\r\nHost: evil"}},
    "a header with a line feed": {"headers": {"A": "b\n"}},
    "a header that is a number": {"headers": {"A": 1}},
    "a header name with a blank": {"headers": {"A B": "c"}},
    "a header name with a colon": {"headers": {"A:": "c"}},
    "a header without a name": {"headers": {"": "c"}},
    "another host": {"headers": {"hOsT": "evil"}},
    "a length": {"headers": {"Content-Length": "5"}},
    "framing": {"headers": {"Transfer-Encoding": "chunked"}},
    "a connection's option": {"headers": {"Connection": "close"}},
    "half a file": {"headers": {"Range": "bytes=0-1"}},
    "a header twice": {"headers": {"A": "b", "a": "c"}},
    "two who ask": {"source": "http://me:pass@media.example/", "headers": {"authorization": "Bearer x"}},
}


@pytest.mark.parametrize("params", BAD.values(), ids=BAD.keys())
def test_bad_parameters_are_refused_before_anything_happens(
    desk: Desk, client: Client, params: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as refused:
        client.call("endpoint.create_with_file", **({"source": URL} | params))
    assert refused.value.code == "INVALID_PARAMS"
    assert desk.downloading == {} and states(client) == {}


@pytest.mark.parametrize(
    "params",
    [
        {"start_ms": 2**53, "loop_count": 10_000, "timeout_ms": 60_000, "gain_db": 60},
        {"loop_count": None, "timeout_ms": 1, "gain_db": -60, "cache_ttl_secs": 0, "headers": None},
        {"cache_key": None, "headers": {}},
        {"headers": {"Authorization": "Bearer x", "X-Name": "\tä ö"}, "cache_key": "v2"},
    ],
)
def test_parameters_at_their_limits_are_taken(desk: Desk, client: Client, params: dict[str, Any]) -> None:
    play(client, URL, **params)
    assert len(desk.downloading) == 1


def test_an_error_does_not_repeat_what_a_header_says(desk: Desk, client: Client) -> None:
    with pytest.raises(Refused) as refused:
        play(client, URL, headers={"Authorization": "Bearer hunter2\n"})
    assert "hunter2" not in refused.value.message


# -- pause, resume, seek -------------------------------------------------------------------------------------


def test_pause_and_resume_are_told_and_may_be_repeated(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    for method in ("pause", "pause", "resume", "resume"):
        assert client.call(f"endpoint.file.{method}", endpoint_id=endpoint) == {}
    changes = [(e["old_state"], e["new_state"]) for e in client.events("endpoint.state_changed")]
    assert changes == [("playing", "paused"), ("paused", "playing")]
    worker = desk.workers[0]
    assert (len(worker.of(ms.PauseFile)), len(worker.of(ms.ResumeFile))) == (1, 1)


def test_a_paused_file_can_be_sought_in_and_stays_paused(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    client.call("endpoint.file.pause", endpoint_id=endpoint)
    assert client.call("endpoint.file.seek", endpoint_id=endpoint, position_ms=250) == {}
    (sought,) = desk.workers[0].of(ms.SeekFile)
    assert (sought.endpoint, sought.position_ms) == (endpoint, 250)
    assert states(client) == {endpoint: "paused"}


CHANGES = [("pause", {}), ("resume", {}), ("seek", {"position_ms": 0})]


@pytest.mark.parametrize(("method", "params"), CHANGES)
def test_what_is_not_playing_cannot_be_changed(
    desk: Desk, client: Client, method: str, params: dict[str, Any]
) -> None:
    done, buffering = play(client), play(client, URL)
    finished(desk, done)
    tone = client.call("endpoint.create_tone", tone="beep")["endpoint_id"]
    missing = "00000000-0000-4000-8000-000000000000"
    for endpoint, word in (
        (done, "finished"),
        (buffering, "buffering"),
        (tone, "tone"),
        (missing, "not found"),
    ):
        with pytest.raises(Refused) as refused:
            client.call(f"endpoint.file.{method}", endpoint_id=endpoint, **params)
        assert refused.value.code == "ENDPOINT_ERROR" and word in refused.value.message
    assert not [
        c for c in desk.workers[0].commands if isinstance(c, ms.PauseFile | ms.ResumeFile | ms.SeekFile)
    ]


def test_a_file_that_ends_while_it_is_being_paused_has_ended(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    desk.workers[0].mute.add(ms.PauseFile)
    request = client.send("endpoint.file.pause", endpoint_id=endpoint)
    finished(desk, endpoint)
    desk.answer_late(0)
    with pytest.raises(Refused) as refused:
        client.result(request)
    assert refused.value.code == "ENDPOINT_ERROR"
    assert states(client) == {endpoint: "finished"}


def test_a_paused_file_may_still_end(desk: Desk, client: Client) -> None:
    endpoint = play(client)
    client.call("endpoint.file.pause", endpoint_id=endpoint)
    finished(desk, endpoint, "error", "read error")
    assert states(client) == {endpoint: "finished"}


# -- processes that die --------------------------------------------------------------------------------------


def test_a_worker_that_dies_ends_its_files_before_its_sessions(desk: Desk, client: Client) -> None:
    playing, paused, done, buffering = play(client), play(client), play(client), play(client, URL)
    client.call("endpoint.file.pause", endpoint_id=paused)
    finished(desk, done)
    client.log.clear()
    desk.kill(0)
    told = client.events("endpoint.file.finished")
    assert [data["endpoint_id"] for data in told] == [playing, paused, buffering]
    assert {data["reason"] for data in told} == {"error"}
    assert client.log[-1]["event"] == "session.lost"
    assert desk.downloading == {}


def test_a_new_control_process_takes_files_over_as_they_are(desk: Desk, client: Client) -> None:
    playing, paused, done = play(client, shared=True), play(client), play(client)
    session = client.call("session.info")["session_id"]
    held = [
        ms.SnapshotEndpoint(
            session=body.session,
            endpoint=body.endpoint,
            kind="file",
            note=body.note,
            paused=body.endpoint == paused,
            finished=body.endpoint == done,
            file=ms.FileCreated(duration_ms=1000, shared_id="shared" if body.shared else None),
        )
        for body in desk.workers[0].of(ms.CreateFile)
    ]
    later = Desk(config=FILES)
    later.workers[0].endpoints = dict(desk.workers[0].endpoints)
    later.give(fx.WorkerHolds(0, held))
    again = later.connect()
    again.call("session.attach", session_id=session)
    assert states(again) == {playing: "playing", paused: "paused", done: "finished"}
    assert again.call("session.info")["endpoints"][0]["shared_playback_id"] == "shared"
    finished(later, done)
    assert again.events() == []
    finished(later, playing)
    assert len(again.events("endpoint.file.finished")) == 1
    again.call("endpoint.file.resume", endpoint_id=paused)
