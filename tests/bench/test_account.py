"""Every packet is accounted for, or the run says that something was lost."""

import pytest

from roomtone.bench.load.account import DROPPED, MIXED, RAW, RELAYED, TICKS, account, losses
from roomtone.bench.load.scenario import Scenario

RELAY = Scenario("relay", 5, 2)
MIX = Scenario("mix", 2, 3)
HEARD = {"read": 6, "lost": 0, "silent_callers": 0}


def relayed(sent, raw, out, **dropped):
    ended = {RAW: raw, RELAYED: out} | {f"{DROPPED}{{{k}}}": v for k, v in dropped.items()}
    return account(RELAY, sent, ended, {})


def test_a_relay_that_takes_and_sends_everything_loses_nothing():
    figures = relayed(1000, 1000.0, 1000.0)
    assert losses(HEARD | figures) == []


def test_a_packet_withheld_on_the_way_in_is_a_loss():
    assert losses(HEARD | relayed(1000, 999.0, 999.0)) == ["1 sent and not counted"]


def test_a_packet_withheld_on_the_way_out_is_a_loss():
    assert losses(HEARD | relayed(1000, 1000.0, 998.0)) == ["2 owed and not sent"]


def test_what_the_kernel_dropped_is_counted_but_a_drop_under_load_is_a_loss():
    ended = {RAW: 990.0, RELAYED: 990.0, f"{DROPPED}{{kernel_overflow}}": 10.0}
    figures = account(RELAY, 1000, ended, {f"{DROPPED}{{kernel_overflow}}": 10.0})
    assert (figures["unaccounted"], figures["unsent"]) == (0, 0)
    assert losses(HEARD | figures) == ["10 dropped: kernel_overflow"]


def test_packets_dropped_before_the_window_are_named_but_no_loss():
    figures = relayed(1000, 1000.0, 995.0, not_learned=5.0)
    assert figures["dropped"] == {"not_learned": 5}
    assert losses(HEARD | figures) == []


@pytest.mark.parametrize(("mixed", "unsent"), [(600, 0), (594, 0), (590, 10), (612, 0)])
def test_a_mix_owes_members_times_ticks(mixed, unsent):
    figures = account(MIX, 500, {RAW: 500.0}, {TICKS: 200.0, MIXED: float(mixed)})
    assert figures["unsent"] == unsent


def test_rtcp_is_not_counted_as_rtp():
    ended = {RAW: 503.0, RELAYED: 500.0, "roomtone_worker_rtcp_rx_packets_total": 3.0}
    ended[f"{DROPPED}{{rtcp_bad}}"] = 1.0
    figures = account(RELAY, 500, ended, {})
    assert (figures["unaccounted"], figures["unsent"], figures["dropped"]) == (0, 0, {})


def test_a_server_without_counters_is_judged_by_what_arrived():
    assert account(RELAY, 1000, {}, {}) == {}
    assert losses(HEARD | {"lost": 4}) == ["4 missing at the 6 callers read"]
    assert losses(HEARD | {"silent_callers": 1}) == ["1 callers heard nothing"]
