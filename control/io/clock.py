"""The control process's only reader of the monotonic clock, which all processes of this machine share."""

import time

NS_PER_US = 1000


def now_us() -> int:
    """CLOCK_MONOTONIC in microseconds."""
    return time.monotonic_ns() // NS_PER_US
