"""RTP fixed header, RFC 3550 section 5.1: the reader.  The writer is inline in the contract."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from roomtone.ext.base.types cimport (
    RT_LENGTH, RT_OK, RT_SHORT, RT_VERSION, rt_fence_acquire, rt_fence_release, rt_unlikely,
)


cdef enum:
    VERSION_MASK = 0xC0             # first byte, RFC 3550 section 5.1
    VERSION_2 = 0x80
    PADDING_BIT = 0x20
    EXTENSION_BIT = 0x10
    CSRC_COUNT_MASK = 0x0F
    MARKER_SHIFT = 7                # second byte
    PAYLOAD_TYPE_MASK = 0x7F
    EXTENSION_HEADER_BYTES = 4      # section 5.3.1: 16 bits of profile, 16 bits of length in words
    DATAGRAM_MAX = 0xFFFF           # bytes; the most a UDP length field can say


cdef inline uint16_t load16(const uint8_t* p) noexcept nogil:
    return <uint16_t> (p[0] << 8 | p[1])


cdef inline uint32_t load32(const uint8_t* p) noexcept nogil:
    return <uint32_t> p[0] << 24 | <uint32_t> p[1] << 16 | <uint32_t> p[2] << 8 | p[3]


cdef int rtp_parse(const uint8_t* data, int n, rtp_header_t* h) noexcept nogil:
    """Read a datagram's fixed header and find its payload.

    CSRCs and the header extension are stepped over, padding is taken off.  RFC 3550 sections 5.1 and 5.3.1.
    Errors: RT_SHORT, RT_VERSION, RT_LENGTH; ``h`` is defined only after RT_OK.
    """
    cdef int offset = RTP_HEADER_BYTES
    cdef int end = n
    cdef uint8_t bits
    if rt_unlikely(n < RTP_HEADER_BYTES):
        return RT_SHORT
    if rt_unlikely(n > DATAGRAM_MAX):
        return RT_LENGTH
    bits = data[0]
    if rt_unlikely(bits & VERSION_MASK != VERSION_2):
        return RT_VERSION
    if rt_unlikely(bits != VERSION_2):
        offset += 4 * (bits & CSRC_COUNT_MASK)
        if bits & EXTENSION_BIT:
            if offset + EXTENSION_HEADER_BYTES > n:
                return RT_SHORT
            offset += EXTENSION_HEADER_BYTES + 4 * load16(data + offset + 2)
        if offset > n:
            return RT_SHORT
        if bits & PADDING_BIT:
            # Without a payload byte the last byte is header, and any count in it is too large.
            if data[n - 1] == 0 or data[n - 1] > n - offset:
                return RT_LENGTH
            end -= data[n - 1]
    h.marker = data[1] >> MARKER_SHIFT
    h.payload_type = data[1] & PAYLOAD_TYPE_MASK
    h.seq = load16(data + 2)
    h.timestamp = load32(data + 4)
    h.ssrc = load32(data + 8)
    h.payload_offset = <uint16_t> offset
    h.payload_bytes = <uint16_t> (end - offset)
    return RT_OK


# -- for tests and tools -------------------------------------------------------------------------------------

def parse(const uint8_t[::1] data not None):
    """Parse one datagram.

    Returns (payload_type, marker, seq, timestamp, ssrc, payload_offset, payload_bytes), or RT_*.
    """
    cdef rtp_header_t h
    cdef int n = <int> data.shape[0]
    cdef int result = rtp_parse(&data[0] if n else NULL, n, &h)
    if result != RT_OK:
        return result
    return h.payload_type, bool(h.marker), h.seq, h.timestamp, h.ssrc, h.payload_offset, h.payload_bytes


def write(uint8_t payload_type, bint marker, uint16_t seq, uint32_t timestamp, uint32_t ssrc):
    """The 12 bytes of a fixed header."""
    cdef uint8_t[RTP_HEADER_BYTES] data
    rtp_write(data, payload_type, marker, seq, timestamp, ssrc)
    return data[:RTP_HEADER_BYTES]


def sizeof_header() -> int:
    """Bytes of rtp_header_t."""
    return sizeof(rtp_header_t)


cdef int64_t run_parse(const uint8_t* data, int n, int64_t rounds) noexcept nogil:
    cdef rtp_header_t h
    cdef int64_t total = 0
    cdef int64_t _i
    for _i in range(rounds):
        rt_fence_acquire()                  # the bytes are read anew each time
        if rtp_parse(data, n, &h) == RT_OK:
            total += h.payload_bytes
    return total


cdef int64_t run_write(uint8_t* data, int64_t rounds) noexcept nogil:
    cdef int64_t total = 0
    cdef int64_t i
    for i in range(rounds):
        rtp_write(data, 0, i == 0, <uint16_t> i, <uint32_t> (i * 160), 0x12345678)
        rt_fence_release()
        total += data[3]
    return total


def bench_parse(const uint8_t[::1] data not None, int64_t rounds) -> int:
    """Parse the same datagram ``rounds`` times; the sum of payload bytes."""
    cdef int n = <int> data.shape[0]
    cdef const uint8_t* p = &data[0] if n else NULL
    cdef int64_t total
    with nogil:
        total = run_parse(p, n, rounds)
    return total


def bench_write(int64_t rounds) -> int:
    """Write ``rounds`` headers; a sum that keeps the compiler honest."""
    cdef uint8_t[RTP_HEADER_BYTES] data
    cdef int64_t total
    with nogil:
        total = run_write(data, rounds)
    return total
