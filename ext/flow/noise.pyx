"""Where it is heard, and its frames."""

from libc.stdint cimport int16_t, int64_t, uint64_t

from roomtone.ext.codec.comfort_noise cimport NOISE_LEVEL_MASK, noise_run
from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, bus_t, media_t
from roomtone.ext.flow.key_ring cimport key_members


cdef enum:
    NOISE_QUIETEST = 59         # -dBov; from 60 on it is under SILENCE_RMS (rx_playout): nothing
    NOISE_SOURCES_MAX = 2
    NOISE_HELD_US = 5000000     # websocket.md section 8: media_timeout_secs, as it is if nobody says otherwise


cdef bint noise_heard(media_t* m, const bus_t* b, const endpoint_t* e, int64_t now_us) noexcept nogil:
    cdef const bus_private_t* p = &m.bus_privates[e.bus]
    if not e.noise or e.noise & NOISE_LEVEL_MASK > NOISE_QUIETEST or now_us - e.rx_last_us > NOISE_HELD_US:
        return False
    return b.source_count + key_members(b, p) - b.rtp_count <= NOISE_SOURCES_MAX


cdef void noise_frame(const endpoint_t* e, int16_t* pcm, int n, int64_t tick) noexcept nogil:
    noise_run(pcm, n, e.noise & NOISE_LEVEL_MASK, <uint64_t> tick << 20 ^ e.handle)
