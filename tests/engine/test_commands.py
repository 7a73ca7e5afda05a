"""What a command does to the media thread's plan, and what is answered."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest
from bench_worker import PCMU_AND_KEYS, PEER, WIDE, BenchWorker
from loopback import HERE

from roomtone.engine import asking
from roomtone.engine import messages as m
from roomtone.engine.codecs import Codec
from roomtone.ext.event.stats_record import RECORD_BYTES

TOO_MANY_TYPES = m.Media(
    receive=[m.PayloadType(number, Codec.PCMU) for number in range(96, 105)],
    send_payload_type=96,
    send_codec=Codec.PCMU,
)


def test_an_endpoint_from_an_offer_is_opened_told_and_put_on_its_bus(bench: BenchWorker) -> None:
    created = bench.rtp()
    assert isinstance(created, m.RtpCreated)
    assert created.rtp_port % 2 == 0 and created.rtcp_port == created.rtp_port + 1
    names = [name for name, _ in bench.media.edits]
    assert names == [
        "bus_open", "endpoint_open", "endpoint_remote", "endpoint_media", "source_add", "destination_add",
    ]  # fmt: skip
    opened = bench.media.named("endpoint_open")[0]
    assert opened["local"] == (HERE, created.rtp_port)
    assert (opened["ssrc"], opened["cname"]) == (created.ssrc, created.cname)
    assert bench.media.named("endpoint_remote")[0]["remote"] == ("127.0.0.1", 4000)
    media = bench.media.named("endpoint_media")[0]
    assert media["receive"] == [(0, Codec.PCMU)] and media["event_send"] == (101, 8000)
    assert media["may_receive"] and media["may_send"]


def test_the_supervisor_holds_the_sockets_of_every_endpoint(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.tell()
    fds = bench.held[created.handle]
    ports = [socket.socket(fileno=os.dup(fd)) for fd in fds]
    assert [held.getsockname()[1] for held in ports] == [created.rtp_port, created.rtcp_port]
    for held in ports:
        held.close()


def test_with_rtcp_mux_the_odd_port_is_never_bound(bench: BenchWorker) -> None:
    created = bench.rtp(rtcp_mux=True)
    assert created.rtcp_port == created.rtp_port
    bench.tell()
    assert len(bench.held[created.handle]) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HERE, created.rtp_port + 1))


def test_rtcp_mux_agreed_later_releases_the_odd_port(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.tell()
    assert bench.do(m.UpdateRtp(endpoint="e", rtcp_mux=True)) == m.Done()
    bench.tell()
    assert len(bench.replaced) == 2 and len(bench.held[created.handle]) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HERE, created.rtcp_port))


def test_the_odd_port_stays_bound_until_the_media_thread_has_let_go(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.media.hold()
    bench.do(m.UpdateRtp(endpoint="e", rtcp_mux=True))
    bench.tell()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError):
        other.bind((HERE, created.rtcp_port))


def test_our_own_offer_is_on_no_bus_until_the_answer_came(bench: BenchWorker) -> None:
    bench.rtp(media=None, remote=None)
    assert [name for name, _ in bench.media.edits] == ["bus_open", "endpoint_open"]
    bench.do(m.UpdateRtp(endpoint="e", media=PCMU_AND_KEYS, remote=PEER))
    names = [name for name, _ in bench.media.edits[2:]]
    assert names == ["endpoint_remote", "endpoint_media", "source_add", "destination_add"]


@pytest.mark.parametrize(
    ("is_source", "is_destination", "edits"),
    [
        (True, False, ["endpoint_media", "destination_remove"]),
        (False, True, ["endpoint_media", "source_remove"]),
        (False, False, ["endpoint_media", "source_remove", "destination_remove"]),
        (True, True, ["endpoint_media"]),
    ],
)
def test_a_direction_change_moves_only_what_changed(
    bench: BenchWorker, is_source: bool, is_destination: bool, edits: list[str]
) -> None:
    bench.rtp()
    before = len(bench.media.edits)
    bench.do(m.UpdateRtp(endpoint="e", is_source=is_source, is_destination=is_destination))
    assert [name for name, _ in bench.media.edits[before:]] == edits
    media = bench.media.named("endpoint_media")[-1]
    assert (media["may_receive"], media["may_send"]) == (is_source, is_destination)


def test_relearning_writes_the_remote_again(bench: BenchWorker) -> None:
    bench.rtp()
    bench.do(m.UpdateRtp(endpoint="e", relearn=True))
    assert bench.media.named("endpoint_remote")[-1]["learn"] is True
    bench.do(m.UpdateRtp(endpoint="e", remote=m.Remote(ip="127.0.0.1", port=5000, rtcp_port=5000)))
    last = bench.media.named("endpoint_remote")[-1]
    assert last["remote"] == ("127.0.0.1", 5000) and last["learn"] is False


def test_a_removed_endpoint_is_answered_when_the_media_thread_let_go(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.tell()
    bench.media.hold()
    n = bench.post(m.RemoveEndpoint("e"))
    bench.turn(3)
    assert bench.reply(n) is None and created.handle in bench.held
    bench.media.apply()
    bench.turn(3)
    assert bench.reply(n) == m.Done()
    bench.tell()
    assert not bench.held and created.handle not in bench.media.in_use


def test_port_and_slot_are_free_only_when_the_supervisor_let_go(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.tell()
    bench.answer_releases = False
    assert bench.do(m.RemoveEndpoint("e")) == m.Done()
    bench.tell()
    assert created.handle in bench.media.in_use
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError):
        other.bind((HERE, created.rtp_port))
    bench.release([created.handle])
    bench.turn()
    assert created.handle not in bench.media.in_use
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HERE, created.rtp_port))


def test_who_comes_and_goes_at_once_leaves_nothing_behind(bench: BenchWorker) -> None:
    """Sooner than the supervisor was told, also with rtcp-mux agreed in between."""
    before = len(os.listdir("/proc/self/fd"))
    for name in ("plain", "muxed"):
        bench.rtp(endpoint=name)
        bench.do(m.UpdateRtp(endpoint=name, rtcp_mux=True if name == "muxed" else None))
        assert bench.do(m.RemoveEndpoint(name)) == m.Done()
    bench.tell()
    assert not bench.held and not bench.media.in_use
    assert len(os.listdir("/proc/self/fd")) == before
    assert bench.do(m.GetMetrics()).gauges["ports_resting"] == 2


def test_a_crowd_is_told_in_few_messages_and_bounded_pieces(make_bench: Callable[..., BenchWorker]) -> None:
    bench = make_bench(pairs=256, endpoints=300)
    created = [bench.rtp(endpoint=f"e{number}", rtcp_mux=number % 2 == 0) for number in range(200)]
    bench.tell()
    assert 0 < len(bench.held) < 200
    for _ in range(3):
        bench.advance(1)
    for number, each in enumerate(created):
        assert len(bench.held[each.handle]) == 1 + number % 2
    bench.do(m.CloseSession("s"), turns=10)
    bench.tell()
    assert 0 < len(bench.held) < 200
    for _ in range(3):
        bench.advance(1)
    assert not bench.held and not bench.media.in_use


def test_closing_a_session_removes_everything_of_it_and_nothing_else(
    make_bench: Callable[..., BenchWorker],
) -> None:
    bench = make_bench(pairs=64, endpoints=100)
    count = 50  # more than one slice
    for number in range(count):
        bench.rtp("big", f"e{number}")
    bench.do(m.CreateTone(session="big", endpoint="tone", phase=0, tone="busy"))
    bench.rtp("other", "stays")
    assert bench.do(m.CloseSession("big"), turns=10) == m.Done()
    bench.tell()
    assert len(bench.held) == 1 and len(bench.media.in_use) == 1 and len(bench.media.buses_in_use) == 1
    assert bench.do(m.CloseSession("big")) == m.Done()
    assert [entry.endpoint for entry in bench.do(m.TakeSnapshot()).endpoints] == ["stays"]


def test_a_tone_is_a_source_of_its_session(bench: BenchWorker) -> None:
    tone = m.CreateTone(session="s", endpoint="t", phase=0, tone="sine", frequency_hz=1000.0, duration_ms=300)
    assert bench.do(tone) == m.Done()
    opened = bench.media.named("tone_open")[0]
    assert (opened["kind"], opened["frequency_hz"], opened["duration_ms"]) == (4, 1000.0, 300)
    assert len(bench.media.named("source_add")) == 1
    assert bench.do(m.RemoveEndpoint("t")) == m.Done()
    assert not bench.media.in_use


def test_stats_come_in_creation_order_with_the_codecs_name(bench: BenchWorker) -> None:
    bench.rtp(endpoint="b")
    created = bench.rtp(endpoint="a")
    bench.do(m.CreateTone(session="s", endpoint="t", phase=0, tone="beep"))
    bench.media.stats_of[created.handle] = {"codec": 2, "rx_packets": 9, "rtt_ms": 1.5}
    stats = bench.do(m.GetStats("s")).endpoints
    assert [(entry.endpoint, entry.kind, entry.codec) for entry in stats] == [
        ("b", "rtp", ""), ("a", "rtp", "PCMA"), ("t", "tone", ""),
    ]  # fmt: skip
    assert stats[1].rx_packets == 9 and stats[1].rtt_ms == 1.5
    assert bench.do(m.GetStats("unknown")) == m.Stats([])


def test_statistics_of_many_sessions_come_in_one_answer(
    bench: BenchWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "POLL_A_SLICE", 4)
    for number in range(12):
        bench.rtp(session=f"s{number % 3}", endpoint=f"e{number}")
    bench.rtp(session="s1", endpoint="removed meanwhile")
    n = bench.post(m.PollStats(["s2", "unknown", "s1"]))
    bench.do(m.RemoveEndpoint("removed meanwhile"), turns=8)
    polled = bench.reply(n)
    first, unknown, last = polled.endpoints
    assert first == ["e2", "e5", "e8", "e11"] and unknown == []
    assert last == ["e1", "e4", "e7", "e10"]
    assert len(polled.records) == 8 * RECORD_BYTES


def test_what_a_peer_sends_is_told_apart_from_what_it_is_sent(bench: BenchWorker) -> None:
    first, second = bench.rtp(endpoint="a"), bench.rtp(endpoint="b")
    bench.media.activity.update({first.handle: 900})
    bench.media.heard.update({first.handle: 100, second.handle: 300})
    assert bench.do(m.GetActivity("s")) == m.Activity(900, 300)


def test_activity_outlives_the_endpoint_that_had_it(bench: BenchWorker) -> None:
    first = bench.rtp(endpoint="a")
    second = bench.rtp(endpoint="b")
    bench.media.activity.update({first.handle: 500, second.handle: 300})
    assert bench.do(m.GetActivity("s")) == m.Activity(500)
    bench.do(m.RemoveEndpoint("a"))
    assert bench.do(m.GetActivity("s")) == m.Activity(500)
    assert bench.do(m.GetActivity("unknown")) == m.Activity(0)


def test_metrics_join_the_media_threads_and_the_workers_own(bench: BenchWorker) -> None:
    bench.rtp()
    metrics = bench.do(m.GetMetrics())
    assert metrics.counters["rx_packets"] == 7 and metrics.counters["commands"] == 2
    assert metrics.drops == {"short": 1} and metrics.gauges["ports_used"] == 1
    assert metrics.tick_late_us == [(64, 3)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (m.RemoveEndpoint("nobody"), "ENDPOINT_ERROR"),
        (
            m.UpdateRtp(endpoint="wide", remote=m.Remote(ip="a.example", port=1, rtcp_port=1)),
            "ENDPOINT_ERROR",
        ),
        (m.UpdateRtp(endpoint="wide", media=TOO_MANY_TYPES), "ENDPOINT_ERROR"),
        (m.UpdateRtp(endpoint="nobody"), "ENDPOINT_ERROR"),
        (m.UpdateRtp(endpoint="tone"), "ENDPOINT_ERROR"),
        (m.UpdateRtp(endpoint="muxed", rtcp_mux=False), "ENDPOINT_ERROR"),
        (m.CreateTone(session="s", endpoint="x", phase=0, tone="gong"), "INVALID_PARAMS"),
        (m.CreateTone(session="s", endpoint="tone", phase=0, tone="busy"), "ENDPOINT_ERROR"),
        (m.InjectKey(endpoint="muxed", digit="E"), "INVALID_PARAMS"),
        (m.InjectKey(endpoint="tone", digit="1"), "ENDPOINT_ERROR"),
        (m.InjectKey(endpoint="wide", digit="1"), "ENDPOINT_ERROR"),
        (m.SetSpread(session="s", peers=[]), "ENDPOINT_ERROR"),
    ],
)
def test_what_cannot_be_done_changes_nothing(bench: BenchWorker, body: m.CommandBody, code: str) -> None:
    bench.rtp(endpoint="muxed", rtcp_mux=True)
    bench.rtp(endpoint="wide", media=WIDE)
    bench.do(m.CreateTone(session="s", endpoint="tone", phase=0, tone="busy"))
    before = list(bench.media.edits)
    failed = bench.do(body)
    assert isinstance(failed, m.Failed) and failed.code == code and failed.message
    assert bench.media.edits == before


def test_a_full_arena_gives_the_ports_back(make_bench: Callable[..., BenchWorker]) -> None:
    bench = make_bench(pairs=4, endpoints=1)
    assert isinstance(bench.rtp(endpoint="a"), m.RtpCreated)
    failed = bench.rtp("new", endpoint="b")
    assert isinstance(failed, m.Failed) and failed.code == "ENDPOINT_ERROR"
    assert bench.do(m.GetMetrics()).gauges["ports_used"] == 1
    bench.tell()
    assert "new" not in bench.worker.plan.sessions and len(bench.held) == 1


def test_an_address_that_is_not_ours_is_an_endpoint_error(bench: BenchWorker) -> None:
    failed = bench.rtp(media_ip="192.0.2.1")  # RFC 5737: documentation, on no interface
    assert isinstance(failed, m.Failed) and failed.code == "ENDPOINT_ERROR"
    assert not bench.media.in_use and not bench.media.edits


def test_ipv6_endpoints_have_ports_of_their_own(bench: BenchWorker) -> None:
    four, six = bench.rtp(endpoint="4"), bench.rtp(endpoint="6", media_ip="::1")
    assert six.local_ip == "::1" and six.rtp_port == four.rtp_port


def test_a_command_past_its_deadline_is_not_begun(bench: BenchWorker) -> None:
    n = bench.post(m.OpenSpread(session="s", phase=0), late=True)
    bench.turn()
    assert bench.reply(n).code == "SESSION_UNRESPONSIVE"
    assert not bench.media.edits


def test_a_bug_in_one_command_is_its_failure_alone(bench: BenchWorker) -> None:
    created = bench.rtp()
    bench.media.stats_of[created.handle] = {"codec": 99}
    failed = bench.do(m.GetStats("s"))
    assert failed.code == "INTERNAL_ERROR"
    assert bench.do(m.GetActivity("s")) == m.Activity(0)


def test_a_snapshot_is_true_when_it_is_answered(make_bench: Callable[..., BenchWorker]) -> None:
    """Endpoints may come and go while it is built; the reply knows."""
    bench = make_bench(pairs=8, endpoints=3000)
    for number in range(1500):  # more than one slice
        bench.post(m.CreateTone(session="s", endpoint=f"t{number}", phase=0, tone="beep", duration_ms=10))
    bench.turn()
    n = bench.post(m.TakeSnapshot())
    bench.post(m.RemoveEndpoint("t0"))
    bench.post(m.CreateTone(session="s", endpoint="late", phase=0, tone="busy"))
    bench.turn(5)
    entries = bench.reply(n).endpoints
    names = [entry.endpoint for entry in entries]
    assert len(names) == 1500 and names[0] == "t1" and names[-1] == "late"
