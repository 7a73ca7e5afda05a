"""RFC 4733 telephone-event: payload, receive machine, send machine.

Theory of the receive machine.  A sender repeats itself; the caller must hear of each press once.  So:

1. A press is its event code and the timestamps from its first segment to the end of its newest.  Marker and
   sequence number mean nothing here: the marker gets lost, and packets of one press arrive in any order.
2. One press is in progress at most, and one ended press is remembered for 5 s.  The RTP clock only goes
   forward, so what is older than the remembered press is late, and late packets change nothing.
3. A press ends by its first E packet; else by a newer press; else by silence.  What ended without E (its E
   may be on the way still, or its key held through a gap in the network) goes on swallowing its packets and
   segments.
4. Two presses of one key are at least 40 ms apart (ITU-T Q.24).  A timestamp that begins nearer than that
   behind an end that had no E is therefore the same press: the next segment of a long one, or a sender that
   moves the timestamp with every packet.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from roomtone.ext.base.types cimport RT_EMPTY, RT_OK, RT_SHORT, ts_diff


cdef enum:
    END_BIT = 0x80                  # second byte, RFC 4733 section 2.3
    VOLUME_MASK = 0x3F
    SEGMENT_TICKS_MAX = 0xFFFF      # the most a duration field says, RFC 4733 section 2.5.1.3
    SEGMENTS_LATE_MAX = 8           # segments that may be lost within a press: 65 s at 8 kHz
    PAUSE_MIN_TICKS = 320           # RTP units: 40 ms at 8 kHz, ITU-T Q.24; at higher rates merely stricter
    LATE_TICKS_MAX = 480000         # RTP units: 10 s, our longest press, at 48 kHz; older is a new time line
    KEY_MEMORY_US = 5000000         # us: how long packets of an ended press change nothing
    SILENCE_MIN_US = 150000         # us: a press without packets ends after this or three update intervals
    SILENCE_INTERVALS = 3           # RFC 4733 section 2.5.2.2
    UPDATE_US = 20000               # us between packets we send, RFC 4733 section 2.5.1.2 (50 ms at most)
    ENDS_TO_SEND = 3                # RFC 4733 section 2.5.1.4
    US_PER_S = 1000000
    MS_PER_S = 1000


cdef int event_parse(const uint8_t* payload, int n, event_t* e) noexcept nogil:
    """Read a payload's first four bytes, RFC 4733 section 2.3.  RT_OK, or RT_SHORT and ``e`` untouched."""
    if n < EVENT_BYTES:
        return RT_SHORT
    e.event = payload[0]
    e.end = payload[1] >> 7
    e.volume = payload[1] & VOLUME_MASK
    e.duration = <uint16_t> (payload[2] << 8 | payload[3])
    return RT_OK


cdef void event_write(uint8_t* payload, const event_t* e) noexcept nogil:
    """Write the four bytes; the reserved bit is 0."""
    payload[0] = e.event
    payload[1] = <uint8_t> ((END_BIT if e.end else 0) | (e.volume & VOLUME_MASK))
    payload[2] = <uint8_t> (e.duration >> 8)
    payload[3] = <uint8_t> e.duration


# -- receive -------------------------------------------------------------------------------------------------

cdef inline bint continues(int32_t ahead, uint16_t duration) noexcept nogil:
    """Whether a segment ``ahead`` ticks (over 0) of one with ``duration`` belongs to the same press."""
    if ahead < duration + PAUSE_MIN_TICKS:
        return True
    # A split long press whose last updates were lost: segments lie exactly 0xFFFF apart.
    return ahead % SEGMENT_TICKS_MAX == 0 and ahead // SEGMENT_TICKS_MAX <= SEGMENTS_LATE_MAX


cdef bint is_ended_key(event_rx_t* rx, const event_t* e, uint32_t timestamp, int64_t now_us) noexcept nogil:
    """Whether the packet belongs to the remembered press, or to the time before it."""
    cdef int32_t ahead = ts_diff(timestamp, rx.ended_timestamp)
    if ahead < 0:
        return ahead > -LATE_TICKS_MAX
    if e.event != rx.ended_event:
        return False
    if ahead > 0:
        if rx.ended_valid == EVENT_PRESS_OPEN:
            if not continues(ahead, rx.ended_duration):
                return False
        # After E only a repeated E of a sender that moves its timestamp is the old press.
        elif not (e.end and e.duration >= rx.ended_duration and ahead < rx.ended_duration + PAUSE_MIN_TICKS):
            return False
        rx.ended_timestamp = timestamp
        rx.ended_duration = e.duration
    elif e.duration > rx.ended_duration:
        rx.ended_duration = e.duration
    if rx.ended_valid == EVENT_PRESS_OPEN:
        rx.ended_us = now_us                # still being sent: the 5 s begin with its last packet
        if e.end:
            rx.ended_valid = EVENT_PRESS_CLOSED
    return True


cdef void press_begin(event_rx_t* rx, const event_t* e, uint32_t timestamp, int64_t now_us) noexcept nogil:
    rx.active = EVENT_PRESS_CLOSED if e.end else EVENT_PRESS_OPEN
    rx.event = e.event
    rx.volume = e.volume
    rx.timestamp = timestamp
    rx.start_timestamp = timestamp
    rx.segment_base = 0
    rx.duration = e.duration
    rx.last_us = now_us
    rx.interval_us = 0


cdef void press_end(event_rx_t* rx, int64_t now_us) noexcept nogil:
    """Report the press in progress in ``digit`` and ``digit_ticks`` and remember it."""
    rx.digit = rx.event
    rx.digit_ticks = rx.segment_base + rx.duration
    rx.ended_event = rx.event
    rx.ended_timestamp = rx.timestamp
    rx.ended_duration = rx.duration
    rx.ended_valid = rx.active
    rx.ended_us = now_us
    rx.active = EVENT_PRESS_NONE


cdef int press_missed(event_rx_t* rx, const event_t* e, uint32_t timestamp, int64_t now_us) noexcept nogil:
    """Report a press whose first packet to arrive is older than the press in progress, which goes on."""
    rx.digit = e.event
    rx.digit_ticks = e.duration
    rx.ended_event = e.event
    rx.ended_timestamp = timestamp
    rx.ended_duration = e.duration
    rx.ended_valid = EVENT_PRESS_CLOSED if e.end else EVENT_PRESS_OPEN
    rx.ended_us = now_us
    return EVENT_RX_END


cdef void segment_begin(event_rx_t* rx, const event_t* e, uint32_t timestamp, int32_t ahead) noexcept nogil:
    """Go on with the press in a newer segment, ``ahead`` ticks after the last."""
    # A sender that moves the timestamp with every packet may count the duration from the key's start all the
    # same: base must not grow then, or the press would be told nearly twice as long.
    cdef bint counts_from_start = (e.duration - rx.duration == ahead
                                   or (ahead < rx.duration and e.duration >= rx.duration))
    if not counts_from_start:
        rx.segment_base += <uint32_t> ahead
    rx.timestamp = timestamp
    rx.duration = e.duration


cdef int press_update(event_rx_t* rx, const event_t* e, int64_t now_us) noexcept nogil:
    """A packet of the press in progress, newest segment."""
    if e.duration > rx.duration:
        rx.duration = e.duration
    if now_us - rx.last_us > rx.interval_us:
        rx.interval_us = now_us - rx.last_us
    rx.last_us = now_us
    if e.end:
        rx.active = EVENT_PRESS_CLOSED
    if rx.active == EVENT_PRESS_CLOSED:
        press_end(rx, now_us)
        return EVENT_RX_END
    return EVENT_RX_NONE


cdef int press_older(event_rx_t* rx, const event_t* e, uint32_t timestamp, int64_t now_us) noexcept nogil:
    """A packet older than the segment in progress: an earlier segment, or a press that was missed."""
    cdef int32_t before = ts_diff(rx.start_timestamp, timestamp)
    if e.event == rx.event and (before <= 0 or continues(before, e.duration)):
        return EVENT_RX_NONE
    return press_missed(rx, e, timestamp, now_us)


cdef int event_rx_put(event_rx_t* rx, const event_t* e, uint32_t timestamp, int64_t now_us) noexcept nogil:
    """Take one packet; see the contract and the theory above.  RFC 4733 section 2.5.2."""
    cdef int32_t ahead
    if e.event > EVENT_DIGIT_MAX:
        return EVENT_RX_NONE
    if rx.active and e.event == rx.event and timestamp == rx.timestamp:
        return press_update(rx, e, now_us)
    if rx.ended_valid:
        if now_us - rx.ended_us >= KEY_MEMORY_US:
            rx.ended_valid = EVENT_PRESS_NONE
        elif is_ended_key(rx, e, timestamp, now_us):
            return EVENT_RX_NONE
    if not rx.active:
        press_begin(rx, e, timestamp, now_us)
        if rx.active == EVENT_PRESS_CLOSED:
            press_end(rx, now_us)
            return EVENT_RX_END
        return EVENT_RX_START
    ahead = ts_diff(timestamp, rx.timestamp)
    if ahead < 0 and ahead > -LATE_TICKS_MAX:
        return press_older(rx, e, timestamp, now_us)
    if e.event == rx.event and ahead > 0 and continues(ahead, rx.duration):
        segment_begin(rx, e, timestamp, ahead)
        return press_update(rx, e, now_us)
    press_end(rx, now_us)
    press_begin(rx, e, timestamp, now_us)
    return EVENT_RX_SWITCH


cdef int event_rx_poll(event_rx_t* rx, int64_t now_us) noexcept nogil:
    """End the press in progress when it is silent for too long, or closed already."""
    cdef int64_t limit_us = SILENCE_INTERVALS * rx.interval_us
    if not rx.active:
        return EVENT_RX_NONE
    if limit_us < SILENCE_MIN_US:
        limit_us = SILENCE_MIN_US
    if rx.active == EVENT_PRESS_OPEN and now_us - rx.last_us < limit_us:
        return EVENT_RX_NONE
    press_end(rx, now_us)
    return EVENT_RX_END


# -- send ----------------------------------------------------------------------------------------------------

cdef void event_tx_start(event_tx_t* tx, uint8_t event, uint8_t volume, uint32_t duration_ms,
                         uint32_t clock_rate_hz, uint32_t timestamp, int64_t now_us) noexcept nogil:
    """Begin a press; its first packet is due at once.  ``timestamp``: the destination's line, RTP units."""
    cdef uint64_t ticks = <uint64_t> duration_ms * clock_rate_hz // MS_PER_S
    tx.active = 1
    tx.event = event
    tx.volume = volume & VOLUME_MASK
    tx.ends_sent = 0
    tx.first = 1
    tx.timestamp = timestamp
    tx.start_timestamp = timestamp
    tx.total_ticks = <uint32_t> ticks if ticks > 0 else 1
    tx.segment_ticks_before = 0
    tx.clock_rate_hz = clock_rate_hz
    tx.start_us = now_us
    tx.next_us = now_us


cdef int event_tx_poll(event_tx_t* tx, int64_t now_us, event_packet_t* packet) noexcept nogil:
    """The packet that is due now, if any; see the contract.  RFC 4733 sections 2.5.1.2 to 2.5.1.4.

    A packet tells the press up to the end of its own 20 ms, as an audio packet would.  Missed updates are
    skipped, not sent in a burst: due times stay on the grid that began with the press.
    """
    cdef int64_t slot
    cdef uint64_t ticks                     # of the press that this packet tells, all segments
    if not tx.active:
        return RT_EMPTY
    if now_us < tx.next_us:
        return 0
    if tx.ends_sent >= ENDS_TO_SEND:
        tx.active = 0
        return RT_EMPTY
    slot = (now_us - tx.start_us) // UPDATE_US + 1
    tx.next_us = tx.start_us + slot * UPDATE_US
    ticks = <uint64_t> slot * UPDATE_US * tx.clock_rate_hz // US_PER_S
    if ticks > tx.total_ticks:
        ticks = tx.total_ticks
    ticks -= tx.segment_ticks_before
    packet.timestamp = tx.timestamp
    packet.marker = tx.first
    packet.body.event = tx.event
    packet.body.volume = tx.volume
    packet.body.end = 0
    tx.first = 0
    if ticks >= SEGMENT_TICKS_MAX and tx.segment_ticks_before + SEGMENT_TICKS_MAX < tx.total_ticks:
        packet.body.duration = SEGMENT_TICKS_MAX
        tx.segment_ticks_before += SEGMENT_TICKS_MAX
        tx.timestamp += SEGMENT_TICKS_MAX
        return 1
    packet.body.duration = <uint16_t> ticks
    if tx.segment_ticks_before + ticks == tx.total_ticks:
        packet.body.end = 1
        tx.ends_sent += 1
    return 1


# -- for tests and tools -------------------------------------------------------------------------------------

RX_NONE, RX_START, RX_END, RX_SWITCH = EVENT_RX_NONE, EVENT_RX_START, EVENT_RX_END, EVENT_RX_SWITCH


def parse(const uint8_t[::1] payload not None):
    """(event, end, volume, duration), or the negative RT_* number."""
    cdef event_t e
    cdef int n = <int> payload.shape[0]
    cdef int result = event_parse(&payload[0] if n else NULL, n, &e)
    return result if result != RT_OK else (e.event, bool(e.end), e.volume, e.duration)


def write(uint8_t event, bint end, uint8_t volume, uint16_t duration) -> bytes:
    """The four bytes of a payload."""
    cdef uint8_t[EVENT_BYTES] payload
    cdef event_t e
    e.event, e.end, e.volume, e.duration = event, end, volume, duration
    event_write(payload, &e)
    return payload[:EVENT_BYTES]


def sizeof_rx() -> int:
    """Bytes of event_rx_t."""
    return sizeof(event_rx_t)


cdef class Receiver:
    """The receive machine by itself."""

    cdef event_rx_t rx

    def __cinit__(self):
        memset(&self.rx, 0, sizeof(self.rx))

    def put(self, uint8_t event, bint end, uint16_t duration, uint32_t timestamp, int64_t now_us, *,
            uint8_t volume=10):
        """Take a packet: (RX_*, digit, digit_ticks); the last two are 0 when nothing ended."""
        cdef event_t e
        e.event, e.end, e.volume, e.duration = event, end, volume, duration
        return self.answer(event_rx_put(&self.rx, &e, timestamp, now_us))

    def poll(self, int64_t now_us):
        """Let time pass: as put."""
        return self.answer(event_rx_poll(&self.rx, now_us))

    @property
    def active(self):
        """Whether a press is in progress."""
        return self.rx.active != EVENT_PRESS_NONE

    cdef tuple answer(self, int result):
        if result == EVENT_RX_END or result == EVENT_RX_SWITCH:
            return result, self.rx.digit, self.rx.digit_ticks
        return result, 0, 0


cdef class Sender:
    """The send machine by itself."""

    cdef event_tx_t tx

    def __cinit__(self):
        memset(&self.tx, 0, sizeof(self.tx))

    def start(self, uint8_t event, uint32_t duration_ms, uint32_t timestamp, int64_t now_us, *,
              uint8_t volume=10, uint32_t clock_rate_hz=8000):
        """Begin a press."""
        event_tx_start(&self.tx, event, volume, duration_ms, clock_rate_hz, timestamp, now_us)

    def poll(self, int64_t now_us):
        """(event, end, volume, duration, timestamp, marker); 0: nothing due; RT_EMPTY: over."""
        cdef event_packet_t p
        cdef int result = event_tx_poll(&self.tx, now_us, &p)
        if result != 1:
            return result
        return p.body.event, bool(p.body.end), p.body.volume, p.body.duration, p.timestamp, bool(p.marker)

    @property
    def active(self):
        """Whether a press is being sent."""
        return bool(self.tx.active)

    @property
    def next_us(self):
        """When the next packet is due, us."""
        return self.tx.next_us


cdef int64_t run_receive(int64_t presses) noexcept nogil:
    """Whole presses of 100 ms, 40 ms apart, through parse and machine: how many were reported."""
    cdef event_rx_t rx
    cdef event_t e
    cdef uint8_t[EVENT_BYTES] payload
    cdef int64_t reported = 0
    cdef int64_t i
    cdef int k
    memset(&rx, 0, sizeof(rx))
    for i in range(presses):
        for k in range(7):                  # five updates, the last with E, and its two repetitions
            e.event = <uint8_t> (i % (EVENT_DIGIT_MAX + 1))
            e.end = k >= 4
            e.volume = 10
            e.duration = <uint16_t> (160 * (k + 1 if k < 4 else 5))
            event_write(payload, &e)
            if event_parse(payload, EVENT_BYTES, &e) == RT_OK:
                if event_rx_put(&rx, &e, <uint32_t> (i * 1120), i * 140000 + k * UPDATE_US) == EVENT_RX_END:
                    reported += 1
    return reported


cdef int64_t run_send(int64_t presses) noexcept nogil:
    cdef event_tx_t tx
    cdef event_packet_t packet
    cdef int64_t sent = 0
    cdef int64_t now_us = 0
    cdef int64_t i
    cdef int result
    memset(&tx, 0, sizeof(tx))
    for i in range(presses):
        event_tx_start(&tx, 1, 10, 100, 8000, <uint32_t> (i * 1120), now_us)
        while True:
            result = event_tx_poll(&tx, now_us, &packet)
            if result == RT_EMPTY:
                break
            sent += result
            now_us += UPDATE_US
    return sent


def bench_receive(int64_t presses) -> int:
    """Receive ``presses`` presses of seven packets; presses reported."""
    cdef int64_t reported
    with nogil:
        reported = run_receive(presses)
    return reported


def bench_send(int64_t presses) -> int:
    """Send ``presses`` presses of 100 ms in virtual time; packets sent."""
    cdef int64_t sent
    with nogil:
        sent = run_send(presses)
    return sent
