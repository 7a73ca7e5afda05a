"""The Python thread's side of decoded files; the media thread sees only the structs inside (playback.pxd)."""

from libc.stdint cimport uint8_t, uint32_t

from roomtone.ext.flow.playback cimport playback_t, track_t


cdef class ChunkPool:
    cdef:
        uint8_t* memory
        readonly uint32_t count
        readonly uint32_t used
        list free


cdef class Track:
    cdef:
        track_t t
        ChunkPool pool
        dict slots                      # second -> slot of its chunk


cdef class Playback:
    cdef:
        playback_t p
        list tracks                     # that it keeps
    cdef void put(self, Track track, bint more)
