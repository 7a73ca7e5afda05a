"""RTP fixed header, RFC 3550 section 5.1: bytes <-> rtp_header_t.  No IO, no allocation.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                           timestamp                           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |           synchronization source (SSRC) identifier            |
    +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
    |            contributing source (CSRC) identifiers ...         |
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum:
    RTP_HEADER_BYTES = 12


ctypedef struct rtp_header_t:
    uint32_t timestamp          # RTP units
    uint32_t ssrc
    uint16_t seq
    uint8_t payload_type
    uint8_t marker
    uint16_t payload_offset     # bytes from the start of the datagram, after CSRCs and header extension
    uint16_t payload_bytes      # after padding is taken off; may be 0


# RT_OK, or RT_SHORT (under 12 bytes, or CSRCs/extension run past the end), RT_VERSION (not 2), RT_LENGTH
# (padding count 0 or larger than what is left, or n over 65535).  h is defined only after RT_OK.
cdef int rtp_parse(const uint8_t* data, int n, rtp_header_t* h) noexcept nogil


cdef inline void rtp_write(uint8_t* data, uint8_t payload_type, bint marker, uint16_t seq, uint32_t timestamp,
                           uint32_t ssrc) noexcept nogil:
    """Write the 12 fixed bytes: V=2, no padding, no extension, no CSRC."""
    (<uint32_t*> data)[0] = (0x80 | ((0x80 if marker else 0) | payload_type) << 8
                             | (<uint32_t> (seq >> 8)) << 16 | (<uint32_t> (seq & 0xFF)) << 24)
    (<uint32_t*> (data + 4))[0] = __builtin_bswap32(timestamp)
    (<uint32_t*> (data + 8))[0] = __builtin_bswap32(ssrc)


cdef extern from *:
    uint32_t __builtin_bswap32(uint32_t x) noexcept nogil
    uint16_t __builtin_bswap16(uint16_t x) noexcept nogil
