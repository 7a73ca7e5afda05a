"""A script: who says which sentence, when, and who is to hear it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from demo_parts.caller import Script
from demo_parts.hearing import Utterance
from demo_parts.sound import FRAME_SAMPLES, FRAMES_A_SECOND, RATE_HZ
from demo_parts.speech import spoken


@dataclass(frozen=True)
class Line:
    """A sentence of the script.  pause_s: from the end of the one before; negative: they talk at once.

    to: who hears it; None: all others.
    """

    speaker: str
    text: str
    pause_s: float = 0.3
    to: frozenset[str] | None = None


def rehearse(
    lines: Sequence[Line], voices: Mapping[str, tuple[str, int]], begin_s: float = 0.0
) -> list[Utterance]:
    """Every line with its place in time.  voices: speaker -> voice and pitch of espeak-ng."""
    out: list[Utterance] = []
    end = round(begin_s * RATE_HZ)
    for line in lines:
        start = max(0, end + round(line.pause_s * RATE_HZ)) // FRAME_SAMPLES * FRAME_SAMPLES
        pcm = spoken(line.text, *voices[line.speaker])
        out.append(Utterance(line.speaker, start, pcm))
        end = start + len(pcm)
    return out


def frame_after(said: Utterance, seconds: float) -> int:
    return round((said.start + len(said.pcm)) / FRAME_SAMPLES + seconds * FRAMES_A_SECOND)


def scripts(said: Sequence[Utterance], frames: int) -> dict[str, Script]:
    """What each speaker says, without anything else."""
    out = {u.speaker: Script(np.zeros(frames * FRAME_SAMPLES, dtype=np.int16)) for u in said}
    for u in said:
        out[u.speaker].track[u.start : u.start + len(u.pcm)] += u.pcm
    return out
