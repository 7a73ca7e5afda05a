"""docs/reference/metrics.md names every metric of a running server, with type and labels, and every drop."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest
from demo_parts.server import Server
from tables import ROOT, quoted, rows, section

from roomtone.client import connect
from roomtone.ext.flow.snapshot import DROP_NAMES

DOCUMENT = (ROOT / "docs" / "reference" / "metrics.md").read_text()
DROPPED = "roomtone_rtp_dropped_packets_total"


@pytest.fixture(scope="module")
def page() -> str:
    """/metrics after a session with a tone, so that the labelled ones have samples."""

    async def use(server: Server) -> None:
        async with await connect(server.url) as client:
            await client.call("session.create")
            await client.call("endpoint.create_tone", tone="beep")

    with Server(workers=1) as server:
        asyncio.run(use(server))
        return server.get("/metrics")


def told() -> dict[str, tuple[str, set[str]]]:
    """Metric -> type and labels, as the document says."""
    out = {quoted(row[0])[0]: (row[1], set(quoted(row[2]))) for row in rows(section(DOCUMENT, "Control"))}
    for row in rows(section(DOCUMENT, "Workers")):
        out[quoted(row[0])[0]] = (row[1], set(quoted(row[2])) | {"worker"})
    out[DROPPED] = ("counter", {"reason"})
    return out


def test_every_metric_is_told_with_its_type_and_every_one_told_is_there(page: str) -> None:
    served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
    assert served == {name: kind for name, (kind, _) in told().items()}


def test_no_metric_is_served_twice(page: str) -> None:
    names = Counter(re.findall(r"^# TYPE (\S+) ", page, re.M))
    assert [name for name, times in names.items() if times > 1] == []


def test_labels_are_those_of_the_document(page: str) -> None:
    documented = told()
    sampled = 0
    for name, labels in re.findall(r"^(\w+?)(?:_bucket|_sum|_count)?(?:\{([^}]*)\})? \S+$", page, re.M):
        given = set(re.findall(r'(\w+)="', labels)) - {"le"}
        assert given == documented[name][1], name
        sampled += 1
    assert sampled > len(documented) / 2


def test_every_reason_to_drop_a_packet_is_told() -> None:
    reasons = [quoted(row[0])[0] for row in rows(section(DOCUMENT, "Why packets are dropped"))]
    assert sorted(reasons) == sorted(DROP_NAMES)


def test_what_to_watch_exists() -> None:
    known = "\n".join([*told(), *DROP_NAMES])
    for row in rows(section(DOCUMENT, "What to watch")):
        for name in quoted(row[0]):
            assert name in known
