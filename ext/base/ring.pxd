"""Single-producer single-consumer ring of fixed-size records between two threads of one process.  No lock.

`head` is written by the producer, `tail` by the consumer; each on its own cache line.  Counters run freely, the
slot is `counter & mask`.
"""

from libc.stdint cimport uint8_t, uint32_t


ctypedef struct ring_t:
    uint8_t* records
    uint32_t record_bytes
    uint32_t mask
    uint8_t pad0[48]
    uint32_t head
    uint8_t pad1[60]
    uint32_t tail
    uint8_t pad2[60]


# records: zeroed memory of capacity * record_bytes; capacity a power of two.  The caller owns it.
cdef void ring_init(ring_t* ring, uint8_t* records, uint32_t record_bytes, uint32_t capacity) noexcept nogil
# Producer: where to write the next record, or NULL when the ring is full; then ring_push makes it visible.
cdef void* ring_slot(ring_t* ring) noexcept nogil
cdef void ring_push(ring_t* ring) noexcept nogil
# Consumer: the oldest record, or NULL when empty; then ring_pop gives its slot back.
cdef void* ring_peek(ring_t* ring) noexcept nogil
cdef void ring_pop(ring_t* ring) noexcept nogil
