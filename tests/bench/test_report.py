"""What is printed: medians, the verdict on the floor, Markdown, JSON."""

import asyncio
import io
import json
import math

import pytest
from rich.console import Console

from roomtone.bench.load import main, proc, report, workload
from roomtone.bench.load.measure import Plan
from roomtone.bench.load.scenario import Scenario

RUN = {
    "us_per_packet": 5.0,
    "user_us_per_packet": 1.0,
    "system_us_per_packet": 4.0,
    "load": 0.25,
    "loss": 0.0,
    "lost": 0,
    "read": 200,
    "silent_callers": 0,
    "rss_bytes_per_endpoint": 3000.0,
    "set_up_s": 1.5,
    "delay_p50_us": 20.0,
    "pacing_p99_us": 300.0,
    "void": [],
    "counters": {"roomtone_tick_overruns_total": 2.0},
}


def comparison(scenario, engine_us, floor_us, **more):
    return report.summarise(
        {
            "scenario": scenario.as_dict() | {"name": scenario.name},
            "servers": {
                "engine": [RUN | more | {"us_per_packet": us} for us in engine_us],
                "floor": [RUN | {"us_per_packet": us} for us in floor_us],
            },
            "void": {"floor": 1},
        }
    )


RELAY = Scenario("relay", 500, 2)


def test_the_ratio_is_that_of_medians():
    assert comparison(RELAY, [9.0, 5.0, 6.0], [4.0, 100.0, 4.0])["ratio"] == 1.5


@pytest.mark.parametrize(
    ("us", "inside"), [(4.4, True), (5.38, True), (3.97, True), (5.4, False), (3.9, False)]
)
def test_the_floor_is_judged_against_its_range(us, inside):
    verdict = report.floor_verdict(comparison(RELAY, [5.0], [us]))
    assert ("inside" in verdict) == inside
    assert ("this machine differs" in verdict) != inside


def test_the_floor_is_judged_only_where_the_range_was_measured():
    assert report.floor_verdict(comparison(Scenario("relay", 100, 2), [5.0], [4.5])) == ""
    assert report.floor_verdict(comparison(Scenario("mix", 100, 10), [5.0], [4.5])) == ""


def test_wrong_voices_are_named():
    ear = {"listened": 4, "deaf": 0, "voices_missing": 2, "voices_echoed": 1, "voices_strange": 0}
    assert report.voices([ear, ear]) == "4 missing, 2 echo"
    assert report.voices([ear | {"voices_missing": 0, "voices_echoed": 0}]) == "right"
    assert report.voices([{}]) == ""


def test_a_wrong_voice_or_no_valid_run_is_failure():
    good = comparison(RELAY, [5.0, 5.0], [4.0])
    assert not workload.failed(good)
    assert workload.failed(good | {"voices": "1 echo"})
    good["servers"]["engine"][0]["void"] = ["steal"]
    assert not workload.failed(good)
    good["servers"]["engine"][1]["void"] = ["steal"]
    assert workload.failed(good)


def test_markdown_has_one_row_a_workload_and_as_many_cells_as_headings():
    text = report.markdown(
        [comparison(RELAY, [5.0], [4.0]), comparison(Scenario("mix", 2, 10), [3.0], [4.0])]
    )
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 6
    for table in (lines[:3], lines[3:]):
        assert len({line.count("|") for line in table}) == 1
    assert "| relay 1000 PCMU | **5.00** | 1.00 + 4.00 | 4.00 | 1.25 |" in text


def test_the_table_shows_both_servers():
    out = io.StringIO()
    report.show(comparison(RELAY, [5.0], [4.0]), Console(file=out, width=200))
    assert "engine" in out.getvalue()
    assert "floor at 1,000 streams: 4.00 us, inside" in out.getvalue()
    assert "tick overruns 2" in out.getvalue()
    assert "callers read 200 of 1,000 sockets; nothing lost" in out.getvalue()


def test_what_was_lost_is_told():
    out = io.StringIO()
    report.show(comparison(RELAY, [5.0, 5.0], [4.0], lost=3), Console(file=out, width=200))
    assert "lost in 2 of 2 runs: 3 missing at the 200 callers read" in out.getvalue()


def test_json_holds_machine_method_and_no_nan(tmp_path):
    file = tmp_path / "results" / "x.json"
    report.write_json(file, Plan(), [{"a": math.nan, "b": [1.23456789]}])
    body = json.loads(file.read_text())
    assert body["results"] == [{"a": None, "b": [1.23457]}]
    assert body["method"] == {"runs": 3, "warm_up_s": 2.0, "window_s": 4.0, "real_time": True}
    assert body["machine"]["cpus"] > 0


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["relay", "--suite", "full"],
        ["relay", "--codec", "G729"],
        ["relay", "--endpoints", "3"],
        ["mix", "--size", "3", "--talkers", "4"],
        ["relay", "--measured-cpus", "4095"],
    ],
)
def test_wrong_usage_is_status_2(argv, capsys):
    assert main.main(argv) == 2
    assert capsys.readouterr().err


def test_help_is_status_0(capsys):
    assert main.main(["--help"]) == 0
    assert "--suite" in capsys.readouterr().out


def test_endpoints_of_a_mix_are_shared_by_its_rooms():
    _, parser, words = main.command_of(["mix", "--endpoints", "60", "--rooms", "20", "--talkers", "-1"])
    assert workload.scenario_of(parser.parse_args(words)) == Scenario("mix", 20, 3, "PCMU", 3)


def test_every_command_has_options_and_answers_for_itself():
    for what in main.COMMANDS:
        module, parser, _ = main.command_of([what])
        assert asyncio.iscoroutinefunction(module.run)
        assert parser.parse_args([]).what == what


def test_the_command_measures_and_writes(tmp_path, capsys):
    cpus = sorted(proc.EVERY_CPU)
    file = tmp_path / "floor.json"
    status = main.main(
        [
            "relay",
            "--endpoints",
            "10",
            "--only",
            "floor",
            "--runs",
            "1",
            "--seconds",
            "0.4",
            "--warm-up",
            "0.1",
            "--retries",
            "0",
            "--measured-cpus",
            str(cpus[-1]),
            "--other-cpus",
            str(cpus[0]),
            "--json",
            str(file),
        ]
    )
    (result,) = json.loads(file.read_text())["results"]
    (run,) = result["servers"]["floor"]
    assert run["total_sent"] == run["total_received"] > 0
    assert status == int(bool(run["void"]))
    assert "relay 10 PCMU" in capsys.readouterr().out
