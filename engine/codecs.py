"""The codecs by name, as SDP and the messages spell them; numbers are those of ext/codec/codec.pxd."""

from enum import IntEnum


class Codec(IntEnum):
    PCMU = 1
    PCMA = 2
    L16_8K = 3
    L16_16K = 4


CLOCK_RATE_HZ = {Codec.PCMU: 8000, Codec.PCMA: 8000, Codec.L16_8K: 8000, Codec.L16_16K: 16000}
ENCODING_NAME = {
    Codec.PCMU: "PCMU",
    Codec.PCMA: "PCMA",
    Codec.L16_8K: "L16",
    Codec.L16_16K: "L16",
}  # RFC 3551
