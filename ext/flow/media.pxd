"""The class behind media.pyi, as the lab extends it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from roomtone.ext.flow.arena cimport Arena as ArenaView
from roomtone.ext.flow.graph cimport addr_t, edit_t, endpoint_t, fact_t, media_t
from roomtone.ext.flow.pool cimport Slots


# An address in numbers; ValueError otherwise.
cdef int addr_fill(addr_t* a, str ip, int port) except -1


cdef class Media:
    cdef:
        media_t m
        ArenaView arena
        Slots endpoint_slots
        Slots bus_slots
        list free_partials
        dict peer_arrays                # bus index -> address of the array in force
        int64_t lost
        dict silences                   # handle -> start of a silence that has been told
        list retired                    # (edit number, address) of arrays to free
        uint64_t edits_written
        uint32_t capacity
        uint8_t* edit_memory
        uint8_t* fact_memory
    cdef void wake(self, bint always) noexcept
    cdef edit_t* edit_new(self, uint32_t kind) except NULL
    cdef uint64_t edit_done(self) noexcept
    cdef endpoint_t* slot(self, uint32_t handle) except NULL
    cdef void touch(self, uint32_t handle) noexcept
    cdef edit_t* bus_edit(self, uint32_t kind, uint32_t bus) except NULL
    cdef uint64_t member_edit(self, uint32_t kind, uint32_t bus, uint32_t handle) except 0
    cdef void retire_peers(self, uint32_t bus, uint64_t n)
    cdef tuple fact_tuple(self, fact_t* f)
