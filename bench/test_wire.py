"""What reading and writing a packet costs, one benchmark a wire file and direction.

    pytest bench/test_wire.py

Each round runs ROUNDS operations inside one nogil call, so the table's time divided by ROUNDS is the cost of
one; ``ns_per_operation`` in extra_info (``--benchmark-json``) is that number.
"""

import pytest

from roomtone.ext.wire import rtcp, rtp, telephone_event

ROUNDS = 100_000
PACKETS_PER_PRESS = 7  # 100 ms in steps of 20 ms, the last three times

PLAIN = rtp.write(0, False, 1, 160, 0x12345678) + bytes(160)
# One CSRC, a one-byte header extension (RFC 8285) of two words, four bytes of padding.
DRESSED = b"\xb1" + PLAIN[1:12] + bytes(4) + b"\xbe\xde\0\2" + bytes(8) + bytes(160) + b"\0\0\0\4"
REPORT = rtcp.report(1, b"bench@127.0.0.1", sender=(1, 2, 3, 4, 5), block=(6, 7, 8, 9, 10, 11, 12))


def measure(benchmark, run, *args, operations: int = ROUNDS):
    """Benchmark ``run(*args)`` and note the cost of one operation; returns what it returned."""
    result = benchmark(run, *args)
    benchmark.extra_info["ns_per_operation"] = round(benchmark.stats.stats.median / operations * 1e9, 2)
    return result


@pytest.mark.parametrize("datagram", [PLAIN, DRESSED], ids=["plain", "csrc_extension_padding"])
def test_rtp_parse(benchmark, datagram):
    assert measure(benchmark, rtp.bench_parse, datagram, ROUNDS) == 160 * ROUNDS


def test_rtp_write(benchmark):
    assert measure(benchmark, rtp.bench_write, ROUNDS) == sum(i & 0xFF for i in range(ROUNDS))


def test_rtcp_check_and_walk(benchmark):
    assert measure(benchmark, rtcp.bench_read, REPORT, ROUNDS) == (2 + 7) * ROUNDS


def test_rtcp_write(benchmark):
    assert measure(benchmark, rtcp.bench_write, ROUNDS) == len(REPORT) * ROUNDS


def test_telephone_event_receive(benchmark):
    presses = ROUNDS // PACKETS_PER_PRESS
    operations = presses * PACKETS_PER_PRESS
    assert measure(benchmark, telephone_event.bench_receive, presses, operations=operations) == presses


def test_telephone_event_send(benchmark):
    presses = ROUNDS // PACKETS_PER_PRESS
    operations = presses * PACKETS_PER_PRESS
    assert measure(benchmark, telephone_event.bench_send, presses, operations=operations) == operations
