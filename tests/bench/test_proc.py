"""What is read from /proc."""

import os
import subprocess
import sys

from roomtone.bench.load import proc


def test_cpu_of_this_process_grows_with_work():
    before = proc.cpu(os.getpid())
    sum(i * i for i in range(200_000))
    spent = proc.cpu(os.getpid()) - before
    assert spent.run_ns > 0
    assert sum(t.run_ns for t in spent.threads.values()) == spent.run_ns
    assert spent.busiest().run_ns > 0
    assert proc.scheduling(spent) == "normal"


def test_scheduling_of_nobody_is_unknown():
    assert proc.scheduling(proc.Cpu()) == ""


def test_a_split_without_ticks_is_unknown():
    assert proc.Cpu(user_ticks=3, system_ticks=1).user_share() == 0.75
    assert proc.Cpu().user_share() != proc.Cpu().user_share()  # nan


def test_parts_add_up():
    short, long = proc.Thread(1, 2), proc.Thread(10, 0)
    total = proc.total([proc.Cpu(1, 3, 4, {"a": short}), proc.Cpu(10, 30, 40, {"b": long})])
    assert total == proc.Cpu(11, 33, 44, {"a": short, "b": long})
    assert total.busiest() is long
    assert proc.Cpu().busiest() == proc.Thread(0, 0)


def test_children_are_found_named_bound_and_end_with_their_parent():
    lines = (
        "import sys",
        "from roomtone.bench.load import proc",
        "proc.end_with_parent()",
        "print('up')",
        "sys.stdin.read()",
    )
    code = "; ".join(lines)
    with subprocess.Popen(
        [sys.executable, "-uc", code, "marked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout and child.stdout.readline() == "up\n"
        assert child.pid in proc.children(os.getpid())
        assert proc.title(child.pid).endswith("marked")
        assert proc.rss_bytes(child.pid) > 1_000_000
        cpu = min(proc.EVERY_CPU)
        proc.pin(child.pid, {cpu})
        assert os.sched_getaffinity(child.pid) == {cpu}
        child.communicate()


def test_binding_is_undone():
    before = os.sched_getaffinity(0)
    with proc.bound_to([min(before)]):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_steal_is_a_part_of_all_time():
    stolen, everything = proc.steal(proc.EVERY_CPU)
    assert 0 <= stolen < everything
    assert proc.steal([]) == (0, 0)


def test_descriptors_are_raised():
    assert proc.raise_descriptors() >= 1024
