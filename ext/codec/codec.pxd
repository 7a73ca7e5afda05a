"""The table of codecs: payload <-> PCM by function pointers, one row a codec.

Rows are constant after import.  `pcm` is int16, mono, at `sample_rate_hz`.  Decoders accept any number of
bytes and return the samples written (n_bytes / bytes_per_sample); encoders return the bytes written.
"""

from libc.stdint cimport int16_t, uint8_t


cdef enum:
    CODEC_NONE = 0
    CODEC_PCMU = 1
    CODEC_PCMA = 2
    CODEC_L16_8K = 3
    CODEC_L16_16K = 4
    CODEC_COUNT = 5


ctypedef int (*decode_fn)(const uint8_t* payload, int n_bytes, int16_t* pcm) noexcept nogil
ctypedef int (*encode_fn)(const int16_t* pcm, int n_samples, uint8_t* payload) noexcept nogil


ctypedef struct codec_t:
    decode_fn decode
    encode_fn encode
    int clock_rate_hz           # RTP clock
    int sample_rate_hz          # of the PCM
    int bytes_per_sample
    uint8_t silence             # byte that fills an empty playout line (0xFF PCMU, 0xD5 PCMA, 0 L16)


# Row of a codec; id outside 1..CODEC_COUNT-1 returns NULL.
cdef const codec_t* codec_get(int codec_id) noexcept nogil
