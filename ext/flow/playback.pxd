"""A decoded file, and a place in it: the Python thread writes tracks, the media thread plays them."""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t

from roomtone.ext.flow.constants cimport CHUNK_8K, CHUNK_16K


ctypedef struct chunk_t:                # one second of a decoded file; written before it is published, never after
    int16_t pcm8[CHUNK_8K]
    int16_t pcm16[CHUNK_16K]


ctypedef struct track_t:                # one decoded file; the Python thread writes it, the media thread reads it
    uint64_t* chunks                    # address of chunk_t of each second, 0: not there (release, acquire)
    uint32_t chunk_count
    uint32_t failed                     # its end is the place where decoding failed (written before samples)
    int64_t samples                     # its length at 8 kHz (release, acquire); -1: not known yet


ctypedef struct playback_t:             # a place in a track; one for each endpoint, or one that many share
    const track_t* track
    int64_t position                    # first sample, at 8 kHz, of the frame that is played
    int64_t tick                        # on this tick; 0: whenever it is asked for first
    int64_t loops_left                  # -1: for ever
    uint8_t taken                       # it was played
    uint8_t shared                      # goes on whoever is paused
    uint8_t ended                       # file_end_t


cdef enum file_end_t:
    FILE_PLAYS = 0
    FILE_COMPLETED = 1
    FILE_FAILED = 2
