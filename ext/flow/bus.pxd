"""The tick of a bus: read, sum, encode, send."""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.flow.graph cimport media_t


# The bus's phase has come: tick number = now / 20 ms on the common grid.
cdef void bus_tick(media_t* m, uint32_t bus, int64_t tick, int64_t now_us) noexcept nogil
# Fetch what the tick of this bus touches first.
cdef void bus_prefetch(media_t* m, uint32_t bus) noexcept nogil
# Buses whose outputs wait or go out in slices; once a millisecond while there are any.
cdef void bus_deferred(media_t* m, int64_t now_ms, int64_t now_us) noexcept nogil

# Before the peers of a spread bus change: this tick goes out with what is there.
cdef void bus_settle(media_t* m, uint32_t bus, int64_t now_us) noexcept nogil
