"""How an edit is written; whoever adds a kind of edit adds its method to the class, and its function to edit.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from roomtone.ext.flow.endpoint cimport addr_t
from roomtone.ext.flow.handover cimport edit_t
from roomtone.ext.flow.media_memory cimport MediaMemory


# An address in numbers; ValueError otherwise.
cdef int addr_fill(addr_t* a, str ip, int port) except -1


cdef class EditWriter(MediaMemory):
    cdef:
        dict arrays                     # bus, its roles or endpoint handle -> address of what the last edit named
        list retired                    # (edit number, address) of arrays to free
        uint64_t edits_written
    cdef void wake(self, bint always) noexcept
    cdef edit_t* edit_new(self, uint32_t kind) except NULL
    cdef edit_t* edit_for(self, uint32_t handle, uint32_t kind) except NULL
    cdef uint64_t edit_done(self) noexcept
    cdef edit_t* bus_edit(self, uint32_t kind, uint32_t bus) except NULL
    cdef uint64_t member_edit(self, uint32_t kind, uint32_t bus, uint32_t handle) except 0
    cdef void retire_array(self, owner, uint64_t n)
    cdef uint64_t array_done(self, owner, uint64_t array)
