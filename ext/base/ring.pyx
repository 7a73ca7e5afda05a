"""The ring's five operations."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from roomtone.ext.base.types cimport rt_load_acquire32, rt_store_release32


cdef void ring_init(ring_t* ring, uint8_t* records, uint32_t record_bytes, uint32_t capacity) noexcept nogil:
    ring.records = records
    ring.record_bytes = record_bytes
    ring.mask = capacity - 1
    ring.head = 0
    ring.tail = 0


cdef void* ring_slot(ring_t* ring) noexcept nogil:
    if ring.head - rt_load_acquire32(&ring.tail) > ring.mask:
        return NULL
    return ring.records + <size_t> (ring.head & ring.mask) * ring.record_bytes


cdef void ring_push(ring_t* ring) noexcept nogil:
    rt_store_release32(&ring.head, ring.head + 1)


cdef void* ring_peek(ring_t* ring) noexcept nogil:
    if rt_load_acquire32(&ring.head) == ring.tail:
        return NULL
    return ring.records + <size_t> (ring.tail & ring.mask) * ring.record_bytes


cdef void ring_pop(ring_t* ring) noexcept nogil:
    rt_store_release32(&ring.tail, ring.tail + 1)


# -- for tests and tools -----------------------------------------------------------------------------------------------

cdef class Ring:
    """The ring with byte records, for tests: put(bytes) -> bool, get() -> bytes | None."""
    cdef ring_t ring
    cdef uint8_t* memory

    def __cinit__(self, uint32_t record_bytes, uint32_t capacity):
        self.memory = <uint8_t*> calloc(capacity, record_bytes)
        if self.memory == NULL:
            raise MemoryError
        ring_init(&self.ring, self.memory, record_bytes, capacity)

    def __dealloc__(self):
        free(self.memory)

    def put(self, bytes data):
        cdef void* slot = ring_slot(&self.ring)
        if slot == NULL:
            return False
        memcpy(slot, <const uint8_t*> data, min(<uint32_t> len(data), self.ring.record_bytes))
        ring_push(&self.ring)
        return True

    def get(self):
        cdef uint8_t* slot = <uint8_t*> ring_peek(&self.ring)
        if slot == NULL:
            return None
        data = slot[:self.ring.record_bytes]
        ring_pop(&self.ring)
        return data

    def bench(self, int n):
        """n times one record in and out; how many came out."""
        cdef int _n
        cdef int out = 0
        with nogil:
            for _n in range(n):
                if ring_slot(&self.ring) != NULL:
                    ring_push(&self.ring)
                if ring_peek(&self.ring) != NULL:
                    ring_pop(&self.ring)
                    out += 1
        return out
