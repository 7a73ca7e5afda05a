"""`roomtone inspect`: every endpoint of every worker, living or recently dead, as its arena says.

The arenas are shared memory that outlives its worker, so this works on a process that crashed, and
without asking anything of one that lives.
The supervisor hands over the descriptors and tells which sockets it holds bound.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from roomtone.engine import process_messages as pm
from roomtone.engine.probe import PROBE_CNAME
from roomtone.engine.supervisor_link import SupervisorLink
from roomtone.ext.flow.media import Arena

PATIENCE_S = 10.0
BLOCK_BYTES = 512  # stat(2): the unit of st_blocks
KIB = 1024
COLUMNS = (  # (heading, key of Arena.inspect or of ours)
    ("worker", "worker"),
    ("state", "state"),
    ("handle", "handle"),
    ("kind", "kind"),
    ("local", "local"),
    ("remote", "remote"),
    ("bound", "bound"),
    ("ssrc rx", "ssrc_rx"),
    ("ssrc tx", "ssrc_tx"),
    ("seq rx", "seq_rx"),
    ("seq tx", "seq_tx"),
    ("ts rx", "timestamp_rx"),
    ("ts tx", "timestamp_tx"),
    ("rx", "rx_packets"),
    ("tx", "tx_packets"),
    ("dropped", "rx_dropped"),
)


class InspectError(Exception):
    """No supervisor to ask."""


class WorkerReport(msgspec.Struct, kw_only=True):
    """One worker.  sockets: (key, address, port) the supervisor holds bound; endpoints: `Arena.inspect`.

    arena_bytes: its size; arena_resident_bytes: what of it is in memory.
    """

    worker: int
    epoch: int
    pid: int
    state: str  # "alive", or "dead" and how
    status: int | None
    ended_ms_ago: int | None
    arena_bytes: int = 0
    arena_resident_bytes: int = 0
    sockets: list[tuple[int, str, int]] = []
    endpoints: list[dict[str, Any]] = []


def collect(runtime_dir: Path, open_arena: Callable[[int], Any] = Arena) -> list[WorkerReport]:
    """Ask the supervisor of that directory.  InspectError when there is none."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.settimeout(PATIENCE_S)
    try:
        end.connect(pm.SUPERVISOR_SOCKET.format(runtime_dir=runtime_dir))
    except OSError as error:
        end.close()
        raise InspectError(f"no roomtone answers in {runtime_dir}: {error.strerror}") from None
    link = SupervisorLink(end, pm.InspectMessage)
    reports: dict[tuple[int, int], WorkerReport] = {}
    complete = False
    while not complete:
        if not select.select([link], [], [], PATIENCE_S)[0]:
            raise InspectError("the supervisor does not answer")
        for message, fds in link.receive():
            if isinstance(message, pm.InspectEnd):
                complete = True
            elif isinstance(message, pm.InspectSockets):
                reports[message.worker, message.epoch].sockets += message.sockets
            else:
                reports[message.worker, message.epoch] = _report(message, fds, open_arena)
        if link.closed and not complete:
            raise InspectError("the supervisor ended the inspection")
    link.close()
    for report in reports.values():
        _join(report)
    return list(reports.values())


def _report(told: pm.InspectWorker, fds: list[int], open_arena: Callable[[int], Any]) -> WorkerReport:
    if told.status is None:
        state = "alive"
    else:
        how = f"signal {-told.status}" if told.status < 0 else f"status {told.status}"
        state = f"dead ({how})"
    arena = open_arena(fds[0])
    size = os.fstat(fds[0])
    endpoints = [endpoint for endpoint in arena.inspect() if endpoint["cname"] != PROBE_CNAME]
    arena.close()
    for fd in fds:
        os.close(fd)
    return WorkerReport(
        worker=told.worker,
        epoch=told.epoch,
        pid=told.pid,
        state=state,
        status=told.status,
        ended_ms_ago=told.ended_ms_ago,
        arena_bytes=size.st_size,
        arena_resident_bytes=size.st_blocks * BLOCK_BYTES,
        endpoints=endpoints,
    )


def _join(report: WorkerReport) -> None:
    """Say of every endpoint which ports are bound still."""
    ports: dict[int, list[int]] = {}
    for key, _, port in report.sockets:
        ports.setdefault(key, []).append(port)
    for endpoint in report.endpoints:
        endpoint["bound"] = ports.get(endpoint["handle"], [])


def table(reports: list[WorkerReport]) -> str:
    """Plain text, one line an endpoint."""
    rows = [tuple(heading for heading, _ in COLUMNS)]
    for report in reports:
        for endpoint in report.endpoints:
            line = {**endpoint, "worker": f"{report.worker}/{report.epoch}", "state": report.state}
            rows.append(tuple(_cell(line.get(key)) for _, key in COLUMNS))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    for report in reports:
        ended = "" if report.ended_ms_ago is None else f", ended {report.ended_ms_ago} ms ago"
        lines.append(
            f"worker {report.worker}/{report.epoch} pid {report.pid} {report.state}{ended}:"
            f" {len(report.endpoints)} endpoints, {len(report.sockets)} sockets held bound,"
            f" arena {report.arena_resident_bytes // KIB} of {report.arena_bytes // KIB} KiB in memory"
        )
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value) or "-"
    return "-" if value is None or value == "" else str(value)


def run_inspect(runtime_dir: str | None, as_json: bool) -> int:
    """The command.  runtime_dir None: the one roomtone that runs here.  Returns the exit status."""
    from roomtone.control.runtime_dir import candidates

    try:
        if runtime_dir is None:
            found = candidates()
            if len(found) != 1:
                names = ", ".join(map(str, found)) or "none"
                raise InspectError(f"which roomtone? say --runtime-dir (running: {names})")
            reports = collect(found[0])
        else:
            reports = collect(Path(runtime_dir))
    except InspectError as error:
        print(error, file=sys.stderr)
        return 1
    print(msgspec.json.encode(reports).decode() if as_json else table(reports))
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="roomtone inspect", description="Show every endpoint of every worker."
    )
    parser.add_argument("--runtime-dir", help="directory of the roomtone to look at")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    return run_inspect(arguments.runtime_dir, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
