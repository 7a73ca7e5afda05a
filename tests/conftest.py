"""A slow machine is no fault of the code: one profile for property tests, fair trials for what is heard."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from demo_parts.machine import stolen_s

settings.register_profile("roomtone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roomtone")


# -- fair trials ---------------------------------------------------------------------------------------------

REAL_TIME = {Path(__file__).parent / name for name in ("interop", "product", "docs")}
STOLEN_S = 0.05  # of one CPU while a test ran: longer than a playout buffer is deep
TRIALS = 4
REST_S = 3.0  # neighbours come in spells
repeated: list[str] = []  # told at the end, so that nobody takes a repeated test for a first success


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """What is heard in real time is tried again if the host ran others meanwhile; without that it has failed.

    The last trial counts, whatever the machine did.
    """
    if not REAL_TIME.intersection(item.path.parents):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for trial in range(1, TRIALS + 1):
        before_s = stolen_s()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        stolen = max(after_s - before_s[cpu] for cpu, after_s in stolen_s().items())
        if trial == TRIALS or stolen < STOLEN_S or not any(report.failed for report in reports):
            break
        repeated.append(f"{item.nodeid}: the host took {stolen:.2f} s of a CPU")
        time.sleep(REST_S)
        item._initrequest()  # type: ignore[attr-defined]  # fixtures anew
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if repeated:
        terminalreporter.section("no fair trial, tried again")
        for line in repeated:
            terminalreporter.write_line(line)
