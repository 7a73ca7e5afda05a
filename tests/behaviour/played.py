"""Files whose decoded sound is known, and how loud they are heard."""

import numpy as np
from lab import L16_8K

from roomtone.ext.flow.track import CHUNK_SAMPLES, ChunkPool, Playback, Track

FRAME = 160
FADE_MS = 10
NOISE = np.random.default_rng(7)


def noise(samples, peak=9000):
    """No two places sound alike."""
    return NOISE.integers(-peak, peak + 1, samples).astype(np.int16)


class Tape:
    """A decoded file: `narrow` and `wide` are what it holds at 8 and at 16 kHz."""

    def __init__(self, narrow, *, seconds=None, known=True, failed=False):
        self.narrow = np.asarray(narrow, np.int16)
        self.wide = noise(2 * len(self.narrow))
        self.pool = ChunkPool(64)
        count = -(-len(self.narrow) // CHUNK_SAMPLES)
        self.track = Track(self.pool, seconds or count)
        if known:
            self.track.end(len(self.narrow), failed)
        for second in range(count):
            self.publish(second)

    def publish(self, second):
        slot = self.pool.take()
        room = np.frombuffer(self.pool.room(slot), np.int16)
        here = slice(second * CHUNK_SAMPLES, (second + 1) * CHUNK_SAMPLES)
        narrow = self.narrow[here]
        room[:] = 0
        room[: len(narrow)] = narrow
        wide = self.wide[2 * here.start : 2 * here.stop]
        room[CHUNK_SAMPLES : CHUNK_SAMPLES + len(wide)] = wide
        self.track.publish(second, slot)

    def withdraw(self, second):
        self.pool.give_back(self.track.withdraw(second))

    def playback(self, *, position=0, loops=0, shared=False):
        return Playback(self.track, position=position, loops=loops, shared=shared)


def play(lab, bus, playback, gain_db=0.0):
    handle = lab.media.endpoint_take()
    lab.media.file_open(handle, playback, gain_db=gain_db)
    lab.media.source_add(bus, handle)
    return handle


def listener(lab, bus, codec=L16_8K):
    return lab.peer(bus, codec=codec, source=False, send_at_once=True, may_receive=False)


def starts_with(heard, expected):
    assert np.array_equal(heard[: len(expected)], expected)
    assert not heard[len(expected) :].any()


class Loudness:
    """What ramps do to frames, sample for sample."""

    def __init__(self, gain=1.0):
        self.volume = self.gain = self.to = np.float32(gain)
        self.left = 0  # samples of a ramp

    def set(self, gain, ramp_ms):
        self.to, self.left = np.float32(gain), 8 * ramp_ms
        if self.left == 0:
            self.gain = self.to

    def shape(self, frame):
        frame, n = frame.copy(), min(self.left, FRAME)
        if n:
            gain = self.gain + (self.to - self.gain) * np.float32(n) / np.float32(self.left)
            steps = (gain - self.gain) / np.float32(n) * np.arange(1, n + 1, dtype=np.float32)
            frame[:n] = np.rint(frame[:n] * (self.gain + steps))
            self.left -= n
            self.gain = gain if self.left else self.to
        if n < FRAME and self.gain != 1:
            frame[n:] = np.rint(frame[n:] * self.gain)
        return frame
