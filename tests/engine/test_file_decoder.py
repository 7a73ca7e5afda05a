"""Audio files as they come: what is decoded of them, and what is refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from roomtone.engine.decoder import Decoder, FileError, open_file
from roomtone.ext.file.decoder import RUN_MAX, SECOND_BYTES

NARROW, WIDE = 8000, 16_000
RATES_HZ = (4000, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
Make = Callable[..., Path]


@pytest.fixture
def wav(tmp_path: Path) -> Make:
    """Writes samples into a file of this name; the suffix says the format."""

    def make(samples: np.ndarray, rate: int, name: str = "a.wav", subtype: str | None = None) -> Path:
        path = tmp_path / name
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return make


def sine(rate: int, seconds: float, hz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)


def decoder_of(path: Path) -> Decoder:
    return Decoder(open_file(str(path)))


def decode(path: Path) -> tuple[np.ndarray, np.ndarray, FileError | None]:
    """(all samples at 8 kHz, at 16 kHz, why it ended early)."""
    decoder, narrow, wide, error = decoder_of(path), [], [], None
    try:
        for number in range(decoder.seconds):
            pcm8, pcm16, error = second(decoder, number)
            narrow.append(pcm8)
            wide.append(pcm16)
            if len(pcm8) < NARROW:
                break
            assert error is None
    finally:
        decoder.close()
    return np.concatenate(narrow), np.concatenate(wide), error


def second(decoder: Decoder, number: int) -> tuple[np.ndarray, np.ndarray, str | None]:
    """One second at both rates, as far as it goes; what is behind is silence."""
    room = bytearray(b"\x55" * SECOND_BYTES)
    [made], error = decoder.run(number, [memoryview(room)])
    pcm = np.frombuffer(room, np.int16)
    pcm8, pcm16 = pcm[:NARROW], pcm[NARROW:]
    assert not pcm8[made:].any() and not pcm16[2 * made :].any()
    return pcm8[:made], pcm16[: 2 * made], error


def distance_db(heard: np.ndarray, hz: float, rate: int, peak: float) -> float:
    """Signal to everything else, for a sine that begins with the file; its ends are left out."""
    ideal = 32768 * peak * np.sin(2 * np.pi * hz * np.arange(len(heard)) / rate)
    middle = slice(rate // 10, -rate // 10)
    noise = np.mean((heard[middle] - ideal[middle]) ** 2)
    return float(10 * np.log10(np.mean(ideal[middle] ** 2) / noise))


@pytest.mark.parametrize("rate", RATES_HZ)
def test_every_rate_becomes_8_and_16_khz_without_a_shift(wav: Make, rate: int) -> None:
    narrow, wide, error = decode(wav(sine(rate, 2.5), rate))
    assert (len(narrow), len(wide), error) == (20_000, 40_000, None)
    assert distance_db(narrow, 440, NARROW, 0.5) > 80
    assert distance_db(wide, 440, WIDE, 0.5) > 80


@pytest.mark.parametrize("rate", [NARROW, WIDE])
def test_a_file_of_our_own_rates_is_taken_bit_for_bit(wav: Make, rate: int) -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32768, 3 * rate + 100).astype(np.int16)
    narrow, wide, _ = decode(wav(pcm, rate))
    assert np.array_equal(narrow if rate == NARROW else wide, pcm)


@pytest.mark.parametrize("channels", [1, 2, 6, 16])
def test_channels_are_mixed_to_one_at_the_same_level(wav: Make, channels: int) -> None:
    narrow, _, _ = decode(wav(np.tile(sine(48_000, 1.5)[:, None], channels), 48_000))
    assert distance_db(narrow, 440, NARROW, 0.5) > 75


def test_what_is_above_full_scale_or_no_number_is_held_there(wav: Make) -> None:
    pcm = np.full(NARROW, 0.25, np.float32)
    pcm[100:200], pcm[300:400], pcm[500:600] = 7.0, np.nan, -np.inf
    narrow, _, _ = decode(wav(pcm, NARROW, subtype="FLOAT"))
    assert (narrow[100:200] == 32767).all() and not narrow[300:400].any()
    assert (narrow[500:600] == -32768).all() and (narrow[700:] == 8192).all()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.opus"])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_second_sounds_the_same_however_one_came_there(wav: Make, name: str, rate: int) -> None:
    if name == "a.opus" and rate == 44_100:
        rate = 24_000
    noise = np.random.default_rng(2).uniform(-0.3, 0.3, 6 * rate)
    options = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    path = wav(noise, rate, name) if not options else _opus(wav, noise, rate)
    narrow, wide, _ = decode(path)
    decoder = decoder_of(path)
    for number in (4, 2, 3, 0, 1, 4):
        pcm8, pcm16, _ = second(decoder, number)
        for heard, all_, n in ((pcm8, narrow, NARROW), (pcm16, wide, WIDE)):
            assert len(heard) == n
            assert np.abs(heard.astype(int) - all_[number * n : (number + 1) * n]).max() <= 2
    decoder.close()


def _opus(wav: Make, pcm: np.ndarray, rate: int) -> Path:
    path = wav(np.zeros(10), 8000).with_name("a.opus")
    soundfile.write(path, pcm, rate, format="OGG", subtype="OPUS")
    return path


def test_behind_the_end_there_is_nothing(wav: Make) -> None:
    decoder = decoder_of(wav(sine(NARROW, 1.0), NARROW))
    for number, samples in ((7, 0), (0, NARROW), (1, 0), (0, NARROW)):
        pcm8, _, error = second(decoder, number)
        assert (len(pcm8), error) == (samples, None)
    assert decoder.duration_ms == 1000
    decoder.close()


def test_several_seconds_come_at_once(wav: Make) -> None:
    path = wav(sine(44_100, 5.5), 44_100)
    narrow, wide, _ = decode(path)
    decoder = decoder_of(path)
    rooms = [bytearray(SECOND_BYTES) for _ in range(RUN_MAX)]
    made, error = decoder.run(2, [memoryview(room) for room in rooms])
    assert (made, error) == ([NARROW] * 3 + [NARROW // 2], None)
    pcm = np.frombuffer(b"".join(rooms), np.int16).reshape(RUN_MAX, 3 * NARROW)[:4]
    assert (
        np.abs(pcm[:, :NARROW].ravel()[: 3 * NARROW].astype(int) - narrow[2 * NARROW : 5 * NARROW]).max() <= 2
    )
    assert np.abs(pcm[:, NARROW:].ravel()[: 3 * WIDE].astype(int) - wide[2 * WIDE : 5 * WIDE]).max() <= 2
    for wrong in ([], [memoryview(bytearray(10))], [memoryview(bytearray(SECOND_BYTES))] * (RUN_MAX + 1)):
        with pytest.raises(ValueError):
            decoder.run(0, wrong)
    decoder.close()
    with pytest.raises(ValueError):
        decoder.run(0, [memoryview(bytearray(SECOND_BYTES))])


# -- broken and hostile files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"), [("a.flac", True), ("a.mp3", True), ("a.wav", False), ("a.ogg", False)]
)
def test_of_a_file_that_was_cut_off_everything_there_is_is_decoded(wav: Make, name: str, told: bool) -> None:
    """WAV and OGG that are cut off do not say how long they were."""
    noise = np.random.default_rng(4).normal(0, 0.01, 5 * 44_100)  # keeps the pages of OGG small
    path = wav(sine(44_100, 5.0) + noise, 44_100, name)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 5])
    narrow, _, error = decode(path)
    assert 1.5 * NARROW < len(narrow) < 4 * NARROW
    assert distance_db(narrow, 440, NARROW, 0.5) > 25
    assert (error is not None) == told
    if error:
        assert "cannot be decoded" in str(error) or "ends after" in str(error)
        assert error.code == "decode_error"


def header(rate: int = 8000, channels: int = 1, bits: int = 16, data: int = 320, format: int = 1) -> bytes:
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", format, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + data & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", data & 0xFFFFFFFF)
    )


REFUSED = {
    "empty": (b"", "not a WAV"),
    "text": (b"#!/bin/sh\nrm -rf /\n", "not a WAV"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a WAV"),
    "AIFF": (b"FORM\x00\x00\x00\x00AIFF", "not a WAV"),
    "RIFF alone": (b"RIFF", "cannot be read"),
    "RIFF of something else": (b"RIFF\x10\x00\x00\x00AVI LIST" + bytes(64), "cannot be read"),
    "no channels": (header(channels=0) + bytes(320), "cannot be read"),
    "17 channels": (header(channels=17) + bytes(17 * 320), "17 channels"),
    "1024 channels": (header(channels=1024) + bytes(4096), "1024 channels"),
    "1 Hz": (header(rate=1) + bytes(320), "1 Hz"),
    "3999 Hz": (header(rate=3999) + bytes(320), "3999 Hz"),
    "192001 Hz": (header(rate=192_001) + bytes(320), "192001 Hz"),
    "a rate below nothing": (header(rate=0xFFFFFFFF) + bytes(320), "rate|read"),
    "an unknown coding": (header(format=0x1234) + bytes(320), "cannot be read"),
    "OggS alone": (b"OggS" + bytes(200), "cannot be read"),
    "fLaC alone": (b"fLaC" + bytes(200), "cannot be read"),
    "ID3 without MP3": (b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(200), "cannot be read"),
    "MP3 of one frame's header": (b"\xff\xfb\x90\x00", "cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_audio_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    data, message = REFUSED[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(FileError, match=message):
        decoder_of(path)
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("claimed", [0, 0x7FFFFFFE, 0xFFFFFFFE])
def test_a_header_that_claims_too_much_or_nothing_costs_no_memory(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(header(data=claimed) + bytes(8000))
    decoder = decoder_of(path)
    assert decoder.seconds <= 2
    decoder.close()


def test_a_flac_header_that_claims_days_ends_where_its_data_does(wav: Make) -> None:
    path = wav(sine(8000, 2.0), 8000, "a.flac")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # STREAMINFO: the upper bits of the number of samples
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    narrow, _, error = decode(path)
    assert len(narrow) == 2 * NARROW and error is not None
    decoder = decoder_of(path)
    assert decoder.seconds == 24 * 3600
    decoder.close()


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    fifo, link, there = tmp_path / "fifo", tmp_path / "link", tmp_path / "there.wav"
    os.mkfifo(fifo)
    there.write_bytes(header() + bytes(320))
    link.symlink_to(there)
    for path, message in (
        (fifo, "not a regular file"),
        (tmp_path, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (link, "cannot be opened"),
        (tmp_path / "missing", "cannot be opened: No such file"),
        (Path(f"{tmp_path}\0"), "cannot be opened"),
    ):
        with pytest.raises(FileError, match=message):
            open_file(str(path))


def test_a_file_that_was_replaced_is_another_one(tmp_path: Path) -> None:
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_bytes(header() + bytes(320))
    first, again = open_file(str(path)), open_file(str(path))
    assert first.identity == again.identity
    other.write_bytes(header() + bytes(320))
    other.replace(path)
    replaced = open_file(str(path))
    assert replaced.identity != first.identity
    for opened in (first, again, replaced):
        os.close(opened.fd)
