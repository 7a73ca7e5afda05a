"""Facts: what the media thread tells the Python thread.  A full ring loses the fact, counted, and asks for a resync."""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.base.types cimport handle_t
from roomtone.ext.flow.graph cimport media_t
from roomtone.ext.flow.handover cimport fact_t


# A fact to fill (kind and handle set, the rest zeroed), or NULL when the ring is full (counted).  fact_done publishes it.
cdef fact_t* fact_new(media_t* m, uint32_t kind, handle_t handle) noexcept nogil
cdef void fact_done(media_t* m) noexcept nogil
# Facts were lost: say so (FACT_RESYNC) as soon as there is room, even when nothing else happens.
cdef void fact_resync(media_t* m) noexcept nogil
cdef void fact_put(media_t* m, uint32_t kind, handle_t handle, int64_t a, int64_t b) noexcept nogil
