"""Which kernels are chosen, and that no others are loaded."""

import os
import platform
import subprocess
import sys

import pytest

from roomtone.ext.base import cpu

PROGRAM = """
import sys
from roomtone.ext.base import cpu
from roomtone.ext.codec import codec
from roomtone.ext.dsp import dispatch
loaded = sorted(name.rpartition(".")[2] for name in sys.modules if "kernel_" in name or "g711_" in name)
print(dispatch.level(), codec.level(), *loaded)
"""

FLAGS_OF_LEVEL = {
    "v2": {"sse4_2", "ssse3", "popcnt"},
    "v3": {"avx2", "fma", "bmi1", "bmi2"},
    "v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}


def run(level: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "ROOMTONE_CPU_LEVEL": level}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def processor_flags() -> set[str]:
    with open("/proc/cpuinfo") as lines:
        return next(set(line.split(":")[1].split()) for line in lines if line.startswith("flags"))


if platform.machine() == "x86_64":

    def test_the_levels_are_those_the_kernel_reports():
        flags = processor_flags()
        expected = []
        for level, needed in FLAGS_OF_LEVEL.items():
            if not needed <= flags:
                break
            expected.insert(0, level)
        assert cpu.supported() == tuple(expected)


@pytest.mark.parametrize("level", cpu.supported())
def test_the_environment_forces_a_level_and_loads_no_other(level):
    done = run(level)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [level, level, f"g711_{level}", f"kernel_{level}"]


def test_the_best_level_is_the_default():
    done = run("")
    assert done.stdout.split()[:2] == [cpu.supported()[0]] * 2


def test_a_level_the_processor_lacks_is_refused():
    done = run("v9")
    assert done.returncode != 0
    assert "ROOMTONE_CPU_LEVEL=v9: this processor runs" in done.stderr
