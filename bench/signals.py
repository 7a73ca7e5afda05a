"""What detectors are tried with: tones, keys, noises and speech at 8 kHz, every one from a seed.

All signals are float64[n] in steps of int16 until `line` makes int16 of them.  Levels: dBm0 (ext/dsp/tone).
"""

import os
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from roomtone.ext.codec import codec

RATE_HZ = 8000
FRAME = 160
DBM0_0 = 22657.0 / np.sqrt(2)  # root mean square at 0 dBm0
KEYS = "0123456789*#ABCD"  # by event code, RFC 4733
LAYOUT = "123A456B789C*0#D"
LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
SOUNDS = Path(os.environ.get("ROOMTONE_SOUNDS", "/usr/share/asterisk"))
TEXT = {
    "en": "Good morning, you have reached the service desk. Please hold the line, we will be with you soon. "
    "The conference starts at half past nine, and seven people have already joined the room.",
    "de": "Guten Morgen, Sie sprechen mit der Zentrale. Bitte warten Sie einen Augenblick, wir verbinden Sie "
    "gleich. Die Besprechung beginnt um halb zehn, sieben Leute sind schon im Raum.",
    "fr": "Bonjour, vous êtes en communication avec le standard. Ne quittez pas, nous allons vous répondre. "
    "La réunion commence à neuf heures et demie, sept personnes sont déjà dans la salle.",
    "es": "Buenos días, ha llamado a la centralita. No cuelgue, por favor, enseguida le atendemos. "
    "La reunión empieza a las nueve y media y ya hay siete personas en la sala.",
    "it": "Buongiorno, risponde il centralino. Resti in linea, le rispondiamo subito. "
    "La riunione comincia alle nove e mezza e sette persone sono già nella stanza.",
    "ru": "Доброе утро, вы позвонили в справочную. Пожалуйста, оставайтесь на линии. "
    "Совещание начнётся в половине десятого, семь человек уже в комнате.",
    "pl": "Dzień dobry, tu centrala telefoniczna. Proszę czekać na połączenie. "
    "Zebranie zaczyna się o wpół do dziesiątej, siedem osób jest już w pokoju.",
    "pt": "Bom dia, ligou para a central. Por favor aguarde um momento na linha. "
    "A reunião começa às nove e meia e sete pessoas já estão na sala.",
}


def root_mean_square(dbm0: float) -> float:
    return DBM0_0 * 10 ** (dbm0 / 20)


def level_dbm0(signal: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(signal))) / DBM0_0 + 1e-9))


def at(signal: np.ndarray, dbm0: float) -> np.ndarray:
    return signal * (root_mean_square(dbm0) / np.sqrt(np.mean(np.square(signal))))


def samples(ms: float) -> int:
    return round(ms * RATE_HZ / 1000)


def silence(ms: float) -> np.ndarray:
    return np.zeros(samples(ms))


def sine(hz: float, ms: float, dbm0: float, phase: float = 0) -> np.ndarray:
    t = np.arange(samples(ms)) / RATE_HZ
    return root_mean_square(dbm0) * np.sqrt(2) * np.sin(2 * np.pi * hz * t + phase)


def tones(hz: tuple[float, ...], ms: float, dbm0: float) -> np.ndarray:
    return np.sum([sine(f, ms, dbm0, i) for i, f in enumerate(hz)], axis=0)


def key(
    name: str, ms: float, dbm0: float = -10, high_over_low_db: float = 0, off: tuple[float, float] = (0, 0)
) -> np.ndarray:
    """One key; dbm0 is the stronger tone's level, off the deviation of low and high tone in percent."""
    row, column = divmod(LAYOUT.index(name), 4)
    low = sine(LOW_HZ[row] * (1 + off[0] / 100), ms, dbm0 - max(high_over_low_db, 0))
    return low + sine(HIGH_HZ[column] * (1 + off[1] / 100), ms, dbm0 + min(high_over_low_db, 0), 1)


def line(signal: np.ndarray, law: str = "") -> np.ndarray:
    """int16 in whole frames, after a µ-law ("u") or A-law ("a") path if named."""
    out = np.zeros(-(-len(signal) // FRAME) * FRAME, np.int16)
    out[: len(signal)] = np.clip(np.rint(signal), -32768, 32767)
    if law:
        kind = codec.PCMU if law == "u" else codec.PCMA
        payload = np.zeros(len(out), np.uint8)
        codec.encode(kind, out, payload)
        codec.decode(kind, payload, out)
    return out


def shaped(n: int, rng: np.random.Generator, curve) -> np.ndarray:
    """White noise through the amplitude response curve(hz)."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    return np.fft.irfft(spectrum * curve(np.fft.rfftfreq(n, 1 / RATE_HZ)), n)


def white(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(n)


def pink(n: int, rng: np.random.Generator) -> np.ndarray:
    return shaped(n, rng, lambda hz: 1 / np.sqrt(np.maximum(hz, 50)))


def car(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rumble falling by 12 dB an octave from 150 Hz, slowly swelling."""
    swell = 1 + 0.3 * np.sin(2 * np.pi * 0.3 * np.arange(n) / RATE_HZ + rng.uniform(0, 6))
    return swell * shaped(n, rng, lambda hz: 1 / (1 + (hz / 150) ** 2))


def hum(n: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum with its harmonics, over a little hiss."""
    t = np.arange(n) / RATE_HZ
    mains = rng.choice([50, 60])
    out = 0.02 * rng.standard_normal(n)
    for harmonic in (1, 2, 3, 4, 5, 6, 7, 9, 11, 13):
        out += rng.uniform(0.3, 1) / harmonic * np.sin(2 * np.pi * mains * harmonic * t + rng.uniform(0, 6))
    return out


def keyboard(n: int, rng: np.random.Generator) -> np.ndarray:
    """Strokes: 3 to 10 a second, each a click of a few ms with a resonance, and one on release."""
    out = 0.01 * rng.standard_normal(n)
    at_sample = 0.0
    while at_sample < n - 1000:
        for start, gain in ((0, 1.0), (rng.integers(500, 900), 0.4)):
            length = int(rng.integers(40, 160))
            t = np.arange(length)
            click = rng.standard_normal(length) * np.exp(-t / rng.uniform(10, 40))
            click += np.sin(2 * np.pi * rng.uniform(800, 3000) / RATE_HZ * t) * np.exp(-t / 30)
            first = int(at_sample) + int(start)
            out[first : first + length] += gain * rng.uniform(0.3, 1) * click[: max(0, n - first)]
        at_sample += rng.uniform(0.1, 0.33) * RATE_HZ
    return out


def chords(n: int, rng: np.random.Generator) -> np.ndarray:
    """Music-like: chords and a tune of decaying harmonic notes, a beat under them."""
    out = np.zeros(n + RATE_HZ)
    beat = int(rng.uniform(0.25, 0.6) * RATE_HZ)
    for start in range(0, n, beat):
        for note in [*rng.choice(25, 3), 24 + rng.choice(13)]:
            hz = 110 * 2 ** (note / 12)
            t = np.arange(min(2 * beat, len(out) - start)) / RATE_HZ
            voice = sum(np.sin(2 * np.pi * hz * h * t) / h**1.3 for h in range(1, 7) if hz * h < 3900)
            out[start : start + len(t)] += voice * np.exp(-t * 3) * np.minimum(1, t * 100)
        drum = rng.standard_normal(400) * np.exp(-np.arange(400) / 60)
        out[start : start + 400] += 1.5 * drum
    return out[:n]


def resampled(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    """To 8 kHz, by the spectrum: exact enough, and no library."""
    n = int(len(signal) * RATE_HZ / rate_hz)
    spectrum = np.fft.rfft(signal)
    kept = np.zeros(n // 2 + 1, complex)
    m = min(len(kept), len(spectrum))
    kept[:m] = spectrum[:m]
    return np.fft.irfft(kept, n) * (n / len(signal))


@cache
def espeak(voice: str, speed: int = 160, pitch: int = 50, text: str = "") -> np.ndarray:
    """Synthetic speech; `voice` as espeak-ng names it, the language first (`de+f2`)."""
    words = text or TEXT[voice.split("+")[0].split("-")[0]]
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", words]
    alone = os.environ | {"LD_PRELOAD": ""}  # under the sanitizers' library (make asan) it hangs
    wav = subprocess.run(command, check=True, capture_output=True, env=alone).stdout
    pcm = np.frombuffer(wav[44:], np.int16).astype(float)
    return resampled(pcm, 22050)


@cache
def prompts(folder: str, limit: int = 10_000) -> list[np.ndarray]:
    """Recorded prompts below SOUNDS/sounds/<folder> (or SOUNDS/<folder>), WAV or raw GSM, sorted by name."""
    base = SOUNDS / "sounds" / folder
    base = base if base.exists() else SOUNDS / folder
    out = []
    for path in sorted([*base.rglob("*.wav"), *base.rglob("*.gsm")])[:limit]:
        if path.suffix == ".gsm":
            gsm = {"format": "RAW", "subtype": "GSM610", "samplerate": RATE_HZ, "channels": 1}
            pcm, rate_hz = soundfile.read(path, **gsm)
        else:
            pcm, rate_hz = soundfile.read(path)
        if rate_hz == RATE_HZ and len(pcm) > RATE_HZ // 4 and "silence" not in str(path):
            out.append(pcm * 32768)
    return out
