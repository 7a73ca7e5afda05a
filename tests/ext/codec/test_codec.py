"""The codec table and L16."""

import numpy as np
import pytest

from roomtone.ext.base import cpu
from roomtone.ext.codec import codec

LEVELS = cpu.supported()
L16 = [codec.L16_8K, codec.L16_16K]


@pytest.mark.parametrize(
    ("codec_id", "row"),
    [
        (codec.PCMU, (8000, 8000, 1, 0xFF)),
        (codec.PCMA, (8000, 8000, 1, 0xD5)),
        (codec.L16_8K, (8000, 8000, 2, 0)),
        (codec.L16_16K, (16000, 16000, 2, 0)),
    ],
)
def test_rows_tell_rates_and_silence(codec_id, row):
    assert codec.row(codec_id) == row


@pytest.mark.parametrize("codec_id", [-1, 0, 5, 1000])
def test_an_unknown_codec_has_no_row(codec_id):
    assert codec.row(codec_id) is None


@pytest.mark.parametrize(("codec_id", "loudest"), [(codec.PCMU, 0), (codec.PCMA, 8), (codec.L16_8K, 0)])
def test_the_silence_byte_decodes_to_silence(codec_id, loudest):
    silence = codec.row(codec_id)[3]
    pcm = np.full(8, 99, np.int16)
    codec.decode(codec_id, np.full(8 * codec.row(codec_id)[2], silence, np.uint8), pcm)
    assert (np.abs(pcm) <= loudest).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("codec_id", L16)
@pytest.mark.parametrize("n", [0, 1, 3, 16, 31, 80, 160, 320, 321])
def test_l16_is_network_byte_order(codec_id, n, level):
    pcm = np.random.default_rng(n).integers(-32768, 32768, n).astype(np.int16)
    payload = np.zeros(2 * n, np.uint8)
    assert codec.encode(codec_id, pcm, payload, level) == 2 * n
    assert payload.tobytes() == pcm.astype(">i2").tobytes()
    back = np.zeros(n, np.int16)
    assert codec.decode(codec_id, payload, back, level) == n
    np.testing.assert_array_equal(back, pcm)


def test_l16_at_an_odd_address():
    pcm = np.arange(-80, 80).astype(np.int16)
    room = np.zeros(321, np.uint8)
    codec.encode(codec.L16_16K, pcm, room[1:])
    back = np.zeros(160, np.int16)
    codec.decode(codec.L16_16K, room[1:], back)
    np.testing.assert_array_equal(back, pcm)


@pytest.mark.parametrize("codec_id", L16)
def test_l16_leaves_out_an_odd_last_byte(codec_id):
    pcm = np.full(3, 77, np.int16)
    assert codec.decode(codec_id, np.array([1, 2, 3, 4, 5], np.uint8), pcm) == 2
    assert pcm.tolist() == [0x0102, 0x0304, 77]
    assert codec.decode(codec_id, np.array([9], np.uint8), pcm) == 0


@pytest.mark.parametrize("codec_id", [codec.PCMU, codec.PCMA, *L16])
def test_nothing_comes_of_nothing(codec_id):
    assert codec.decode(codec_id, np.zeros(0, np.uint8), np.zeros(0, np.int16)) == 0
    assert codec.encode(codec_id, np.zeros(0, np.int16), np.zeros(0, np.uint8)) == 0


def test_the_tools_refuse_short_buffers():
    with pytest.raises(ValueError, match="too short"):
        codec.decode(codec.PCMU, np.zeros(2, np.uint8), np.zeros(1, np.int16))
    with pytest.raises(ValueError, match="too short"):
        codec.encode(codec.L16_8K, np.zeros(2, np.int16), np.zeros(3, np.uint8))
