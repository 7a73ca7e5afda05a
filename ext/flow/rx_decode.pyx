"""Decode, change the rate if someone needs the other one, and decide whether it is worth adding."""

from libc.stdint cimport int16_t, int64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport rt_unlikely
from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.dsp.resample cimport resample_down2, resample_up2
from roomtone.ext.dsp.tone cimport tone_run, tone_set_rate
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, PHASE_US, PHASES
from roomtone.ext.flow.endpoint cimport EP_SILENT, KIND_FILE, KIND_TONE, endpoint_index, endpoint_t
from roomtone.ext.flow.fact cimport fact_put
from roomtone.ext.flow.graph cimport bus_t, endpoint_private_t, media_t
from roomtone.ext.flow.handover cimport FACT_TONE_DONE_
from roomtone.ext.flow.noise cimport noise_frame, noise_heard
from roomtone.ext.flow.rx_playout cimport PLAYOUT_TOLD, SILENCE_RMS, playout_get
from roomtone.ext.flow.source_file cimport file_frame
from roomtone.ext.flow.tap cimport tap_frame


cdef enum:
    RATE_16K = 2
    HANGOVER_TICKS = 10             # 200 ms: the end of a word is not cut


cdef bint talks(media_t* m, endpoint_t* e, const int16_t* pcm, int n) noexcept nogil:
    if m.kernel.level_energy(pcm, n) > <int64_t> SILENCE_RMS * SILENCE_RMS * n:
        e.hangover = HANGOVER_TICKS
        return True
    if e.hangover:
        e.hangover -= 1
        return True
    return False


cdef bint tone_frame(media_t* m, bus_t* b, endpoint_t* e, endpoint_private_t* p) noexcept nogil:
    cdef bint wide = (b.rates & RATE_16K) != 0
    cdef int rate = 16000 if wide else 8000
    cdef int running
    if e.flags & EP_SILENT:                     # over; told
        return False
    if <int> p.tone.rate_hz != rate:
        tone_set_rate(&p.tone, rate)
    running = tone_run(&p.tone, &p.pcm16[0] if wide else &p.pcm8[0], FRAME_16K if wide else FRAME_8K)
    if wide:
        resample_down2(&p.down, p.pcm8, p.pcm16, FRAME_16K)
    if not running:
        e.flags |= EP_SILENT
        fact_put(m, FACT_TONE_DONE_, e.handle, 0, 0)
    return True


cdef bint told_frame(media_t* m, bus_t* b, endpoint_t* e, endpoint_private_t* p, int64_t tick) noexcept nogil:
    """Of a source whose silence was told; no end of a word is to come.  Such a source is sampled at 8 kHz."""
    cdef int64_t at_us = (tick * PHASES + b.phase) * PHASE_US
    e.hangover = 0
    if e.flags & m.watch:
        memset(m.pcm_in, 0, 2 * FRAME_8K)
        tap_frame(m, e, m.pcm_in, True, tick, at_us)
    if not noise_heard(m, b, e, at_us):
        return False
    noise_frame(e, p.pcm8, FRAME_8K, tick)
    if b.rates & RATE_16K:
        resample_up2(&p.up, p.pcm16, p.pcm8, FRAME_8K)
    return True


cdef bint source_frame(media_t* m, bus_t* b, endpoint_t* e, int64_t tick) noexcept nogil:
    cdef:
        endpoint_private_t* p = &m.privates[endpoint_index(e)]
        const codec_t* codec
        int n
        int samples
        bint wide
        bint watched = (e.flags & m.watch) != 0
    if e.kind == KIND_TONE:
        return tone_frame(m, b, e, p)
    if e.kind == KIND_FILE:
        return file_frame(m, b, e, p, tick)
    codec = codec_get(e.rx_codec)
    if codec == NULL:
        return False
    wide = codec.sample_rate_hz == 16000
    samples = FRAME_16K if wide else FRAME_8K
    n = playout_get(m, e, codec, tick)
    # Decoded beside the endpoint's own memory: most members of a room are silent, and silence leaves no trace there.
    if n > 0:
        codec.decode(m.frame, n, m.pcm_in)
    elif rt_unlikely(n == PLAYOUT_TOLD):
        return told_frame(m, b, e, p, tick)
    elif e.hangover == 0 and not watched:
        return False
    else:
        memset(m.pcm_in, 0, 2 * samples)
    if watched:
        if wide:
            resample_down2(&p.down, p.pcm8, m.pcm_in, FRAME_16K)
        tap_frame(m, e, &p.pcm8[0] if wide else &m.pcm_in[0], n >= 0, tick, (tick * PHASES + b.phase) * PHASE_US)
    if not talks(m, e, m.pcm_in, samples):
        return False
    memcpy(&p.pcm16[0] if wide else &p.pcm8[0], m.pcm_in, 2 * samples)
    if wide:
        if not watched:
            resample_down2(&p.down, p.pcm8, p.pcm16, FRAME_16K)
    elif b.rates & RATE_16K:
        resample_up2(&p.up, p.pcm16, p.pcm8, FRAME_8K)
    return True
