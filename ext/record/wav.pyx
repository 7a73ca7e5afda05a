"""RIFF's 44 bytes.

    "RIFF" | bytes that follow | "WAVE" | "fmt " | 16 | 1 (PCM) | channels | rate | bytes a second | bytes a sample of
    all channels | bits | "data" | bytes

All numbers have the least byte first.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from roomtone.ext.record.little cimport little16, little32
from roomtone.ext.record.recording cimport WAV_HEADER_BYTES


cdef enum:
    FORMAT_BYTES = 16
    FORMAT_PCM = 1
    SAMPLE_BYTES = 2
    RIFF_TAG_BYTES = 8                  # "RIFF" and the size itself do not count
    SIZE_MAX_ = 0xFFFFFFFF


cdef inline uint32_t limited(int64_t n) noexcept nogil:
    return <uint32_t> min(max(n, <int64_t> 0), <int64_t> SIZE_MAX_)


cdef void wav_header(uint8_t* out, int channels, int rate_hz, int64_t end) noexcept nogil:
    memcpy(out, b"RIFF", 4)
    little32(out + 4, limited(end - RIFF_TAG_BYTES))
    memcpy(out + 8, b"WAVEfmt ", 8)
    little32(out + 16, FORMAT_BYTES)
    little16(out + 20, FORMAT_PCM)
    little16(out + 22, channels)
    little32(out + 24, rate_hz)
    little32(out + 28, rate_hz * channels * SAMPLE_BYTES)
    little16(out + 32, channels * SAMPLE_BYTES)
    little16(out + 34, 8 * SAMPLE_BYTES)
    memcpy(out + 36, b"data", 4)
    little32(out + 40, limited(end - WAV_HEADER_BYTES))
