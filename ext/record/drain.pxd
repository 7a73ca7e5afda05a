"""The thread between the capture ring and the writers."""

from libc.stdint cimport int64_t

from roomtone.ext.record.recording cimport drain_t, order_t, recording_t


# Orders and records as they wait, then what has become due until now_us.
cdef void drain_turn(drain_t* d, int64_t now_us) noexcept nogil


cdef class Drain:
    cdef:
        drain_t d
        dict open                       # id -> address of its recording_t
        dict writers                    # id -> Writer, kept while it works
        unsigned long long ids
    cdef recording_t* find(self, object id) except NULL
    cdef order_t* order(self, object id, int kind, unsigned long long position) except NULL
    cdef void post(self, order_t* order) noexcept
