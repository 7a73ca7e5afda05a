"""What talkers say, and whether it was heard.

Each talker of a room sends one steady tone, so that who is heard can be read off a spectrum.  Tones lie on
a 10 Hz grid: over 100 ms (5 frames) all are orthogonal, and a loop of whole 100 ms repeats without a seam.
Neighbouring rooms use shifted grids, so that a voice from another room is noticed too.  Phases follow
Newman (pi k^2 / K), which keeps the crest factor of the sum low; the level leaves room for what other frame
offsets do.

Talker 0 of a room also sends a marker, one chirp of one frame every MARKER_FRAMES frames, found again by a
matched filter: its travelling time is the mixing delay.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomtone.bench.load.payload import Format

GRID_HZ = 10  # one period of the grid is 100 ms
SEGMENT_MS = 100
LOWEST_HZ = 300  # the telephone band, ITU-T G.712
HIGHEST_HZ = 3400
ROOM_SHIFTS = 5  # rooms r and r + 5 share their tones
MARKER_FRAMES = 25  # a marker every 500 ms; also the length of every payload loop
MARKER_PEAK = 8000
FADES = 16  # a marker is faded in and out over a 16th of itself
PEAK_SUM = 20000  # what the sum of all tones may reach, leaving room for a marker below 32767
PEAK_PER_RMS = 2.8  # peak over root-sum-square of tones whose phases are as good as random
LOUDEST = 5000  # amplitude of one tone
HEARD_AT_LEAST = 0.5  # of the amplitude sent: -6 dB
UNWANTED_AT_MOST = 0.1  # -20 dB
MARKER_SHARPNESS = 8  # a marker's correlation over the median of all offsets


def amplitude(talkers: int) -> float:
    """Of each tone, so that `talkers` of them do not clip."""
    return min(LOUDEST, PEAK_SUM / (PEAK_PER_RMS * max(talkers, 1) ** 0.5))


def frequencies(talkers: int, room: int = 0) -> NDArray[np.int64]:
    """Hz of each talker of a room; spaced a little unevenly, so that distortion falls between tones."""
    slots = (HIGHEST_HZ - LOWEST_HZ) // GRID_HZ
    if talkers > slots:
        raise ValueError(f"{talkers} talkers in a room, at most {slots} tones can be told apart")
    step = slots // max(talkers, 1)
    k = np.arange(talkers)
    shift = room % ROOM_SHIFTS if step >= 2 * ROOM_SHIFTS else 0
    bend = (k * k * 3) % (step - ROOM_SHIFTS) if step >= 2 * ROOM_SHIFTS else 0
    return LOWEST_HZ + GRID_HZ * (k * step + bend + shift)


def marker(fmt: Format) -> NDArray[np.float64]:
    """One frame of a chirp across the telephone band, faded in and out."""
    t = np.arange(fmt.samples) / fmt.rate_hz
    sweep = (HIGHEST_HZ - LOWEST_HZ) / (fmt.samples / fmt.rate_hz)
    edge = np.minimum(np.arange(fmt.samples), np.arange(fmt.samples)[::-1])
    fade = np.minimum(1, edge / (fmt.samples / FADES))
    return MARKER_PEAK * fade * np.sin(2 * np.pi * (LOWEST_HZ * t + sweep * t * t / 2))


def speech(fmt: Format, talkers: int, talker: int, room: int = 0) -> NDArray[np.int16]:
    """One loop of a talker: int16[MARKER_FRAMES * samples]."""
    t = np.arange(MARKER_FRAMES * fmt.samples) / fmt.rate_hz
    hz = frequencies(talkers, room)[talker]
    pcm = amplitude(talkers) * np.cos(2 * np.pi * hz * t + np.pi * talker * talker / max(talkers, 1))
    if talker == 0:
        pcm[: fmt.samples] += marker(fmt)
    return np.round(pcm).astype(np.int16)


def spectrum(pcm: NDArray[np.int16], rate_hz: int) -> NDArray[np.float64]:
    """Amplitude on the 10 Hz grid, float[rate / 20 + 1]: the median of all whole 100 ms segments."""
    n = rate_hz // GRID_HZ
    segments = pcm[: len(pcm) // n * n].reshape(-1, n)
    if not len(segments):
        raise ValueError("less than 100 ms was heard")
    return np.median(np.abs(np.fft.rfft(segments, axis=1)) * 2 / n, axis=0)


def level_dip(pcm: NDArray[np.int16], frame_samples: int) -> float:
    """The quietest frame over the median one (RMS): 1 of steady voices, 0 when a whole frame is missing.

    Tones of a room lie so far apart that their beats are over within a frame.
    """
    frames = pcm[: len(pcm) // frame_samples * frame_samples].reshape(-1, frame_samples).astype(np.float64)
    rms = np.sqrt(np.mean(frames * frames, axis=1))
    median = float(np.median(rms))
    return float(rms.min()) / median if median else 0.0


@dataclass(frozen=True)
class Fault:
    """One thing that should not be: kind is missing, echo (the own tone) or stranger."""

    kind: str
    hz: int
    level: float  # relative to the amplitude sent


def faults(
    heard: NDArray[np.float64], talkers: int, room: int, member: int, *, level: float | None = None
) -> list[Fault]:
    """What is wrong with a spectrum heard by `member` (talkers are members 0 .. talkers - 1)."""
    level = amplitude(talkers) if level is None else level
    own = -1
    expected = set()
    for talker, hz in enumerate(frequencies(talkers, room).tolist()):
        if talker == member:
            own = hz
        else:
            expected.add(hz)
    out = []
    for hz in range(LOWEST_HZ, HIGHEST_HZ + GRID_HZ, GRID_HZ):
        relative = float(heard[hz // GRID_HZ] / level)
        if hz in expected:
            if relative < HEARD_AT_LEAST:
                out.append(Fault("missing", hz, relative))
        elif relative > UNWANTED_AT_MOST:
            out.append(Fault("echo" if hz == own else "stranger", hz, relative))
    return out


def find_markers(pcm: NDArray[np.int16], fmt: Format) -> list[int]:
    """Sample positions at which a marker begins."""
    if len(pcm) < 2 * fmt.samples:
        return []
    match = np.abs(np.correlate(pcm.astype(np.float64), marker(fmt), mode="valid"))
    least = max(MARKER_SHARPNESS * float(np.median(match)), float(np.sum(marker(fmt) ** 2)) / 4)
    out = []
    around = MARKER_FRAMES * fmt.samples // 2
    for at in np.flatnonzero(match > least).tolist():
        if match[at] == match[max(0, at - around) : at + around].max():
            out.append(at)
    return out
