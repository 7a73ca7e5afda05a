"""A WAV's time."""

from libc.stdint cimport int64_t

from roomtone.ext.record.recording cimport drain_t, recording_t


# Write what is older than the legs' windows hold back.
cdef void blocks_advance(drain_t* d, recording_t* r, int64_t now_us) noexcept nogil
# Write the rest: to the time at which it was stopped, and to the end of what was said then.
cdef void blocks_finish(drain_t* d, recording_t* r, int64_t stopped_us) noexcept nogil
