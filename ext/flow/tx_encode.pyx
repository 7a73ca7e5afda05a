"""limiter, then codec."""

from libc.stdint cimport int32_t, uint8_t

from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.dsp.limiter cimport limiter_run, limiter_t
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, RTP_HEADROOM
from roomtone.ext.flow.counters cimport COUNT_ENCODED
from roomtone.ext.flow.endpoint cimport endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, count, endpoint_private_t, media_t, mix_t


cdef int encode_sum(media_t* m, int codec, limiter_t* limiter, const int32_t* sum_, uint8_t* packet) noexcept nogil:
    cdef const codec_t* c = codec_get(codec)
    cdef int n = FRAME_16K if c.sample_rate_hz == 16000 else FRAME_8K
    limiter_run(limiter, m.pcm_own, sum_, n, c.sample_rate_hz)
    count(m, COUNT_ENCODED)
    return c.encode(m.pcm_own, n, packet + RTP_HEADROOM)


cdef int encode_shared(media_t* m, bus_private_t* p, mix_t* mix, int codec) noexcept nogil:
    cdef const codec_t* c
    cdef bint wide
    if mix.shared_bytes[codec]:
        return mix.shared_bytes[codec]
    c = codec_get(codec)
    wide = c.sample_rate_hz == 16000
    mix.shared_bytes[codec] = encode_sum(m, codec, &p.limiter[codec], &mix.sum16[0] if wide else &mix.sum8[0],
                                         mix.shared[codec].data)
    return mix.shared_bytes[codec]


cdef int encode_own(media_t* m, mix_t* mix, endpoint_t* e) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef const codec_t* c = codec_get(e.tx_codec)
    cdef bint wide = c.sample_rate_hz == 16000
    if wide:
        m.kernel.mix_minus(m.sum_own, mix.sum16, p.pcm16, FRAME_16K)
    else:
        m.kernel.mix_minus(m.sum_own, mix.sum8, p.pcm8, FRAME_8K)
    return encode_sum(m, e.tx_codec, &p.limiter16 if wide else &p.limiter8, m.sum_own, m.own.data)
