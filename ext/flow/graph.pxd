"""The hot structs of the media thread, and nothing else.

Two kinds of memory, one index:
  arena    endpoint_t, bus_t, partial_t, worker_t: position-free facts in shared memory (memfd).  A fresh process can
           map it after a crash and knows every address, SSRC, sequence number and counter.
  private  endpoint_private_t, bus_private_t, playout lines: PCM, filters, machines; rebuilt, never shared.

One owner: from the edit that opens a slot to the one that closes it only the media thread writes it.  Updates of
several fields that must be read together are bracketed by `lock` (odd while writing); readers retry.
Fields are ordered by use; `# line` marks a 64-byte cache line, checked by tests/ext/flow/test_layout.py.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from roomtone.ext.base.ring cimport ring_t
from roomtone.ext.base.types cimport handle_t
from roomtone.ext.codec.codec cimport CODEC_COUNT
from roomtone.ext.dsp.dispatch cimport kernel_t
from roomtone.ext.dsp.limiter cimport limiter_t
from roomtone.ext.dsp.resample cimport resample_t
from roomtone.ext.dsp.tone cimport tone_t
from roomtone.ext.flow.tap_state cimport tap_t
from roomtone.ext.record.capture cimport capture_ring_t
from roomtone.ext.wire.telephone_event cimport event_rx_t, event_tx_t


cdef enum:
    ARENA_MAGIC = 0x524D544E            # "RMTN"
    ARENA_LAYOUT = 3                    # raised by hand when a struct below changes its meaning
    NONE = 0xFFFFFFFF                   # no index

    TICK_US = 20000                     # one tick, and the packet time we send
    PHASE_US = 1000
    PHASES = 20
    READ_AGE_US = 100
    FRAME_8K = 160                      # samples of a tick
    FRAME_16K = 320
    CHUNK_8K = 8000                     # samples of a chunk of a decoded file: one second at each rate
    CHUNK_16K = 16000

    DATAGRAM_MAX = 1500                 # larger ones are a named drop (websocket.md section 5)
    RECEIVE_TYPES = 8                   # payload types a peer may use
    EVENT_TYPES = 4
    CNAME_BYTES = 40
    RTP_HEADROOM = 12
    CACHE_LINE = 64

    LINE_BYTES = 16384                  # playout line: 512 ms at 16 kHz, 16 bit; G.711 uses the first 4096
    LINE_SAMPLES_8K = 4096
    LINE_SAMPLES_16K = 8192
    PRESENT_WORDS = 4
    PLAYOUT_WORDS = 2 * PRESENT_WORDS   # an endpoint's: which granules are there, and which of them are not silence

    BUS_SLICE = 128                     # destinations sent to in one phase; larger buses use several
    BUS_SLICES_MAX = 14                 # so that the last slice is over before the next tick
    PARTIAL_SLOTS = 2048                # buses a worker can publish: spread or bridged ones
    PARTIAL_DEPTH = 4                   # ticks kept: slot = tick mod 4
    PARTIAL_WAIT_MS = 4                 # partials are added this long after the phase,
    PARTIAL_WAIT_MAX_MS = 12            # a late one up to this long; then it is left out

    WHEEL_SLOTS = 512                   # RTCP timer wheel
    WHEEL_SLOT_US = 16000
    HISTOGRAM_BINS = 24                 # powers of two of microseconds


cdef enum endpoint_kind_t:
    KIND_FREE = 0
    KIND_RTP = 1
    KIND_TONE = 2
    KIND_FILE = 3
    KIND_BRIDGE = 4                     # what another session says (bridge.pyx)


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
    EP_LINE = 0x40000           # the playout line is in use
    EP_KEY_ENDED = 0x80000      # the end of the telephone-event relayed last has gone out
    EP_WATCH_SPEECH = 0x100000  # what it says goes to the tap: to the detector of speech,
    EP_WATCH_KEYS = 0x200000    # of keys within the audio,
    EP_WATCH_FAX = 0x400000     # of fax tones,
    EP_WATCH_FRAMES = 0x800000  # or as it is to a detector outside the media thread
    EP_WATCHED = 0xF00000
    EP_SENSITIVE = 0x1000000    # keys of this peer are nobody's business: they are not recorded
    EP_CAPTURED = 0x2000000     # what it receives and sends is copied for recordings


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
    uint16_t tx_started
    uint32_t tx_tick_low                # tick of the last mixed packet
    int64_t tx_last_us
    uint64_t tx_packets
    uint64_t tx_bytes
    uint32_t tx_packets_reported        # at the last SR, tells whether we are a sender
    uint32_t key_tx_ts                  # telephone-event going out by relay: our timestamp,
    uint32_t key_tx_source_ts           # the source's,
    handle_t key_tx_source              # its sender,
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


cdef enum hushed_t:                     # what of a sum is kept out of recordings, because sensitive keys may sound in it
    HUSHED_OWN = 0x1
    HUSHED_BRIDGES = 0x2


ctypedef struct bus_t:
    uint32_t in_use                     # generation << 1 | 1
    uint32_t phase                      # 0..19
    uint32_t source_count
    uint32_t made_count                 # sources that are made here: tones and files
    uint32_t rtp_count                  # members that are RTP endpoints (for the key relay limit)
    uint32_t key_relay_limit
    uint32_t first_source
    uint32_t first_ticked
    uint32_t first_bridge               # bridges that are sources, linked as on the tick list, summed after it
    uint32_t bridge_count
    uint32_t destination_count
    uint32_t listener_count             # destinations that are no source
    uint32_t destination_first[CODEC_COUNT]
    uint32_t destination_last[CODEC_COUNT]
    uint32_t destinations[CODEC_COUNT]  # count a codec: one mix group each
    uint32_t relay_codec                # packets of the source(s) with this codec are forwarded on arrival; 0: none
    uint32_t linked                     # on its phase's list
    uint32_t mixes                      # somebody hears the sum
    uint32_t watched_count              # sources whose frames go to the tap
    uint32_t next_in_phase
    uint32_t prev_in_phase
    uint32_t tick_low                   # last tick summed
    uint32_t talkers                    # of that tick
    uint32_t hushed                     # hushed_t of that tick's sum
    uint32_t rates                      # bit 0: someone hears 8 kHz, bit 1: 16 kHz
    uint32_t rates_summed               # of the last tick
    int32_t partial_slot                # where its sum is published (partial.pyx); -1: nowhere
    # outputs of large or spread buses go out over several phases
    uint32_t sending                    # 0 idle, 1 waiting for partials, 2 sending
    uint32_t send_codec
    uint32_t send_next                  # endpoint index
    uint32_t send_quota
    int64_t send_ms                     # when to begin
    int64_t send_tick
    uint32_t next_deferred
    uint32_t prev_deferred


ctypedef struct sum_t:                  # of one tick, at both rates
    int32_t sum8[FRAME_8K]
    int32_t sum16[FRAME_16K]


ctypedef struct partial_t:              # one tick of one published bus; `tick` is stored last and checked before and after
    uint64_t tick
    uint32_t talkers                    # sources of its own in `own`; 0: `own` is not valid
    uint32_t bridged                    # bridges in `bridges`; 0: it is not valid
    uint32_t hushed                     # hushed_t
    uint32_t pad
    sum_t own
    sum_t bridges


# Every drop has a name; names in snapshot.pyx.  A datagram is accepted (COUNT_RX_PACKETS, COUNT_RTCP_RX) or dropped at
# the door, never both; what an accepted packet meets later (EMPTY, NO_BUS, UNHEARD, NOT_LEARNED, SEND, KEY_*,
# AUDIO_DURING_KEY, LINE_RANGE, PLAYOUT_LATE) is counted beside that.
cdef enum drop_t:
    DROP_SHORT = 0
    DROP_VERSION = 1
    DROP_LENGTH = 2
    DROP_OVERSIZE = 3
    DROP_PAYLOAD_TYPE = 4               # not negotiated
    DROP_EMPTY = 5                      # accepted, but no sample in it
    DROP_UNKNOWN_SSRC = 6               # a new SSRC before its second packet
    DROP_PROBATION = 7
    DROP_BAD_SEQ = 8
    DROP_DUPLICATE = 9
    DROP_LATE = 10                      # older than the packets remembered
    DROP_WRONG_SOURCE = 11
    DROP_FOREIGN_NETWORK = 12           # first packet from outside rtp_source_networks
    DROP_NO_BUS = 13                    # the endpoint is on no bus, or not as a source
    DROP_UNHEARD = 14                   # nobody on the bus to hear it
    DROP_NOT_LEARNED = 15               # a destination whose peer's address is not known yet
    DROP_SEND = 16                      # the kernel refused a send (buffer full)
    DROP_REFUSED = 17                   # ICMP refusal of an earlier packet
    DROP_KERNEL = 18                    # receive queue overflow: looked up with every report and at the end
    DROP_KEY_NO_TYPE = 19               # key not relayed: the destination negotiated no telephone-event
    DROP_KEY_LARGE_BUS = 20             # key not relayed: more members than key_relay_limit
    DROP_KEY_BAD = 21
    DROP_AUDIO_DURING_KEY = 22
    DROP_RTCP_BAD = 23
    DROP_RTCP_SOURCE = 24
    DROP_LINE_RANGE = 25                # timestamp outside the playout line
    DROP_CLOSED = 26
    DROP_UNKNOWN_PROTOCOL = 27          # first byte is neither RTP nor RTCP (RFC 7983)
    DROP_STALE = 28                     # queued before the address was pinned
    DROP_PLAYOUT_LATE = 29              # accepted, but its time to be played is over
    DROP_DIRECTION = 30                 # the direction in force does not allow it
    DROP_KEY_COLLISION = 31             # key not relayed: another goes out, or it is the rest of one that has gone out
    DROP_COUNT = 32


cdef enum counter_t:                    # names in snapshot.pyx
    COUNT_RX_RAW = 0
    COUNT_RX_PACKETS = 1
    COUNT_RX_BYTES = 2
    COUNT_TX_PACKETS = 3
    COUNT_TX_BYTES = 4
    COUNT_RELAYED = 5
    COUNT_MIXED = 6                     # packets sent from a mix
    COUNT_ENCODED = 7                   # encodings made
    COUNT_TICKS = 8                     # bus ticks
    COUNT_TICKS_LATE = 9
    COUNT_TICK_OVERRUNS = 10
    COUNT_PARTIAL_LATE = 11
    COUNT_RTCP_RX = 12
    COUNT_RTCP_TX = 13
    COUNT_EDITS = 14
    COUNT_FACTS_LOST = 15
    COUNT_KEYS = 16
    COUNT_RESYNCS = 17                  # playout lines started anew
    COUNT_CONCEALED = 18                # frames played as silence while the source was expected
    COUNT_TURNS = 19
    COUNT_WAKEUPS_EMPTY = 20
    COUNT_READS_EMPTY = 21
    COUNT_GAPS = 22                     # sequence numbers passed over,
    COUNT_FILLED = 23                   # and those of them that came late
    COUNT_FLOODS = 24                   # times a socket was left unread for a moment because of its peer's flood
    COUNT_FILE_UNDERRUNS = 25           # frames of files not played in time: not decoded yet
    COUNT_WATCHED = 26                  # frames given to detectors
    COUNT_FRAMES_LOST = 27              # frames a detector outside the media thread had no room for
    COUNT_BRIDGE_LATE = 28              # sums of a bridged session that were not there in time
    COUNT_COUNT = 32


ctypedef struct worker_t:               # one a worker, in the arena
    uint64_t counters[COUNT_COUNT]
    uint64_t drops[DROP_COUNT]
    uint64_t tick_duration[HISTOGRAM_BINS]
    uint64_t tick_late[HISTOGRAM_BINS]
    uint64_t edits_applied
    uint64_t endpoints_in_use
    uint64_t beat_us                    # last loop turn


ctypedef struct arena_header_t:
    uint32_t magic
    uint32_t layout
    uint64_t layout_hash                # of all struct sizes and key offsets
    uint32_t endpoints
    uint32_t worker
    uint32_t epoch
    uint32_t high_water                 # endpoint slots below this have been used (written by the Python thread)
    uint64_t endpoint_offset
    uint64_t bus_offset
    uint64_t partial_offset
    uint64_t bytes
    worker_t stats


ctypedef struct chunk_t:                # one second of a decoded file; written before it is published, never after
    int16_t pcm8[CHUNK_8K]
    int16_t pcm16[CHUNK_16K]


ctypedef struct track_t:                # one decoded file; the Python thread writes it, the media thread reads it
    uint64_t* chunks                    # address of chunk_t of each second, 0: not there (release, acquire)
    uint32_t chunk_count
    uint32_t failed                     # its end is the place where decoding failed (written before samples)
    int64_t samples                     # its length at 8 kHz (release, acquire); -1: not known yet


ctypedef struct playback_t:             # a place in a track; one for each endpoint, or one that many share
    const track_t* track
    int64_t position                    # first sample, at 8 kHz, of the frame that is played
    int64_t tick                        # on this tick; 0: whenever it is asked for first
    int64_t loops_left                  # -1: for ever
    uint8_t taken                       # it was played
    uint8_t shared                      # goes on whoever is paused
    uint8_t ended                       # file_end_t


cdef enum file_end_t:
    FILE_PLAYS = 0
    FILE_COMPLETED = 1
    FILE_FAILED = 2


ctypedef struct endpoint_private_t:
    limiter_t limiter8
    limiter_t limiter16
    int16_t pcm8[FRAME_8K]              # this tick's frame, valid while EP_TALKING
    int16_t pcm16[FRAME_16K]            # only on buses where someone hears 16 kHz
    resample_t up
    resample_t down
    tone_t tone
    playback_t* playback                # of a file; the Python thread's, until the slot is free
    int64_t file_started_us             # when its first frame was played; 0: not yet
    float file_gain
    uint32_t file_paused
    uint32_t file_ended                 # file_end_t, as far as it was told
    event_rx_t event_rx
    event_tx_t event_tx
    uint32_t key_rate                   # clock of the press in progress
    uint32_t feed_phase                 # bridge: of the session it brings,
    uint64_t* feeds                     # and where that session's buses publish: addresses of partial_t[PARTIAL_DEPTH]
    uint32_t feed_count
    uint32_t capture_lost               # records of it for which the capture ring had no room,
    uint32_t capture_lost_heard         # and those of them that were sound from it


ctypedef struct packet_t:               # an encoded frame with room for the header in front
    uint8_t data[RTP_HEADROOM + 2 * FRAME_16K]


ctypedef struct mix_t:                  # what a bus keeps between sum and sends
    int32_t sum8[FRAME_8K]
    int32_t sum16[FRAME_16K]
    packet_t shared[CODEC_COUNT]
    int32_t shared_bytes[CODEC_COUNT]   # payload bytes; 0: not encoded in this tick


ctypedef struct bus_private_t:
    limiter_t limiter[CODEC_COUNT]      # of the shared encodings
    uint64_t* peers                     # of a spread bus: addresses of partial_t[PARTIAL_DEPTH] in other workers' arenas
    uint64_t added                      # bit per peer whose partial of this tick is in the sum
    int64_t give_up_us                  # when to send without the missing ones
    uint32_t peer_count                 # 0: not spread
    uint32_t pad
    mix_t mix                           # touched only by large and spread buses; small ones use media_t.mix


cdef enum fact_kind_t:
    FACT_PINNED_ = 1
    FACT_KEY_ = 2
    FACT_INJECT_DONE_ = 3
    FACT_TONE_DONE_ = 4
    FACT_BYE_ = 5
    FACT_PROBE_ = 6
    FACT_RESYNC_ = 7
    FACT_FILE_STARTED_ = 8
    FACT_FILE_ENDED_ = 9
    FACT_INBAND_KEY_ = 10
    FACT_HEARD_ = 11                    # speech or a fax tone began: look at the tap

    FACT_SSRCS = 8
    FACT_TEXT_BYTES = 256
    FACT_RING = 1024
    EDIT_RING = 1024
    EDITS_A_TURN = 64


ctypedef struct fact_t:
    uint32_t kind
    handle_t handle
    int64_t a
    int64_t b
    addr_t addr
    uint32_t ssrc_count
    uint32_t ssrcs[FACT_SSRCS]
    int32_t text_bytes                  # -1: none
    char text[FACT_TEXT_BYTES]


cdef enum edit_kind_t:
    EDIT_OPEN = 1
    EDIT_MEDIA = 2
    EDIT_REMOTE = 3
    EDIT_MUX = 4
    EDIT_CLOSE = 5
    EDIT_INJECT = 6
    EDIT_TONE = 7
    EDIT_BUS_OPEN = 8
    EDIT_BUS_CLOSE = 9
    EDIT_SOURCE_ADD = 10
    EDIT_SOURCE_REMOVE = 11
    EDIT_DESTINATION_ADD = 12
    EDIT_DESTINATION_REMOVE = 13
    EDIT_BUS_SPREAD = 14
    EDIT_FILE = 15
    EDIT_FILE_SEEK = 16
    EDIT_FILE_PAUSE = 17
    EDIT_FENCE = 18                     # nothing: what the edits before it let go of is let go
    EDIT_WATCH = 19
    EDIT_WATCH_KINDS = 20
    EDIT_SENSITIVE = 21
    EDIT_BRIDGE = 22
    EDIT_BRIDGE_FEED = 23
    EDIT_MOVE = 24
    EDIT_CAPTURE = 25


ctypedef struct edit_t:
    uint32_t kind
    handle_t handle                     # endpoint
    uint32_t bus                        # index
    int32_t a
    int32_t b
    int32_t c
    double x
    uint64_t address
    addr_t addr
    uint8_t receive_type[RECEIVE_TYPES]
    uint8_t receive_codec[RECEIVE_TYPES]
    uint8_t event_type[EVENT_TYPES]
    uint8_t receive_count
    uint8_t event_tx_type
    uint8_t send_type
    uint8_t send_codec
    uint32_t event_rate[EVENT_TYPES]
    uint32_t event_tx_rate


ctypedef struct flood_t:                # budget of a socket that epoll watches (rx_flood); two an endpoint, RTP and RTCP
    uint32_t paid_us                    # low bits of the time until which its packets are paid for
    uint32_t next                       # list of those out of epoll; 0: not on it, NONE: the last
    uint32_t lost                       # RTCP only: what the kernel had dropped at the last look


ctypedef struct network_t:              # one CIDR of rtp_source_networks
    uint8_t ip[16]
    uint8_t family
    uint8_t prefix


ctypedef struct outbox_t:               # lab only: what would have been sent
    uint8_t* data
    uint32_t capacity
    uint32_t used
    uint32_t lost


ctypedef struct media_t:                # the media thread: everything it owns, and what it may read
    arena_header_t* arena
    endpoint_t* endpoints
    endpoint_private_t* privates
    bus_t* buses
    bus_private_t* bus_privates
    uint8_t* lines                      # LINE_BYTES an endpoint
    uint64_t* present                   # PLAYOUT_WORDS an endpoint: bit per 2 ms granule of its line
    tap_t* taps                         # one an endpoint
    partial_t* partials
    flood_t* floods                     # index: 2 * endpoint + POLL_RTP or POLL_RTCP
    const kernel_t* kernel
    worker_t* stats
    uint32_t endpoint_count
    uint32_t watch                      # which of EP_WATCHED are served
    int epoll_fd
    int wake_fd                         # eventfd, in epoll: edits wait
    int fact_fd                         # eventfd of the Python thread
    int lab
    int stop
    int sleeping                        # the media thread is (about to be) in epoll_wait
    int facts_new
    int facts_lost
    int in_turn
    int64_t tick_us                     # while sources are read on a tick: its time; else 0
    int gather_us                       # packets of relayed legs may wait so long for others, under load; 0: never
    int gathering
    uint64_t polled                     # datagrams epoll told of
    uint64_t polled_before
    int64_t polled_at_us
    int64_t now_us
    int64_t next_ms                     # the next phase to run, absolute milliseconds
    int64_t next_wheel                  # the next wheel slot, absolute
    int64_t wall_offset_us              # CLOCK_REALTIME - CLOCK_MONOTONIC
    int64_t wall_read_us
    uint64_t random
    uint32_t phase_first[PHASES]
    uint32_t phase_buses[PHASES]
    uint32_t phases_used                # bit per phase with buses
    uint32_t deferred_first
    uint32_t flood_first                # sockets out of epoll for being ahead of their budget; index as in floods
    int64_t flood_due_us                # when to look at them
    uint32_t key_first
    uint32_t inject_first
    uint32_t wheel[WHEEL_SLOTS]
    uint32_t wheel_members
    uint32_t network_count
    network_t networks[64]
    ring_t edits
    ring_t facts
    capture_ring_t* capture             # NULL until the first recording
    outbox_t outbox
    mix_t mix                           # scratch of buses that sum and send in one go
    packet_t own                        # scratch: a talker's own encoding
    int32_t sum_own[FRAME_16K]
    int16_t pcm_own[FRAME_16K]
    int16_t pcm_in[FRAME_16K]
    uint8_t frame[2 * FRAME_16K]        # scratch: one encoded frame out of a playout line
    uint8_t packet[2048]                # the datagram at hand


cdef inline endpoint_t* endpoint_at(media_t* m, uint32_t index) noexcept nogil:
    return m.endpoints + index


cdef inline bint is_made(const endpoint_t* e) noexcept nogil:
    """A source that comes from no peer: it is asked for a frame on every tick."""
    return e.kind == KIND_TONE or e.kind == KIND_FILE


cdef inline bint is_hushed(const endpoint_t* e) noexcept nogil:
    """Its keys are sensitive and sound in what it says: it has agreed on no telephone-events."""
    return e.flags & (EP_SENSITIVE | EP_WATCH_KEYS) == (EP_SENSITIVE | EP_WATCH_KEYS)


cdef inline uint32_t endpoint_index(endpoint_t* e) noexcept nogil:
    return e.handle & 0xFFFFF


cdef inline void drop(media_t* m, int reason) noexcept nogil:
    m.stats.drops[reason] += 1


cdef inline void count(media_t* m, int counter) noexcept nogil:
    m.stats.counters[counter] += 1


cdef inline void lock_begin(endpoint_t* e) noexcept nogil:
    e.lock += 1
    __atomic_signal_fence(__ATOMIC_SEQ_CST)
    __atomic_thread_fence(__ATOMIC_RELEASE)


cdef inline void lock_end(endpoint_t* e) noexcept nogil:
    __atomic_thread_fence(__ATOMIC_RELEASE)
    e.lock += 1


cdef extern from *:
    int __ATOMIC_SEQ_CST
    int __ATOMIC_RELEASE
    void __atomic_signal_fence(int order) noexcept nogil
    void __atomic_thread_fence(int order) noexcept nogil
