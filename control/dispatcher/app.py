"""The dispatcher process put together: it ends on SIGTERM, without a supervisor, and when it cannot go on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from importlib.metadata import version as installed

import msgspec
import uvloop
from setproctitle import setproctitle

from roomtone.control.core import naming
from roomtone.control.core.config import Config, state_dir
from roomtone.control.core.rest import webhook_url
from roomtone.control.dispatcher.dispatcher import Dispatcher
from roomtone.control.dispatcher.outbox_reader import OutboxReader
from roomtone.control.dispatcher.sender import Sender
from roomtone.control.io.log import Log, forward_libraries
from roomtone.engine.process_messages import EXIT_CONFIG, DispatcherStart

NICE = 5  # behind the media threads, before side work
PARENT_CHECK_S = 1.0
EXIT_OK, EXIT_FAILED = 0, 1


async def serve(config: Config, runtime_dir: str, log: Log) -> int:
    """Until the supervisor ends it, or is gone; the exit code."""
    sender = Sender(
        allow_http=config.webhooks.allow_http,
        networks=webhook_url.networks(config.webhooks),
        timeout_s=config.webhooks.timeout_secs,
        user_agent=f"roomtone/{installed('roomtone')}",
    )
    dispatcher = Dispatcher(
        runtime_dir=runtime_dir,
        open_reader=partial(OutboxReader, state_dir(config, runtime_dir)),
        sender=sender,
        node=naming.node_hash(config.node_id or socket.gethostname()),
        max_in_flight=config.webhooks.max_in_flight,
        hold_s=config.webhooks.breaker_hold_secs,
        log=log,
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, dispatcher.ended.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # control decides when it is over
    dispatcher.start()
    parent = os.getppid()
    while not dispatcher.ended.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(dispatcher.ended.wait(), PARENT_CHECK_S)
        except TimeoutError:
            continue
    await dispatcher.close()
    log.info("stopped")
    return EXIT_FAILED if dispatcher.failed else EXIT_OK


def main() -> int:
    """Read ROOMTONE_DISPATCHER, deliver until the end, return the exit code."""
    text = os.environ.get("ROOMTONE_DISPATCHER")
    if text is None:
        print("roomtone: the dispatcher is started by roomtone serve", file=sys.stderr)
        return EXIT_CONFIG
    start = msgspec.json.decode(text, type=DispatcherStart)
    config = msgspec.json.decode(start.config, type=Config)
    setproctitle("roomtone: dispatcher")
    os.nice(NICE)
    log = Log(config.log_level, process="dispatcher")
    forward_libraries(log)
    return uvloop.run(serve(config, start.runtime_dir, log))
