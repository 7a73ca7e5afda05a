#!/usr/bin/env python3
"""Run the runtime stage that deploy/replay_dockerfile.py made as an engine would, and talk through it.

    make setup && .venv/bin/python deploy/prove_image.py ROOTS

Starts the ENTRYPOINT as the image's user and process 1 on loopback ports, asks its HEALTHCHECK, makes a
call between two telephones outside the root, and sends STOPSIGNAL.  Prints what it measured; an
AssertionError says what is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import replay_dockerfile

sys.path.insert(0, str(replay_dockerfile.SOURCE / "tests" / "product"))

from product import Phone, free_port, gaps, wait_for

from roomtone.client import connect

MIB = 1 << 20
TALK_PACKETS = 100  # two seconds
START_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0
NOT_SHIPPED = ("cc", "gcc", "make", "git", "pip", "pip3")


def size_mib(root: Path) -> float:
    """What the files hold; a file with several names counts once."""
    seen = {}
    for folder, _, names in os.walk(root):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values()) / MIB


async def call(url: str, phones: list[Phone]) -> None:
    async with await connect(url) as client:
        await client.call("session.create")
        for phone in phones:
            made = await client.call("endpoint.create_from_offer", sdp=phone.offer())
            phone.answered(made["sdp_answer"])
            phone.call()
        talked = lambda: all(len(phone.heard) >= TALK_PACKETS for phone in phones)  # noqa: E731
        await asyncio.to_thread(wait_for, talked, what="two seconds of call")
        await client.call("session.destroy")
    assert all(gaps(phone.sequence_numbers()) == 0 for phone in phones), "packets are missing"


def process_one(unshare: subprocess.Popen[bytes]) -> int:
    """The process that is 1 in its namespace; its pid out here."""
    return int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())


def listening(log: Path) -> bool:
    return '"event":"listening"' in log.read_text()


def main(roots: str) -> None:
    stage = replay_dockerfile.read(Path(roots).resolve())["runtime"]
    folders = [stage.outside(folder) for folder in stage.env["PATH"].split(":")]
    shipped = [name for name in NOT_SHIPPED if any((folder / name).exists() for folder in folders)]
    assert not shipped, f"the image holds {shipped}"
    print(f"image                     {size_mib(stage.root):.0f} MiB")
    port = free_port()
    stage.env["ROOMTONE_HEALTH"] = f"http://127.0.0.1:{port}/health"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        log = Path(folder) / "log"
        began = time.monotonic()
        with log.open("wb") as out:
            argv = stage.inside(*stage.entrypoint, "--listen", f"127.0.0.1:{port}")
            server = subprocess.Popen(argv, stdout=out, stderr=out)
        stack.callback(server.kill)  # --kill-child: everything in its namespace ends with it
        wait_for(lambda: listening(log), START_LIMIT_S, "listening")
        print(f"start to listening        {time.monotonic() - began:.2f} s")
        supervisor = process_one(server)
        assert os.stat(f"/proc/{supervisor}").st_uid != 0, "it runs as root"
        subprocess.run(stage.inside(*stage.health), check=True)
        phones = [Phone(), Phone()]
        asyncio.run(call(f"ws://127.0.0.1:{port}/", phones))
        print(f"packets heard             {[len(phone.heard) for phone in phones]}, none missing")
        for phone in phones:
            phone.hang_up()
        os.kill(supervisor, signal.Signals[stage.stop_signal])
        code = server.wait(STOP_LIMIT_S)
        assert code == 0, f"{stage.stop_signal} ended it with {code}:\n{log.read_text()}"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if line["level"] != "info" or "scheduling" in line:
            print("log                      ", json.dumps(line))
    assert not [line for line in lines if line["level"] == "error"], "it logged an error"
    assert nobody_listens(port), "something still listens"
    print(f"{stage.stop_signal}                   exit 0")


def nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
