"""Edits: how the Python thread changes the graph.  Fixed-size, numbered, applied in order between ticks."""

from libc.stdint cimport int64_t

from roomtone.ext.flow.graph cimport media_t


# Apply waiting edits, at most EDITS_A_TURN.  1 when more may wait.
cdef bint edits_apply(media_t* m, int64_t now_us) noexcept nogil
