"""Playback in a room that does not move is a timeout; one that moves slowly, or is paused, is none."""

from stage import A, B, Stage


def test_a_body_that_stalls_is_a_timeout(stage: Stage) -> None:
    stage.desk.workers[0].duration_ms = None
    stage.begin()
    for _ in range(3):
        stage.move(2)
    stage.desk.advance(9)
    assert stage.status == "playing"
    stage.desk.advance(3)
    assert stage.news()[-1]["error"] == "playback_timeout"
    assert not stage.files


def test_the_next_url_is_named_when_it_is_the_one_that_does_not_come(stage: Stage) -> None:
    stage.begin(A, B)
    stage.file.position_ms = 1000
    stage.desk.advance(15)
    assert stage.news()[-1]["urls"] == [B]


def test_what_should_be_over_is_a_timeout_though_it_moves(stage: Stage) -> None:
    stage.begin()
    for _ in range(6):
        stage.move(2)
    assert stage.news()[-1]["error"] == "playback_timeout"


def test_a_slow_origin_is_not_overdue_while_it_moves(stage: Stage) -> None:
    """A second of audio a millisecond at a time: silence in between is no time of the file."""
    stage.begin()
    for _ in range(20):
        stage.file.position_ms += 1
        stage.file.underruns += 100
        stage.desk.advance(2)
    assert stage.status == "playing"


def test_paused_time_does_not_count(stage: Stage) -> None:
    stage.begin()
    stage.desk.advance(5)
    stage.did("pause")
    stage.desk.advance(30)
    stage.did("pause")
    stage.desk.advance(4.9)
    assert stage.status == "playing"
    stage.desk.advance(2)
    assert stage.status == "stopped"


def test_the_literal_watchdog_knows_only_ten_seconds() -> None:
    stage = Stage('[watchdog]\nmode = "literal"\n')
    stage.begin(repeat=-1)
    for _ in range(4):
        stage.move(2)
    assert stage.status == "playing"
    stage.desk.advance(2.1)
    assert stage.news()[-1]["error"] == "playback_timeout"
