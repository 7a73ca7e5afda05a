"""limiter, then codec."""

from libc.stdint cimport int32_t, uint8_t

from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.dsp.limiter cimport limiter_run, limiter_t
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, RTP_HEADROOM
from roomtone.ext.flow.counters cimport COUNT_ENCODED
from roomtone.ext.flow.endpoint cimport endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, count, endpoint_private_t, media_t, mix_t


cdef inline int encode(media_t* m, const codec_t* c, limiter_t* limiter, const int32_t* sum_, bint wide,
                       uint8_t* packet) noexcept nogil:
    limiter_run(limiter, m.pcm_own, sum_, FRAME_16K if wide else FRAME_8K, 16000 if wide else 8000)
    count(m, COUNT_ENCODED)
    return c.encode(m.pcm_own, FRAME_16K if wide else FRAME_8K, packet + RTP_HEADROOM)


cdef int encode_sum(media_t* m, int codec, limiter_t* limiter, const int32_t* sum_, uint8_t* packet) noexcept nogil:
    cdef const codec_t* c = codec_get(codec)
    return encode(m, c, limiter, sum_, c.sample_rate_hz == 16000, packet)


cdef int encode_shared(media_t* m, bus_private_t* p, mix_t* mix, int codec) noexcept nogil:
    cdef const codec_t* c
    cdef bint wide
    if mix.shared_bytes[codec]:
        return mix.shared_bytes[codec]
    c = codec_get(codec)
    wide = c.sample_rate_hz == 16000
    mix.shared_bytes[codec] = encode(m, c, &p.limiter[codec], &mix.sum16[0] if wide else &mix.sum8[0], wide,
                                     mix.shared[codec].data)
    return mix.shared_bytes[codec]


cdef int encode_own(media_t* m, mix_t* mix, endpoint_t* e) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef const codec_t* c = codec_get(e.tx_codec)
    if c.sample_rate_hz == 16000:
        m.kernel.mix_minus(m.sum_own, mix.sum16, p.pcm16, FRAME_16K)
        return encode(m, c, &p.limiter16, m.sum_own, True, m.own.data)
    m.kernel.mix_minus(m.sum_own, mix.sum8, p.pcm8, FRAME_8K)
    return encode(m, c, &p.limiter8, m.sum_own, False, m.own.data)
