"""Files of every format, rate and number of channels, made by ffmpeg: what a listener hears, measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from lab_worker import LabWorker

from lab import L16_8K, L16_16K, PCMU, RATE_HZ  # isort: skip  (lab_worker makes it known)

from roomtone.engine import messages as m

WIDE_HZ = 16_000
HZ = 1013.0
PEAK = 8000.0
SECONDS = 1.6
WAVS = [(rate, channels) for rate in (8000, 11_025, 16_000, 22_050, 44_100, 48_000) for channels in (1, 2, 6)]
MP3S = [(8000, 1), (11_025, 1), (16_000, 1), (22_050, 2), (44_100, 2), (48_000, 1)]
CASES = [  # format, rate, channels, signal to noise in dB at least
    *(("wav", rate, channels, 60) for rate, channels in WAVS),
    ("pcm24.wav", 48_000, 2, 60),
    ("float.wav", 44_100, 1, 60),
    ("alaw.wav", 8000, 1, 30),
    ("mulaw.wav", 8000, 1, 30),
    *(("flac", rate, channels, 60) for rate, channels in ((8000, 1), (22_050, 2), (48_000, 6))),
    *(("mp3", rate, channels, 28) for rate, channels in MP3S),
    # The sixth channel of OGG is bass alone.
    *(("ogg", rate, channels, 30) for rate, channels in ((8000, 1), (16_000, 1), (44_100, 2))),
    *(("opus", rate, channels, 30) for rate, channels in ((8000, 1), (16_000, 1), (48_000, 2), (48_000, 6))),
]  # fmt: skip
CODING = {
    "wav": ["-c:a", "pcm_s16le"],
    "pcm24.wav": ["-c:a", "pcm_s24le"],
    "float.wav": ["-c:a", "pcm_f32le"],
    "alaw.wav": ["-c:a", "pcm_alaw"],
    "mulaw.wav": ["-c:a", "pcm_mulaw"],
    "flac": ["-c:a", "flac"],
    "mp3": ["-c:a", "libmp3lame", "-q:a", "2"],
    "ogg": ["-c:a", "libvorbis", "-q:a", "7"],
    "opus": ["-c:a", "libopus", "-b:a", "128k"],
}


def make(path: Path, coding: str, rate: int, channels: int) -> None:
    """The same sine in every channel."""
    same = "|".join(f"c{channel}=c0" for channel in range(channels))
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    signal = f"aevalsrc={PEAK / 32768}*sin(2*PI*{HZ}*t):s={rate}:d={SECONDS},pan={layout}|{same}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", signal, *CODING[coding], str(path)]
    subprocess.run(command, check=True)


def measured(pcm: np.ndarray, rate: int) -> tuple[float, float, float]:
    """(frequency, amplitude, signal to noise in dB) of the sine in the middle of what was heard."""
    middle = pcm[len(pcm) // 4 : -len(pcm) // 4].astype(float)
    t = np.arange(len(middle)) / rate
    found = (0.0, 0.0, -1.0)
    for hz in np.arange(HZ - 2, HZ + 2.01, 0.5):
        basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], axis=1)
        fit, *_ = np.linalg.lstsq(basis, middle, rcond=None)
        noise = np.mean((middle - basis @ fit) ** 2)
        snr = 10 * np.log10(np.mean((basis @ fit) ** 2) / max(noise, 1e-9))
        if snr > found[2]:
            found = (float(hz), float(np.hypot(*fit)), float(snr))
    return found


@pytest.mark.parametrize("coding", [["-q:a", "5"], ["-b:a", "32k"], ["-q:a", "5", "-write_xing", "0"]])
def test_an_mp3_that_was_made_as_a_stream_is_heard_to_its_end(
    lab: LabWorker, tmp_path: Path, coding: list[str]
) -> None:
    """It does not say how long it is; its first frame is far smaller than those of the tone."""
    signal = f"aevalsrc={PEAK / 32768}*sin(2*PI*{HZ}*t)*gt(t\\,2):s=24000:d=6"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", signal, *coding, "-f", "mp3", "-"]
    path = tmp_path / "stream.mp3"
    path.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    bus = lab.bench.worker.plan.session("s", 3, 20).bus
    ear = lab.peer(bus, codec=L16_16K, source=False, send_at_once=True, may_receive=False)
    lab.do(m.CreateFile(session="s", endpoint="f", phase=3, path=str(path), key="k"))
    lab.run(8000)
    audio = ear.audio()
    loud = np.flatnonzero(np.abs(audio) > PEAK / 4)
    assert (loud[-1] - loud[0]) / WIDE_HZ == pytest.approx(4.0, abs=0.1)
    assert lab.bench.events()[-1].reason == "completed"


@pytest.mark.parametrize(("coding", "rate", "channels", "least_db"), CASES)
def test_a_tone_is_heard_at_its_pitch_and_level(
    lab: LabWorker, tmp_path: Path, coding: str, rate: int, channels: int, least_db: float
) -> None:
    path = tmp_path / f"tone.{coding}"
    make(path, coding, rate, channels)
    bus = lab.bench.worker.plan.session("s", 3, 20).bus
    ears = [
        lab.peer(bus, codec=codec, source=False, send_at_once=True, may_receive=False)
        for codec in (L16_8K, L16_16K, PCMU)
    ]
    created = lab.do(m.CreateFile(session="s", endpoint="f", phase=3, path=str(path), key="k"))
    assert isinstance(created, m.FileCreated), created
    assert created.duration_ms == pytest.approx(SECONDS * 1000, abs=60)
    lab.run(2500)
    for ear in ears:
        audio = ear.audio()
        loud = np.flatnonzero(np.abs(audio) > PEAK / 4)
        audio = audio[loud[0] : loud[-1]]
        assert len(audio) / RATE_HZ[ear.codec] == pytest.approx(SECONDS, abs=0.06)
        hz, amplitude, snr = measured(audio, RATE_HZ[ear.codec])
        assert hz == pytest.approx(HZ, abs=0.5)
        assert amplitude == pytest.approx(PEAK, rel=0.03)
        assert snr > min(least_db, 30 if ear.codec == PCMU else 100)
    finished = lab.bench.events()[-1]
    assert finished == m.FileFinished(session="s", endpoint="f", reason="completed", error=None)
