"""Two processes share the tests: what is judged as it is heard runs here, all the rest beside it.

`pytest --beside`, which is what `make test` says, starts a second pytest for the tests without a mark of
`HEARD`: of lower priority, because nobody listens to them.  Its reports are taken over as they come, so that
there is one summary and one verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest

HEARD = ("real_time", "demo")
LESS = 5  # niceness
POLL_S = 0.5
TAIL = 5000  # characters of what it said when it came to grief
WELL_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def options(parser: pytest.Parser) -> None:
    group = parser.getgroup("roomtone")
    group.addoption("--beside", action="store_true", help="what is not heard runs in a process beside")
    group.addoption("--beside-of", type=int, help="descriptor of its reports")


def configure(config: pytest.Config) -> None:
    if config.option.beside_of is not None:
        config.pluginmanager.register(Beside(config))
    elif config.option.beside and not config.option.collectonly:
        config.pluginmanager.register(Here(config))


def heard(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in HEARD)


class Beside:
    """In the process beside: everything that is not heard; every report is a line of the file."""

    def __init__(self, config: pytest.Config) -> None:
        os.nice(LESS)
        self._config = config
        self._reports = os.fdopen(config.option.beside_of, "w", buffering=1)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not heard(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._reports.write(json.dumps(data) + "\n")


class Here:
    """In this process: what is heard, and the other's reports as they come."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports, self._said = os.memfd_create("reports"), os.memfd_create("said")
        self._taken = 0  # bytes of the reports
        self._came: set[str] = set()
        command = [sys.executable, "-m", "pytest", *config.invocation_params.args]
        self._process = subprocess.Popen(
            [*command, f"--beside-of={self._reports}"],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=[self._reports],
        )

    def pytest_runtest_logstart(self) -> None:
        self._take()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        everything = session.items
        session.items = [item for item in everything if heard(item)]
        missing = {item.nodeid for item in everything if not heard(item)}
        result = yield
        while (code := self._process.poll()) is None:
            self._take()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_S)
        self._take()
        missing -= self._came
        if code not in WELL_ENDED or (missing and not session.config.option.maxfail):
            said = os.pread(self._said, os.fstat(self._said).st_size, 0).decode(errors="replace")[-TAIL:]
            raise RuntimeError(f"the process beside ended with {code}, not {sorted(missing)[:3]}:\n{said}")
        return result

    def pytest_unconfigure(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # it ends what it started
            self._process.wait()
        os.close(self._reports)
        os.close(self._said)

    def _take(self) -> None:
        """What has been written since."""
        data = os.pread(self._reports, os.fstat(self._reports).st_size - self._taken, self._taken)
        data = data[: data.rfind(b"\n") + 1]
        self._taken += len(data)
        hook = self._config.hook
        for line in data.splitlines():
            report = hook.pytest_report_from_serializable(config=self._config, data=json.loads(line))
            hook.pytest_runtest_logreport(report=report)
            if report.when == "teardown":
                self._came.add(report.nodeid)
                hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)
