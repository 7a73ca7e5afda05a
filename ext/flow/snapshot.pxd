"""Readings of the hot state for statistics and metrics; the media thread is not stopped.  Called with the GIL."""

from libc.stdint cimport int64_t

from roomtone.ext.event.stats_record cimport stats_record_t
from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport media_t


cdef dict endpoint_stats(const endpoint_t* e, int64_t now_us)
# The same as a record.
cdef void endpoint_record(const endpoint_t* e, int64_t now_us, stats_record_t* r) noexcept nogil
# (handle, silence in ms, its start) of endpoints whose peer may send and has not for limit_us.
cdef list silent_scan(media_t* m, int64_t limit_us, int64_t now_us)
cdef dict worker_metrics(media_t* m)
