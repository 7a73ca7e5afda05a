"""How many workers, and where; from cgroup trees as version 1 and 2 lay them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roomtone.engine import affinity
from roomtone.engine.affinity import (
    default_workers,
    parse_cpu_list,
    scheduling_level,
    usable_cpus,
    worker_cpu,
)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0", [0]), ("0-3,6", [0, 1, 2, 3, 6]), ("", []), ("2,4-5\n", [2, 4, 5])],
)
def test_cpu_lists_are_read_as_the_kernel_writes_them(text: str, cpus: list[int]) -> None:
    assert parse_cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["x", "3-1", "1-", "-1"])
def test_a_malformed_cpu_list_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_cpu_list(text)


def test_workers_go_round_the_configured_cpus() -> None:
    assert [worker_cpu(index, usable_cpus("4,6-7")) for index in range(5)] == [4, 6, 7, 4, 6]
    assert usable_cpus((1, 3)) == [1, 3]
    assert usable_cpus(None) == sorted(os.sched_getaffinity(0))


def tree(tmp_path: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    mount, own = tmp_path / "cgroup", tmp_path / "self"
    own.write_text(cgroup)
    for name, text in files.items():
        path = mount / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return mount, own


@pytest.mark.parametrize(
    ("cgroup", "files", "workers"),
    [
        ("0::/\n", {}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "250000 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/a\n", {"a/cpuset.cpus.effective": "0-3,8"}, 5),
        ("0::/a\n", {"unified/a/cpu.max": "400000 100000"}, 4),
        ("4:cpu,cpuacct:/k\n", {"cpu/k/cpu.cfs_quota_us": "320000", "cpu/k/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu:/k\n", {"cpu/k/cpu.cfs_quota_us": "-1", "cpu/k/cpu.cfs_period_us": "100000"}, 16),
        ("3:cpuset:/k\n", {"cpuset/k/cpuset.effective_cpus": "2-3"}, 2),
    ],
)
def test_the_default_number_of_workers_is_what_the_container_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, files: dict[str, str], workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    assert default_workers(*tree(tmp_path, cgroup, files)) == workers


def test_without_cgroups_affinity_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    assert default_workers(tmp_path / "none", tmp_path / "nothing") == 2


def test_refused_privileges_lower_the_level_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)
    assert affinity.pin(0) is False and affinity.pin(None) is False
    assert affinity.step_back() is False
    assert scheduling_level("fifo", True) == "fifo"
    assert scheduling_level("none", True) == "nice"
    assert scheduling_level("none", False) == "none"
