"""What is counted of one endpoint, as a record of fixed size: from a worker to control, and to JSON there.

Records of many endpoints stand one behind the other in one message; each is read where it lies.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    RECORD_NONE = -1                # in a signed field: not known


ctypedef struct record_addr_t:      # 20 bytes; family 0: unset
    uint8_t ip[16]                  # network order, IPv4 in the first 4
    uint16_t port                   # host order
    uint8_t family                  # 4 or 6
    uint8_t pad


# Both ends run on one machine: byte order and alignment are the machine's.
ctypedef struct stats_record_t:
    uint64_t rx_packets
    uint64_t rx_bytes
    uint64_t rx_raw_packets
    uint64_t rx_raw_bytes
    uint64_t tx_packets
    uint64_t tx_bytes
    int64_t rx_lost
    int64_t rx_last_ms_ago          # RECORD_NONE: never
    int64_t rtt_ms_ago              # when the round trip was measured
    int64_t remote_lost
    int64_t concealed_ms
    int32_t rx_jitter_us
    int32_t rtt_us                  # RECORD_NONE: unknown
    int32_t remote_jitter_us        # RECORD_NONE: the peer has reported nothing; remote_lost is valid with it
    int32_t playout_delay_us
    int32_t playout_target_us       # RECORD_NONE: there is none
    uint32_t rx_dropped
    uint32_t rx_late
    uint32_t rx_duplicate
    uint32_t rx_reordered
    uint32_t ssrc_rx
    uint32_t ssrc_tx
    uint32_t codec                  # ext/codec/codec.pxd; 0: none
    record_addr_t local
    record_addr_t remote


# Mean opinion score, 1 to 4.5, of G.711 with concealment at that loss (0..1) and mouth-to-ear delay.
cdef double opinion_score(double loss_ratio, double delay_ms) noexcept nogil
