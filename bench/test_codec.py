"""Codecs: what one frame of 160 samples costs, decoding and encoding, at every instruction level.

The loop over frames runs without the interpreter; `ns_per_frame` in the extra information is the figure.

    pytest bench/test_codec.py --benchmark-columns=min,median
"""

import numpy as np
import pytest

from roomtone.ext.base import cpu
from roomtone.ext.codec import codec

FRAME = 160
TIMES = 20_000
LEVELS = cpu.supported()
G711 = {"pcmu": codec.PCMU, "pcma": codec.PCMA}
L16 = {"l16_8k": codec.L16_8K}


def frame(codec_id: int) -> tuple[np.ndarray, np.ndarray]:
    """PCM, and as many payload bytes as it makes."""
    rng = np.random.default_rng(1)
    pcm = (rng.standard_normal(FRAME) * 4000).clip(-32768, 32767).astype(np.int16)
    payload = np.zeros(FRAME * codec.row(codec_id)[2], np.uint8)
    codec.encode(codec_id, pcm, payload)
    return pcm, payload


def report(benchmark) -> None:
    benchmark.extra_info["ns_per_frame"] = round(benchmark.stats.stats.min / TIMES * 1e9, 1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", G711)
def test_g711_decode(benchmark, name, level):
    pcm, payload = frame(G711[name])
    assert benchmark(codec.decode, G711[name], payload, pcm, level, TIMES) == FRAME
    report(benchmark)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", G711)
def test_g711_encode(benchmark, name, level):
    pcm, payload = frame(G711[name])
    assert benchmark(codec.encode, G711[name], pcm, payload, level, TIMES) == FRAME
    report(benchmark)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", L16)
def test_l16_decode(benchmark, name, level):
    pcm, payload = frame(L16[name])
    assert benchmark(codec.decode, L16[name], payload, pcm, level, TIMES) == FRAME
    report(benchmark)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", L16)
def test_l16_encode(benchmark, name, level):
    pcm, payload = frame(L16[name])
    assert benchmark(codec.encode, L16[name], pcm, payload, level, TIMES) == 2 * FRAME
    report(benchmark)
