"""Room playback when control, or control and a worker, died and came again."""

from fake_worker import FakeWorker
from gathering import call, join
from stage import A, B, C, Stage

from roomtone.control.core import effects as fx
from roomtone.engine import messages as ms


def restart(stage: Stage) -> None:
    """What was downloaded is gone with the process."""
    stage.desk.downloading.clear()
    stage.desk.disk.clear()
    stage.desk.requested.clear()
    stage.desk.reboot()


def test_what_plays_goes_on(stage: Stage) -> None:
    begun = stage.begin(A, B, C)
    stage.desk.arrive(B)
    restart(stage)
    assert stage.status == "playing"
    stage.next_item()
    assert list(stage.desk.requested) == [C]
    stage.desk.arrive(C)
    stage.next_item()
    stage.end()
    assert len(stage.file.paths if stage.files else []) == 0
    told = stage.news()
    assert [event["event"].rpartition(".")[2] for event in told] == ["started", "finished"]
    assert {event["operation_id"] for event in told} == {begun}


def test_a_file_that_was_on_its_way_is_fetched_again(stage: Stage) -> None:
    stage.begin(A, B)
    assert list(stage.desk.requested) == [A, B]
    restart(stage)
    assert list(stage.desk.requested) == [B]
    stage.desk.arrive(B)
    assert (len(stage.file.paths), stage.file.more) == (2, False)


def test_what_was_told_while_nobody_listened_is_asked(stage: Stage) -> None:
    """The next of the list began, and its report was lost."""
    stage.begin(A, B, C)
    stage.desk.arrive(B)
    stage.file.item = 1
    restart(stage)
    stage.desk.advance(0.1)
    assert stage.ask("play.show")[1]["item"] == 1
    assert list(stage.desk.requested) == [C]


def test_an_end_nobody_heard_is_told_once(stage: Stage) -> None:
    stage.begin(A)
    stage.file.ended = True
    restart(stage)
    assert stage.names() == ["started", "finished"]
    assert stage.status == "stopped"
    assert not stage.files


def test_a_pause_holds(stage: Stage) -> None:
    stage.begin(A)
    stage.did("pause")
    stage.did("volume", volume=-6)
    stage.file.paused, stage.file.gain_db = False, 0.0  # the commands were lost
    restart(stage)
    assert (stage.status, stage.file.paused, stage.file.gain_db) == ("paused", True, -6)


def test_what_was_not_heard_yet_begins_again(stage: Stage) -> None:
    begun = stage.play(A, B)
    stage.did("volume", volume=-6)
    restart(stage)
    assert list(stage.desk.requested) == [A]
    stage.desk.arrive(A)
    stage.first_frame()
    told = stage.news()
    assert [event["event"].rpartition(".")[2] for event in told] == ["started", "volume_changed"]
    assert told[0]["operation_id"] == begun
    assert stage.file.gain_db == -6


def test_a_list_that_waits_keeps_its_order(stage: Stage) -> None:
    stage.begin(A)
    stage.desk.advance(0.1)
    second = stage.play(B, on_busy="queue")
    stage.desk.advance(0.1)
    third = stage.play(C, on_busy="queue")
    restart(stage)
    assert stage.ask("play.show")[1]["waiting"] == [second, third]
    stage.end()
    assert stage.ask("play.show")[1]["operation_id"] == second


def test_what_should_be_heard_and_is_not_has_failed(stage: Stage) -> None:
    stage.begin(A)
    stage.desk.workers[0].endpoints.clear()
    restart(stage)
    failed = stage.news()[-1]
    assert (failed["error"], failed["cause"]) == ("playback_error", "restart")
    assert stage.status == "stopped"


def test_a_new_worker_plays_nothing_of_before(stage: Stage) -> None:
    stage.begin(A)
    del stage.desk.workers[0]
    restart(stage)
    stage.desk.workers[0] = FakeWorker(0, epoch=2)
    stage.desk.give(fx.WorkerStarted(0, 2))
    failed = stage.news()[-1]
    assert (failed["error"], failed["cause"]) == ("playback_error", "worker_lost")


def test_a_worker_that_does_not_come_again_is_a_timeout(stage: Stage) -> None:
    stage.begin(A)
    del stage.desk.workers[0]
    restart(stage)
    stage.desk.advance(11)
    assert stage.news()[-1]["error"] == "playback_timeout"


def test_members_that_are_gone_after_it_end_what_is_played_to_them_alone(stage: Stage) -> None:
    join(stage.desk, call(stage.desk), stage.room)
    stage.begin(A, stop_when_empty=True)
    worker = stage.desk.workers[0]
    worker.endpoints = {id: owner for id, owner in worker.endpoints.items() if owner == stage.room}
    restart(stage)
    assert stage.news()[-1]["cause"] == "room_empty"
    assert [event["event"] for event in stage.desk.told()[-3:]].count("conference.member.left") == 1


def test_a_play_that_was_not_written_down_is_removed(stage: Stage) -> None:
    stage.desk.disk_stalled = True
    stage.desk.ask("conference.play", {"urls": [A]}, room_id=stage.room)
    stage.desk.arrive(A)
    assert stage.files
    stage.desk.disk_stalled = False
    restart(stage)
    assert not stage.files
    assert stage.status == "stopped"
    assert not stage.news()


def test_a_file_the_worker_cannot_open_is_not_of_its_list(stage: Stage) -> None:
    stage.begin(A, B, C, on_error="skip")
    stage.desk.workers[0].refuse[ms.QueueFile] = ms.Failed(
        code="ENDPOINT_ERROR", message="no audio", detail="unsupported_media"
    )
    stage.desk.arrive(B)
    stage.desk.workers[0].refuse.clear()
    stage.desk.arrive(C)
    stage.next_item()
    assert stage.ask("play.show")[1]["item"] == 2
    stage.end()
    assert stage.news()[-1]["skipped_urls"] == [B]
