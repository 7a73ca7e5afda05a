"""The arena's layout: where the pools lie in the shared memory of a worker."""

from libc.stdint cimport uint32_t, uint64_t

from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport arena_header_t, bus_t, published_t


cdef uint64_t layout_hash() noexcept nogil
cdef uint64_t layout_bytes(uint32_t endpoints) noexcept nogil
cdef void layout_offsets(arena_header_t* header, uint32_t endpoints) noexcept nogil


# ip:port, [ip]:port, or "" when unset.
cdef str addr_text(const addr_t* a)


cdef class Arena:
    cdef arena_header_t* header
    cdef size_t mapped
    cdef readonly bint writable
    cdef endpoint_t* endpoint(self, uint32_t index) noexcept
    cdef bus_t* bus(self, uint32_t index) noexcept
    cdef published_t* published(self, uint32_t slot) noexcept
