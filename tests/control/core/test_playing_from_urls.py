"""Files from URLs: buffered, cached, shared; and what is left when somebody goes away meanwhile."""

from typing import Any

import pytest
from desk import Client, Desk
from playing import URL, play, states

from roomtone.engine import messages as ms


def test_a_url_is_buffered_then_plays(desk: Desk, client: Client) -> None:
    endpoint = play(client, URL, headers={"Authorization": "Bearer x"})
    assert states(client) == {endpoint: "buffering"}
    assert desk.workers[0].of(ms.CreateFile) == []
    (download,) = desk.downloading.values()
    assert (download.url, download.headers) == (URL, (("authorization", "Bearer x"),))
    desk.arrive(URL)
    assert states(client) == {endpoint: "playing"}
    assert client.events() == [
        {
            "event": "endpoint.state_changed",
            "data": {"endpoint_id": endpoint, "old_state": "buffering", "new_state": "playing"},
        }
    ]
    (made,) = desk.workers[0].of(ms.CreateFile)
    assert made.path == f"/cache/{made.key}"


def test_a_url_that_fails_is_removed_and_reported(desk: Desk, client: Client) -> None:
    endpoint = play(client, URL)
    desk.fail(URL, message="The host answered with HTTP status 404")
    assert client.events() == [
        {
            "event": "endpoint.file.finished",
            "data": {
                "endpoint_id": endpoint,
                "reason": "error",
                "error": "The host answered with HTTP status 404",
            },
        }
    ]
    assert states(client) == {}
    assert desk.core.workers.loads() == {0: 0}


def test_a_download_that_is_no_audio_is_removed_and_reported(desk: Desk, client: Client) -> None:
    desk.workers[0].refuse = {ms.CreateFile: ms.Failed(code="ENDPOINT_ERROR", message="Not an audio file")}
    endpoint = play(client, URL, cache_ttl_secs=0)
    desk.arrive(URL)
    (told,) = client.events("endpoint.file.finished")
    assert told == {"endpoint_id": endpoint, "reason": "error", "error": "Not an audio file"}
    assert states(client) == {} and desk.disk == set()


def test_each_who_waits_waits_for_his_own_time(desk: Desk, client: Client) -> None:
    patient = play(client, URL, timeout_ms=3000)
    hasty = play(client, URL, timeout_ms=1000)
    desk.advance(1)
    (told,) = client.events("endpoint.file.finished")
    assert told["endpoint_id"] == hasty and "1000 ms" in told["error"]
    assert len(desk.downloading) == 1
    desk.arrive(URL)
    assert states(client) == {patient: "playing"}
    desk.advance(5)
    assert len(client.events("endpoint.file.finished")) == 1


def test_a_download_nobody_has_time_for_is_stopped(desk: Desk, client: Client) -> None:
    play(client, URL, timeout_ms=1000)
    desk.advance(1)
    assert desk.downloading == {} and states(client) == {}
    assert desk.core.counts().downloads == {"timeout": 1}


def test_many_who_want_the_same_share_one_download(desk: Desk, client: Client) -> None:
    mine = [play(client, URL) for _ in range(5)]
    other = desk.connect()
    other.call("session.create")
    theirs = play(other, URL)
    desk.arrive(URL)
    assert desk.requested == {URL: 1}
    assert states(client) == dict.fromkeys(mine, "playing")
    assert states(other) == {theirs: "playing"}
    assert desk.core.counts().downloads_wished == {"download": 1, "joined": 5}


@pytest.mark.parametrize("other", [{"headers": {"A": "b"}}, {"cache_key": "v2"}])
def test_other_headers_or_another_key_are_another_download(
    desk: Desk, client: Client, other: dict[str, Any]
) -> None:
    play(client, URL)
    play(client, URL, **other)
    assert desk.requested == {URL: 2}


def test_a_cached_copy_is_played_until_it_is_too_old(desk: Desk, client: Client) -> None:
    play(client, URL, cache_ttl_secs=60)
    desk.arrive(URL)
    desk.advance(59)
    again = play(client, URL, cache_ttl_secs=60)
    assert states(client)[again] == "playing"
    desk.advance(1)
    late = play(client, URL, cache_ttl_secs=60)
    assert states(client)[late] == "buffering"
    assert desk.requested == {URL: 2}


def test_the_cache_is_cleaned_of_what_is_too_old(desk: Desk, client: Client) -> None:
    play(client, URL, cache_ttl_secs=10)
    desk.arrive(URL, 4711)
    assert (len(desk.disk), desk.core.counts().cache_bytes) == (1, 4711)
    desk.advance(301)
    assert (desk.disk, desk.core.counts().cache_bytes) == (set(), 0)
    assert not desk.timers


def test_a_file_without_time_to_live_goes_when_the_worker_has_opened_it(desk: Desk, client: Client) -> None:
    desk.workers[0].mute.add(ms.CreateFile)
    play(client, URL, cache_ttl_secs=0)
    desk.arrive(URL)
    assert len(desk.disk) == 1
    desk.answer_late(0)
    assert desk.disk == set()
    assert "playing" in states(client).values()


def test_only_so_many_downloads_run_and_the_others_follow_in_order() -> None:
    desk = Desk(config="max_concurrent_downloads = 2")
    client = desk.connect()
    client.call("session.create")
    urls = [f"http://media.example/{number}.wav" for number in range(4)]
    endpoints = [play(client, url) for url in urls]
    assert [d.url for d in desk.downloading.values()] == urls[:2]
    client.call("endpoint.remove", endpoint_id=endpoints[2])
    desk.arrive(urls[1])
    assert [d.url for d in desk.downloading.values()] == [urls[0], urls[3]]
    assert desk.core.counts().downloads_running == 2


def test_logs_name_a_url_without_its_secrets(desk: Desk, client: Client) -> None:
    play(
        client,
        "https://me:hunter2@media.example:8443/hold.ogg?token=hunter2#hunter2",
        headers={"X": "hunter2"},
    )
    desk.fail("https://me:hunter2@media.example:8443/hold.ogg?token=hunter2#hunter2")
    (log,) = [log for log in desk.logs if log.event == "file_download_ended"]
    assert log.fields["url"] == "https://media.example:8443/hold.ogg"
    assert "hunter2" not in str(desk.logs)


# -- what is played while it comes ---------------------------------------------------------------------------


def test_a_url_plays_as_soon_as_its_beginning_is_there(desk: Desk, client: Client) -> None:
    endpoint = play(client, URL, timeout_ms=1000)
    desk.begin(URL)
    assert states(client) == {endpoint: "playing"}
    (made,) = desk.workers[0].of(ms.CreateFile)
    assert made.path == f"/cache/{made.key}"
    desk.advance(60)  # it may take its time now
    later = play(client, URL)
    assert states(client) == {endpoint: "playing", later: "playing"} and len(desk.downloading) == 1
    desk.arrive(URL, 7000)
    assert desk.core.counts().cache_bytes == 7000
    assert {made.path for made in desk.workers[0].of(ms.CreateFile)} == {made.path}


def test_a_download_ends_with_the_last_who_plays_it(desk: Desk, client: Client) -> None:
    first, second = play(client, URL), play(client, URL)
    desk.begin(URL)
    client.call("endpoint.remove", endpoint_id=first)
    assert len(desk.downloading) == 1
    session = client.call("session.info")["session_id"]
    desk.event(0, ms.FileFinished(session=session, endpoint=second, reason="completed"))
    assert desk.downloading == {} and desk.core.counts().cache_files == 0
    again = play(client, URL)
    assert states(client)[again] == "buffering" and len(desk.downloading) == 1


def test_a_download_that_breaks_off_is_the_workers_to_tell(desk: Desk, client: Client) -> None:
    endpoint = play(client, URL)
    desk.begin(URL)
    desk.fail(URL, "incomplete")
    assert client.events("endpoint.file.finished") == [] and states(client) == {endpoint: "playing"}
    assert desk.core.counts().cache_files == 0
    play(client, URL)
    assert len(desk.downloading) == 1


def test_without_time_to_live_a_file_goes_when_it_is_whole_and_opened(desk: Desk, client: Client) -> None:
    play(client, URL, cache_ttl_secs=0)
    desk.begin(URL)
    assert len(desk.disk) == 1
    desk.arrive(URL)
    assert desk.disk == set()


# -- who goes away meanwhile ---------------------------------------------------------------------------------


def test_an_endpoint_removed_while_buffering_stops_its_download(desk: Desk, client: Client) -> None:
    endpoint = play(client, URL)
    client.call("endpoint.remove", endpoint_id=endpoint)
    assert desk.downloading == {} and states(client) == {}
    assert client.events() == []
    assert desk.core.workers.loads() == {0: 0}
    assert not desk.timers


def test_a_download_goes_on_for_the_one_who_still_waits(desk: Desk, client: Client) -> None:
    first, second = play(client, URL), play(client, URL)
    client.call("endpoint.remove", endpoint_id=first)
    desk.arrive(URL)
    assert states(client) == {second: "playing"}


def test_an_endpoint_removed_while_the_worker_opens_it_is_removed_there_too(
    desk: Desk, client: Client
) -> None:
    desk.workers[0].mute |= {ms.CreateFile, ms.RemoveEndpoint}
    endpoint = play(client, URL, cache_ttl_secs=0)
    desk.arrive(URL)
    request = client.send("endpoint.remove", endpoint_id=endpoint)
    desk.answer_late(0)
    assert client.result(request)
    assert desk.workers[0].endpoints == {} and states(client) == {} and desk.disk == set()


@pytest.mark.parametrize("arrived", [False, True])
def test_a_session_destroyed_while_buffering_leaves_nothing(
    desk: Desk, client: Client, arrived: bool
) -> None:
    desk.workers[0].mute.add(ms.CreateFile)
    play(client, URL, cache_ttl_secs=0)
    if arrived:
        desk.arrive(URL)
    client.call("session.destroy")
    desk.answer_late(0)
    assert desk.downloading == {} and desk.disk == set() and not desk.timers
    assert desk.core.workers.loads() == {0: 0}
    assert client.events() == []


def test_an_orphaned_session_goes_on_buffering_and_tells_it_later(desk: Desk, client: Client) -> None:
    session = client.call("session.info")["session_id"]
    endpoint = play(client, URL)
    client.close()
    desk.arrive(URL)
    again = desk.connect()
    again.call("session.attach", session_id=session)
    assert states(again) == {endpoint: "playing"}
    assert again.events("endpoint.state_changed")[0]["new_state"] == "playing"
