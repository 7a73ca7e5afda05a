"""Several things played in a room: a list of URLs, plays that wait, replace or lie over one another."""

from stage import A, B, C, Stage

from roomtone.engine import messages as ms

# -- play while something plays ------------------------------------------------------------------------------


def test_busy_names_what_plays(stage: Stage) -> None:
    begun = stage.begin()
    stage.did("pause")
    assert stage.ask("play", urls=[B]) == (
        409,
        {"code": "playback_active", "detail": {"playback_status": "paused", "operation_id": begun}},
    )


def test_replace_stops_what_plays_and_what_waits_before_the_new_one_starts(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    third = stage.play(C, on_busy="replace")
    stage.desk.arrive(C)
    stage.first_frame()
    told = stage.news()
    assert [(e["event"].rpartition(".")[2], e["operation_id"], e.get("cause")) for e in told] == [
        ("started", first, None),
        ("stopped", first, "replaced"),
        ("stopped", second, "replaced"),
        ("started", third, None),
    ]


def test_queue_waits_for_the_end(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    assert stage.ask("play.show")[1]["waiting"] == [second]
    stage.end()
    assert stage.names() == ["started", "finished"]
    assert stage.status == "playing"
    stage.desk.arrive(B)
    stage.first_frame()
    stage.end()
    assert [event["operation_id"] for event in stage.news()] == [second, second]
    assert stage.status == "stopped"
    assert first != second


def test_a_failure_lets_the_next_one_begin(stage: Stage) -> None:
    stage.begin(A)
    second = stage.play(B, on_busy="queue")
    stage.break_off()
    stage.desk.arrive(B)
    stage.first_frame()
    assert stage.news()[-1]["operation_id"] == second


def test_stop_ends_what_waits_too_unless_one_is_named(stage: Stage) -> None:
    first, second, third = stage.begin(A), stage.play(B, on_busy="queue"), stage.play(C, on_busy="queue")
    stop = stage.did("stop", operation_id=second)
    assert stage.news()[-1]["play_operation_id"] == second
    assert stage.status == "playing"
    stop = stage.did("stop")
    assert [(e["play_operation_id"], e["operation_id"]) for e in stage.news()] == [
        (first, stop),
        (third, stop),
    ]
    assert stage.status == "stopped"


def test_stopping_what_plays_by_name_lets_the_next_one_begin(stage: Stage) -> None:
    first, second = stage.begin(A), stage.play(B, on_busy="queue")
    stage.did("stop", operation_id=first)
    assert stage.ask("play.show")[1]["operation_id"] == second


def test_an_overlay_plays_beside_and_leaves_the_status_alone(stage: Stage) -> None:
    first = stage.begin(A)
    overlay = stage.play(B, on_busy="overlay")
    stage.desk.arrive(B)
    stage.did("pause")
    file = next(f for f in stage.files if not f.started)
    stage.desk.event(0, ms.FileStarted(session=stage.room, endpoint=file.endpoint, started_at_us=0))
    assert stage.status == "paused"
    assert stage.ask("play.show")[1]["overlays"] == [overlay]
    stage.did("volume", volume=-20, operation_id=overlay)
    assert (file.gain_db, file.paused) == (-20, False)
    stage.did("stop")
    assert stage.status == "stopped"
    stage.desk.event(0, ms.FileFinished(session=stage.room, endpoint=file.endpoint, reason="completed"))
    told = stage.news()
    assert [e["event"].rpartition(".")[2] for e in told if e.get("overlay")] == [
        "started",
        "volume_changed",
        "finished",
    ]
    assert {e["play_operation_id"] for e in told if not e.get("overlay")} == {first}


def test_a_room_takes_only_so_many_plays(stage: Stage) -> None:
    stage.begin(A)
    taken = 1
    while stage.ask("play", urls=[B], on_busy="queue")[0] == 202:
        taken += 1
    assert taken == 32


# -- several urls --------------------------------------------------------------------------------------------


def test_urls_are_one_list_with_one_ready_ahead(stage: Stage) -> None:
    begun = stage.begin(A, B, C)
    assert list(stage.desk.requested) == [A, B]
    stage.desk.arrive(B)
    assert list(stage.desk.requested) == [A, B]
    stage.next_item()
    assert list(stage.desk.requested) == [A, B, C]
    stage.desk.arrive(C)
    assert (len(stage.file.paths), stage.file.more) == (3, False)
    stage.next_item()
    assert stage.ask("play.show")[1]["item"] == 2
    stage.end()
    started, finished = stage.news()
    assert started["urls"] == finished["urls"] == [A, B, C]
    assert finished["operation_id"] == begun


def test_one_that_fails_fails_all_and_is_named(stage: Stage) -> None:
    stage.begin(A, B, C)
    stage.desk.fail(B, code="http_404")
    (failed,) = stage.news()[1:]
    assert (failed["urls"], failed["error"], failed["error_detail"]) == ([B], "playback_error", "http_404")
    assert stage.status == "stopped"
    assert not stage.files


def test_skip_goes_on_without_what_cannot_be_played(stage: Stage) -> None:
    stage.begin(A, B, C, on_error="skip")
    stage.desk.fail(B)
    stage.desk.arrive(C)
    stage.next_item()
    stage.end()
    finished = stage.news()[-1]
    assert (finished["event"], finished["skipped_urls"]) == ("conference.play.finished", [B])


def test_skip_ends_the_list_where_nothing_follows(stage: Stage) -> None:
    stage.begin(A, B, on_error="skip")
    assert stage.file.more
    stage.desk.fail(B)
    assert not stage.file.more
    stage.end()
    assert stage.names() == ["started", "finished"]


def test_skip_goes_on_behind_a_file_that_breaks(stage: Stage) -> None:
    stage.begin(A, B, C, on_error="skip")
    stage.desk.arrive(B)
    stage.next_item()
    stage.break_off()
    assert stage.status == "playing"
    stage.desk.arrive(C)
    stage.first_frame()
    stage.end()
    started, finished = stage.news()
    assert (started["urls"], finished["skipped_urls"]) == ([A, B, C], [B])


def test_skip_of_all_is_a_failure(stage: Stage) -> None:
    stage.play(A, B, on_error="skip")
    stage.desk.fail(A)
    stage.desk.workers[0].refuse[ms.CreateFile] = ms.Failed(
        code="ENDPOINT_ERROR", message="no audio", detail="unsupported_media"
    )
    stage.desk.arrive(B)
    (failed,) = stage.news()
    assert (failed["urls"], failed["error_detail"]) == ([A, B], "unsupported_media")


def test_a_first_url_that_fails_was_never_started(stage: Stage) -> None:
    stage.play(A)
    stage.desk.fail(A)
    assert stage.names() == ["failed"]


def test_started_can_be_told_at_once() -> None:
    stage = Stage("[compat]\nstarted_on_dispatch = true\n")
    stage.play(A)
    stage.did("pause")
    assert stage.names() == ["started", "paused"]
    stage.did("pause")
    stage.desk.arrive(A)
    stage.first_frame()
    assert stage.names() == ["resumed"]
