"""Who is recorded in which channel, and what becomes of a record of theirs."""

from libc.stdint cimport int32_t, int64_t, uint64_t

from roomtone.ext.record.capture cimport capture_t
from roomtone.ext.record.recording cimport drain_t, feed_t, leg_t, order_t, recording_t


# Packets that are not in the file for that reason (loss_t).
cdef void lose(recording_t* r, int reason, uint64_t packets) noexcept nogil
# A record of a leg's endpoint.
cdef void leg_record(drain_t* d, leg_t* leg, const capture_t* record) noexcept nogil
# Somebody is recorded from now on, in that channel or the next that may serve.  feed: who brings it; NULL: it is here,
# and `leg_order` goes on from there.  NULL: no memory.
cdef leg_t* leg_begin(drain_t* d, recording_t* r, feed_t* feed, int32_t channel, bint made_here,
                      int64_t at_us) noexcept nogil
cdef void leg_order(drain_t* d, const order_t* order) noexcept nogil
cdef void leg_end_order(drain_t* d, const order_t* order) noexcept nogil
# After a pause.
cdef void legs_anew(recording_t* r) noexcept nogil
cdef void legs_free(drain_t* d, recording_t* r) noexcept nogil
