"""RTCP, RFC 3550 section 6: a reader that walks a compound packet, and one writer.  No IO, no allocation."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t


cdef enum:
    RTCP_SR = 200
    RTCP_RR = 201
    RTCP_SDES = 202
    RTCP_BYE = 203
    RTCP_APP = 204
    RTCP_BLOCK_MAX = 31
    RTCP_CNAME_MAX = 64


ctypedef struct rtcp_block_t:       # one report block, RFC 3550 section 6.4.1
    uint32_t ssrc                   # the source it speaks of
    uint8_t fraction_lost           # of 256
    int32_t cumulative_lost         # 24 bits, signed
    uint32_t extended_seq
    uint32_t interarrival_jitter    # RTP units
    uint32_t lsr                    # middle 32 bits of the NTP time of the last SR
    uint32_t dlsr                   # 1/65536 s


ctypedef struct rtcp_packet_t:      # one packet of a compound, as rtcp_next leaves it
    uint8_t packet_type
    uint8_t count                   # report blocks, chunks or SSRCs, as the header says
    uint32_t ssrc                   # sender (SR, RR, APP) or the first SSRC (BYE, SDES)
    uint32_t ntp_sec                # SR only
    uint32_t ntp_frac
    uint32_t rtp_timestamp
    uint32_t sender_packets
    uint32_t sender_octets
    const uint8_t* body             # report blocks (SR, RR), SSRC list (BYE), chunks (SDES); in the datagram
    int body_bytes


# Check a whole datagram as RFC 3550 A.2 asks: version 2, first packet SR or RR (reduced size, RFC 5506, is
# accepted: any first type 200..207), lengths add up exactly, padding only in the last.
# RT_OK, RT_SHORT, RT_VERSION, RT_TYPE, RT_LENGTH.
cdef int rtcp_check(const uint8_t* data, int n) noexcept nogil
# Step through a checked datagram.  *offset starts at 0.  RT_OK and *packet filled, or RT_EMPTY at the end, or
# a negative error; after an error the next call goes on behind the packet or says RT_EMPTY.  Never reads past
# n, even on unchecked data.
cdef int rtcp_next(const uint8_t* data, int n, int* offset, rtcp_packet_t* packet) noexcept nogil
# Report block i of an SR/RR.  RT_OK or RT_RANGE.
cdef int rtcp_block(const rtcp_packet_t* packet, int i, rtcp_block_t* block) noexcept nogil
# BYE: SSRC number i, RT_RANGE beyond; the reason text (not NUL-terminated): its length, 0 when absent.
cdef int rtcp_bye_ssrc(const rtcp_packet_t* packet, int i, uint32_t* ssrc) noexcept nogil
cdef int rtcp_bye_reason(const rtcp_packet_t* packet, const uint8_t** text) noexcept nogil


ctypedef struct rtcp_report_t:      # what rtcp_write puts on the wire
    uint32_t ssrc
    bint is_sender                  # SR when set, else RR
    uint32_t ntp_sec
    uint32_t ntp_frac
    uint32_t rtp_timestamp
    uint32_t sender_packets
    uint32_t sender_octets
    int block_count                 # 0 or 1
    rtcp_block_t block
    const char* cname
    int cname_bytes                 # 1..RTCP_CNAME_MAX
    bint bye                        # append a BYE for ssrc


# SR or RR, SDES with CNAME, BYE if asked: one compound.  Returns its bytes, RT_FULL if capacity is too small,
# or RT_RANGE if cname_bytes or block_count is outside its limits.
cdef int rtcp_write(uint8_t* data, int capacity, const rtcp_report_t* report) noexcept nogil
