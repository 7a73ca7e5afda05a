"""A link on the event loop: what the other end has no room for comes later, and its end is told once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from msgspec import Struct

from roomtone.control.io.loop_link import LoopLink

COUNT = 5000  # more than the kernel keeps for who does not read


class Note(Struct, tag="note", tag_field="t"):
    n: int
    text: str = "x" * 200


def test_what_there_is_no_room_for_comes_later_in_order(run: Callable) -> None:
    async def body() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        got: list[int] = []
        every = asyncio.Event()

        def received(note: Note) -> None:
            got.append(note.n)
            if len(got) == COUNT:
                every.set()

        sender = LoopLink(ours, Note, received=received, lost=lambda: None)
        for n in range(COUNT):
            sender.send(Note(n))
        reader = LoopLink(theirs, Note, received=received, lost=lambda: None)
        await every.wait()
        assert got == list(range(COUNT))
        sender.close()
        reader.close()

    run(body())


def test_the_end_of_the_other_side_is_told_once_and_after_it_nothing_is_sent(run: Callable) -> None:
    async def body() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        over: asyncio.Queue[str] = asyncio.Queue()
        link = LoopLink(ours, Note, received=lambda note: None, lost=lambda: over.put_nowait("lost"))
        theirs.close()
        assert await over.get() == "lost"
        link.send(Note(1))
        link.close()
        await asyncio.sleep(0)
        assert over.empty()

    run(body())
