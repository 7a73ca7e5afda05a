"""L16: 16-bit linear PCM in network byte order, RFC 3551 section 4.5.11, mono, at 8 and 16 kHz.

Compiled once an instruction level.
"""

from libc.stdint cimport int16_t, uint8_t, uint16_t

from roomtone.ext.codec.codec cimport codec_t


cdef extern from *:
    """
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static inline unsigned short rt_swap16(unsigned short v) { return (unsigned short) (v << 8 | v >> 8); }
    #else
    static inline unsigned short rt_swap16(unsigned short v) { return v; }
    #endif
    /* A payload lies at any address: these say so to the compiler. */
    typedef unsigned short __attribute__((aligned(1), may_alias)) rt_unaligned16;
    """
    uint16_t rt_swap16(uint16_t value) noexcept nogil
    ctypedef uint16_t unaligned16_t "rt_unaligned16"


cdef enum:
    SAMPLE_BYTES = 2
    NARROWBAND_HZ = 8000
    WIDEBAND_HZ = 16000


cdef int l16_decode(const uint8_t* payload, int n_bytes, int16_t* pcm) noexcept nogil:
    """int16[n_bytes / 2]; an odd last byte is left out."""
    cdef const unaligned16_t* from_ = <const unaligned16_t*> payload
    cdef uint16_t* to = <uint16_t*> pcm
    cdef int n = n_bytes // SAMPLE_BYTES if n_bytes > 0 else 0
    cdef int i
    for i in range(n):
        to[i] = rt_swap16(from_[i])
    return n


cdef int l16_encode(const int16_t* pcm, int n_samples, uint8_t* payload) noexcept nogil:
    """uint8[2 * n_samples]."""
    cdef const uint16_t* from_ = <const uint16_t*> pcm
    cdef unaligned16_t* to = <unaligned16_t*> payload
    cdef int n = n_samples if n_samples > 0 else 0
    cdef int i
    for i in range(n):
        to[i] = rt_swap16(from_[i])
    return n * SAMPLE_BYTES


cdef codec_t[2] ROWS                # L16 at 8 and at 16 kHz
ROWS[0] = codec_t(l16_decode, l16_encode, NARROWBAND_HZ, NARROWBAND_HZ, SAMPLE_BYTES, 0)
ROWS[1] = codec_t(l16_decode, l16_encode, WIDEBAND_HZ, WIDEBAND_HZ, SAMPLE_BYTES, 0)


def table_address() -> int:
    """Address of codec_t[2]: 8 kHz, 16 kHz.  Constant; lives as long as the process."""
    return <size_t> &ROWS[0]
