"""ITU-T G.711: every code and every sample, at every instruction level."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

from roomtone.ext.base import cpu
from roomtone.ext.codec import codec

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

LEVELS = cpu.supported()
ALL_CODES = np.arange(256, dtype=np.uint8)
ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)

# Tables 1a and 2a: the ends of the segments, in the standard's own units (12 and 13 bits of magnitude);
# 16-bit samples are 8 and 4 times that.  A segment has 16 equal steps; the first two of A-law are alike.
ALAW_SEGMENT_ENDS = (0, 64, 128, 256, 512, 1024, 2048, 4096)
ALAW_UNIT = 8
ULAW_SEGMENT_ENDS = (31, 95, 223, 479, 991, 2015, 4063, 8159)
ULAW_UNIT = 4


def ulaw_decisions() -> np.ndarray:
    """x_1 .. x_127 of table 2a: 1, then steps of 2 to 31, steps of 4 to 95 and so on."""
    out = [1 + 2 * n for n in range(16)]
    for start, end in pairwise(ULAW_SEGMENT_ENDS):
        out += [start + (end - start) // 16 * n for n in range(1, 17)]
    return np.array(out[:127]) * ULAW_UNIT


def alaw_decisions() -> np.ndarray:
    """x_1 .. x_127 of table 1a."""
    out = []
    for start, end in pairwise(ALAW_SEGMENT_ENDS):
        parts = 32 if start == 0 else 16
        out += [start + (end - start) // parts * n for n in range(1, parts + 1)]
    return np.array(out[:127]) * ALAW_UNIT


def ulaw_reference(pcm: np.ndarray) -> np.ndarray:
    wide = pcm.astype(np.int32)
    number = np.searchsorted(ulaw_decisions(), np.abs(wide), side="right")
    return (0xFF ^ (number | np.where(wide < 0, 0x80, 0))).astype(np.uint8)


def alaw_reference(pcm: np.ndarray) -> np.ndarray:
    wide = pcm.astype(np.int32)
    number = np.searchsorted(alaw_decisions(), np.where(wide < 0, ~wide, wide), side="right")
    return (0x55 ^ (number | np.where(wide < 0, 0, 0x80))).astype(np.uint8)


def encode(codec_id: int, pcm: np.ndarray, level: str = "") -> np.ndarray:
    out = np.zeros(len(pcm), np.uint8)
    assert codec.encode(codec_id, pcm, out, level) == len(pcm)
    return out


def decode(codec_id: int, payload: np.ndarray, level: str = "") -> np.ndarray:
    out = np.zeros(len(payload), np.int16)
    assert codec.decode(codec_id, payload, out, level) == len(payload)
    return out


@pytest.mark.parametrize("level", LEVELS)
def test_ulaw_encodes_every_sample_by_the_decision_values(level):
    np.testing.assert_array_equal(encode(codec.PCMU, ALL_SAMPLES, level), ulaw_reference(ALL_SAMPLES))


@pytest.mark.parametrize("level", LEVELS)
def test_alaw_encodes_every_sample_by_the_decision_values(level):
    np.testing.assert_array_equal(encode(codec.PCMA, ALL_SAMPLES, level), alaw_reference(ALL_SAMPLES))


@pytest.mark.parametrize("level", LEVELS)
def test_alaw_encodes_every_sample_as_the_standard_library(level):
    theirs = np.frombuffer(audioop.lin2alaw(ALL_SAMPLES.tobytes(), 2), np.uint8)
    np.testing.assert_array_equal(encode(codec.PCMA, ALL_SAMPLES, level), theirs)


@pytest.mark.parametrize("level", LEVELS)
def test_ulaw_encodes_fourteen_bit_samples_as_the_standard_library(level):
    # It drops the two low bits first, which rounds negative samples away from zero: compare where they are 0.
    pcm = ALL_SAMPLES[ALL_SAMPLES % ULAW_UNIT == 0]
    theirs = np.frombuffer(audioop.lin2ulaw(pcm.tobytes(), 2), np.uint8)
    np.testing.assert_array_equal(encode(codec.PCMU, pcm, level), theirs)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_code_decodes_as_in_the_standard_library(law, level):
    theirs = np.frombuffer(getattr(audioop, f"{law}2lin")(ALL_CODES.tobytes(), 2), np.int16)
    codec_id = codec.PCMU if law == "ulaw" else codec.PCMA
    np.testing.assert_array_equal(decode(codec_id, ALL_CODES, level), theirs)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("codec_id", "decisions"), [(codec.PCMU, ulaw_decisions()), (codec.PCMA, alaw_decisions())]
)
def test_decoded_values_lie_amid_their_decision_values(codec_id, decisions, level):
    first_code = 0xFF if codec_id == codec.PCMU else 0xD5
    codes = (first_code ^ np.arange(128)).astype(np.uint8)
    values = decode(codec_id, codes, level).astype(int)
    # The first mu-law value is 0: its interval spans both signs.
    low = np.concatenate([[-decisions[0] if codec_id == codec.PCMU else 0], decisions[:-1]])
    np.testing.assert_array_equal(values[:127], (low + decisions) // 2)


@pytest.mark.parametrize("codec_id", [codec.PCMU, codec.PCMA])
def test_a_code_survives_decoding_and_encoding(codec_id):
    again = encode(codec_id, decode(codec_id, ALL_CODES))
    kept = ALL_CODES.copy()
    if codec_id == codec.PCMU:
        kept[0x7F] = 0xFF  # minus zero comes back as plus zero
    np.testing.assert_array_equal(again, kept)


def test_ulaw_is_symmetric():
    positive = encode(codec.PCMU, np.arange(1, 32768).astype(np.int16))
    negative = encode(codec.PCMU, -np.arange(1, 32768).astype(np.int16))
    np.testing.assert_array_equal(positive ^ negative, np.full(32767, 0x80, np.uint8))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("codec_id", [codec.PCMU, codec.PCMA])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 15, 16, 17, 31, 33, 63, 65, 80, 159, 160, 161, 240, 480, 1003])
def test_any_length_gives_the_same_as_one_by_one(codec_id, n, level):
    rng = np.random.default_rng(n)
    pcm = rng.integers(-32768, 32768, n).astype(np.int16)
    payload = np.concatenate([encode(codec_id, pcm[i : i + 1]) for i in range(n)] or [np.zeros(0, np.uint8)])
    guarded = np.full(n + 8, 0xA5, np.uint8)
    codec.encode(codec_id, pcm, guarded[:n], level)
    np.testing.assert_array_equal(guarded[:n], payload)
    assert (guarded[n:] == 0xA5).all()
    wide = np.full(n + 8, 12345, np.int16)
    codec.decode(codec_id, payload, wide[:n], level)
    np.testing.assert_array_equal(encode(codec_id, wide[:n]), payload)
    assert (wide[n:] == 12345).all()


@pytest.mark.parametrize("codec_id", [codec.PCMU, codec.PCMA])
def test_buffers_may_lie_at_any_address(codec_id):
    payload = np.random.default_rng(3).integers(0, 256, 500).astype(np.uint8)
    for offset in range(8):
        aligned = decode(codec_id, payload[offset : offset + 160].copy())
        np.testing.assert_array_equal(decode(codec_id, payload[offset : offset + 160]), aligned)
