"""The four codecs of the load as numpy tables: PCM to payload and back.

Shapes: pcm int16[n]; payload uint8[n] for G.711, uint8[2n] for L16 (big-endian, RFC 3551 section 4.5.11).
Independent of the engine's own codecs on purpose: what is heard is judged by other code than made it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_MS = 20
MS_PER_S = 1000
MULAW_BIAS = 132  # ITU-T G.711 table 2, in 16-bit units
ALAW_TOGGLE = 0x55  # ITU-T G.711: even bits are inverted on the wire


@dataclass(frozen=True)
class Format:
    """One codec as the load offers it."""

    name: str  # as the command line spells it
    encoding: str  # as SDP spells it
    rate_hz: int
    payload_type: int

    @property
    def samples(self) -> int:
        """Samples, and timestamp units, a frame."""
        return self.rate_hz * FRAME_MS // MS_PER_S

    @property
    def payload_bytes(self) -> int:
        return self.samples * (2 if self.encoding == "L16" else 1)


FORMATS = {
    f.name: f
    for f in (
        Format("PCMU", "PCMU", 8000, 0),
        Format("PCMA", "PCMA", 8000, 8),
        Format("L16/8000", "L16", 8000, 97),
        Format("L16/16000", "L16", 16000, 98),
    )
}


def _mulaw_values() -> NDArray[np.int64]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int64), (code & 15).astype(np.int64)
    magnitude = (((mantissa << 3) + MULAW_BIAS) << exponent) - MULAW_BIAS
    return np.where(code & 128, -magnitude, magnitude)


def _alaw_values() -> NDArray[np.int64]:
    code = np.arange(256, dtype=np.uint8) ^ ALAW_TOGGLE
    exponent, mantissa = (code >> 4 & 7).astype(np.int64), (code & 15).astype(np.int64)
    magnitude = np.where(
        exponent > 0, (mantissa * 16 + 264) << np.maximum(exponent - 1, 0), mantissa * 16 + 8
    )
    return np.where(code & 128, magnitude, -magnitude)


VALUES = {"PCMU": _mulaw_values(), "PCMA": _alaw_values()}
SILENCE_CODE = {"PCMU": 0xFF, "PCMA": 0xD5, "L16": 0}


def encode(fmt: Format, pcm: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The payload of `pcm`: for G.711 the code whose value is nearest."""
    if fmt.encoding == "L16":
        return np.frombuffer(pcm.astype(">i2").tobytes(), dtype=np.uint8)
    values = VALUES[fmt.encoding]
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1]) / 2
    return order[np.searchsorted(middles, pcm)].astype(np.uint8)


def decode(fmt: Format, payload: NDArray[np.uint8]) -> NDArray[np.int16]:
    if fmt.encoding == "L16":
        return np.frombuffer(payload.tobytes(), dtype=">i2").astype(np.int16)
    return VALUES[fmt.encoding][payload].astype(np.int16)


def silence(fmt: Format) -> NDArray[np.uint8]:
    """One frame of digital silence."""
    return np.full(fmt.payload_bytes, SILENCE_CODE[fmt.encoding], dtype=np.uint8)
