"""What is counted of calls that have ended."""

from __future__ import annotations

from bench_worker import BenchWorker

from roomtone.engine import messages as m

CALL = {"rx_packets": 99, "rx_lost": 1, "rx_jitter_ms": 3.0, "rtt_ms": 120.0, "playout_delay_ms": 40.0}


def ended(bench: BenchWorker) -> dict[str, m.EndedStreams]:
    streams: dict[str, m.EndedStreams] = bench.do(m.GetMetrics()).ended
    return streams


def counts(bench: BenchWorker) -> dict[str, int]:
    return {name: sum(streams.counts) for name, streams in ended(bench).items()}


def call(bench: BenchWorker, endpoint: str, **stats: object) -> None:
    """An endpoint comes and goes; stats: what had been counted of it."""
    bench.rtp(endpoint=endpoint)
    bench.media.stats_of[bench.worker.plan.endpoints[endpoint].handle] = stats
    assert bench.do(m.RemoveEndpoint(endpoint)) == m.Done()


def test_a_call_is_counted_once_when_it_ends(bench: BenchWorker) -> None:
    assert set(counts(bench).values()) == {0}
    call(bench, "a", **CALL)
    streams = ended(bench)
    assert set(counts(bench).values()) == {1}
    assert streams["rtp_jitter_seconds"].sum == 0.003
    assert streams["playout_delay_seconds"].sum == 0.04
    assert streams["rtcp_round_trip_seconds"].sum == 0.12
    assert 3.5 < streams["estimated_mos"].sum < 4.4
    jitter = streams["rtp_jitter_seconds"]
    assert jitter.counts[jitter.bounds.index(0.005)] == 1


def test_what_is_not_known_of_a_call_is_not_counted(bench: BenchWorker) -> None:
    call(bench, "silent", rx_packets=0)
    assert set(counts(bench).values()) == {0}
    call(bench, "relayed", **(CALL | {"rtt_ms": None, "playout_delay_ms": 0.0}))
    assert counts(bench) == {
        "rtp_jitter_seconds": 1,
        "estimated_mos": 1,
        "playout_delay_seconds": 0,
        "rtcp_round_trip_seconds": 0,
    }


def test_the_end_of_a_session_is_the_end_of_its_calls(bench: BenchWorker) -> None:
    bench.rtp(endpoint="a")
    bench.media.stats_of[bench.worker.plan.endpoints["a"].handle] = CALL
    bench.do(m.CloseSession("s"))
    assert counts(bench)["estimated_mos"] == 1
