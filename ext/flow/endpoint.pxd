"""One port of audio, as it lies in the arena: position-free facts only (graph.pxd).

Fields are ordered by use; `# line` marks a 64-byte cache line, checked by tests/ext/flow/test_layout.py.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from roomtone.ext.base.types cimport handle_t, rt_fence_release
from roomtone.ext.flow.constants cimport CNAME_BYTES, EVENT_TYPES, RECEIVE_TYPES


cdef enum endpoint_kind_t:
    KIND_FREE = 0
    KIND_RTP = 1
    KIND_TONE = 2
    KIND_FILE = 3
    KIND_BRIDGE = 4                     # what another session says (bridge.pyx)


cdef enum tx_started_t:                 # what the last packet beside keys was
    TX_NOT_STARTED = 0
    TX_AUDIO = 1
    TX_NOISE = 2


cdef enum:
    NO_TYPE = 0xFF                      # no payload type
    NOISE_TOLD = 0x80


cdef enum endpoint_flag_t:
    EP_SOURCE = 0x1             # on its bus as a source
    EP_DESTINATION = 0x2        # on its bus as a destination
    EP_MAY_RECEIVE = 0x4        # the peer may send (direction)
    EP_MAY_SEND = 0x8           # we may send (direction)
    EP_LEARNING = 0x10          # the next valid packet pins the peer's address
    EP_CONNECTED = 0x20         # the socket is connected to `remote`: sending is allowed, the kernel filters
    EP_HEARD = 0x40             # the source has passed probation
    EP_POLLED = 0x80            # the RTP socket is in epoll
    EP_TICKED = 0x100           # the RTP socket is read on the bus's tick, without readiness
    EP_STAMPED = 0x200          # the kernel keeps arrival times
    EP_ODD_PTIME = 0x400        # the peer's packets are not 20 ms: cannot be relayed
    EP_KEY_TX = 0x800           # a telephone-event goes to the peer now: no audio
    EP_KEY_RX = 0x1000          # a press is in progress (on the key list)
    EP_INJECT = 0x2000          # on the inject list
    EP_SILENT = 0x4000          # the present silence has been reported
    EP_PROBE = 0x8000           # the worker's self-probe
    EP_TALKING = 0x10000        # added to the sum this tick
    EP_PCM16 = 0x20000          # private.pcm16 is valid this tick
    EP_TAKES_NOISE = 0x40000    # a destination that is sent comfort noise for silence (noise_tx_type)
    EP_KEY_ENDED = 0x80000      # the end of the telephone-event relayed last has gone out
    EP_WATCH_SPEECH = 0x100000  # what it says goes to the tap: to the detector of speech,
    EP_WATCH_KEYS = 0x200000    # of keys within the audio,
    EP_WATCH_FAX = 0x400000     # of fax tones,
    EP_WATCH_FRAMES = 0x800000  # or as it is to a detector outside the media thread
    EP_WATCHED = 0xF00000
    EP_SENSITIVE = 0x1000000    # keys of this peer are nobody's business: they are not recorded
    EP_CAPTURED = 0x2000000     # what it receives and sends is copied for recordings
    EP_SPEAKS_APART = 0x4000000     # its frame is not simply added: look at its seat
    EP_LISTENS_APART = 0x8000000    # it does not simply hear the sum: look at its seat
    EP_ARRIVING = 0x10000000    # it came to a room, and that was not told yet
    EP_PRIVATE = 0x20000000     # a source for one session's endpoints only (bus_t.first_private)
    EP_PARTY = 0x40000000       # a destination that would hear such a source: look at its seat while its bus has any


ctypedef struct addr_t:         # 20 bytes; family 0: unset
    uint8_t ip[16]              # network order, IPv4 in the first 4
    uint16_t port               # host order
    uint8_t family              # 4 or 6
    uint8_t pad


ctypedef struct endpoint_t:
    # line 0: every packet and every tick
    uint32_t lock
    handle_t handle
    int32_t rtp_fd
    uint32_t flags
    uint32_t bus                        # index or NONE
    uint8_t kind
    uint8_t rx_codec                    # of the last audio packet; 0: none yet
    uint8_t rx_payload_type             # of the last audio packet
    uint8_t tx_codec
    uint8_t tx_payload_type
    uint8_t idle_reads                  # empty tick reads in a row
    uint8_t hangover                    # ticks a quiet talker is still added
    uint8_t odd_ptime_run
    uint32_t next_ticked                # list of sources read on the tick
    uint32_t prev_ticked
    uint8_t noise_type                  # comfort noise the peer may send, and that it is sent; 0xFF: none
    uint8_t noise_tx_type
    uint8_t noise                       # its source is silent: NOISE_TOLD | level, -dBov; 0: it is not
    int64_t rx_last_us
    uint32_t next_source                # list of all sources of the bus
    uint32_t prev_source
    uint32_t next_destination           # list of the bus's destinations with this codec
    uint32_t prev_destination
    # line 1: the source, RFC 3550 A.1 and A.8 (names as there), and what else a tick touches
    uint32_t rx_ssrc
    uint32_t cycles
    uint32_t bad_seq
    uint16_t max_seq
    uint8_t transit_known
    uint8_t read_age                    # from arrival to that tick, or to the next one when epoll reads, READ_AGE_US
    int32_t probation
    uint32_t received
    uint32_t transit
    uint32_t jitter                     # 1/16 RTP units
    uint32_t rx_ts                      # newest accepted
    uint16_t level_min                  # smallest fill of the line in this second, 2 ms granules
    uint8_t level_ticks
    uint8_t quiet_granules              # silence that came in a row, 2 ms granules, up to QUIET_GRANULES (rx_playout)
    uint64_t seen                       # bit i: max_seq - i has been accepted
    uint64_t rx_raw_bytes
    uint32_t base_seq
    uint32_t expected_prior
    # line 2: the playout cursor and counters of the receive side
    uint32_t play_ts                    # next timestamp the tick takes
    uint32_t play_tick_low              # tick number of the last take, low 32 bits
    uint32_t play_end_ts                # one past the newest sample in the line
    uint8_t late_run                    # late packets against those in time, weighed (rx_playout)
    uint8_t ahead_granules              # how far before its playing the newest packet was written, 2 ms granules
    uint16_t playing                    # playout_state_t
    uint64_t rx_packets                 # accepted RTP packets
    uint64_t rx_bytes                   # their payload bytes
    uint32_t rx_late
    uint32_t rx_duplicate
    uint32_t rx_reordered
    uint32_t rx_dropped
    uint32_t concealed_frames           # ticks played as silence for want of a packet
    uint32_t play_anchor_ts             # timestamp at byte 0 of the line
    uint64_t rx_raw_packets             # every datagram that came to the port
    # line 3: the send side
    uint32_t tx_ssrc
    uint32_t tx_ts                      # of the last audio packet
    uint32_t tx_source_ts               # the source's timestamp of that packet (relay)
    handle_t tx_source                  # whose packets are relayed; 0: our own line (mix)
    uint16_t tx_seq                     # of the last packet
    uint16_t tx_started                 # tx_started_t
    uint32_t tx_tick_low                # tick of the last mixed packet
    int64_t tx_last_us
    uint64_t tx_packets
    uint64_t tx_bytes
    uint32_t tx_packets_reported        # at the last SR, tells whether we are a sender
    uint32_t key_tx_ts                  # telephone-event going out by relay: our timestamp,
    uint32_t key_tx_source_ts           # the source's,
    uint32_t key_tx_source              # its sender's key_name,
    # line 4
    int64_t key_tx_until_us             # and when it is given up
    uint32_t candidate_ssrc             # a new SSRC that needs a second packet in sequence
    uint32_t candidate_seq
    int32_t rtcp_fd                     # -1: muxed
    uint32_t next_wheel
    uint32_t prev_wheel
    uint32_t wheel_slot                 # NONE: not on the wheel
    uint32_t sr_middle                  # NTP middle bits of the peer's last SR
    uint32_t rtt_us                     # NONE: unknown
    int64_t rtt_at_us
    int64_t born_us
    int64_t silent_since_us             # start of the time the media time-out measures
    # line 5: what negotiation agreed
    uint8_t receive_type[RECEIVE_TYPES]
    uint8_t receive_codec[RECEIVE_TYPES]
    uint8_t event_type[EVENT_TYPES]     # 0xFF: unused
    uint8_t receive_count
    uint8_t event_tx_type               # 0xFF: none
    uint8_t rtcp_heard                  # the peer's RTCP address is remote_rtcp
    uint8_t bye_sent
    uint32_t event_rate[EVENT_TYPES]
    uint32_t event_tx_rate
    uint32_t kernel_drops               # what the kernel had dropped at the last look
    int64_t sr_us                       # when the peer's last SR came
    uint32_t remote_lost                # from the peer's report
    uint32_t remote_jitter
    # line 6
    uint32_t next_key                   # list of presses in progress
    uint32_t prev_key
    uint32_t next_inject
    uint32_t prev_inject
    uint32_t remote_reported            # remote_lost and remote_jitter are valid
    uint32_t received_prior             # RFC 3550 A.3
    addr_t local
    addr_t remote                       # pinned, or what the SDP says
    # line 7
    addr_t remote_rtcp
    uint16_t local_rtcp_port
    uint16_t cname_bytes
    char cname[CNAME_BYTES]


cdef inline bint is_made(const endpoint_t* e) noexcept nogil:
    """A source that comes from no peer: it is asked for a frame on every tick."""
    return e.kind == KIND_TONE or e.kind == KIND_FILE


cdef inline bint is_hushed(const endpoint_t* e) noexcept nogil:
    """Its keys are sensitive and sound in what it says: it has agreed on no telephone-events."""
    return e.flags & (EP_SENSITIVE | EP_WATCH_KEYS) == (EP_SENSITIVE | EP_WATCH_KEYS)


cdef inline bint is_noise(const endpoint_t* e, uint8_t payload_type) noexcept nogil:
    """A packet that was accepted from it is comfort noise."""
    return e.noise_type == payload_type


cdef inline uint32_t endpoint_index(endpoint_t* e) noexcept nogil:
    return e.handle & 0xFFFFF


cdef inline void lock_begin(endpoint_t* e) noexcept nogil:
    e.lock += 1
    rt_fence_release()


cdef inline void lock_end(endpoint_t* e) noexcept nogil:
    rt_fence_release()
    e.lock += 1
