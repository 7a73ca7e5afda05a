"""Sums to payload: one encoding for all who hear the same, one of their own for those who are in the sum."""

from libc.stdint cimport int32_t, uint8_t

from roomtone.ext.dsp.limiter cimport limiter_t
from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, media_t, mix_t


# A sum of one tick at the codec's rate, behind the room for a header.  Payload bytes.
cdef int encode_sum(media_t* m, int codec, limiter_t* limiter, const int32_t* sum_, uint8_t* packet) noexcept nogil
# The shared encoding of a codec, made on first use in a tick.  Payload bytes; the packet is mix.shared[codec].
cdef int encode_shared(media_t* m, bus_private_t* p, mix_t* mix, int codec) noexcept nogil
# total - own for a destination whose source talks this tick, into m.own.  Payload bytes.
cdef int encode_own(media_t* m, mix_t* mix, endpoint_t* e) noexcept nogil
