"""What a receiver of keys must hear and must not: ITU-T Q.24, and what other receivers are measured by.

A case is a sound and the keys in it.  Required: 26 that are heard, 20 in which there is nothing to hear.
Stretch: five more.  Every key is pressed TIMES times, at changing places in the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from roomtone.bench import signals as s

TIMES = 10
MANY_MS = 300  # of a tone that is no key

Rng = np.random.Generator
One = Callable[[str, Rng], np.ndarray]  # one press of a key
Sound = tuple[str, np.ndarray]  # the keys to be heard, and what sounds


def presses(one: One, gap_ms: float = 60) -> Sound:
    rng = np.random.default_rng(7)
    names = s.KEYS * TIMES
    parts = [s.silence(50)]
    for name in names:
        parts += [one(name, rng), s.silence(gap_ms + rng.uniform(0, 20))]
    return names, np.concatenate([*parts, s.silence(100)])


def plain(ms: float = 50, **how) -> One:
    return lambda name, rng: s.key(name, ms, **how)


def off(low: float, high: float, ms: float = 50) -> One:
    """Off by so many percent, up or down."""

    def one(name: str, rng: Rng) -> np.ndarray:
        sign = rng.choice([-1, 1])
        return s.key(name, ms, off=(sign * low, sign * high))

    return one


def broken(break_ms: float) -> One:
    def one(name: str, rng: Rng) -> np.ndarray:
        out = s.key(name, 50)
        start = s.samples(rng.uniform(12, 26))
        out[start : start + s.samples(break_ms)] = 0
        return out

    return one


def ramped(name: str, rng: Rng) -> np.ndarray:
    out = s.key(name, 50)
    n = s.samples(5)
    out[:n] *= np.linspace(0, 1, n)
    out[-n:] *= np.linspace(1, 0, n)
    return out


def twice() -> Sound:
    names, signal = presses(
        lambda name, rng: np.concatenate([s.key(name, 50), s.silence(40), s.key(name, 50)])
    )
    return "".join(2 * name for name in names), signal


def over(other: Callable[[int], np.ndarray]) -> Sound:
    """Keys with something else on the line, other(samples)."""
    names, signal = presses(plain())
    return names, signal + other(len(signal))


def noise(below_db: float) -> Callable[[int], np.ndarray]:
    """White, this far below the pair."""
    level = s.level_dbm0(s.key("5", 1000)) - below_db
    return lambda n: s.at(s.white(n, np.random.default_rng(3)), level)


def speech(n: int) -> np.ndarray:
    return s.at(np.resize(s.espeak("en-us+f3"), n), -40)


def impulses() -> Sound:
    """Clicks of a sample or two, ten a second, as loud as the keys."""
    rng = np.random.default_rng(5)
    names, signal = presses(plain())
    for place in np.cumsum(rng.integers(400, 1200, len(signal) // 800)):
        if place < len(signal) - 2:
            signal[place : place + rng.integers(1, 3)] += rng.choice([-1, 1]) * 8000
    return names, signal


def nothing(signal: np.ndarray) -> Sound:
    return "", signal


def unheard(one: One) -> Sound:
    return nothing(presses(one)[1])


def steady(chords: list[tuple[float, ...]]) -> Sound:
    return nothing(np.concatenate([p for hz in chords for p in (s.tones(hz, MANY_MS, -12), s.silence(80))]))


def sweep(low_hz: float, high_hz: float, ms: float) -> np.ndarray:
    hz = np.linspace(low_hz, high_hz, s.samples(ms))
    return s.root_mean_square(-10) * np.sqrt(2) * np.sin(2 * np.pi * np.cumsum(hz) / s.RATE_HZ)


def sweeps() -> Sound:
    ways = ((200, 3800, 10_000), (3800, 200, 1000), (650, 1700, 400))
    return nothing(np.concatenate([sweep(*way) for way in ways]))


def noises() -> Sound:
    rng = np.random.default_rng(11)
    kinds = (s.white, s.pink, s.keyboard, s.chords)
    return nothing(np.concatenate([s.at(make(8 * s.RATE_HZ, rng), -12) for make in kinds]))


def information() -> Sound:
    hz = (985.2, 1370.6, 1776.7, 913.8, 1428.5, 1776.7)
    return nothing(np.concatenate([s.sine(f, 380, -14) for f in hz]))


def signalling(groups: tuple[tuple[float, ...], ...]) -> Sound:
    """Every two of a group, as they are sent: long and short."""
    pairs = [(a, b) for group in groups for i, a in enumerate(group) for b in group[i + 1 :]]
    long, short = (
        np.concatenate([p for hz in pairs for p in (s.tones(hz, ms, -12), s.silence(80))])
        for ms in (MANY_MS, 68)
    )
    return nothing(np.concatenate([long, short]))


MF_HZ = ((700, 900, 1100, 1300, 1500, 1700),)  # Q.320
R2_HZ = ((1380, 1500, 1620, 1740, 1860, 1980), (1140, 1020, 900, 780, 660, 540))  # Q.441
PROGRESS_HZ = [(350, 440), (440, 480), (480, 620), (425,), (400, 450), (950,), (1400,), (1004,), (440,)]
FAX_HZ = [(1100,), (2100,), (1650,), (1850,), (980,), (1180,), (1300,), (2225,), (1375,), (2002,)]
SINGLE_HZ = [(f,) for f in s.LOW_HZ + s.HIGH_HZ]
THREE_HZ = [(697, 1209, extra) for extra in (770, 941, 1336, 1633, 1000, 2000)]
FOUR_HZ = [(697, 770, 1209, 1336), (852, 941, 1477, 1633), (697, 941, 1209, 1633)]

HEARD: dict[str, Callable[[], Sound]] = {
    "50 ms, 50 between": lambda: presses(plain(50), 50),
    "40 ms, 40 between": lambda: presses(plain(40), 40),
    "45 ms, 48 between": lambda: presses(plain(45), 48),
    "2 s": lambda: presses(plain(2000)),
    "same key after 40 ms": twice,
    "1.5 % off": lambda: presses(off(1.5, 1.5), 50),
    "1.5 % off, opposite": lambda: presses(off(1.5, -1.5), 50),
    **{f"{dbm0} dBm0": lambda v=dbm0: presses(plain(dbm0=v), 50) for dbm0 in (-3, -10, -20, -25, -27, -30)},
    **{f"high {db} dB below low": lambda v=db: presses(plain(high_over_low_db=-v), 50) for db in (4, 6, 8)},
    "low 4 dB below high": lambda: presses(plain(high_over_low_db=4), 50),
    **{f"noise {db} dB below": lambda v=db: over(noise(v)) for db in (24, 18, 15, 12)},
    "dial tone 20 dB below": lambda: over(lambda n: s.tones((350, 440), n / 8, -30)),
    "5 ms break": lambda: presses(broken(5)),
    "10 ms break": lambda: presses(broken(10)),
    "5 ms ramps": lambda: presses(ramped, 50),
    "over speech": lambda: over(speech),
}
UNHEARD: dict[str, Callable[[], Sound]] = {
    **{f"{ms} ms": lambda v=ms: unheard(plain(v)) for ms in (10, 15, 20, 23)},
    "low tone 3.5 % off": lambda: unheard(off(3.5, 0, 100)),
    "high tone 3.5 % off": lambda: unheard(off(0, 3.5, 100)),
    "-55 dBm0": lambda: unheard(plain(100, dbm0=-55)),
    **{f"high {db} dB over low": lambda v=db: unheard(plain(100, high_over_low_db=v)) for db in (15, 20)},
    **{f"low {db} dB over high": lambda v=db: unheard(plain(100, high_over_low_db=-v)) for db in (15, 20)},
    "noise": noises,
    "sweep": sweeps,
    "single tones": lambda: steady(SINGLE_HZ),
    "three tones": lambda: steady(THREE_HZ),
    "four tones": lambda: steady(FOUR_HZ),
    "call progress": lambda: steady(PROGRESS_HZ),
    "fax": lambda: steady(FAX_HZ),
    "SIT": information,
    "MF": lambda: signalling(MF_HZ),
}
STRETCH: dict[str, Callable[[], Sound]] = {
    "1.8 % up": lambda: presses(plain(off=(1.8, 1.8))),
    "1.8 % down": lambda: presses(plain(off=(-1.8, -1.8))),
    "1.8 % apart": lambda: presses(plain(off=(-1.8, 1.8))),
    "1.8 % together": lambda: presses(plain(off=(1.8, -1.8))),
    "impulses": impulses,
}
REQUIRED = HEARD | UNHEARD
FURTHER: dict[str, Callable[[], Sound]] = {
    "two of a group": lambda: steady([(697, 770), (770, 941), (1209, 1477), (1336, 1633)]),
    "R2": lambda: signalling(R2_HZ),
}


@cache
def sound(case: str) -> Sound:
    return (REQUIRED | STRETCH | FURTHER)[case]()
