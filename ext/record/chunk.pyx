"""Chunks are filled in the order of the file; the writer gets one when it is full or has been open for FLUSH_US.

A written one comes back as the recording's next, so a recording goes round with two whose pages are there already.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport malloc
from libc.string cimport memset

from roomtone.ext.base.stack cimport stack_push
from roomtone.ext.record._file cimport rt_load64, rt_store64, rt_swap
from roomtone.ext.record.recording cimport CHUNK_BYTES, CHUNK_DATA, chunk_t, recording_t, writer_t


cdef chunk_t* fresh(recording_t* r, uint32_t kind, int64_t offset, uint32_t capacity) noexcept nogil:
    cdef chunk_t* chunk = NULL
    if capacity == CHUNK_BYTES:
        chunk = <chunk_t*> rt_swap(&r.spare, NULL)
    if chunk == NULL:
        chunk = <chunk_t*> malloc(sizeof(chunk_t) + capacity)
    if chunk == NULL:
        return NULL
    chunk.recording = r
    chunk.kind = kind
    chunk.offset = offset
    chunk.bytes = 0
    chunk.packets = 0
    chunk.until_us = 0
    chunk.capacity = capacity
    return chunk


cdef void hand_over(recording_t* r, chunk_t* chunk) noexcept nogil:
    cdef writer_t* w = r.writer         # the recording may be gone when its last chunk is taken
    stack_push(&w.chunks, &chunk.node)
    w.due = 1


cdef uint8_t* chunk_room(recording_t* r, int n, int64_t now_us) noexcept nogil:
    if r.chunk != NULL and r.chunk.capacity - r.chunk.bytes < <uint32_t> n:
        chunk_flush(r)
    if r.chunk == NULL:
        r.chunk = fresh(r, CHUNK_DATA, r.end, CHUNK_BYTES if n < CHUNK_BYTES else n)
        r.chunk_us = now_us
    return NULL if r.chunk == NULL else r.chunk.data + r.chunk.bytes


cdef void chunk_used(recording_t* r, int n, int packets) noexcept nogil:
    r.chunk.bytes += n
    r.chunk.packets += packets
    r.end += n
    rt_store64(&r.queued, r.queued + packets)


cdef void chunk_silence(recording_t* r, int n) noexcept nogil:
    if r.chunk != NULL and r.chunk.capacity - r.chunk.bytes >= <uint32_t> n:
        memset(r.chunk.data + r.chunk.bytes, 0, n)
        chunk_used(r, n, 0)
        return
    chunk_flush(r)
    r.end += n


cdef void chunk_flush(recording_t* r) noexcept nogil:
    if r.chunk != NULL:
        hand_over(r, r.chunk)
        r.told_us = r.chunk_us
        r.chunk = NULL


cdef void chunk_order(recording_t* r, uint32_t kind, int64_t offset, uint32_t bytes, uint32_t packets) noexcept nogil:
    cdef chunk_t* chunk
    chunk_flush(r)
    chunk = fresh(r, kind, offset, 0)
    if chunk == NULL:
        return
    chunk.bytes = bytes
    chunk.packets = packets
    hand_over(r, chunk)


cdef int64_t chunk_waiting(const recording_t* r) noexcept nogil:
    return <int64_t> (r.queued - rt_load64(&r.written) - rt_load64(&r.refused))
