"""Do the lists, counts and flags of the graph tell one story?  For tests and tools; nothing on the media path calls it."""

from roomtone.ext.flow.graph cimport media_t


# Sentences about what contradicts itself; empty when all is well.  Only while the media thread stands still (the lab).
cdef list audit(media_t* m)
