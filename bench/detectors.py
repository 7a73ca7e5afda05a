"""The detectors on hours of sound: false keys and fax tones, speech detection in noise, cost a frame.

    ROOMTONE_SOUNDS=... python -m roomtone.bench.detectors talkoff --hours 10 [--unseen]
    ROOMTONE_SOUNDS=... python -m roomtone.bench.detectors vad
    python -m roomtone.bench.detectors cost

The corpora are Debian's asterisk-core-sounds-{en,es,fr,it,ru}-wav, asterisk-prompt-{fr-armelle,es-co},
asterisk-moh-opsound-wav and espeak-ng; pip's webrtcvad-wheels, where installed, is measured beside ours.
"""

import argparse
import importlib
import time

import numpy as np

from roomtone.bench import signals, vad_set
from roomtone.ext.dsp import dtmf_detect, fax_detect, vad

TUNED = ("en_US_f_Allison", "es_MX_f_Allison", "it_IT_m_Carlo", "it_IT_f_Menardi")
UNSEEN = ("fr_CA_f_June", "ru_RU_f_IvrvoiceRU", "es", "fr")
UNSEEN_VOICES = ("en-gb+m2", "de+f3", "it+m4", "fr+m6", "pl+f1", "ru+f5")
UNSEEN_MUSIC = ("manolo_camp-morning_coffee", "reno_project-system")
SNRS_DB = (20, 10, 5)
COST_FRAMES = 3000
COST_RUNS = 9
CHANNELS = 1000


def talkoff(hours: float, unseen: bool) -> None:
    """Speech and music at -15 dBm0, at several speeds (which moves every pitch), through µ-law."""
    sources = [clip for name in (UNSEEN if unseen else TUNED) for clip in signals.prompts(name)]
    sources += [signals.espeak(v, speed) for v in UNSEEN_VOICES for speed in (130, 190)] if unseen else []
    sources += signals.prompts("moh") if unseen else []
    rng = np.random.default_rng(2 if unseen else 1)
    keys, fax, seconds = [], [], 0.0
    while seconds < hours * 3600:
        speed = rng.uniform(0.75, 1.35)
        clip = sources[rng.integers(len(sources))]
        pcm = signals.line(signals.resampled(signals.at(clip, -15), signals.RATE_HZ * speed), "u")
        keys += [e for e in dtmf_detect.Detector().feed(pcm) if e[1] == "begin"]
        fax += fax_detect.Detector().feed(pcm)
        seconds += len(pcm) / signals.RATE_HZ
    print(f"{seconds / 3600:.2f} h: {len(keys)} false keys {[signals.KEYS[e[2]] for e in keys]}, fax {fax}")


class WebRtc:
    """The oracle, aggressiveness 3; on frames of 20 ms."""

    def __init__(self) -> None:
        self.make = importlib.import_module("webrtcvad").Vad

    def __call__(self, pcm: np.ndarray) -> np.ndarray:
        judge = self.make(3)
        return np.array(
            [judge.is_speech(f.tobytes(), signals.RATE_HZ) for f in pcm.reshape(-1, signals.FRAME)], float
        )


def ours(pcm: np.ndarray) -> np.ndarray:
    out = np.zeros(len(pcm) // signals.FRAME, np.float32)
    vad.probabilities(pcm, out)
    return out


def unseen_noises() -> dict[str, vad_set.Noise]:
    crowd = [signals.at(clip, -20) for name in UNSEEN for clip in signals.prompts(name)[:80]]
    titles = [
        clip
        for clip, name in zip(signals.prompts("moh"), vad_set.TITLES, strict=True)
        if name in UNSEEN_MUSIC
    ]
    recorded = {"babble": vad_set.babble(crowd), "moh": vad_set.piece_of(titles)} if titles else {}
    return {**vad_set.NOISES, **recorded}


def judge_vad(seconds: float, speakers: tuple[str, ...]) -> None:
    """Voices, seeds and music the detector was not made with (unless speakers says so)."""
    detectors = {"ours": ours}
    try:
        detectors["webrtc 3"] = WebRtc()
    except ModuleNotFoundError:
        print("no webrtcvad here")
    noises = unseen_noises()
    streams = []
    for i, name in enumerate(speakers):
        rng = np.random.default_rng(100 + i)
        clean = vad_set.talk(signals.prompts(name), seconds, rng)
        for kind, noise in noises.items():
            for snr_db in SNRS_DB:
                mixed = vad_set.mixed(clean, noise(len(clean), rng), snr_db, rng.uniform(-28, -14))
                streams.append((kind, signals.line(mixed, "u"), vad_set.labels(clean)))
    for name, detect in detectors.items():
        report(name, detect, streams, noises)


def report(name: str, detect, streams, noises: dict[str, vad_set.Noise]) -> None:
    scores = [(kind, np.repeat(detect(pcm), 2), truth) for kind, pcm, truth in streams]
    score = np.concatenate([x[1] for x in scores])
    truth = np.concatenate([x[2] for x in scores])
    print(f"{name}: AUC {vad_set.auc(score, truth):.3f}, F1 {vad_set.f1(score > 0.5, truth):.3f}, ", end="")
    print(f"{truth.mean():.2f} speech; false alarms in pauses {np.mean(score[~truth] > 0.5):.3f}")
    delays = np.concatenate([vad_set.onset_delays(s > 0.5, t) for _, s, t in scores])
    print(f"   onset median {np.median(delays):.0f} ms, within 100 ms {np.mean(delays <= 100):.3f}")
    for kind in noises:
        part = [(s, t) for k, s, t in scores if k == kind]
        s, t = (np.concatenate(x) for x in zip(*part, strict=True))
        alone = noises[kind](60 * signals.RATE_HZ, np.random.default_rng(77))
        alarm = np.mean(detect(signals.line(signals.at(alone, -35), "u")) > 0.5)
        print(f"   {kind:7} AUC {vad_set.auc(s, t):.3f} F1 {vad_set.f1(s > 0.5, t):.3f}, alone {alarm:.3f}")


def cost() -> None:
    """CPU ns a frame, medians: one channel again and again, and 1,000 in turn."""
    rng = np.random.default_rng(5)
    tone = signals.line(np.concatenate([signals.key(k, 5000) for k in signals.KEYS]))
    sounds = {
        "speech": signals.line(signals.at(np.concatenate([signals.espeak("en-us+m3")] * 8), -20), "u"),
        "pauses": signals.line(signals.at(signals.white(80_000, rng), -65), "u"),
        "keys": tone,
        "noise": signals.line(signals.at(signals.white(80_000, rng), -30), "u"),
    }
    for module in (dtmf_detect, fax_detect, vad):
        for name, pcm in sounds.items():
            hot = [clocked(module, pcm, 1) for _ in range(COST_RUNS)]
            cold = [clocked(module, pcm, CHANNELS) for _ in range(COST_RUNS)]
            title = module.__name__.split(".")[-1]
            print(f"{title:12} {name:7} hot {np.median(hot):6.0f} ns, cold {np.median(cold):6.0f} ns")


def clocked(module, pcm: np.ndarray, channels: int) -> float:
    frames = max(3, COST_FRAMES // channels)
    start = time.thread_time_ns()
    module.run_many(pcm, channels, frames)
    return (time.thread_time_ns() - start) / (frames * channels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("talkoff", "vad", "cost"))
    parser.add_argument("--hours", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--unseen", action="store_true", help="talkoff: voices and seeds not tuned on")
    parser.add_argument("--tuned", action="store_true", help="vad: the speakers it was made with")
    options = parser.parse_args()
    if options.what == "talkoff":
        talkoff(options.hours, options.unseen)
    elif options.what == "vad":
        judge_vad(options.seconds, TUNED if options.tuned else UNSEEN)
    else:
        cost()
