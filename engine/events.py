"""Facts of the media thread become events; replies and events leave on one numbered stream.

Replies and state events are never dropped: what ZeroMQ does not take waits in the outbox, and the worker
takes no commands meanwhile.  Metrics, self-probe results and loads are the exception: they are dropped while
the outbox is blocked, before they have a number, and counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from roomtone.engine.keys import DIGITS
from roomtone.engine.messages import (
    Batch,
    ByeReceived,
    Event,
    KeyPressed,
    MediaTimeout,
    PeerLearned,
    Reply,
    Seated,
    ToneFinished,
)
from roomtone.engine.plan import Endpoint, FileEndpoint, RtpEndpoint, ToneEndpoint
from roomtone.ext.flow.media import (
    FACT_BYE,
    FACT_FILE_ENDED,
    FACT_FILE_NEXT,
    FACT_FILE_STARTED,
    FACT_HEARD,
    FACT_INBAND_KEY,
    FACT_INJECT_DONE,
    FACT_KEY,
    FACT_PINNED,
    FACT_PROBE,
    FACT_RESYNC,
    FACT_SEATED,
    FACT_TONE_DONE,
)

if TYPE_CHECKING:
    from roomtone.engine.files import Files
    from roomtone.engine.keys import Keys
    from roomtone.engine.plan import Plan
    from roomtone.engine.probe import SelfProbe
    from roomtone.engine.watching import Watching
    from roomtone.ext.flow.media import Media

BATCH_ITEMS = 512  # items of one batch: about 60 KiB, 0.5 ms to encode
FACTS_A_TURN = 256  # about 0.5 ms
BACKLOG_ITEMS = 4096  # items waiting in a blocked outbox before facts are left in their ring
RESYNC_A_SLICE = 32  # slots re-read in one piece


class Outbox:
    """The worker's side of the PUSH -> PULL stream.

    send: hands one encoded batch to ZeroMQ; False when it would block.
    """

    __slots__ = ("_batch", "_encode", "_epoch", "_items", "_next", "_send", "_worker", "dropped")

    def __init__(self, send: Callable[[bytes], bool], worker: int, epoch: int) -> None:
        self._send = send
        self._worker = worker
        self._epoch = epoch
        self._encode = msgspec.msgpack.Encoder().encode
        self._items: list[Reply | Event] = []
        self._batch: bytes | None = None  # encoded and numbered, refused by ZeroMQ so far
        self._next = 1
        self.dropped = 0

    @property
    def blocked(self) -> bool:
        """ZeroMQ refused a batch: poll for writability."""
        return self._batch is not None

    @property
    def backlog(self) -> int:
        return len(self._items)

    def put(self, item: Reply | Event) -> None:
        self._items.append(item)

    def put_droppable(self, item: Reply | Event) -> None:
        if self.blocked:
            self.dropped += 1
        else:
            self._items.append(item)

    def flush(self) -> None:
        """Number, encode and send what waits, as far as ZeroMQ takes it."""
        while True:
            if self._batch is None:
                if not self._items:
                    return
                items = self._items[:BATCH_ITEMS]
                del self._items[:BATCH_ITEMS]
                batch = Batch(worker=self._worker, epoch=self._epoch, first=self._next, items=items)
                self._next += len(items)
                self._batch = self._encode(batch)
            if not self._send(self._batch):
                return
            self._batch = None


class Facts:
    """Drains the media thread's facts and silences into events."""

    __slots__ = ("_files", "_keys", "_media", "_outbox", "_plan", "_probe", "_watching", "resyncs")

    def __init__(
        self,
        media: Media,
        plan: Plan,
        keys: Keys,
        files: Files,
        watching: Watching,
        probe: SelfProbe,
        outbox: Outbox,
    ) -> None:
        self._media = media
        self._plan = plan
        self._keys = keys
        self._files = files
        self._watching = watching
        self._probe = probe
        self._outbox = outbox
        self.resyncs = 0

    def take(self, now_us: int) -> tuple[bool, Iterator[None] | None]:
        """Handle at most FACTS_A_TURN facts.  Returns (more may wait, re-reading in slices)."""
        if self._outbox.backlog >= BACKLOG_ITEMS:
            return True, None  # the ring overflows and says so later; nothing that is also state is lost
        resync = None
        facts = self._media.facts(FACTS_A_TURN)
        for fact in facts:
            if fact[0] == FACT_RESYNC:
                self.resyncs += 1
                resync = self._reread(now_us)
            else:
                self._one(fact, now_us)
        return len(facts) >= FACTS_A_TURN, resync

    def silent(self, limit_us: int) -> None:
        """Report peers that may send and did not for limit_us; once a silence."""
        for handle, silence_ms in self._media.silent(limit_us):
            endpoint = self._plan.by_handle.get(handle)
            if endpoint is not None:
                self._outbox.put(
                    MediaTimeout(session=endpoint.session.id, endpoint=endpoint.id, duration_ms=silence_ms)
                )

    def _one(self, fact: tuple[Any, ...], now_us: int) -> None:
        kind, handle = fact[0], fact[1]
        if kind == FACT_PROBE:
            self._probe.answered()
            return
        endpoint = self._plan.by_handle.get(handle)
        if endpoint is None:
            return  # removed meanwhile
        session, id = endpoint.session.id, endpoint.id
        if kind == FACT_SEATED:
            if fact[2] == endpoint.arrival:  # not of a room it has left meanwhile
                self._seated(endpoint)
        elif isinstance(endpoint, ToneEndpoint):
            if kind == FACT_TONE_DONE:
                self._tone_done(endpoint)
        elif isinstance(endpoint, FileEndpoint):
            if kind == FACT_FILE_STARTED:
                self._files.started(endpoint, fact[2])
            elif kind == FACT_FILE_NEXT:
                self._files.went_on(endpoint, fact[2])
            elif kind == FACT_FILE_ENDED:
                self._files.ended(endpoint, bool(fact[2]), fact[3])
        elif isinstance(endpoint, RtpEndpoint):
            if kind in (FACT_KEY, FACT_INBAND_KEY):
                event, duration_ms = fact[2], fact[3]
                if event < len(DIGITS):
                    self._outbox.put(
                        KeyPressed(
                            session=session,
                            endpoint=id,
                            digit=DIGITS[event],
                            duration_ms=duration_ms,
                            source="rfc4733" if kind == FACT_KEY else "inband",
                        )
                    )
            elif kind == FACT_HEARD:
                self._watching.look(endpoint, now_us)
            elif kind == FACT_INJECT_DONE:
                self._keys.done(endpoint, now_us)
            elif kind == FACT_PINNED:
                self._learned(endpoint, _address(fact[2], fact[3]))
            elif kind == FACT_BYE:
                self._outbox.put(
                    ByeReceived(session=session, endpoint=id, ssrcs=list(fact[2]), reason=fact[3])
                )

    def _tone_done(self, endpoint: ToneEndpoint) -> None:
        if not endpoint.finished:
            self._plan.finish(endpoint)
            self._outbox.put(ToneFinished(session=endpoint.session.id, endpoint=endpoint.id))

    def _seated(self, endpoint: Endpoint) -> None:
        endpoint.arrival = 0
        if endpoint.room is not None:
            self._outbox.put(Seated(session=endpoint.session.id, endpoint=endpoint.id, room=endpoint.room.id))

    def _learned(self, endpoint: RtpEndpoint, address: str) -> None:
        endpoint.learned = True
        self._outbox.put(
            PeerLearned(session=endpoint.session.id, endpoint=endpoint.id, remote_rtp_addr=address)
        )

    def _is_seated(self, endpoint: Endpoint) -> bool:
        return self._media.applied() >= endpoint.seat_edit and not self._media.arriving(endpoint.handle)

    def _reread(self, now_us: int) -> Iterator[None]:
        """Facts were lost: tell what can be read off the slots, a bounded number a slice.

        Pinned addresses, seats, ended tones, begun and ended files, speech and fax tones are state and are
        recovered; key presses and BYEs in the gap are not (the media thread counts them).  Ends of injected
        keys are covered by their own timer.
        """
        for number, endpoint in enumerate(list(self._plan.endpoints.values())):
            if number % RESYNC_A_SLICE == RESYNC_A_SLICE - 1:
                yield
            if endpoint.gone:
                continue
            if endpoint.arrival and self._is_seated(endpoint):
                self._seated(endpoint)
            if isinstance(endpoint, ToneEndpoint):
                if endpoint.ends_us is not None and endpoint.ends_us <= now_us:
                    self._tone_done(endpoint)
            elif isinstance(endpoint, FileEndpoint):
                started_us, item, ended, failed = self._media.file_state(endpoint.handle)
                if started_us:
                    self._files.started(endpoint, started_us)
                if ended:
                    self._files.ended(endpoint, failed, item)
                else:
                    self._files.went_on(endpoint, item)
            elif isinstance(endpoint, RtpEndpoint):
                self._watching.look(endpoint, now_us)
                if not endpoint.learned:
                    stats = self._media.stats(endpoint.handle)
                    if stats["rx_packets"]:
                        self._learned(endpoint, stats["remote_rtp_addr"])


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def clear_eventfd(fd: int) -> None:
    """Read an eventfd so that it is no longer readable."""
    try:
        os.eventfd_read(fd)
    except BlockingIOError:
        return
