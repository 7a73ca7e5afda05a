"""limiter, then codec."""


from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.dsp.limiter cimport limiter_run
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, RTP_HEADROOM
from roomtone.ext.flow.counters cimport COUNT_ENCODED
from roomtone.ext.flow.endpoint cimport endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, count, endpoint_private_t, media_t, mix_t


cdef int encode_shared(media_t* m, bus_private_t* p, mix_t* mix, int codec) noexcept nogil:
    cdef const codec_t* c
    cdef bint wide
    if mix.shared_bytes[codec]:
        return mix.shared_bytes[codec]
    c = codec_get(codec)
    wide = c.sample_rate_hz == 16000
    limiter_run(&p.limiter[codec], m.pcm_own, &mix.sum16[0] if wide else &mix.sum8[0], FRAME_16K if wide else FRAME_8K,
                c.sample_rate_hz)
    mix.shared_bytes[codec] = c.encode(m.pcm_own, FRAME_16K if wide else FRAME_8K,
                                       mix.shared[codec].data + RTP_HEADROOM)
    count(m, COUNT_ENCODED)
    return mix.shared_bytes[codec]


cdef int encode_own(media_t* m, mix_t* mix, endpoint_t* e) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef const codec_t* c = codec_get(e.tx_codec)
    cdef bint wide = c.sample_rate_hz == 16000
    if wide:
        m.kernel.mix_minus(m.sum_own, mix.sum16, p.pcm16, FRAME_16K)
        limiter_run(&p.limiter16, m.pcm_own, m.sum_own, FRAME_16K, 16000)
    else:
        m.kernel.mix_minus(m.sum_own, mix.sum8, p.pcm8, FRAME_8K)
        limiter_run(&p.limiter8, m.pcm_own, m.sum_own, FRAME_8K, 8000)
    count(m, COUNT_ENCODED)
    return c.encode(m.pcm_own, FRAME_16K if wide else FRAME_8K, m.own.data + RTP_HEADROOM)
