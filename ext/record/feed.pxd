"""Records of one worker's endpoints on their way to the worker that keeps the recording: a pipe of capture_t with their
bytes, as in the ring.

The feeder numbers its legs; a leg's number stands in `handle`.  A leg begins and ends by a record of its own, and at the
end the feeder tells what it has lost.
"""

from libc.stdint cimport int32_t, int64_t

from roomtone.ext.record.capture cimport capture_t
from roomtone.ext.record.recording cimport feed_t, leg_t, recording_t


cdef enum feed_kind_t:              # of a record, beside capture_kind_t
    FEED_LEG = 64                   # feed_leg_t
    FEED_LEG_END = 65
    FEED_LOST = 66                  # uint64[LOSS_COUNT]


ctypedef struct feed_leg_t:
    int32_t channel
    int32_t made_here


# The feeder: a leg begins (channel: what the keeper is asked for), a record of it, its end, the end of all.
cdef void feed_leg(recording_t* r, const leg_t* leg, int32_t channel, int64_t at_us) noexcept nogil
cdef void feed_put(recording_t* r, const leg_t* leg, const capture_t* record) noexcept nogil
cdef void feed_leg_end(recording_t* r, const leg_t* leg) noexcept nogil
cdef void feed_close(recording_t* r) noexcept nogil

# The keeper: a pipe, open for reading without waiting; NULL: no memory.
cdef feed_t* feed_new(recording_t* r, int fd) noexcept nogil
# The oldest record that has come whole, NULL: none for now, or none any more (fd -1).  Valid until the next call.
cdef const capture_t* feed_next(feed_t* f) noexcept nogil
# Remember the leg of that number, or forget it (NULL).
cdef void feed_number(feed_t* f, unsigned int number, leg_t* leg) noexcept nogil
cdef leg_t* feed_leg_of(const feed_t* f, unsigned int number) noexcept nogil
cdef void feed_free(feed_t* f) noexcept nogil
