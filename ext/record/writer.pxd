"""Chunks into files, and what becomes of a file that cannot be written."""

from roomtone.ext.record.recording cimport writer_t


# Everything that waits, in order.  May be held up by the disk.
cdef void writer_turn(writer_t* w) noexcept nogil


cdef class Writer:
    cdef writer_t w
