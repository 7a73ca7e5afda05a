"""The capture ring's operations."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport rt_load_acquire64, rt_prefetch_write, rt_store_release64


cdef enum:
    CACHE_LINE = 64
    AHEAD_LINES = 4                     # header and 172 bytes: a packet of G.711


cdef inline uint64_t size_of(int n) noexcept nogil:
    return sizeof(capture_t) + (<uint64_t> n + 7 & ~<uint64_t> 7)


cdef void capture_init(capture_ring_t* ring, uint8_t* memory, uint64_t size) noexcept nogil:
    memset(ring, 0, sizeof(capture_ring_t))
    ring.memory = memory
    ring.mask = size - 1


cdef bint has_room(capture_ring_t* ring, uint64_t end) noexcept nogil:
    if end - ring.tail_known <= ring.mask + 1:
        return True
    ring.tail_known = rt_load_acquire64(<const unsigned long*> &ring.tail)
    return end - ring.tail_known <= ring.mask + 1


cdef capture_t* capture_room(capture_ring_t* ring, int n) noexcept nogil:
    cdef uint64_t size = size_of(n)
    cdef uint64_t at = ring.head
    cdef uint64_t rest = ring.mask + 1 - (at & ring.mask)
    if rest < size:
        if not has_room(ring, at + rest + size):
            return NULL
        (<capture_t*> (ring.memory + (at & ring.mask))).kind = CAPTURE_SKIP
        at += rest
    elif not has_room(ring, at + size):
        return NULL
    ring.reserved = at + size
    return <capture_t*> (ring.memory + (at & ring.mask))


cdef inline void fetch_ahead(capture_ring_t* ring) noexcept nogil:
    """Where the next record goes, which the drain's CPU still holds: there when it is written."""
    cdef uint8_t* next_record = ring.memory + (ring.reserved & ring.mask)
    cdef int i
    for i in range(AHEAD_LINES):
        rt_prefetch_write(next_record + i * CACHE_LINE)


cdef void capture_push(capture_ring_t* ring) noexcept nogil:
    rt_store_release64(<unsigned long*> &ring.head, ring.reserved)
    fetch_ahead(ring)


cdef const capture_t* capture_peek(capture_ring_t* ring, uint64_t until) noexcept nogil:
    cdef const capture_t* record
    if ring.tail >= until:
        return NULL
    record = <const capture_t*> (ring.memory + (ring.tail & ring.mask))
    if record.kind == CAPTURE_SKIP:     # pushed together with the record behind it
        rt_store_release64(<unsigned long*> &ring.tail, ring.tail + ring.mask + 1 - (ring.tail & ring.mask))
        record = <const capture_t*> (ring.memory + (ring.tail & ring.mask))
    return record


cdef void capture_pop(capture_ring_t* ring, const capture_t* record) noexcept nogil:
    rt_store_release64(<unsigned long*> &ring.tail, ring.tail + size_of(record.bytes))


cdef uint64_t capture_head(const capture_ring_t* ring) noexcept nogil:
    return rt_load_acquire64(<const unsigned long*> &ring.head)


# -- for tests and tools -----------------------------------------------------------------------------------------------

cdef class CaptureRing:
    """A ring of its own: put(handle, bytes) -> bool, get() -> (handle, bytes) | None."""
    cdef capture_ring_t ring
    cdef uint8_t* memory

    def __cinit__(self, uint64_t size):
        if size & size - 1 or size < 256:
            raise ValueError("a power of two")
        self.memory = <uint8_t*> calloc(1, size)
        if self.memory == NULL:
            raise MemoryError
        capture_init(&self.ring, self.memory, size)

    def __dealloc__(self):
        free(self.memory)

    def address(self):
        """For `Drain`, as Media.capture_ring_address."""
        return <uint64_t> &self.ring

    def put(self, int handle, bytes data):
        cdef capture_t* record = capture_room(&self.ring, len(data))
        if record == NULL:
            return False
        memset(record, 0, sizeof(capture_t))
        record.kind = CAPTURE_FRAME
        record.bytes = len(data)
        record.handle = handle
        memcpy(<uint8_t*> record + sizeof(capture_t), <const uint8_t*> data, len(data))
        capture_push(&self.ring)
        return True

    def get(self):
        cdef const capture_t* record = capture_peek(&self.ring, capture_head(&self.ring))
        cdef const uint8_t* data
        cdef tuple out
        if record == NULL:
            return None
        data = capture_data(record)
        out = (record.handle, data[:record.bytes])
        capture_pop(&self.ring, record)
        return out
