"""A piece of memory with an unreadable page on either side: reading one byte outside it ends the process.

Release builds carry no sanitizer; with this every fuzz target finds out-of-bounds reads in them all the same.
"""

import ctypes
import mmap

PAGE = mmap.PAGESIZE
PROT_NONE = 0


class Guarded:
    """Room for ``capacity`` bytes between two unreadable pages; a view is valid until the next one."""

    def __init__(self, capacity: int = 65536) -> None:
        self.capacity = (capacity + PAGE - 1) // PAGE * PAGE
        self.map = mmap.mmap(-1, self.capacity + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        for address in (start, start + PAGE + self.capacity):
            if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.view = memoryview(self.map)

    def at_end(self, data: bytes) -> memoryview:
        """``data`` so that the byte after it cannot be read."""
        end = PAGE + self.capacity
        self.view[end - len(data) : end] = data
        return self.view[end - len(data) : end]

    def at_start(self, data: bytes) -> memoryview:
        """``data`` so that the byte before it cannot be read."""
        self.view[PAGE : PAGE + len(data)] = data
        return self.view[PAGE : PAGE + len(data)]
