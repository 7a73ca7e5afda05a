"""Media's memory, as the classes above it use it."""

from libc.stdint cimport uint8_t, uint32_t

from roomtone.ext.flow.arena cimport Arena as ArenaView
from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport media_t
from roomtone.ext.flow.pool cimport Slots
from roomtone.ext.record.capture cimport capture_ring_t


# Have the kernel find these pages now, also while another thread writes there.
cdef void touch_pages(uint8_t* at, size_t size) noexcept


cdef class MediaMemory:
    cdef:
        media_t m
        ArenaView arena
        Slots endpoint_slots
        Slots bus_slots
        list free_partials
        dict playbacks                  # handle -> Playback that the media thread may read
        uint32_t capacity
        uint8_t* edit_memory
        uint8_t* fact_memory
        capture_ring_t capture_ring
        uint8_t* capture_memory         # NULL until something is to be recorded
        size_t capture_bytes            # of it: a power of two
        size_t capture_touched
    cdef endpoint_t* slot(self, uint32_t handle) except NULL
    cdef void touch(self, uint32_t handle) noexcept
    cdef void touch_tap(self, uint32_t handle) noexcept
