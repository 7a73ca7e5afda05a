"""Headers on the way out."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from roomtone.ext.base.types cimport handle_t, rt_likely, rt_unlikely
from roomtone.ext.codec.codec cimport codec_get
from roomtone.ext.flow.capture cimport capture_sent
from roomtone.ext.flow.constants cimport RTP_HEADROOM, TICK_US
from roomtone.ext.flow.counters cimport (
    COUNT_NOISE_TX,
    COUNT_TX_BYTES,
    COUNT_TX_PACKETS,
    DROP_AUDIO_DURING_KEY,
    DROP_NOT_LEARNED,
)
from roomtone.ext.flow.endpoint cimport (
    EP_CAPTURED,
    EP_CONNECTED,
    EP_INJECT,
    EP_KEY_TX,
    EP_MAY_SEND,
    TX_AUDIO,
    TX_NOISE,
    endpoint_t,
)
from roomtone.ext.flow.graph cimport count, drop, media_t
from roomtone.ext.flow.tx_socket cimport tx_send
from roomtone.ext.wire.rtp cimport rtp_write


cdef enum:
    # -dBov of the noise we ask for: -65.8 dBm0, under what any line has, so that a room of whatever size adds none.
    NOISE_LEVEL = 72


cdef bint tx_open(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    if rt_likely(e.flags & (EP_CONNECTED | EP_MAY_SEND | EP_KEY_TX) == (EP_CONNECTED | EP_MAY_SEND)):
        return True
    if not e.flags & EP_CONNECTED:
        drop(m, DROP_NOT_LEARNED)
        return False
    if not e.flags & EP_MAY_SEND:
        return False
    if e.flags & EP_INJECT or now_us < e.key_tx_until_us:
        drop(m, DROP_AUDIO_DURING_KEY)
        return False
    e.flags &= ~<uint32_t> EP_KEY_TX        # a relayed press whose end never came
    return True


cdef inline uint32_t tick_units(const endpoint_t* e) noexcept nogil:
    return codec_get(e.tx_codec).clock_rate_hz // 50


cdef uint32_t tx_timestamp_at(const endpoint_t* e, int64_t now_us) noexcept nogil:
    if not e.tx_started:
        return e.tx_ts
    return e.tx_ts + <uint32_t> ((now_us - e.tx_last_us) * codec_get(e.tx_codec).clock_rate_hz // 1000000)


cdef uint32_t step_by_time(const endpoint_t* e, int64_t now_us) noexcept nogil:
    """Whole frames of real time since the last packet, at least one."""
    cdef int64_t frames = (now_us - e.tx_last_us + TICK_US // 2) // TICK_US
    return tick_units(e) * <uint32_t> (frames if frames > 1 else 1)


cdef inline void finish(media_t* m, endpoint_t* e, bint noise, bint marker, uint8_t* packet, int payload_bytes,
                        int64_t now_us) noexcept nogil:
    e.tx_seq += 1
    e.tx_started = TX_NOISE if noise else TX_AUDIO
    e.tx_last_us = now_us
    rtp_write(packet, e.noise_tx_type if noise else e.tx_payload_type, marker, e.tx_seq, e.tx_ts, e.tx_ssrc)
    if tx_send(m, e, packet, RTP_HEADROOM + payload_bytes):
        e.tx_packets += 1
        e.tx_bytes += payload_bytes
        m.stats.counters[<int> COUNT_TX_PACKETS] += 1
        m.stats.counters[<int> COUNT_TX_BYTES] += payload_bytes
        if rt_unlikely(e.flags & EP_CAPTURED):
            capture_sent(m, e, not noise, packet, RTP_HEADROOM + payload_bytes, now_us)
    else:
        e.tx_seq -= 1           # never on the wire: the sequence stays gap-free


cdef inline bint relayed_step(endpoint_t* e, handle_t source, uint32_t source_ts, bint marker,
                              int64_t now_us) noexcept nogil:
    """The line moves on with the source's.  The marker that audio has: the source's, or that it is another one."""
    if rt_likely(e.tx_source == source):
        e.tx_ts += source_ts - e.tx_source_ts
    else:
        if e.tx_started:
            e.tx_ts += step_by_time(e, now_us)
        e.tx_source = source
        marker = True
    e.tx_source_ts = source_ts
    return marker


cdef void tx_relayed(media_t* m, endpoint_t* e, handle_t source, uint32_t source_ts, bint marker, uint8_t* packet,
                     int payload_bytes, int64_t now_us) noexcept nogil:
    marker = relayed_step(e, source, source_ts, marker, now_us)
    finish(m, e, False, marker, packet, payload_bytes, now_us)


cdef void tx_noise_relayed(media_t* m, endpoint_t* e, handle_t source, uint32_t source_ts, uint8_t* packet,
                           int payload_bytes, int64_t now_us) noexcept nogil:
    relayed_step(e, source, source_ts, False, now_us)
    finish(m, e, True, False, packet, payload_bytes, now_us)


cdef inline bint mixed_step(endpoint_t* e, int64_t tick, int64_t now_us) noexcept nogil:
    """The line moves on to this tick.  The marker that audio has: it does not follow audio of the tick before."""
    cdef uint32_t ticks = <uint32_t> tick - e.tx_tick_low
    cdef bint marker = True
    if rt_likely(e.tx_source == 0 and e.tx_started == TX_AUDIO):
        e.tx_ts += tick_units(e) * ticks
        marker = ticks > 1
    elif e.tx_source == 0 and e.tx_started == TX_NOISE:
        e.tx_ts += tick_units(e) * ticks
    else:
        if e.tx_started:
            e.tx_ts += step_by_time(e, now_us)
        e.tx_source = 0
    e.tx_tick_low = <uint32_t> tick
    return marker


cdef void tx_mixed(media_t* m, endpoint_t* e, int64_t tick, uint8_t* packet, int payload_bytes,
                   int64_t now_us) noexcept nogil:
    cdef bint marker = mixed_step(e, tick, now_us)
    finish(m, e, False, marker, packet, payload_bytes, now_us)


cdef void tx_noise_mixed(media_t* m, endpoint_t* e, int64_t tick, int64_t now_us) noexcept nogil:
    cdef uint8_t[RTP_HEADROOM + 1] packet
    packet[<int> RTP_HEADROOM] = NOISE_LEVEL
    mixed_step(e, tick, now_us)
    count(m, COUNT_NOISE_TX)
    finish(m, e, True, False, packet, 1, now_us)
