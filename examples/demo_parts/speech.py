"""What the callers say, spoken by espeak-ng once and kept in the temporary folder."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from demo_parts.sound import FULL_SCALE, read_wav, resampled, write_wav

TARGET_DBOV = -23.0  # a usual speech level; three at once stay below full scale
QUIET = 0.02  # of the loudest sample: less is a pause
WORDS_A_MINUTE = 175
SPEAK_WAIT_S = 30.0


def spoken(text: str, voice: str, pitch: int) -> np.ndarray:
    """int16[n] at RATE_HZ.  Raises RuntimeError when espeak-ng cannot be run."""
    key = hashlib.sha256(f"{text}|{voice}|{pitch}|{TARGET_DBOV}|{WORDS_A_MINUTE}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "roomtone-demo-speech"
    folder.mkdir(exist_ok=True)
    path = folder / f"{key}.wav"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            raw = Path(temporary) / "raw.wav"
            _espeak(["-v", voice, "-p", str(pitch), "-s", str(WORDS_A_MINUTE), "-w", str(raw), text])
            pcm, rate_hz = read_wav(raw)
            ready = Path(temporary) / "ready.wav"
            write_wav(ready, _levelled(resampled(pcm, rate_hz)))
            ready.replace(path)  # at once, so that two demos at a time do no harm
    return read_wav(path)[0]


def _espeak(arguments: list[str]) -> None:
    try:
        subprocess.run(["espeak-ng", *arguments], check=True, capture_output=True, timeout=SPEAK_WAIT_S)
    except FileNotFoundError:
        raise RuntimeError("espeak-ng is not installed; `make setup` installs it") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"espeak-ng failed: {error.stderr.decode(errors='replace').strip()}") from None


def _levelled(pcm: np.ndarray) -> np.ndarray:
    """Without the quiet at both ends, scaled to TARGET_DBOV as measured over what is speech and not pause."""
    samples = pcm.astype(np.float64) / FULL_SCALE
    loud = np.abs(samples) > np.abs(samples).max() * QUIET
    first, last = np.flatnonzero(loud)[[0, -1]]
    samples, loud = samples[first : last + 1], loud[first : last + 1]
    rms = float(np.sqrt(np.mean(np.square(samples[loud]))))
    gain = 10 ** (TARGET_DBOV / 20) / rms
    return (samples * gain * FULL_SCALE).clip(-32768, 32767).astype(np.int16)
