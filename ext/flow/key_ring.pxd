"""Keys between the workers of a spread bus.

Beside its sums (partial.pyx) a spread bus publishes the telephone-events of its sources, each as soon as it comes, in a
ring of KEYS_PUBLISHED: one writer, and a reader in each of the other workers, which looks once a tick and knows how far
it has read.  So each is relayed there once.  What was written over before it was read is counted, DROP_KEY_LATE.
"""

from libc.stdint cimport uint32_t, uint64_t

from roomtone.ext.flow.graph cimport bus_private_t, bus_t, key_event_t, media_t


cdef void key_publish(media_t* m, const bus_t* b, const key_event_t* k) noexcept nogil
# The next one that a peer has published.  False: none.
cdef bint key_next(media_t* m, bus_private_t* p, uint32_t peer, key_event_t* k) noexcept nogil
# The bus has these peers now: of a new one, what it publishes from now on is read.  The array is the caller's.
cdef void key_peers(bus_private_t* p, uint64_t* peers, uint32_t count) noexcept nogil
# RTP members of the bus on all its workers.
cdef uint32_t key_members(const bus_t* b, const bus_private_t* p) noexcept nogil
