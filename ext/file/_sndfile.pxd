"""libsndfile 1.2 (sndfile.h), as far as reading needs it.  Bound at run time: it comes inside a wheel."""

from libc.stdint cimport int64_t


cdef enum:
    SFM_READ = 0x10
    SF_SEEK_SET = 0
    SF_COUNT_MAX = 0x7FFFFFFFFFFFFFFF   # frames of a stream that does not tell its length


ctypedef void SNDFILE


ctypedef struct SF_INFO:
    int64_t frames
    int samplerate
    int channels
    int format
    int sections
    int seekable


ctypedef SNDFILE* (*sf_open_fd_t)(int fd, int mode, SF_INFO* info, int close_desc) noexcept nogil
ctypedef int64_t (*sf_readf_float_t)(SNDFILE* file, float* frames, int64_t count) noexcept nogil
ctypedef int64_t (*sf_seek_t)(SNDFILE* file, int64_t frames, int whence) noexcept nogil
ctypedef int (*sf_error_t)(SNDFILE* file) noexcept nogil                   # NULL: why the last open failed
ctypedef const char* (*sf_error_number_t)(int error) noexcept nogil
ctypedef int (*sf_close_t)(SNDFILE* file) noexcept nogil
