"""The load's codecs against the tables of ITU-T G.711."""

import numpy as np
import pytest

from roomtone.bench.load.payload import FORMATS, decode, encode, silence

ALL_CODES = np.arange(256, dtype=np.uint8)
MULAW_FIRST = [-32124, -31100, -30076, -29052, -28028, -27004, -25980, -24956, -23932, -22908]
ALAW_FIRST = [-5504, -5248, -6016, -5760, -4480, -4224, -4992, -4736, -7552, -7296]
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize(
    ("name", "first", "loudest"), [("PCMU", MULAW_FIRST, 32124), ("PCMA", ALAW_FIRST, 32256)]
)
def test_codes_have_the_standard_values(name, first, loudest):
    values = decode(FORMATS[name], ALL_CODES)
    assert values[: len(first)].tolist() == first
    assert (values[128:] == -values[:128]).all()
    assert values.max() == loudest
    assert len(set(values.tolist())) == (255 if name == "PCMU" else 256)  # mu-law has two zeros


@pytest.mark.parametrize("name", ["PCMU", "PCMA"])
def test_encoding_takes_the_nearest_value(name):
    fmt = FORMATS[name]
    values = decode(fmt, ALL_CODES).astype(np.int64)
    sample = EVERY_SAMPLE[::17].astype(np.int64)
    nearest = np.abs(sample[:, None] - values[None, :]).min(axis=1)
    assert (np.abs(decode(fmt, encode(fmt, sample.astype(np.int16))) - sample) == nearest).all()


@pytest.mark.parametrize("name", ["L16/8000", "L16/16000"])
def test_l16_is_big_endian_and_exact(name):
    fmt = FORMATS[name]
    assert encode(fmt, np.array([0x1234, -2], dtype=np.int16)).tobytes() == b"\x12\x34\xff\xfe"
    assert (decode(fmt, encode(fmt, EVERY_SAMPLE)) == EVERY_SAMPLE).all()


@pytest.mark.parametrize("name", FORMATS)
def test_silence_is_one_silent_frame(name):
    fmt = FORMATS[name]
    assert len(silence(fmt)) == fmt.payload_bytes
    assert np.abs(decode(fmt, silence(fmt))).max() <= 8  # A-law has no zero


def test_frame_sizes_are_those_of_20_ms():
    assert {n: (f.samples, f.payload_bytes) for n, f in FORMATS.items()} == {
        "PCMU": (160, 160),
        "PCMA": (160, 160),
        "L16/8000": (160, 320),
        "L16/16000": (320, 640),
    }
