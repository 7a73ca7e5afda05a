"""What the media thread notices reaches control, in order, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bench_worker import BenchWorker

from roomtone.engine import messages as m
from roomtone.engine import process_messages as pm
from roomtone.engine.events import BACKLOG_ITEMS, BATCH_ITEMS, FACTS_A_TURN
from roomtone.engine.retirement import TELL_US
from roomtone.ext.flow.media import (
    FACT_BYE,
    FACT_INJECT_DONE,
    FACT_KEY,
    FACT_PINNED,
    FACT_PROBE,
    FACT_RESYNC,
    FACT_TONE_DONE,
)


def test_facts_become_events_of_their_endpoint(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(m.CreateTone(session="s", endpoint="t", phase=0, tone="beep", duration_ms=100))
    tone = bench.media.named("tone_open")[0]["handle"]
    bench.media.tell(FACT_PINNED, handle, "127.0.0.1", 4000)
    bench.media.tell(FACT_PINNED, handle, "::1", 4000)
    bench.media.tell(FACT_KEY, handle, 11, 120)
    bench.media.tell(FACT_BYE, handle, [7, 8], "bye")
    bench.media.tell(FACT_TONE_DONE, tone)
    bench.turn()
    who = {"session": "s", "endpoint": "e"}
    assert bench.events() == [
        m.PeerLearned(**who, remote_rtp_addr="127.0.0.1:4000"),
        m.PeerLearned(**who, remote_rtp_addr="[::1]:4000"),
        m.KeyPressed(**who, digit="#", duration_ms=120),
        m.ByeReceived(**who, ssrcs=[7, 8], reason="bye"),
        m.ToneFinished(session="s", endpoint="t"),
    ]


@pytest.mark.parametrize(("event", "digit"), [(0, "0"), (9, "9"), (10, "*"), (11, "#"), (12, "A"), (15, "D")])
def test_key_codes_are_those_of_rfc_4733(bench: BenchWorker, event: int, digit: str) -> None:
    bench.media.tell(FACT_KEY, bench.rtp().handle, event, 100)
    bench.turn()
    assert [key.digit for key in bench.events()] == [digit]


def test_events_that_are_no_keys_and_facts_of_the_departed_are_passed_over(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.media.tell(FACT_KEY, handle, 16, 100)  # RFC 4733 section 3.2: flash
    bench.do(m.RemoveEndpoint("e"))
    bench.media.tell(FACT_KEY, handle, 1, 100)
    bench.turn()
    assert bench.events() == []


def test_what_a_command_caused_follows_its_reply_in_one_numbered_stream(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.media.tell(FACT_KEY, handle, 1, 100)
    bench.post(m.GetStats("s"))
    bench.turn()
    kinds = [type(item) for batch in bench.batches for item in batch.items]
    assert kinds == [m.Reply, m.KeyPressed, m.Reply]
    assert [batch.first for batch in bench.batches] == [1, 2]


def test_silence_is_told_with_its_length(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.worker.start(1, "none")
    bench.media.silences = [(handle, 5100), (999, 5000)]
    bench.advance(500)
    timeouts = [event for event in bench.events() if isinstance(event, m.MediaTimeout)]
    assert timeouts == [m.MediaTimeout(session="s", endpoint="e", duration_ms=5100)]


# -- the blocked outbox ------------------------------------------------------------------------------------


def test_a_blocked_stream_stops_commands_and_loses_nothing(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.refuse_batches = True
    bench.media.tell(FACT_KEY, handle, 1, 100)
    bench.turn()
    n = bench.post(m.GetStats("s"))
    bench.media.tell(FACT_KEY, handle, 2, 100)
    bench.turn(3)
    assert bench.reply(n) is None
    bench.refuse_batches = False
    bench.turn(2)
    assert [event.digit for event in bench.events()] == ["1", "2"]
    assert bench.reply(n) is not None


def test_metrics_and_probes_are_dropped_while_blocked_and_counted(bench: BenchWorker) -> None:
    bench.worker.start(1, "none")
    handle = bench.rtp().handle
    bench.media.tell(FACT_PROBE, 0)
    bench.turn()
    bench.refuse_batches = True
    bench.media.tell(FACT_KEY, handle, 1, 100)
    bench.advance(1000)
    bench.media.tell(FACT_PROBE, 0)
    bench.advance(1000)
    bench.refuse_batches = False
    bench.turn()
    bench.advance(0)
    probes = [event for event in bench.events() if isinstance(event, m.Probe)]
    assert probes == [m.Probe(True)]
    assert bench.do(m.GetMetrics()).counters["replies_dropped"] == 1


def test_a_long_blocked_stream_leaves_facts_in_their_ring(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.refuse_batches = True
    total = BACKLOG_ITEMS + 3 * FACTS_A_TURN + BATCH_ITEMS
    for _ in range(total):
        bench.media.tell(FACT_KEY, handle, 1, 100)
    bench.turn(total // FACTS_A_TURN + 5)
    assert BACKLOG_ITEMS <= bench.worker.outbox.backlog < BACKLOG_ITEMS + FACTS_A_TURN
    bench.refuse_batches = False
    bench.turn(10)
    assert len(bench.events()) == total
    assert max(len(batch.items) for batch in bench.batches) == BATCH_ITEMS


# -- lost facts --------------------------------------------------------------------------------------------


def test_after_lost_facts_addresses_and_ended_tones_are_read_again(
    make_bench: Callable[..., BenchWorker],
) -> None:
    bench = make_bench(pairs=64, endpoints=100)
    handles = [bench.rtp(endpoint=f"e{number}").handle for number in range(40)]  # more than a slice
    bench.do(m.CreateTone(session="s", endpoint="short", phase=0, tone="beep", duration_ms=100))
    bench.do(m.CreateTone(session="s", endpoint="long", phase=0, tone="beep", duration_ms=60_000))
    bench.do(m.CreateTone(session="s", endpoint="endless", phase=0, tone="beep"))
    bench.media.tell(FACT_PINNED, handles[0], "127.0.0.1", 4000)
    bench.turn()
    assert [event.endpoint for event in bench.events()] == ["e0"]
    for handle in (handles[0], handles[39]):
        bench.media.stats_of[handle] = {"rx_packets": 5, "remote_rtp_addr": "127.0.0.1:4001"}
    bench.advance(5000)
    bench.media.tell(FACT_RESYNC, 0)
    bench.turn(5)
    assert bench.events() == [
        m.PeerLearned(session="s", endpoint="e39", remote_rtp_addr="127.0.0.1:4001"),
        m.ToneFinished(session="s", endpoint="short"),
    ]
    finished = {entry.endpoint for entry in bench.do(m.TakeSnapshot()).endpoints if entry.finished}
    assert finished == {"short"}
    bench.media.tell(FACT_RESYNC, 0)
    bench.turn(5)
    assert bench.events() == []


# -- keys towards the peer ---------------------------------------------------------------------------------


def test_keys_go_out_one_at_a_time_with_a_pause_between(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    for digit in "1*d":
        assert bench.do(m.InjectKey(endpoint="e", digit=digit, duration_ms=100, volume=5)) == m.Done()
    assert bench.media.named("inject") == [{"handle": handle, "event": 1, "duration_ms": 100, "volume": 5}]
    bench.media.tell(FACT_INJECT_DONE, handle)
    bench.turn()
    bench.advance(39)
    assert len(bench.media.named("inject")) == 1
    bench.advance(1)
    assert [edit["event"] for edit in bench.media.named("inject")] == [1, 10]
    bench.media.tell(FACT_INJECT_DONE, handle)
    bench.turn()
    bench.advance(40)
    assert [edit["event"] for edit in bench.media.named("inject")] == [1, 10, 15]


def test_a_key_right_after_the_last_one_waits_for_the_pause(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    bench.do(m.InjectKey(endpoint="e", digit="1"))
    bench.media.tell(FACT_INJECT_DONE, handle)
    bench.turn()
    bench.do(m.InjectKey(endpoint="e", digit="2"))
    assert len(bench.media.named("inject")) == 1
    bench.advance(40)
    assert len(bench.media.named("inject")) == 2


def test_a_lost_end_of_a_key_does_not_silence_the_keyboard(bench: BenchWorker) -> None:
    bench.rtp()
    for digit in "12":
        bench.do(m.InjectKey(endpoint="e", digit=digit, duration_ms=200))
    bench.advance(1199)
    assert len(bench.media.named("inject")) == 1
    bench.advance(1)
    assert len(bench.media.named("inject")) == 2


def test_keys_of_a_removed_endpoint_are_forgotten(bench: BenchWorker) -> None:
    handle = bench.rtp().handle
    for digit in "12":
        bench.do(m.InjectKey(endpoint="e", digit=digit))
    bench.media.tell(FACT_INJECT_DONE, handle)
    bench.turn()
    bench.do(m.RemoveEndpoint("e"))
    bench.advance(5000)
    assert len(bench.media.named("inject")) == 1


def test_the_number_of_waiting_keys_is_bounded(bench: BenchWorker) -> None:
    bench.rtp()
    for _ in range(257):
        assert bench.do(m.InjectKey(endpoint="e", digit="1")) == m.Done()
    assert bench.do(m.InjectKey(endpoint="e", digit="1")).code == "ENDPOINT_ERROR"


# -- the self-probe ----------------------------------------------------------------------------------------


def test_the_probe_tells_every_second_whether_media_still_hears(bench: BenchWorker) -> None:
    bench.worker.start(4711, "nice")
    bench.turn()
    assert bench.events() == [m.WorkerUp(pid=4711, scheduling="nice", endpoints=64)]
    assert bench.media.named("endpoint_open")[0]["cname"] == "probe"
    bench.media.tell(FACT_PROBE, 0)
    bench.turn()
    assert bench.events() == [m.Probe(True)]
    bench.advance(1000)
    assert bench.events() == []
    bench.advance(1000)
    assert bench.events() == [m.Probe(False)]
    bench.media.tell(FACT_PROBE, 0)
    bench.turn()
    assert bench.events() == [m.Probe(True)]


# -- the end -----------------------------------------------------------------------------------------------


def test_a_worker_without_supervisor_goes_on_for_ten_seconds(bench: BenchWorker) -> None:
    handle, other = bench.rtp().handle, bench.rtp(endpoint="other").handle
    bench.answer_releases = False
    bench.do(m.RemoveEndpoint("e"))
    bench.tell()
    assert handle in bench.media.in_use
    bench.do(m.RemoveEndpoint("other"))
    bench.supervisor.close()
    bench.worker.turn()
    bench.worker.turn()
    assert handle not in bench.media.in_use  # nobody will answer the release,
    bench.now_us += TELL_US
    bench.worker.turn()
    assert other not in bench.media.in_use  # nor take this one
    bench.now_us += 9_999_000 - TELL_US
    bench.worker.turn()
    assert not bench.worker.ended
    bench.now_us += 1_000
    bench.worker.turn()
    assert bench.worker.ended


def test_stop_ends_the_worker(bench: BenchWorker) -> None:
    bench.tell_worker(pm.Stop())
    bench.turn()
    assert bench.worker.ended
