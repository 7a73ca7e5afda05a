"""What a bus publishes: the sums of its last ticks, in the arena, for readers in other buses and other workers.

One writer, any number of readers, no lock: slot = tick mod PARTIAL_DEPTH, its number is stored last (release) and is
looked at before and after reading (acquire).  Two sums a tick: the bus's own sources, and what its session hears through
bridges.  The other workers of a spread session add both; a bridge brings only the first, so that nothing goes on from
bridge to bridge.  A room that tells voices apart publishes the sums of its roles as well, each in the `own` of another
slot: they belong to the same tick number, so that a voice is never in the sum and missing in that of its role.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t

from roomtone.ext.flow.graph cimport bus_t, media_t, mix_t, partial_t, published_t, roles_t


# The slot of this tick, with what has been summed so far as the bus's own sources.  Not valid until partial_close.
cdef partial_t* partial_open(media_t* m, const bus_t* b, const mix_t* mix, int64_t tick) noexcept nogil
# So many bridges were added to the sum since.
cdef void partial_bridges(partial_t* out, const mix_t* mix, uint32_t bridged) noexcept nogil
# The sums of the roles beside it, in slots of their own.
cdef void partial_roles(media_t* m, partial_t* out, const bus_t* b, const roles_t* roles, int64_t tick) noexcept nogil
cdef void partial_close(partial_t* out, const bus_t* b, int64_t tick) noexcept nogil
# Add a partial of this tick, with or without what it has from bridges.  How many sources and bridges that were, or
# RT_LATE: it is not there, or changed while it was read.  hushed: gets the hushed_t of what was added besides; roles:
# where the sums of the roles go, NULL: nowhere.
cdef int partial_add(media_t* m, int32_t* sum8, int32_t* sum16, const published_t* published, int64_t tick,
                     bint bridges, uint32_t* hushed, roles_t* roles) noexcept nogil
