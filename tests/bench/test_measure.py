"""The runner, against a stand-in that speaks the engine's WebSocket."""

import asyncio
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from roomtone.bench.load import proc, steady
from roomtone.bench.load.account import losses
from roomtone.bench.load.measure import Plan, compare, cpu_figures, floor_maker, run_once, why_void
from roomtone.bench.load.proc import Cpu, Thread
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import Cost, Engine, Placement, caller_ips
from roomtone.bench.load.steer import SteerError, answered_address, offer

CPUS = sorted(proc.EVERY_CPU)
PLAN = Plan(runs=1, warm_up_s=0.4, window_s=1.4, retries=0, placement=Placement((CPUS[-1],), (CPUS[0],)))
STAND_IN = f"{sys.executable} {Path(__file__).parent / 'stand_in.py'}"
GOOD = {
    "steal": 0.0,
    "callers_wake_p99_9_us": 100.0,
    "callers_load": 0.5,
    "waited": 0.01,
    "overflow": 0,
    "send_errors": 0,
    "sent": 1000,
    "due": 1000,
    "read_late": 0.0,
}


def engine(**options):
    return Engine(PLAN.placement, command=STAND_IN, **options)


def mix(fault, monkeypatch):
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    return asyncio.run(run_once(engine(), Scenario("mix", 2, 3, "PCMU", 2), PLAN))


def test_a_right_mix_is_found_right(monkeypatch):
    figures = mix("", monkeypatch)
    assert figures["voices_wrong"] == []
    assert figures["deaf"] == 0
    assert figures["listened"] == 6
    assert figures["silent_callers"] == 0
    assert figures["seq_missing"] == 0
    assert figures["markers"] > 0
    assert figures["mixing_delay_p50_us"] > 0
    assert figures["playout_delay_ms"] == 20.0
    grown = figures["counters"]
    assert grown.pop("roomtone_worker_rx_raw_packets_total") > 0
    assert grown == {"roomtone_rtp_dropped_packets_total{late}": 7.0}
    assert figures["mixing_delay_less_playout_p50_us"] == figures["mixing_delay_p50_us"] - 20_000


def test_a_mix_with_the_own_voice_is_found_out(monkeypatch):
    figures = mix("echo", monkeypatch)
    assert figures["voices_echoed"] == 4  # two talkers in each of two rooms
    assert figures["voices_missing"] == 0


def test_a_mix_without_a_talker_is_found_out(monkeypatch):
    figures = mix("mute", monkeypatch)
    assert figures["voices_missing"] == 4  # members 1 and 2 of two rooms
    assert figures["voices_echoed"] == 0


def test_packets_the_engine_owes_are_counted_lost(monkeypatch):
    figures = mix("hole", monkeypatch)
    assert figures["loss"] == pytest.approx(0.1, abs=0.03)


def test_a_packet_the_engine_did_not_count_is_a_loss(monkeypatch):
    assert mix("", monkeypatch)["unaccounted"] == 0
    figures = mix("withhold", monkeypatch)
    assert figures["unaccounted"] == 1
    assert "1 sent and not counted" in losses(figures)


def test_a_transcoded_call_is_judged_by_sequence_and_ear(monkeypatch):
    monkeypatch.setenv("STAND_IN_FAULT", "")
    figures = asyncio.run(run_once(engine(), Scenario("transcode", 2, 2), PLAN))
    assert figures["voices_wrong"] == []
    assert figures["listened"] == 4
    assert figures["seq_missing"] == 0


def test_a_setting_lands_in_the_configuration():
    made = engine(settings=["workers=3", "huge = true", "log_level=debug", "cpu_affinity=[0, 1]"])
    found = tomllib.loads(made.configuration())
    assert (found["workers"], found["huge"]) == (3, True)
    assert (found["log_level"], found["cpu_affinity"]) == ("debug", [0, 1])
    assert found["rtp_port_range"] == [10000, 59999]
    shutil.rmtree(made.folder)
    with pytest.raises(ValueError, match="key=value"):
        engine(settings=["workers"])


def test_callers_live_on_other_addresses_than_the_engine():
    assert caller_ips(1) == ["127.0.1.1"]
    assert caller_ips(8193) == ["127.0.1.1", "127.0.1.2"]


def test_engine_and_floor_take_turns_and_are_compared(monkeypatch):
    monkeypatch.delenv("STAND_IN_FAULT", raising=False)
    said = []
    plan = Plan(2, 0.2, 0.5, 0, PLAN.placement)
    result = asyncio.run(compare(Scenario("mix", 1, 3), plan, [engine, floor_maker(plan)], said.append))
    order = [line.split()[0] for line in said if " run " in line]
    assert order == ["engine", "floor", "engine", "floor"]
    assert {name: len(runs) for name, runs in result["servers"].items()} == {"engine": 2, "floor": 2}
    assert result["servers"]["floor"][0]["total_sent"] > 0


def test_a_server_that_does_not_start_says_why():
    broken = Engine(
        PLAN.placement, command=f"{sys.executable} -c 'print(\"no such thing\");raise SystemExit(3)'"
    )
    with pytest.raises(RuntimeError, match="no such thing"):
        asyncio.run(run_once(broken, Scenario("mix", 1, 3), PLAN))
    assert not broken.folder.exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steal": 0.006}, "steal"),
        ({"callers_wake_p99_9_us": 1001.0}, "woke"),
        ({"callers_load": 0.91}, "core"),
        ({"waited": 0.06}, "waited"),
        ({"send_errors": 1}, "sends"),
        ({"sent": 994}, "due"),
        ({"read_late": 0.11}, "counters"),
        ({"overflow": 1}, "room"),
    ],
)
def test_a_spoiled_run_is_void(change, word):
    assert why_void(GOOD) == []
    (reason,) = why_void(GOOD | change)
    assert word in reason


def test_a_void_run_is_repeated_a_bounded_number_of_times(monkeypatch):
    tries = []

    async def spoiled(server, scenario, plan):
        tries.append(server.name)
        return GOOD | {
            "us_per_packet": 1.0,
            "load": 0.1,
            "loss": 0.0,
            "lost": 0,
            "silent_callers": 0,
            "callers_us_per_packet": 1.0,
            "void": ["x"],
        }

    monkeypatch.setattr("roomtone.bench.load.measure.run_once", spoiled)
    plan = Plan(2, 0, 0, 3, PLAN.placement)
    result = asyncio.run(compare(Scenario("relay", 1, 2), plan, [floor_maker(plan)]))
    assert len(tries) == 8
    assert result["void"] == {"floor": 8}
    assert len(result["servers"]["floor"]) == 2


def test_cpu_is_brought_to_the_window_and_divided():
    before = Cost(Cpu(1_000, 10, 10, {"media": Thread(900, 0)}), {"control": Cpu()})
    threads = {"media": Thread(2_000_900, 110_000), "other": Thread(200_000, 900_000)}
    after = Cost(Cpu(2_201_000, 11, 13, threads), {"control": Cpu(1_100_000)})
    figures = cpu_figures(before, after, packets=100, window_ns=10_000_000, sampled_ns=11_000_000)
    assert figures["us_per_packet"] == pytest.approx(20.0)
    assert figures["user_us_per_packet"] == pytest.approx(5.0)
    assert figures["load"] == pytest.approx(0.2)
    assert figures["waited"] == pytest.approx(0.01)
    assert figures["control_load"] == pytest.approx(0.1)


def test_set_up_and_idle_are_measured(monkeypatch):
    monkeypatch.delenv("STAND_IN_FAULT", raising=False)
    made = asyncio.run(steady.set_up(engine(), 5, 2, PLAN))
    assert (made["sessions"], made["endpoints"]) == (5, 10)
    assert made["worker_cpu_s"] > 0
    found = asyncio.run(steady.idle(engine(), 4, 0.5, PLAN))
    assert set(found) == {"empty", "4 silent endpoints"}
    assert found["empty"]["worker_ms_per_s"] > 0


def test_round_trips_are_measured_while_callers_talk(monkeypatch):
    monkeypatch.delenv("STAND_IN_FAULT", raising=False)
    plan = Plan(1, 0.2, 1.0, 0, PLAN.placement)
    found = asyncio.run(steady.round_trips(engine(), Scenario("relay", 2, 2), plan))
    assert found["endpoint.create_from_offer"]["count"] > 0
    assert found["stats.snapshot"]["p99_us"] >= found["stats.snapshot"]["p50_us"] > 0


def test_half_load_is_even():
    assert steady.half_load(600, 0.2) == 1500
    assert steady.half_load(600, 0.33) % 2 == 0


def test_an_offer_is_what_a_telephone_would_send():
    lines = offer("::1", 4000, Scenario("mix", 1, 2, "L16/16000").format).split("\r\n")
    assert "m=audio 4000 RTP/AVP 98 101" in lines
    assert "c=IN IP6 ::1" in lines
    assert "a=rtpmap:98 L16/16000" in lines
    assert "a=rtcp-mux" in lines


def test_the_answered_address_is_the_medias():
    sdp = "v=0\r\nc=IN IP4 1.1.1.1\r\nm=audio 4002 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\n"
    assert answered_address(sdp) == ("127.0.0.1", 4002)
    with pytest.raises(SteerError):
        answered_address("v=0\r\nm=audio 0 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\n")
