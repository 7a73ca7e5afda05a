"""A window of 1.28 s of PCM at the file's rate; a packet is written where its timestamp says.

The first packet of a source is put where it arrived, those behind it by their timestamps, so that what came late or in
another order finds its place and a pause stays a pause.  When timestamp and arrival differ by over RESYNC_US (a new
time line; a clock that has drifted for hours) the next packet is put where it arrived.  Frames of tones and files have
no timestamp but the tick's.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport RT_EMPTY, RT_LATE, RT_OK, ts_diff
from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.dsp.resample cimport resample_down2, resample_up2
from roomtone.ext.record.capture cimport CAPTURE_FRAME, capture_data, capture_t
from roomtone.ext.record.recording cimport HOLD_BLOCKS, WINDOW_BLOCKS, BLOCK_US, elapsed_us, leg_t, recording_t
from roomtone.ext.wire.rtp cimport rtp_header_t, rtp_parse


cdef enum:
    RESYNC_US = HOLD_BLOCKS * BLOCK_US
    PACKET_SAMPLES_MAX = 1536           # of one datagram of a byte a sample, an even number
    NARROW_HZ = 8000
    PACKETS_MAX = 255


cdef int64_t sample_at(const recording_t* r, int64_t at_us) noexcept nogil:
    return elapsed_us(r, at_us) * r.rate_hz // 1000000


cdef int64_t place(leg_t* leg, const rtp_header_t* h, int clock_rate_hz, int64_t at_us) noexcept nogil:
    """The sample of the recording at which this packet begins."""
    cdef const recording_t* r = leg.recording
    cdef int64_t arrived = sample_at(r, at_us)
    cdef int64_t at = arrived
    cdef int64_t apart = <int64_t> RESYNC_US * r.rate_hz // 1000000
    cdef int32_t steps
    if leg.anchored and h.ssrc == leg.ssrc:
        steps = ts_diff(h.timestamp, leg.anchor_ts)
        at = leg.anchor + <int64_t> steps * r.rate_hz // clock_rate_hz
        if -apart < at - arrived < apart:
            if steps > 0:
                leg.anchor = at
                leg.anchor_ts = h.timestamp
            return at
    leg.anchored = 1
    leg.ssrc = h.ssrc
    leg.anchor_ts = h.timestamp
    leg.anchor = arrived
    return arrived


cdef int to_file_rate(leg_t* leg, int16_t* pcm, int n, int rate_hz) noexcept nogil:
    """pcm: room for twice n.  Samples at the file's rate."""
    cdef int16_t[PACKET_SAMPLES_MAX] other
    if rate_hz == leg.recording.rate_hz:
        return n
    memcpy(other, pcm, 2 * n)
    if rate_hz == NARROW_HZ:
        resample_up2(&leg.resample, pcm, other, n)
        return 2 * n
    n &= ~1
    resample_down2(&leg.resample, pcm, other, n)
    return n // 2


cdef int write(leg_t* leg, int64_t at, const int16_t* pcm, int n) noexcept nogil:
    cdef int block = leg.recording.block
    cdef int64_t first = leg.recording.blocks * block
    cdef int64_t end = at + n
    cdef int64_t total = WINDOW_BLOCKS * block
    cdef int64_t some
    if end <= first or end > first + total:
        return RT_LATE
    if at < first:
        pcm += first - at
        at = first
    if leg.packets[at // block % WINDOW_BLOCKS] < PACKETS_MAX:
        leg.packets[at // block % WINDOW_BLOCKS] += 1
    while at < end:
        some = min(end, (at // block + 1) * block) - at
        memcpy(leg.window + at % total, pcm, 2 * some)
        leg.touched |= <uint64_t> 1 << (at // block % WINDOW_BLOCKS)
        at += some
        pcm += some
    return RT_OK


cdef int leg_put(leg_t* leg, const capture_t* record) noexcept nogil:
    cdef int16_t[2 * PACKET_SAMPLES_MAX] pcm
    cdef rtp_header_t h
    cdef const codec_t* codec
    cdef const uint8_t* data = capture_data(record)
    cdef int n
    if record.kind == CAPTURE_FRAME:
        n = record.bytes // 2
        memcpy(pcm, data, record.bytes)
        n = to_file_rate(leg, pcm, n, n * (1000000 // BLOCK_US))
        return write(leg, sample_at(leg.recording, record.at_us), pcm, n)
    codec = codec_get(record.codec)
    if codec == NULL or rtp_parse(data, record.bytes, &h) < 0:
        return RT_EMPTY
    n = codec.decode(data + h.payload_offset, h.payload_bytes, pcm)
    if n <= 0:
        return RT_EMPTY
    n = to_file_rate(leg, pcm, n, codec.sample_rate_hz)
    return write(leg, place(leg, &h, codec.clock_rate_hz, record.at_us), pcm, n)


cdef int leg_take(leg_t* leg, int16_t* interleaved, int channels) noexcept nogil:
    cdef int block = leg.recording.block
    cdef int slot = leg.recording.blocks % WINDOW_BLOCKS
    cdef int16_t* pcm = leg.window + slot * block
    cdef int packets = leg.packets[slot]
    cdef int i
    if not leg_sounds(leg):
        return 0
    for i in range(block):
        interleaved[i * channels] = pcm[i]
    memset(pcm, 0, 2 * block)
    leg.touched &= ~(<uint64_t> 1 << slot)
    leg.packets[slot] = 0
    return packets
