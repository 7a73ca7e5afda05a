"""Who sits where."""

import numpy as np
import pytest

from roomtone.bench.load import suite
from roomtone.bench.load.figures import FRAME_NS
from roomtone.bench.load.payload import decode
from roomtone.bench.load.scenario import Scenario, spaced
from roomtone.bench.load.tone import MARKER_FRAMES


@pytest.mark.parametrize(
    "scenario", [Scenario("relay", 500, 2), Scenario("mix", 20, 10), Scenario("mix", 3, 7)]
)
def test_phases_fill_the_frame_evenly(scenario):
    phases = np.sort(scenario.phases_ns())
    assert phases[0] == 0
    assert np.diff(phases).max() - np.diff(phases).min() <= 1
    assert FRAME_NS - phases[-1] == pytest.approx(FRAME_NS / scenario.count, abs=2)


def test_members_of_a_room_are_spread_over_the_frame():
    phases = Scenario("mix", 20, 10).phases_ns()[:10]
    assert np.diff(phases).min() == FRAME_NS // 10


def test_the_first_members_talk_and_the_others_are_silent():
    scenario = Scenario("mix", 7, 5, "PCMU", 3)
    table, which = scenario.payloads()
    assert table.shape[1:] == (MARKER_FRAMES, 160)
    loudest = [np.abs(decode(scenario.format, table[row].reshape(-1))).max() for row in which]
    assert [value > 1000 for value in loudest] == [True, True, True, False, False] * 7


def test_neighbouring_rooms_do_not_share_a_voice():
    _, which = Scenario("mix", 4, 3, "PCMU", 3).payloads()
    assert len(set(which.tolist())) == 12


def test_in_a_large_room_members_all_over_it_are_listened_to():
    listeners = Scenario("mix", 1, 1000, "PCMU", 3).listeners()
    assert len(listeners) >= 48
    assert {caller // 250 for caller in listeners} == {0, 1, 2, 3}


def test_talkers_and_listeners_are_listened_to():
    listeners = Scenario("mix", 300, 10, "PCMU", 3).listeners()
    members = {caller % 10 for caller in listeners}
    assert members == {0, 1, 9}
    assert len({caller // 10 for caller in listeners}) >= 48


def test_near_the_limit_a_seeded_tenth_is_read():
    scenario = Scenario("mix", 500, 10, "PCMU", 3)
    read = scenario.sampled()
    assert len(read) == len(set(read)) == 500
    assert read == Scenario("mix", 500, 10, "PCMU", 3).sampled()
    assert set(scenario.listeners()) <= set(read)
    assert {caller // 500 for caller in read} == set(range(10))


@pytest.mark.parametrize(
    ("rooms", "sample", "read"),
    [(999, "auto", 1998), (1000, "auto", 200), (1000, "all", 2000), (500, "tenth", 200), (80, "tenth", 160)],
)
def test_at_least_two_hundred_are_read(rooms, sample, read):
    assert len(Scenario("relay", rooms, 2, sample=sample).sampled()) == read


def test_the_two_of_a_transcoded_call_speak_different_codecs():
    scenario = Scenario("transcode", 3, 2)
    assert [scenario.format_of(i).name for i in range(6)] == ["PCMU", "PCMA"] * 3
    assert not scenario.stamped
    table, which = scenario.payloads()
    loudest = [
        np.abs(decode(scenario.format_of(i), table[row].reshape(-1))).max() for i, row in enumerate(which)
    ]
    assert min(loudest) > 1000
    assert len(set(which.tolist())) == 6


def test_who_only_listens_does_not_send():
    scenario = Scenario("mix", 2, 4, "PCMU", 1, listen_only=True)
    assert [scenario.sends(i) for i in range(8)] == [True, False, False, False] * 2
    assert "others receive only" in scenario.name


def test_spaced_keeps_within_its_limit():
    assert spaced(3, 5) == [0, 1, 2]
    assert spaced(100, 4) == [0, 25, 50, 75]


@pytest.mark.parametrize(
    "wrong",
    [
        ("relay", 2, 3),
        ("mix", 0, 3),
        ("mix", 1, 3, "G722"),
        ("mix", 1, 3, "PCMU", 4),
        ("sing", 1, 2),
        ("transcode", 1, 2, "L16/8000"),
        ("relay", 1, 2, "PCMU", 2, True),
        ("mix", 1, 2, "PCMU", 2, False, "some"),
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError):
        Scenario(*wrong)


def test_the_suite_has_every_row_of_the_table():
    names = [s.name for s in suite.scenarios("PCMU")]
    assert names == [
        "relay 1000 PCMU",
        "relay 2000 PCMU",
        "mix 1x3 PCMU, all talking",
        "mix 20x3 PCMU, all talking",
        "mix 20x10 PCMU, 3 talking",
        "mix 20x10 PCMU, all talking",
        "mix 60x10 PCMU, 3 talking",
        "mix 300x10 PCMU, 3 talking",
        "mix 4x50 PCMU, 3 talking",
        "mix 4x50 PCMU, all talking",
        "mix 1x200 PCMU, 3 talking",
        "mix 1x200 PCMU, all talking",
        "mix 1x1000 PCMU, 3 talking",
    ]
