"""RTCP, RFC 3550 section 6: a reader that walks a compound packet, and one writer.

Reading is two steps.  ``rtcp_check`` judges the datagram as a whole (appendix A.2); ``rtcp_next`` then hands
out one packet after the other.  Both advance or stop whatever the bytes, so a caller's loop always ends.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport (
    RT_EMPTY, RT_FULL, RT_LENGTH, RT_OK, RT_RANGE, RT_SHORT, RT_TYPE, RT_VERSION,
)


cdef enum:
    HEADER_BYTES = 4                # the word every RTCP packet begins with, RFC 3550 section 6.4.1
    SSRC_BYTES = 4
    SENDER_INFO_BYTES = 20
    BLOCK_BYTES = 24
    SDES_CHUNK_MIN_BYTES = 8        # SSRC and one word with the end of the list, section 6.5
    APP_MIN_BYTES = 12              # header, SSRC, name, section 6.7
    TYPE_MIN = 200                  # SR
    TYPE_MAX = 207                  # XR, RFC 3611; 205 and 206 are feedback, RFC 4585
    VERSION_2 = 0x80
    VERSION_MASK = 0xC0
    PADDING_BIT = 0x20
    COUNT_MASK = 0x1F
    SDES_CNAME = 1                  # item type, section 6.5.1
    LOST_MAX = 0x7FFFFF             # cumulative loss is 24 bits, signed, section 6.4.1
    LOST_MIN = -0x800000
    LOST_SIGN_BIT = 0x800000
    LOST_SPAN = 0x1000000


cdef inline uint32_t load32(const uint8_t* p) noexcept nogil:
    return <uint32_t> p[0] << 24 | <uint32_t> p[1] << 16 | <uint32_t> p[2] << 8 | p[3]


cdef inline uint8_t* put32(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t> (value >> 24)
    p[1] = <uint8_t> (value >> 16)
    p[2] = <uint8_t> (value >> 8)
    p[3] = <uint8_t> value
    return p + 4


cdef inline uint8_t* put_header(uint8_t* p, int count, int packet_type, int packet_bytes) noexcept nogil:
    """The common word; ``packet_bytes`` is the whole packet, a multiple of four."""
    cdef uint32_t first = <uint32_t> (VERSION_2 | count)
    return put32(p, first << 24 | <uint32_t> (packet_type << 16 | (packet_bytes // 4 - 1)))


cdef inline int packet_bytes_at(const uint8_t* data, int left) noexcept nogil:
    """Bytes of the packet that starts here, or RT_LENGTH, RT_VERSION; ``left``: bytes up to the end."""
    cdef int size
    if left < HEADER_BYTES:
        return RT_LENGTH
    if data[0] & VERSION_MASK != VERSION_2:
        return RT_VERSION
    size = 4 * ((data[2] << 8 | data[3]) + 1)
    return size if size <= left else RT_LENGTH


cdef inline int padding_bytes(const uint8_t* data, int size) noexcept nogil:
    """Padding at the end of data[0:size], or RT_LENGTH.  RFC 3550 section 6.4.1: a multiple of four."""
    cdef int padding
    if not data[0] & PADDING_BIT:
        return 0
    padding = data[size - 1]
    if padding == 0 or padding & 3 or padding > size - HEADER_BYTES:
        return RT_LENGTH
    return padding


cdef int rtcp_check(const uint8_t* data, int n) noexcept nogil:
    """Judge a whole datagram as RFC 3550 appendix A.2 does, reduced size (RFC 5506) allowed.

    Later packets may be of any type: a reader steps over what it does not know.
    Errors: RT_SHORT, RT_VERSION, RT_TYPE, RT_LENGTH.
    """
    cdef int offset = 0
    cdef int size
    if n < HEADER_BYTES:
        return RT_SHORT
    if data[0] & VERSION_MASK != VERSION_2:
        return RT_VERSION
    if data[1] < TYPE_MIN or data[1] > TYPE_MAX:
        return RT_TYPE
    while offset < n:
        size = packet_bytes_at(data + offset, n - offset)
        if size < 0:
            return size
        if data[offset] & PADDING_BIT:
            if offset + size != n or padding_bytes(data + offset, size) < 0:
                return RT_LENGTH
        offset += size
    return RT_OK


cdef int rtcp_next(const uint8_t* data, int n, int* offset, rtcp_packet_t* packet) noexcept nogil:
    """Fill ``packet`` from the datagram at ``*offset`` and move on.

    A packet too short for its own counts is RT_LENGTH, and the next call goes on behind it; a header that
    cannot be followed (RT_VERSION, RT_LENGTH) ends the walk: the next call says RT_EMPTY.
    Ownership: ``packet.body`` points into ``data``.
    """
    cdef const uint8_t* p
    cdef int size
    cdef int padding
    if offset[0] < 0 or offset[0] >= n:
        return RT_EMPTY
    p = data + offset[0]
    size = packet_bytes_at(p, n - offset[0])
    if size < 0:
        offset[0] = n
        return size
    offset[0] += size
    padding = padding_bytes(p, size)
    if padding < 0:
        return RT_LENGTH
    return packet_fill(p, size - padding, packet)


cdef int packet_fill(const uint8_t* p, int size, rtcp_packet_t* packet) noexcept nogil:
    """One packet, its padding already taken off.  RT_LENGTH when its counts need more bytes than it has."""
    cdef int head = HEADER_BYTES            # what comes before the body
    cdef int need
    memset(packet, 0, sizeof(rtcp_packet_t))
    packet.packet_type = p[1]
    packet.count = p[0] & COUNT_MASK
    if packet.packet_type == RTCP_SR:
        head = HEADER_BYTES + SSRC_BYTES + SENDER_INFO_BYTES
        need = head + BLOCK_BYTES * packet.count
    elif packet.packet_type == RTCP_RR:
        head = HEADER_BYTES + SSRC_BYTES
        need = head + BLOCK_BYTES * packet.count
    elif packet.packet_type == RTCP_SDES:
        need = head + SDES_CHUNK_MIN_BYTES * packet.count
    elif packet.packet_type == RTCP_BYE:
        need = head + SSRC_BYTES * packet.count
    elif packet.packet_type == RTCP_APP:
        head = HEADER_BYTES + SSRC_BYTES
        need = APP_MIN_BYTES
    else:                                   # feedback, XR, unknown: the count means something else there
        head = HEADER_BYTES + SSRC_BYTES if size >= HEADER_BYTES + SSRC_BYTES else HEADER_BYTES
        need = head
    if size < need:
        return RT_LENGTH
    # SDES and BYE may be empty (count 0): the word after the header, if any, is then not an SSRC.
    if head > HEADER_BYTES or packet.count > 0 and need > HEADER_BYTES:
        packet.ssrc = load32(p + HEADER_BYTES)
    if packet.packet_type == RTCP_SR:
        packet.ntp_sec = load32(p + 8)
        packet.ntp_frac = load32(p + 12)
        packet.rtp_timestamp = load32(p + 16)
        packet.sender_packets = load32(p + 20)
        packet.sender_octets = load32(p + 24)
    packet.body = p + head
    packet.body_bytes = size - head
    return RT_OK


cdef int rtcp_block(const rtcp_packet_t* packet, int i, rtcp_block_t* block) noexcept nogil:
    """Report block ``i`` of an SR or RR, RFC 3550 section 6.4.1.  RT_OK or RT_RANGE."""
    cdef const uint8_t* p
    cdef uint32_t word
    if packet.packet_type != RTCP_SR and packet.packet_type != RTCP_RR:
        return RT_RANGE
    if i < 0 or i >= packet.count or BLOCK_BYTES * (i + 1) > packet.body_bytes:
        return RT_RANGE
    p = packet.body + BLOCK_BYTES * i
    word = load32(p + 4)
    block.ssrc = load32(p)
    block.fraction_lost = <uint8_t> (word >> 24)
    block.cumulative_lost = <int32_t> (word & (LOST_SPAN - 1))
    if word & LOST_SIGN_BIT:
        block.cumulative_lost -= LOST_SPAN
    block.extended_seq = load32(p + 8)
    block.interarrival_jitter = load32(p + 12)
    block.lsr = load32(p + 16)
    block.dlsr = load32(p + 20)
    return RT_OK


cdef int rtcp_bye_ssrc(const rtcp_packet_t* packet, int i, uint32_t* ssrc) noexcept nogil:
    """SSRC number ``i`` of a BYE, RFC 3550 section 6.6.  RT_OK or RT_RANGE."""
    if packet.packet_type != RTCP_BYE:
        return RT_RANGE
    if i < 0 or i >= packet.count or SSRC_BYTES * (i + 1) > packet.body_bytes:
        return RT_RANGE
    ssrc[0] = load32(packet.body + SSRC_BYTES * i)
    return RT_OK


cdef int rtcp_bye_reason(const rtcp_packet_t* packet, const uint8_t** text) noexcept nogil:
    """The reason of a BYE: its length in bytes, ``*text`` inside the datagram; 0 when absent or cut off."""
    cdef int offset = SSRC_BYTES * packet.count
    if packet.packet_type != RTCP_BYE or offset >= packet.body_bytes:
        return 0
    if offset + 1 + packet.body[offset] > packet.body_bytes:
        return 0
    text[0] = packet.body + offset + 1
    return packet.body[offset]


cdef inline uint8_t* put_block(uint8_t* p, const rtcp_block_t* block) noexcept nogil:
    """RFC 3550 section 6.4.1; cumulative loss stops at its 24-bit limits as in appendix A.3."""
    cdef int32_t lost = block.cumulative_lost
    lost = LOST_MAX if lost > LOST_MAX else LOST_MIN if lost < LOST_MIN else lost
    p = put32(p, block.ssrc)
    p = put32(p, <uint32_t> block.fraction_lost << 24 | (<uint32_t> lost & (LOST_SPAN - 1)))
    p = put32(p, block.extended_seq)
    p = put32(p, block.interarrival_jitter)
    p = put32(p, block.lsr)
    return put32(p, block.dlsr)


cdef int rtcp_write(uint8_t* data, int capacity, const rtcp_report_t* report) noexcept nogil:
    """Write SR or RR, SDES with CNAME and, if asked, BYE.

    Returns the bytes written, RT_FULL, or RT_RANGE (length of the CNAME, block count).
    """
    cdef int report_bytes = HEADER_BYTES + SSRC_BYTES + BLOCK_BYTES * report.block_count
    # Section 6.5, chunk: SSRC, item type and length, text, one to four zeros that end the list at a word.
    cdef int sdes_bytes = HEADER_BYTES + ((SSRC_BYTES + 2 + report.cname_bytes + 1 + 3) & ~3)
    cdef int bye_bytes = HEADER_BYTES + SSRC_BYTES if report.bye else 0
    cdef uint8_t* p = data
    if report.is_sender:
        report_bytes += SENDER_INFO_BYTES
    if report.cname_bytes < 1 or report.cname_bytes > RTCP_CNAME_MAX:
        return RT_RANGE
    if report.block_count < 0 or report.block_count > 1:
        return RT_RANGE
    if report_bytes + sdes_bytes + bye_bytes > capacity:
        return RT_FULL
    p = put_header(p, report.block_count, RTCP_SR if report.is_sender else RTCP_RR, report_bytes)
    p = put32(p, report.ssrc)
    if report.is_sender:
        p = put32(p, report.ntp_sec)
        p = put32(p, report.ntp_frac)
        p = put32(p, report.rtp_timestamp)
        p = put32(p, report.sender_packets)
        p = put32(p, report.sender_octets)
    if report.block_count:
        p = put_block(p, &report.block)
    p = put_header(p, 1, RTCP_SDES, sdes_bytes)
    memset(p, 0, sdes_bytes - HEADER_BYTES)
    put32(p, report.ssrc)
    p[4] = SDES_CNAME
    p[5] = <uint8_t> report.cname_bytes
    memcpy(p + 6, report.cname, report.cname_bytes)
    p += sdes_bytes - HEADER_BYTES
    if report.bye:
        p = put_header(p, 1, RTCP_BYE, bye_bytes)
        p = put32(p, report.ssrc)
    return <int> (p - data)


# -- for tests and tools -------------------------------------------------------------------------------------

cdef tuple block_tuple(const rtcp_block_t* b):
    return b.ssrc, b.fraction_lost, b.cumulative_lost, b.extended_seq, b.interarrival_jitter, b.lsr, b.dlsr


cdef dict packet_dict(const rtcp_packet_t* packet):
    cdef rtcp_block_t block
    cdef uint32_t ssrc
    cdef const uint8_t* text = NULL
    cdef int length
    cdef int i = 0
    cdef list blocks = []
    cdef list ssrcs = []
    out = {"type": packet.packet_type, "count": packet.count, "ssrc": packet.ssrc,
           "body": packet.body[:packet.body_bytes]}
    if packet.packet_type == RTCP_SR:
        out.update(ntp_sec=packet.ntp_sec, ntp_frac=packet.ntp_frac, rtp_timestamp=packet.rtp_timestamp,
                   sender_packets=packet.sender_packets, sender_octets=packet.sender_octets)
    if packet.packet_type == RTCP_SR or packet.packet_type == RTCP_RR:
        while rtcp_block(packet, i, &block) == RT_OK:
            blocks.append(block_tuple(&block))
            i += 1
        out["blocks"] = blocks
    if packet.packet_type == RTCP_BYE:
        while rtcp_bye_ssrc(packet, i, &ssrc) == RT_OK:
            ssrcs.append(ssrc)
            i += 1
        length = rtcp_bye_reason(packet, &text)
        out["ssrcs"] = ssrcs
        out["reason"] = text[:length] if length else b""
    return out


def check(const uint8_t[::1] data not None) -> int:
    """Judge a datagram: 0, or the negative RT_* number."""
    cdef int n = <int> data.shape[0]
    return rtcp_check(&data[0] if n else NULL, n)


def parse(const uint8_t[::1] data not None) -> list:
    """Walk a datagram without judging it first.

    Returns a list with a dict for each packet (type, count, ssrc, body; blocks, ssrcs, reason where they
    apply) and a negative RT_* number for each one that could not be read.
    """
    cdef int n = <int> data.shape[0]
    cdef const uint8_t* p = &data[0] if n else NULL
    cdef rtcp_packet_t packet
    cdef int offset = 0
    cdef int result
    out = []
    while True:
        result = rtcp_next(p, n, &offset, &packet)
        if result == RT_EMPTY:
            return out
        out.append(packet_dict(&packet) if result == RT_OK else result)


def report(uint32_t ssrc, bytes cname not None, *, tuple sender=None, tuple block=None, bint bye=False,
           int capacity=256):
    """A compound packet as bytes, or the negative RT_* number.

    sender: (ntp_sec, ntp_frac, rtp_timestamp, packets, octets) makes it an SR; block: (ssrc, fraction_lost,
    cumulative_lost, extended_seq, interarrival_jitter, lsr, dlsr).
    """
    cdef rtcp_report_t r
    cdef uint8_t[256] data
    cdef int n
    memset(&r, 0, sizeof(r))
    r.ssrc = ssrc
    r.cname = cname
    r.cname_bytes = <int> len(cname)
    r.bye = bye
    if sender is not None:
        r.is_sender = True
        r.ntp_sec, r.ntp_frac, r.rtp_timestamp, r.sender_packets, r.sender_octets = sender
    if block is not None:
        r.block_count = 1
        (r.block.ssrc, r.block.fraction_lost, r.block.cumulative_lost, r.block.extended_seq,
         r.block.interarrival_jitter, r.block.lsr, r.block.dlsr) = block
    n = rtcp_write(data, min(capacity, <int> sizeof(data)), &r)
    return data[:n] if n >= 0 else n


cdef int64_t run_read(const uint8_t* data, int n, int64_t rounds) noexcept nogil:
    cdef rtcp_packet_t packet
    cdef rtcp_block_t block
    cdef int64_t total = 0
    cdef int64_t _i
    cdef int offset
    for _i in range(rounds):
        if rtcp_check(data, n) != RT_OK:
            continue
        offset = 0
        while rtcp_next(data, n, &offset, &packet) == RT_OK:
            total += 1
            if rtcp_block(&packet, 0, &block) == RT_OK:
                total += block.fraction_lost
    return total


def bench_read(const uint8_t[::1] data not None, int64_t rounds) -> int:
    """Check, walk and read the first block of a compound ``rounds`` times; packets and loss added up."""
    cdef int n = <int> data.shape[0]
    cdef const uint8_t* p = &data[0] if n else NULL
    cdef int64_t total
    with nogil:
        total = run_read(p, n, rounds)
    return total


def bench_write(int64_t rounds) -> int:
    """Write ``rounds`` sender reports with one block and CNAME; the bytes written in all."""
    cdef rtcp_report_t r
    cdef uint8_t[256] data
    cdef int64_t total = 0
    cdef int64_t i
    cname = b"bench@127.0.0.1"
    memset(&r, 0, sizeof(r))
    r.is_sender = True
    r.block_count = 1
    r.cname = cname
    r.cname_bytes = <int> len(cname)
    with nogil:
        for i in range(rounds):
            r.rtp_timestamp = <uint32_t> i
            total += rtcp_write(data, <int> sizeof(data), &r)
    return total
