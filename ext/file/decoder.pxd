"""A file on its way to 8 and 16 kHz."""

from libc.stdint cimport int16_t, int64_t

from roomtone.ext.file._sndfile cimport SF_INFO, SNDFILE
from roomtone.ext.file._soxr cimport soxr_stream


cdef enum:
    NARROW_HZ = 8000
    WIDE_HZ = 16000


cdef enum growth_t:
    FILE_WHOLE = 0
    FILE_GROWS = 1
    FILE_BROKE = 2                      # it will never be whole


ctypedef struct growing_t:
    int fd
    int state                           # growth_t, as last seen
    int given_up                        # nobody waits for it any more; another thread's


ctypedef struct input_t:                # the file as libsndfile reads it
    growing_t* file
    bint opening                        # what it jumps to is not waited for
    int64_t position
    int64_t reached                     # where it stopped reading
    int64_t size                        # as libsndfile is told


ctypedef struct line_t:                 # mono samples at one rate
    soxr_stream* resampler              # NULL: the file has this rate
    float* waiting
    int64_t count                       # that wait
    int64_t capacity
    int64_t skip                        # so many that come are not wanted
    int rate_hz


ctypedef struct sound_t:                # an open file
    SNDFILE* file
    input_t input
    SF_INFO info
    line_t narrow
    line_t wide
    float* block                        # interleaved, as decoded
    float* mono
    int64_t block_frames
    int64_t settle                      # frames decoded before a second that does not follow the last one
    int64_t next                        # the second that follows what was decoded
    int64_t done                        # frames decoded
    int64_t declared                    # frames, as the header says; -1: it does not say
    bint over
    int failed                          # libsndfile's error number


# One second: int16[8000] and int16[16000].  Returns its samples at 8 kHz; fewer than 8000: the end.
cdef int64_t sound_second(sound_t* s, int64_t number, int16_t* pcm8, int16_t* pcm16) noexcept nogil


cdef class Growing:
    cdef:
        growing_t g
        readonly bint copy


cdef class SoundFile:
    cdef:
        sound_t s
        Growing file                    # kept
