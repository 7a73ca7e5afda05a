"""Decoded files, and a place in a list of them: the Python thread writes tracks and lists, the media thread plays them."""

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


ctypedef struct place_t:                # in a list of tracks
    int64_t position                    # first sample, at 8 kHz, of the frame that is played
    int64_t loops_left                  # of the whole list; -1: for ever
    uint32_t item                       # that it is in


ctypedef struct playback_t:             # a list and a place in it; one for each endpoint, or one that many share
    uint64_t* items                     # address of track_t of each; the Python thread writes them, and
    uint64_t listed                     # twice how many there are, and 1 if another one will come (release, acquire)
    place_t at
    int64_t tick                        # on which that frame is played; 0: whenever it is asked for first
    uint8_t taken                       # it was played
    uint8_t shared                      # goes on whoever is paused
    uint8_t ended                       # file_end_t


cdef enum file_end_t:
    FILE_PLAYS = 0
    FILE_COMPLETED = 1
    FILE_FAILED = 2
    FILE_WAITS = 3                      # for the next of its list: not an end
