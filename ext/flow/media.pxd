"""The class behind media.pyi, as the lab extends it."""

from libc.stdint cimport int64_t

from roomtone.ext.flow.edit_writer cimport EditWriter
from roomtone.ext.flow.handover cimport fact_t


cdef class Media(EditWriter):
    cdef:
        int64_t lost
        dict silences                   # handle -> start of a silence that has been told
    cdef tuple fact_tuple(self, fact_t* f)
