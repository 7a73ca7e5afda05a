"""Make ext/dsp/vad_weights.pxd: the network of the voice activity detector.

    ROOMTONE_SOUNDS=/usr/share/asterisk python -m roomtone.bench.vad_training

Speech: prompts of three speakers (Debian's asterisk-core-sounds-{en,es,it}-wav) at several speeds, espeak-ng;
noises of bench/vad_set with music on hold of three titles.  Speakers, voices, titles and seeds that judge the
detector (bench/detectors.py, tests/ext/dsp/test_vad.py) are others.
"""

from pathlib import Path

import numpy as np

from roomtone.bench import signals, vad_set
from roomtone.ext.dsp import vad

TARGET = Path(__file__).parents[1] / "ext" / "dsp" / "vad_weights.pxd"
SEED = 20
HIDDEN = 16
STREAMS = 800
STREAM_S = 12
EPOCHS = 14
BATCH = 512
RATE = 3e-3
DECAY = 1e-5
SPEAKERS = ("en_US_f_Allison", "es_MX_f_Allison", "it_IT_m_Carlo", "it_IT_f_Menardi")
VOICES = (
    "en-us+m3",
    "en+f2",
    "de+m1",
    "fr+f4",
    "pl+m5",
    "pt+f1",
    "es+m7",
    "ru+m2",
    "it+m5",
    "en-us+f5",
    "de+f1",
    "en+m6",
)
MUSIC = ("macroform-cold_day", "macroform-robot_dity", "macroform-the_simplicity")
SPEEDS = (0.75, 0.85, 1.0, 1.0, 1.15, 1.35)
TELEPHONE_DB = 4
EAGER = 0.6  # added to the output: pauses are fewer than speech, and a missed onset costs more


def speech() -> list[list[np.ndarray]]:
    """Clips of each speaker."""
    out = [signals.prompts(name) for name in SPEAKERS]
    for voice in VOICES:
        out.append(
            [signals.espeak(voice, speed, pitch) for speed, pitch in ((140, 40), (180, 55), (220, 70))]
        )
    return out


def music() -> list[np.ndarray]:
    return [clip for clip, name in zip(signals.prompts("moh"), vad_set.TITLES, strict=True) if name in MUSIC]


def stream(speakers: list[list[np.ndarray]], noises: list[vad_set.Noise], rng: np.random.Generator):
    """(pcm, a label a frame): one stream of training."""
    seconds = STREAM_S
    kind = rng.random()
    noise = noises[rng.integers(len(noises))](seconds * signals.RATE_HZ, rng)
    dbm0 = rng.uniform(-35, -10)
    law = ("", "u", "a")[rng.integers(3)]
    if kind < 0.12:
        pcm = signals.line(signals.at(noise, dbm0 - rng.uniform(0, 25)), law)
        return pcm, np.zeros(len(pcm) // signals.FRAME, bool)
    if kind < 0.2:
        pcm = signals.line(some_tones(seconds, dbm0, rng), law)
        return pcm, np.zeros(len(pcm) // signals.FRAME, bool)
    recorded = len(SPEAKERS)
    who = rng.integers(recorded) if rng.random() < 0.65 else rng.integers(recorded, len(speakers))
    speed = SPEEDS[rng.integers(len(SPEEDS))]
    clips = [signals.resampled(c, signals.RATE_HZ * speed) for c in pick(speakers[who], 6, rng)]
    clean = coloured(vad_set.talk(clips, seconds, rng), rng)
    truth = vad_set.labels(clean).reshape(-1, 2).any(axis=1)
    snr_db = 60 if rng.random() < 0.12 else rng.uniform(0, 25)
    return signals.line(vad_set.mixed(clean, noise[: len(clean)], snr_db, dbm0), law), truth


def coloured(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Through another telephone: a random smooth response, and mostly a cut below 150 to 350 Hz."""
    places = np.array([0, 300, 800, 1500, 2500, 4000])
    gains_db = rng.normal(0, TELEPHONE_DB, len(places))
    cut_hz = rng.uniform(150, 350) if rng.random() < 0.7 else 30
    hz = np.fft.rfftfreq(len(signal), 1 / signals.RATE_HZ)
    response = 10 ** (np.interp(hz, places, gains_db) / 20) / np.sqrt(1 + (cut_hz / np.maximum(hz, 1)) ** 6)
    return np.fft.irfft(np.fft.rfft(signal) * response, len(signal))


def pick(clips: list[np.ndarray], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [clips[i] for i in rng.integers(len(clips), size=count)]


def some_tones(seconds: int, dbm0: float, rng: np.random.Generator) -> np.ndarray:
    """Call progress, keys, single tones, with and without cadence."""
    out = []
    while sum(map(len, out)) < seconds * signals.RATE_HZ:
        hz = [(440, 480), (480, 620), (350, 440), (425,), (1100,), (2100,), (1000,)][rng.integers(7)]
        if rng.random() < 0.3:
            hz = tuple(rng.uniform(250, 3400, rng.integers(1, 3)))
        out += [signals.tones(hz, rng.choice([60, 100, 500, 2000]), dbm0)]
        out += [signals.silence(rng.choice([0, 60, 100, 500, 2000]))]
    whole = np.concatenate(out)[: seconds * signals.RATE_HZ]
    return whole + signals.white(len(whole), rng) * 10


def facts_of(pcm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frames = len(pcm) // signals.FRAME
    facts = np.zeros((frames, vad.FACTS), np.float32)
    loud = np.zeros(frames, np.uint8)
    vad.look(pcm, facts, loud)
    return facts, loud.astype(bool)


def train(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Adam on the cross entropy; [weights, bias, output weights, output bias]."""
    net = [
        rng.standard_normal((x.shape[1], HIDDEN)) / np.sqrt(x.shape[1]),
        np.zeros(HIDDEN),
        rng.standard_normal(HIDDEN) / np.sqrt(HIDDEN),
        np.zeros(1),
    ]
    net = [p.astype(np.float32) for p in net]
    first = [np.zeros_like(p) for p in net]
    second = [np.zeros_like(p) for p in net]
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x))
        rate = RATE * (1 - epoch / EPOCHS)
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            step += 1
            for i, gradient in enumerate(gradients(net, x[rows], y[rows])):
                first[i] += 0.1 * (gradient - first[i])
                second[i] += 0.001 * (gradient**2 - second[i])
                mean = first[i] / (1 - 0.9**step)
                spread = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8
                net[i] -= (rate * (mean / spread + DECAY * net[i])).astype(np.float32)
        print(
            f"epoch {epoch}: AUC {vad_set.auc(forward(net, x[:200_000])[1], y[:200_000] > 0.5):.4f}",
            flush=True,
        )
    return net


def forward(net: list[np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hidden = np.maximum(x @ net[0] + net[1], 0)
    return hidden, 1 / (1 + np.exp(-(hidden @ net[2] + net[3])))


def gradients(net: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    hidden, p = forward(net, x)
    error = (p - y) / len(y)
    back = np.outer(error, net[2]) * (hidden > 0)
    return [x.T @ back, back.sum(axis=0), hidden.T @ error, np.array([error.sum()])]


def values(array: np.ndarray) -> str:
    flat = [f"{v:.4g}f" if "." in f"{v:.4g}" or "e" in f"{v:.4g}" else f"{v:.4g}.0f" for v in array.ravel()]
    rows = [", ".join(flat[i : i + 8]) for i in range(0, len(flat), 8)]
    return ",\n        ".join(rows)


def write(net: list[np.ndarray]) -> None:
    TARGET.write_text(f'''"""The network of ext/dsp/vad, from bench/vad_training.py: a row per input."""


cdef extern from *:
    """
    static const float rt_vad_hidden[] = {{
        {values(net[0])} }};
    static const float rt_vad_bias[] = {{
        {values(net[1])} }};
    static const float rt_vad_out[] = {{
        {values(net[2])} }};
    static const float rt_vad_out_bias = {values(net[3])};
    """
    const float* VAD_HIDDEN "rt_vad_hidden"
    const float* VAD_BIAS "rt_vad_bias"
    const float* VAD_OUT "rt_vad_out"
    const float VAD_OUT_BIAS "rt_vad_out_bias"
''')


def dataset(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    speakers = speech()
    crowd = [clip for clips in speakers for clip in clips[:60]]
    noises = [
        *vad_set.NOISES.values(),
        vad_set.babble(crowd),
        vad_set.babble(crowd),
        vad_set.piece_of(music()),
    ]
    x, y = [], []
    for _ in range(STREAMS):
        pcm, truth = stream(speakers, noises, rng)
        facts, loud = facts_of(pcm)
        x.append(facts[loud])
        y.append(truth[: len(loud)][loud])
    return np.concatenate(x), np.concatenate(y).astype(np.float32)


if __name__ == "__main__":
    generator = np.random.default_rng(SEED)
    inputs, targets = dataset(generator)
    print(f"{len(inputs)} frames, {targets.mean():.2f} speech")
    network = train(inputs, targets, generator)
    network[3] += EAGER
    write(network)
