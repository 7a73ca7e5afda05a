"""What the drain fills and the writer empties: pieces of a file."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from roomtone.ext.record.recording cimport chunk_t, recording_t


# Room for n bytes at the end of the file, `packets` of which begin there; NULL: no memory.  Full chunks go to the writer.
cdef uint8_t* chunk_room(recording_t* r, int n, int64_t now_us) noexcept nogil
# n bytes of it were used.
cdef void chunk_used(recording_t* r, int n, int packets) noexcept nogil
# n bytes of silence: a hole, unless they fit into the chunk that is being filled.
cdef void chunk_silence(recording_t* r, int n) noexcept nogil
# What is filled goes to the writer now.
cdef void chunk_flush(recording_t* r) noexcept nogil
# A chunk that is no data (chunk_kind_t), behind what is filled.
cdef void chunk_order(recording_t* r, uint32_t kind, int64_t offset, uint32_t bytes, uint32_t packets) noexcept nogil
# Packets that wait for the disk.
cdef int64_t chunk_waiting(const recording_t* r) noexcept nogil
