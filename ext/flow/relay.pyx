"""rx_source -> tx_packetize without anything between."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from roomtone.ext.base.types cimport rt_prefetch_write, rt_unlikely
from roomtone.ext.codec.codec cimport CODEC_COUNT
from roomtone.ext.flow.constants cimport NONE, RTP_HEADROOM
from roomtone.ext.flow.counters cimport COUNT_RELAYED, DROP_NOISE_NO_TYPE, DROP_UNHEARD
from roomtone.ext.flow.endpoint cimport EP_DESTINATION, EP_SOURCE, NO_TYPE, endpoint_index, endpoint_t, is_noise
from roomtone.ext.flow.graph cimport bus_t, count, drop, endpoint_at, media_t
from roomtone.ext.flow.tx_packetize cimport tx_noise_relayed, tx_open, tx_relayed
from roomtone.ext.wire.rtp cimport rtp_header_t


cdef void relay_noise(media_t* m, endpoint_t* source, endpoint_t* d, const rtp_header_t* h, uint8_t* data,
                      int64_t now_us) noexcept nogil:
    if d.noise_tx_type == NO_TYPE:
        drop(m, DROP_NOISE_NO_TYPE)
    elif tx_open(m, d, now_us):
        count(m, COUNT_RELAYED)
        tx_noise_relayed(m, d, source.handle, h.timestamp, data + h.payload_offset - RTP_HEADROOM, h.payload_bytes,
                         now_us)


cdef void relay_one(media_t* m, endpoint_t* source, endpoint_t* d, const rtp_header_t* h, uint8_t* data,
                    int64_t now_us) noexcept nogil:
    if rt_unlikely(is_noise(source, h.payload_type)):
        relay_noise(m, source, d, h, data, now_us)
    elif tx_open(m, d, now_us):
        count(m, COUNT_RELAYED)
        # CSRCs and extensions are left behind: our header stands directly before the payload.
        tx_relayed(m, d, source.handle, h.timestamp, h.marker, data + h.payload_offset - RTP_HEADROOM,
                   h.payload_bytes, now_us)


cdef void relay_packet(media_t* m, bus_t* b, endpoint_t* source, const rtp_header_t* h, uint8_t* data,
                       int64_t now_us) noexcept nogil:
    cdef endpoint_t* d
    cdef uint32_t i
    if b.source_count == 2:
        d = endpoint_at(m, b.first_source)
        if d == source:
            d = endpoint_at(m, source.next_source)
        if d.flags & EP_DESTINATION:
            relay_one(m, source, d, h, data, now_us)
        else:
            drop(m, DROP_UNHEARD)
        return
    i = b.destination_first[b.relay_codec]
    if i == NONE or (i == endpoint_index(source) and source.next_destination == NONE):
        if b.destination_count <= 1:
            drop(m, DROP_UNHEARD)
        return
    while i != NONE:
        d = endpoint_at(m, i)
        i = d.next_destination
        if i != NONE:
            rt_prefetch_write(endpoint_at(m, i))
        if d != source:
            relay_one(m, source, d, h, data, now_us)


cdef void relay_restarted(media_t* m, endpoint_t* source) noexcept nogil:
    cdef endpoint_t* d
    cdef uint32_t i
    cdef int codec
    if not source.flags & EP_SOURCE:
        return
    for codec in range(1, CODEC_COUNT):
        i = m.buses[source.bus].destination_first[codec]
        while i != NONE:
            d = endpoint_at(m, i)
            i = d.next_destination
            if d.tx_source == source.handle:
                d.tx_source = NONE
