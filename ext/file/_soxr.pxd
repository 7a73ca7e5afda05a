"""libsoxr 0.1.3 (soxr.h): streams of float32, one channel, quality HQ.  Bound at run time: it comes inside a wheel."""

ctypedef void soxr_stream


# The three NULL pointers stand for: float32 in and out, SOXR_HQ, one thread.
ctypedef soxr_stream* (*soxr_create_t)(
    double in_rate, double out_rate, unsigned int channels, const char** error,
    const void* io, const void* quality, const void* runtime
) noexcept nogil
# in_ NULL: that was all, flush.  NULL is returned when all is well.
ctypedef const char* (*soxr_process_t)(
    soxr_stream* resampler, const float* in_, size_t in_count, size_t* in_done,
    float* out, size_t out_count, size_t* out_done
) noexcept nogil
ctypedef void (*soxr_delete_t)(soxr_stream* resampler) noexcept nogil
