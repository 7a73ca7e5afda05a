"""Memory of the pools, and which of their slots are free.

A pool is as large as the configuration says and costs what was touched of it.  So slots that were used before go
first: what a worker holds follows how many were in use at once, not how many there ever were.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t


# Zeroed memory that costs nothing until it is touched; MemoryError.  Freed by munmap.
cdef void* pool_room(size_t n) except NULL

# Bytes of these pages that are in memory; `at` lies on a page.  Cost: a system call for each 64 MiB.
cdef uint64_t pool_resident(const void* at, size_t n) noexcept nogil


cdef class Slots:
    cdef:
        readonly uint32_t used          # slots below this have been handed out at least once
        uint32_t count
        object resting                  # deque of (ready at, slot), ascending
