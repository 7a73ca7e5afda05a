"""Channels, and what is put into them."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from roomtone.ext.base.types cimport RT_LATE
from roomtone.ext.record._file cimport rt_load32, rt_store64
from roomtone.ext.record.blocks cimport blocks_advance
from roomtone.ext.record.capture cimport CAPTURE_FRAME, CAPTURE_RTP_IN, capture_t
from roomtone.ext.record.chunk cimport chunk_order, chunk_room, chunk_used, chunk_waiting
from roomtone.ext.record.feed cimport feed_leg, feed_leg_end, feed_put
from roomtone.ext.record.leg cimport leg_put
from roomtone.ext.record.pcap cimport PCAP_OVERHEAD_MAX, pcap_packet
from roomtone.ext.record.recording cimport (
    CHANNELS_MAX,
    CHUNK_WIDEN,
    FORMAT_PCAP,
    FORMAT_WAV,
    LOSS_CHANNEL,
    LOSS_CHANNELS,
    LOSS_FILE,
    LOSS_LATE,
    LOSS_RING,
    NEXT_CHANNEL,
    WAV_HEADER_BYTES,
    WINDOW_BLOCKS,
    drain_t,
    elapsed_us,
    feed_t,
    left_out,
    leg_t,
    order_t,
    recording_t,
)


cdef enum:
    INDEX_MASK = 0xFFFFF


cdef void lose(recording_t* r, int reason, uint64_t packets) noexcept nogil:
    rt_store64(&r.lost[reason], r.lost[reason] + packets)


# -- records -----------------------------------------------------------------------------------------------------------

cdef inline bint wanted(const recording_t* r, const capture_t* record) noexcept nogil:
    """A WAV wants what sources say, a pcap what was on the wire."""
    if r.format == FORMAT_PCAP:
        return record.kind != CAPTURE_FRAME
    return record.kind == CAPTURE_FRAME or (record.kind == CAPTURE_RTP_IN and record.codec != 0)


cdef void count_lost(leg_t* leg, uint32_t lost, uint32_t lost_heard, bint counts) noexcept nogil:
    """The ring's losses since the last look; those of a pause are none of the recording's."""
    cdef uint32_t total = lost if leg.recording.format == FORMAT_PCAP else lost_heard
    if counts and total != leg.lost_known:
        lose(leg.recording, LOSS_RING, total - leg.lost_known)
    leg.lost_known = total


cdef void put_pcap(recording_t* r, const capture_t* record) noexcept nogil:
    cdef uint8_t* room = chunk_room(r, PCAP_OVERHEAD_MAX + record.bytes, record.at_us)
    if room == NULL:
        lose(r, LOSS_FILE, 1)
        return
    chunk_used(r, pcap_packet(room, record, record.at_us + r.wall_offset_us), 1)
    r.chunk.until_us = r.started_us + elapsed_us(r, record.at_us)


cdef void put_wav(drain_t* d, leg_t* leg, const capture_t* record) noexcept nogil:
    blocks_advance(d, leg.recording, record.at_us)
    if leg.window == NULL:
        lose(leg.recording, LOSS_CHANNELS, 1)
    elif leg_put(leg, record) == RT_LATE:
        lose(leg.recording, LOSS_LATE, 1)


cdef void leg_record(drain_t* d, leg_t* leg, const capture_t* record) noexcept nogil:
    cdef recording_t* r = leg.recording
    cdef bint outside = left_out(r, record.at_us)
    if leg.feed == NULL:
        count_lost(leg, record.lost, record.lost_heard, not outside)    # what a feed lost it tells itself
    if outside or not wanted(r, record):
        return
    if rt_load32(&r.error):
        lose(r, LOSS_FILE, 1)
    elif chunk_waiting(r) >= <int64_t> r.limit:
        lose(r, LOSS_CHANNEL, 1)
    elif r.feeding:
        feed_put(r, leg, record)
    elif r.format == FORMAT_PCAP:
        put_pcap(r, record)
    else:
        put_wav(d, leg, record)


# -- channels ----------------------------------------------------------------------------------------------------------

cdef leg_t* used_channel(recording_t* r, bint made_here) noexcept nogil:
    """One that may serve again: of a source made here that has ended, or any where there are no channels to tell apart."""
    cdef leg_t* leg = r.first_leg
    while leg != NULL:
        if not leg.here and ((leg.made_here and made_here) or r.mix or r.feeding or r.format == FORMAT_PCAP):
            return leg
        leg = leg.next
    return NULL


cdef leg_t* new_channel(recording_t* r, int32_t channel) noexcept nogil:
    cdef leg_t* leg = <leg_t*> calloc(1, sizeof(leg_t))
    if leg == NULL:
        return NULL
    leg.recording = r
    leg.channel = r.leg_count if channel == NEXT_CHANNEL else <uint32_t> channel
    r.leg_count = max(r.leg_count, leg.channel + 1)
    if r.last_leg == NULL:
        r.first_leg = leg
    else:
        r.last_leg.next = leg
    r.last_leg = leg
    if r.feeding or r.format == FORMAT_PCAP or (not r.mix and leg.channel >= CHANNELS_MAX):
        return leg
    leg.window = <int16_t*> calloc(WINDOW_BLOCKS * r.block, sizeof(int16_t))
    if not r.mix and leg.channel >= r.channels:
        chunk_order(r, CHUNK_WIDEN, r.blocks * r.block, leg.channel + 1, r.channels)
        r.channels = leg.channel + 1
        r.end = WAV_HEADER_BYTES + 2 * r.blocks * r.block * r.channels
    return leg


cdef leg_t* leg_begin(drain_t* d, recording_t* r, feed_t* feed, int32_t channel, bint made_here,
                      int64_t at_us) noexcept nogil:
    cdef leg_t* leg = NULL
    if r.format == FORMAT_WAV and not r.feeding:
        blocks_advance(d, r, at_us)
    if channel == NEXT_CHANNEL or r.feeding:
        leg = used_channel(r, made_here)
    if leg == NULL:
        leg = new_channel(r, NEXT_CHANNEL if r.feeding else channel)
    if leg == NULL:
        return NULL
    leg.feed = feed
    leg.here = 1
    leg.made_here = made_here
    leg.anchored = 0
    return leg


cdef void leg_order(drain_t* d, const order_t* order) noexcept nogil:
    cdef leg_t* leg = leg_begin(d, order.recording, NULL, order.channel, order.made_here, order.at_us)
    if leg == NULL:
        return
    leg.handle = order.handle
    leg.lost_known = order.lost
    leg.next_here = d.legs[order.handle & INDEX_MASK]
    d.legs[order.handle & INDEX_MASK] = leg
    if order.recording.feeding:
        feed_leg(order.recording, leg, order.channel, order.at_us)


cdef void legs_anew(recording_t* r) noexcept nogil:
    """What comes next is put where it arrives: there was a pause."""
    cdef leg_t* leg = r.first_leg
    while leg != NULL:
        leg.anchored = 0
        leg = leg.next


cdef void leave(drain_t* d, leg_t* leg) noexcept nogil:
    """Records of its endpoint go past it from now on."""
    cdef leg_t** at
    leg.here = 0
    if leg.feed != NULL:
        return
    at = &d.legs[leg.handle & INDEX_MASK]
    while at[0] != NULL and at[0] != leg:
        at = &at[0].next_here
    if at[0] == leg:
        at[0] = leg.next_here


cdef void leg_end_order(drain_t* d, const order_t* order) noexcept nogil:
    cdef leg_t* leg = order.recording.first_leg
    while leg != NULL:
        if leg.here and leg.feed == NULL and leg.handle == order.handle:
            count_lost(leg, order.lost, order.lost, not leg.recording.paused)
            leave(d, leg)
            if leg.recording.feeding:
                feed_leg_end(leg.recording, leg)
            return
        leg = leg.next


cdef void legs_free(drain_t* d, recording_t* r) noexcept nogil:
    cdef leg_t* leg = r.first_leg
    cdef leg_t* next_leg
    cdef int i
    while leg != NULL:
        next_leg = leg.next
        if leg.here:
            leave(d, leg)
        for i in range(WINDOW_BLOCKS):
            lose(r, LOSS_FILE, leg.packets[i])      # of a file that failed; else they are written
        free(leg.window)
        free(leg)
        leg = next_leg
    r.first_leg = r.last_leg = NULL
