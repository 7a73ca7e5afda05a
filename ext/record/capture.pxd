"""The ring of bytes between the media thread and the drain: one producer, one consumer, no lock.

A record is a header of one cache line and the bytes it tells of, filled up to 8.  Records do not wrap: what is left at
the end of the memory is skipped by a CAPTURE_SKIP, of which only the first 8 bytes are there for certain.
Positions count bytes and run freely; the place in memory is `position & mask`.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from roomtone.ext.base.types cimport handle_t


cdef enum capture_kind_t:
    CAPTURE_SKIP = 0
    CAPTURE_RTP_IN = 1              # accepted from the peer
    CAPTURE_RTP_OUT = 2             # sent to the peer
    CAPTURE_RTCP_IN = 3
    CAPTURE_RTCP_OUT = 4
    CAPTURE_FRAME = 5               # int16 of a tick, 8 or 16 kHz by its size, of a source that is made here


ctypedef struct capture_t:          # 64 bytes
    uint16_t bytes                  # that follow the header
    uint8_t kind
    uint8_t family                  # of the addresses: 4, 6, or 0 for a frame
    handle_t handle                 # the endpoint's
    int64_t at_us                   # CLOCK_MONOTONIC: when it came, or was sent
    uint32_t lost                   # of this endpoint's records for want of room, since it is open
    uint32_t lost_heard             # those of them that were audio from the source
    uint8_t codec                   # of audio that came in; 0: something else
    uint8_t pad0
    uint16_t local_port
    uint16_t remote_port
    uint16_t pad1
    uint8_t local_ip[16]            # network order, IPv4 in the first 4
    uint8_t remote_ip[16]


ctypedef struct capture_ring_t:
    uint8_t* memory
    uint64_t mask
    uint64_t tail_known             # the producer's last look at `tail`
    uint64_t reserved               # what the record being written will end at
    uint8_t pad0[32]
    uint64_t head                   # written by the producer
    uint8_t pad1[56]
    uint64_t tail                   # written by the consumer
    uint8_t pad2[56]


# memory: of a power of two; the caller owns it.
cdef void capture_init(capture_ring_t* ring, uint8_t* memory, uint64_t size) noexcept nogil
# Producer: room for a header and n bytes, or NULL when there is none; capture_push makes it visible.
cdef capture_t* capture_room(capture_ring_t* ring, int n) noexcept nogil
cdef void capture_push(capture_ring_t* ring) noexcept nogil
# Consumer: the oldest record before `until`, NULL when there is none; capture_pop gives its room back.
cdef const capture_t* capture_peek(capture_ring_t* ring, uint64_t until) noexcept nogil
cdef void capture_pop(capture_ring_t* ring, const capture_t* record) noexcept nogil
# Any thread: the position behind everything that was pushed.
cdef uint64_t capture_head(const capture_ring_t* ring) noexcept nogil


cdef inline const uint8_t* capture_data(const capture_t* record) noexcept nogil:
    return <const uint8_t*> record + sizeof(capture_t)
