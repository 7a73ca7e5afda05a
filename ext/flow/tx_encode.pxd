"""Sums to payload: one encoding for all who hear the same, one of their own for those who are in the sum."""

from libc.stdint cimport uint8_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, media_t, mix_t


# The shared encoding of a codec, made on first use in a tick.  Payload bytes; the packet is mix.shared[codec].
cdef int encode_shared(media_t* m, bus_private_t* p, mix_t* mix, int codec) noexcept nogil
# total - own for a destination whose source talks this tick, into m.own.  Payload bytes.
cdef int encode_own(media_t* m, mix_t* mix, endpoint_t* e) noexcept nogil
