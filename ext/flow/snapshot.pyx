"""Counters by name."""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.event.stats_record cimport RECORD_NONE, record_addr_t, stats_record_t
from roomtone.ext.flow.arena cimport addr_text
from roomtone.ext.flow.constants cimport HISTOGRAM_BINS, NONE
from roomtone.ext.flow.endpoint cimport EP_HEARD, EP_MAY_RECEIVE, EP_PROBE, KIND_RTP, addr_t, endpoint_t
from roomtone.ext.flow.graph cimport media_t
from roomtone.ext.flow.rx_playout cimport TARGET_MS, playout_delay_us
from roomtone.ext.flow.rx_source cimport source_lost

DROP_NAMES = (
    "short", "version", "length", "oversize", "payload_type", "empty", "unknown_ssrc", "probation", "bad_seq",
    "duplicate", "late", "wrong_source", "foreign_network", "no_bus", "unheard", "not_learned", "send", "refused",
    "kernel_overflow", "key_no_type", "key_large_bus", "key_bad", "audio_during_key", "rtcp_bad", "rtcp_source",
    "line_range", "closed", "unknown_protocol", "stale", "playout_late", "direction",
    "key_collision", "key_late", "key_in_room", "noise_no_type",
)
COUNTER_NAMES = (
    "rx_raw_packets", "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "relayed_packets", "mixed_packets",
    "encodings", "ticks", "ticks_late", "tick_overruns", "partials_late", "rtcp_rx_packets", "rtcp_tx_packets",
    "edits", "facts_lost", "keys", "playout_resyncs", "concealed_frames", "turns", "wakeups_empty", "reads_empty",
    "rx_gaps", "rx_gaps_filled", "floods", "file_underruns", "watched_frames", "watched_frames_lost",
    "bridge_sums_late", "comfort_noise_rx_packets", "comfort_noise_tx_packets",
)


cdef void record_addr(record_addr_t* to, const addr_t* a) noexcept nogil:
    memcpy(to.ip, a.ip, sizeof(to.ip))
    to.port = a.port
    to.family = a.family


cdef void endpoint_record(const endpoint_t* e, int64_t now_us, stats_record_t* r) noexcept nogil:
    cdef const codec_t* codec = codec_get(e.rx_codec)
    cdef int64_t rate_hz = codec.clock_rate_hz if codec != NULL else 8000
    memset(r, 0, sizeof(stats_record_t))
    r.codec = e.rx_codec if e.rx_packets else e.tx_codec
    r.rx_packets = e.rx_packets
    r.rx_bytes = e.rx_bytes
    r.rx_lost = source_lost(e)
    r.rx_jitter_us = <int32_t> ((e.jitter >> 4) * <int64_t> 1000000 // rate_hz)
    r.rx_last_ms_ago = RECORD_NONE if e.rx_last_us == 0 else max(<int64_t> 0, (now_us - e.rx_last_us) // 1000)
    r.rx_raw_packets = e.rx_raw_packets
    r.rx_raw_bytes = e.rx_raw_bytes
    r.rx_dropped = e.rx_dropped
    r.rx_late = e.rx_late
    r.rx_duplicate = e.rx_duplicate
    r.rx_reordered = e.rx_reordered
    r.playout_delay_us = <int32_t> playout_delay_us(e, codec) if codec != NULL and e.playing else 0
    r.playout_target_us = TARGET_MS * 1000 if codec != NULL and e.playing else RECORD_NONE
    r.concealed_ms = e.concealed_frames * <int64_t> 20
    r.tx_packets = e.tx_packets
    r.tx_bytes = e.tx_bytes
    r.rtt_us = RECORD_NONE if e.rtt_us == NONE else <int32_t> e.rtt_us
    r.rtt_ms_ago = max(<int64_t> 0, (now_us - e.rtt_at_us) // 1000)
    r.remote_lost = <int32_t> e.remote_lost
    r.remote_jitter_us = <int32_t> (e.remote_jitter * <int64_t> 1000000 // rate_hz) if e.remote_reported else RECORD_NONE
    r.ssrc_rx = e.rx_ssrc if e.flags & EP_HEARD else 0
    r.ssrc_tx = e.tx_ssrc
    record_addr(&r.local, &e.local)
    record_addr(&r.remote, &e.remote)


cdef object known(int64_t value):
    return None if value == RECORD_NONE else value


cdef object known_ms(int64_t us):
    return None if us == RECORD_NONE else us / 1000.0


cdef dict endpoint_stats(const endpoint_t* e, int64_t now_us):
    """The record, by name (messages.EndpointStats)."""
    cdef stats_record_t r
    endpoint_record(e, now_us, &r)
    return {
        "codec": r.codec,
        "rx_packets": r.rx_packets,
        "rx_bytes": r.rx_bytes,
        "rx_lost": r.rx_lost,
        "rx_jitter_ms": r.rx_jitter_us / 1000.0,
        "rx_last_ms_ago": known(r.rx_last_ms_ago),
        "rx_raw_packets": r.rx_raw_packets,
        "rx_raw_bytes": r.rx_raw_bytes,
        "rx_dropped": r.rx_dropped,
        "rx_late": r.rx_late,
        "rx_duplicate": r.rx_duplicate,
        "rx_reordered": r.rx_reordered,
        "playout_delay_ms": r.playout_delay_us / 1000.0,
        "playout_target_ms": known_ms(r.playout_target_us),
        "concealed_ms": r.concealed_ms,
        "tx_packets": r.tx_packets,
        "tx_bytes": r.tx_bytes,
        "rtt_ms": known_ms(r.rtt_us),
        "rtt_observed_ms_ago": None if r.rtt_us == RECORD_NONE else r.rtt_ms_ago,
        "remote_packets_lost": None if r.remote_jitter_us == RECORD_NONE else r.remote_lost,
        "remote_jitter_ms": known_ms(r.remote_jitter_us),
        "local_rtp_addr": addr_text(&e.local),
        "remote_rtp_addr": addr_text(&e.remote) if e.remote.port else "",
        "ssrc_rx": r.ssrc_rx,
        "ssrc_tx": r.ssrc_tx,
    }


cdef list silent_scan(media_t* m, int64_t limit_us, int64_t now_us):
    cdef endpoint_t* e
    cdef uint32_t i
    cdef int64_t since
    found = []
    for i in range(1, m.arena.high_water):
        e = &m.endpoints[i]
        if e.kind != KIND_RTP or e.flags & (EP_MAY_RECEIVE | EP_PROBE) != EP_MAY_RECEIVE:
            continue
        since = max(e.rx_last_us, e.silent_since_us)
        if now_us - since >= limit_us:
            found.append((e.handle, (now_us - since) // 1000, since))
    return found


cdef dict worker_metrics(media_t* m):
    cdef int i
    return {
        "counters": {name: m.stats.counters[i] for i, name in enumerate(COUNTER_NAMES)},
        "drops": {name: m.stats.drops[i] for i, name in enumerate(DROP_NAMES)},
        "gauges": {"endpoints": m.stats.endpoints_in_use, "edits_applied": m.stats.edits_applied},
        "tick_duration_us": [(1 << i, m.stats.tick_duration[i]) for i in range(HISTOGRAM_BINS)],
        "tick_late_us": [(1 << i, m.stats.tick_late[i]) for i in range(HISTOGRAM_BINS)],
    }
