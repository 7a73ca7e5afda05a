"""Keys beside spandsp 0.0.6: what its own receiver tests measure, on both detectors, through A-law.

The measurements are those of the Mitel CM7291 tape's first side: bandwidth and centre offset, twist, dynamic
range, guard time and signal-to-noise ratio; then dial tone.  Where spandsp hears, ours must hear.
"""

import ctypes

import numpy as np
import pytest

from roomtone.bench import signals as s
from roomtone.ext.dsp import dtmf_detect

PAIRS = "159D"  # every low and every high tone once
PRESSES = 10
EDGE = 0.9  # of the keys: heard


class Spandsp:
    """dtmf_rx of the installed library."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libspandsp.so.2")
        self.library.dtmf_rx_init.restype = ctypes.c_void_p
        self.library.dtmf_rx_init.argtypes = [ctypes.c_void_p] * 3
        self.library.dtmf_rx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        self.library.dtmf_rx_get.restype = ctypes.c_size_t
        self.library.dtmf_rx_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        self.library.dtmf_rx_free.argtypes = [ctypes.c_void_p]

    def __call__(self, pcm: np.ndarray) -> str:
        state = self.library.dtmf_rx_init(None, None, None)
        out = ""
        buffer = ctypes.create_string_buffer(129)
        for frame in pcm.reshape(-1, s.FRAME):
            frame = np.ascontiguousarray(frame)
            self.library.dtmf_rx(state, frame.ctypes.data, len(frame))
            got = self.library.dtmf_rx_get(state, buffer, 128)
            out += buffer.raw[:got].decode()
        self.library.dtmf_rx_free(state)
        return out


def ours(pcm: np.ndarray) -> str:
    return "".join(s.KEYS[e[2]] for e in dtmf_detect.Detector().feed(pcm) if e[1] == "begin")


@pytest.fixture(scope="module")
def spandsp() -> Spandsp:
    return Spandsp()


def share(detect, one, noise=None, names: str = PAIRS) -> float:
    """How many of the presses one(name) are heard, each alone, at every place in the frame."""
    hits = 0
    for name in names:
        for press in range(PRESSES):
            signal = np.concatenate([s.silence(45 + press * 1.9), one(name), s.silence(75)])
            signal = signal if noise is None else signal + noise(len(signal), press)
            hits += detect(s.line(signal, "a")) == name
    return hits / (PRESSES * len(names))


def reach(detect, one, values, wanted: bool = True) -> float:
    """The last of the values, in order, up to which one(value) is heard."""
    last = values[0]
    for value in values:
        if (share(detect, lambda name, v=value: one(name, v)) >= EDGE) != wanted:
            break
        last = value
    return float(last)


def both_off(name: str, percent: float) -> np.ndarray:
    return s.key(name, 50, off=(percent, percent))


def one_off(name: str, percent: float) -> np.ndarray:
    return s.key(name, 50, off=(percent, 0))


def twisted(name: str, high_over_low_db: float) -> np.ndarray:
    return s.key(name, 50, -8, high_over_low_db)


def at_level(name: str, dbm0: float) -> np.ndarray:
    return s.key(name, 50, dbm0)


def lasting(name: str, ms: float) -> np.ndarray:
    return s.key(name, ms)


MEASURED = {
    "both tones up, %": (both_off, np.arange(0, 4, 0.3)),
    "both tones down, %": (both_off, -np.arange(0, 4, 0.3)),
    "low tone up, %": (one_off, np.arange(0, 4, 0.3)),
    "low tone down, %": (one_off, -np.arange(0, 4, 0.3)),
    "high tone over low, dB": (twisted, np.arange(0, 12)),
    "low tone over high, dB": (twisted, -np.arange(0, 14)),
    "level, dBm0": (at_level, -np.arange(3, 52, 2)),
    "duration, ms": (lasting, np.arange(60, 18, -1.5)),
}
# How far a key must be heard, and from where on it must not be (Q.24 and its relatives).
BOUNDS = {
    "both tones up, %": (1.8, 3.5),
    "both tones down, %": (1.8, 3.5),
    "low tone up, %": (1.8, 3.5),
    "low tone down, %": (1.8, 3.5),
    "high tone over low, dB": (4, 15),
    "low tone over high, dB": (8, 15),
    "level, dBm0": (30, 55),
}


@pytest.fixture(scope="module")
def table(spandsp) -> dict[str, tuple[float, float]]:
    """What ours and what spandsp reach, by measurement."""
    return {
        name: (abs(reach(ours, one, values)), abs(reach(spandsp, one, values)))
        for name, (one, values) in MEASURED.items()
    }


@pytest.mark.parametrize("name", BOUNDS)
def test_keys_are_heard_as_far_as_they_must_be_and_no_farther(table, name):
    must, must_not = BOUNDS[name]
    assert must <= table[name][0] < must_not, table


def test_a_key_is_heard_from_between_23_and_40_ms_on(table):
    assert 23 < table["duration, ms"][0] <= 30


@pytest.mark.parametrize("name", ["high tone over low, dB", "low tone over high, dB", "level, dBm0"])
def test_what_spandsp_reaches_ours_reaches(table, name):
    our_reach, their_reach = table[name]
    assert our_reach >= their_reach, table


@pytest.mark.parametrize("snr_db", [24, 18, 15, 12, 10])
def test_in_noise_ours_hears_what_spandsp_hears(spandsp, snr_db):
    level = s.level_dbm0(s.key("5", 1000)) - snr_db

    def noise(n: int, seed: int) -> np.ndarray:
        return s.at(s.white(n, np.random.default_rng(seed)), level)

    shares = [share(d, lambda name: s.key(name, 50), noise, s.KEYS) for d in (ours, spandsp)]
    assert shares[0] >= shares[1]
    assert shares[0] >= 0.99


@pytest.mark.parametrize("below_db", [20, 14, 10])
def test_over_dial_tone_ours_hears_what_spandsp_hears(spandsp, below_db):
    def noise(n: int, seed: int) -> np.ndarray:
        return s.tones((350, 440), n / 8, -10 - below_db)

    shares = [share(d, lambda name: s.key(name, 50), noise, s.KEYS) for d in (ours, spandsp)]
    assert shares[0] >= shares[1]
