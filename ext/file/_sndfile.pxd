"""libsndfile 1.2 (sndfile.h), as far as reading needs it.  Bound at run time: it comes inside a wheel."""

from libc.stdint cimport int64_t


cdef enum:
    SFM_READ = 0x10
    SF_SEEK_SET = 0
    SF_SEEK_CUR = 1
    SF_SEEK_END = 2
    SF_COUNT_MAX = 0x7FFFFFFFFFFFFFFF   # frames of a stream that does not tell its length


ctypedef void SNDFILE


ctypedef struct SF_INFO:
    int64_t frames
    int samplerate
    int channels
    int format
    int sections
    int seekable


ctypedef struct SF_VIRTUAL_IO:          # what a file is to libsndfile; positions and counts are bytes
    int64_t (*get_filelen)(void* user) noexcept nogil
    int64_t (*seek)(int64_t offset, int whence, void* user) noexcept nogil
    int64_t (*read)(void* to, int64_t count, void* user) noexcept nogil
    int64_t (*write)(const void* from_, int64_t count, void* user) noexcept nogil
    int64_t (*tell)(void* user) noexcept nogil


ctypedef SNDFILE* (*sf_open_virtual_t)(SF_VIRTUAL_IO* io, int mode, SF_INFO* info, void* user) noexcept nogil
ctypedef int64_t (*sf_readf_float_t)(SNDFILE* file, float* frames, int64_t count) noexcept nogil
ctypedef int64_t (*sf_seek_t)(SNDFILE* file, int64_t frames, int whence) noexcept nogil
ctypedef int (*sf_error_t)(SNDFILE* file) noexcept nogil                   # NULL: why the last open failed
ctypedef const char* (*sf_error_number_t)(int error) noexcept nogil
ctypedef int (*sf_close_t)(SNDFILE* file) noexcept nogil
