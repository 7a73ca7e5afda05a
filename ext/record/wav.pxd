"""The header of a WAV file: RIFF, 16-bit PCM, interleaved."""

from libc.stdint cimport int64_t, uint8_t


# WAV_HEADER_BYTES for a file that ends at `end`; beyond 4 GiB the sizes stay at the most they can say.
cdef void wav_header(uint8_t* out, int channels, int rate_hz, int64_t end) noexcept nogil
