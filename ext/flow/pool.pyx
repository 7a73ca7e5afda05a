"""Memory that is paid for by use."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap

from collections import deque

REST_US = 2_000_000                 # a slot given back rests this long before it is used again

cdef enum:
    PAGE = 4096
    PAGES_A_LOOK = 16384            # pages asked for in one system call


cdef extern from "<sys/mman.h>" nogil:
    int mincore(void* at, size_t n, unsigned char* present)


cdef void* pool_room(size_t n) except NULL:
    cdef void* at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if at == MAP_FAILED:
        raise MemoryError
    return at


cdef uint64_t pool_resident(const void* at, size_t n) noexcept nogil:
    cdef uint8_t[PAGES_A_LOOK] present
    cdef size_t pages = (n + PAGE - 1) // PAGE
    cdef size_t done = 0
    cdef size_t some
    cdef size_t i
    cdef uint64_t found = 0
    while done < pages:
        some = min(pages - done, <size_t> PAGES_A_LOOK)
        if mincore(<uint8_t*> at + done * PAGE, some * PAGE, present) != 0:
            return 0
        for i in range(some):
            found += present[i] & 1
        done += some
    return found * PAGE


cdef class Slots:
    """Numbers first .. count - 1: those that have rested, longest first, then unused ones, ascending."""

    def __cinit__(self, uint32_t count, uint32_t first=0):
        self.count = count
        self.used = first
        self.resting = deque()

    def take(self, int64_t now_us):
        """A free slot; -1: none is free now."""
        if self.resting and self.resting[0][0] <= now_us:
            return self.resting.popleft()[1]
        if self.used < self.count:
            self.used += 1
            return self.used - 1
        return -1

    def give_back(self, uint32_t slot, int64_t now_us):
        """The slot rests from now on."""
        self.resting.append((now_us + REST_US, slot))
