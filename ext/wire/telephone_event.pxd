"""RFC 4733 telephone-event: payload <-> struct, and two machines, receive and send.  No IO, no allocation.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |     event     |E|R| volume    |          duration             |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t


cdef enum:
    EVENT_BYTES = 4
    EVENT_DIGIT_MAX = 15            # 0-9 * # A B C D are 0..15


ctypedef struct event_t:
    uint8_t event
    uint8_t end
    uint8_t volume                  # 0..63, -dBm0
    uint16_t duration               # RTP units of the telephone-event clock


# RT_OK, RT_SHORT (under 4 bytes).  Longer payloads: the first 4 bytes count.
cdef int event_parse(const uint8_t* payload, int n, event_t* e) noexcept nogil
cdef void event_write(uint8_t* payload, const event_t* e) noexcept nogil


# -- receive machine: exactly one report per key press, whatever is lost, repeated or reordered --------------

cdef enum:
    EVENT_RX_NONE = 0               # nothing to report: update, duplicate, ended key, not a digit
    EVENT_RX_START = 1              # a press began (first packet of it seen)
    EVENT_RX_END = 2                # a press ended: digit and digit_ticks are valid; may come without START
    EVENT_RX_SWITCH = 3             # a new press began and ended the last: END for the old, the new is active


ctypedef struct event_rx_t:         # 64 bytes at most; zeroed is a good start state
    uint32_t timestamp              # of the segment in progress, RTP units
    uint32_t start_timestamp        # of the press in progress: its first segment's
    uint32_t segment_base           # ticks before this segment (split at 0xFFFF, RFC 4733 2.5.1.3)
    uint32_t ended_timestamp        # last ended press: its packets and older ones change nothing for 5 s
    uint16_t duration               # largest seen in this segment
    uint16_t ended_duration
    uint8_t active                  # EVENT_PRESS_*
    uint8_t event
    uint8_t volume
    uint8_t ended_event
    uint8_t ended_valid             # EVENT_PRESS_*: OPEN when it ended without E
    int64_t last_us                 # last packet of the press in progress
    int64_t ended_us
    int64_t interval_us             # largest update interval seen in this press, for the time-out
    uint8_t digit                   # out: after END or SWITCH, event code of the press that ended
    uint32_t digit_ticks            # out: its whole duration, RTP units


cdef enum:
    EVENT_PRESS_NONE = 0
    EVENT_PRESS_OPEN = 1            # no E seen
    EVENT_PRESS_CLOSED = 2          # E seen


# One telephone-event packet.  Returns EVENT_RX_*.  A press is keyed on (event, timestamp); a segment that
# starts where the last one ended (its timestamp = old timestamp + old duration, within one update), without E
# between, continues it.  END while another press goes on: an older press that had not come through before.
# The press that SWITCH began may be closed already (its packet carried E): the next put or poll then reports
# its END.
cdef int event_rx_put(event_rx_t* rx, const event_t* e, uint32_t timestamp, int64_t now_us) noexcept nogil
# Time-out: max(3 update intervals, 150 ms) without a packet ends the press.  EVENT_RX_END or EVENT_RX_NONE.
cdef int event_rx_poll(event_rx_t* rx, int64_t now_us) noexcept nogil


# -- send machine: marker first, constant timestamp, updates every 20 ms, three end packets ------------------

ctypedef struct event_tx_t:         # zeroed is idle
    uint8_t active
    uint8_t event
    uint8_t volume
    uint8_t ends_sent
    uint8_t first
    uint32_t timestamp              # of the current segment on the destination's line, RTP units
    uint32_t start_timestamp
    uint32_t total_ticks            # of the whole press, RTP units
    uint32_t segment_ticks_before   # already told in earlier segments
    uint32_t clock_rate_hz
    int64_t start_us
    int64_t next_us                 # when the next packet is due


ctypedef struct event_packet_t:     # what to put on the wire now
    event_t body
    uint32_t timestamp
    uint8_t marker


cdef void event_tx_start(event_tx_t* tx, uint8_t event, uint8_t volume, uint32_t duration_ms,
                         uint32_t clock_rate_hz, uint32_t timestamp, int64_t now_us) noexcept nogil
# Called when now_us >= next_us.  1: *packet is to be sent (next_us moved on to the next 20 ms of the press);
# 0: nothing is due; RT_EMPTY: the event is over (active is 0), 20 ms after the last packet.  Never more than
# one packet a call, and no burst after a late one; durations non-decreasing; at 0xFFFF ticks a new segment
# starts (new timestamp = old + 0xFFFF, no E, no marker).
cdef int event_tx_poll(event_tx_t* tx, int64_t now_us, event_packet_t* packet) noexcept nogil
