"""A control process for tests of the supervisor: it passes on what the supervisor tells, and drains at once.

STAND_IN_DEAF=1: SIGTERM is ignored.  STAND_IN_EXIT=N: it ends with that status once it was told of a worker.
"""

from __future__ import annotations

import os
import select
import signal
import sys

import msgspec
import zmq

from roomtone.engine.process_messages import ControlMessage, ControlStart, Drained
from roomtone.engine.supervisor_link import SupervisorLink

TOLD_ENDPOINT = "ipc://{runtime_dir}/told.ipc"  # bound by the test: one (pid, message) a message


def main() -> int:
    start = msgspec.json.decode(os.environ["ROOMTONE_CONTROL"], type=ControlStart)
    link = SupervisorLink.of_fd(start.supervisor_fd, ControlMessage)
    push = zmq.Context().socket(zmq.PUSH)
    push.connect(TOLD_ENDPOINT.format(runtime_dir=start.runtime_dir))
    reader, writer = os.pipe()
    if os.environ.get("STAND_IN_DEAF"):
        signal.signal(signal.SIGTERM, lambda number, frame: push.send(told("SIGTERM")))
    else:
        signal.signal(signal.SIGTERM, lambda number, frame: os.write(writer, b"x"))
    signal.signal(signal.SIGHUP, lambda number, frame: push.send(told("SIGHUP")))
    push.send(told("up"))
    while not link.closed:
        ready = select.select([link, reader], [], [])[0]
        if reader in ready:
            link.send(Drained())
            return 0
        for message, _ in link.receive():
            push.send(told(message))
            if "STAND_IN_EXIT" in os.environ:
                return int(os.environ["STAND_IN_EXIT"])
    return 0


def told(what: object) -> bytes:
    return msgspec.msgpack.encode((os.getpid(), what))


if __name__ == "__main__":
    sys.exit(main())
