"""The hot structs of the media thread, and nothing else.

Two kinds of memory, one index:
  arena    endpoint_t, bus_t, published_t, worker_t: position-free facts in shared memory (memfd).  A fresh process can
           map it after a crash and knows every address, SSRC, sequence number and counter.
  private  endpoint_private_t, bus_private_t, playout lines: PCM, filters, machines; rebuilt, never shared.

One owner: from the edit that opens a slot to the one that closes it only the media thread writes it.  Updates of
several fields that must be read together are bracketed by `lock` (odd while writing); readers retry.
endpoint_t is in endpoint.pxd, worker_t in counters.pxd; facts and edits in handover.pxd, decoded files in playback.pxd.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from roomtone.ext.base.ring cimport ring_t
from roomtone.ext.codec.codec cimport CODEC_COUNT
from roomtone.ext.dsp.dispatch cimport kernel_t
from roomtone.ext.dsp.limiter cimport limiter_t
from roomtone.ext.dsp.resample cimport resample_t
from roomtone.ext.dsp.tone cimport tone_t
from roomtone.ext.flow.constants cimport (
    FRAME_8K,
    FRAME_16K,
    GROUPS,
    KEYS_PUBLISHED,
    NONE,
    PARTIAL_DEPTH,
    PEERS_MAX,
    PHASES,
    ROLES,
    RTP_HEADROOM,
    WHEEL_SLOTS,
)
from roomtone.ext.flow.counters cimport worker_t
from roomtone.ext.flow.endpoint cimport endpoint_index, endpoint_t
from roomtone.ext.flow.playback cimport playback_t
from roomtone.ext.flow.tap_state cimport tap_t
from roomtone.ext.record.capture cimport capture_ring_t
from roomtone.ext.wire.telephone_event cimport event_rx_t, event_t, event_tx_t


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
    uint32_t first_private              # sources for one session each: linked as on the tick list, never summed
    uint32_t destination_count
    uint32_t listener_count             # destinations that are no source
    uint32_t destination_first[CODEC_COUNT]
    uint32_t destination_last[CODEC_COUNT]
    uint32_t destinations[CODEC_COUNT]  # count a codec: one mix group each
    uint32_t relay_codec                # packets of the source(s) with this codec are forwarded on arrival; 0: none
    uint32_t room                       # nothing is relayed, and every destination gets a packet a tick
    uint32_t arriving                   # one of its sources may be EP_ARRIVING
    uint32_t linked                     # on its phase's list
    uint32_t mixes                      # somebody hears the sum
    uint32_t watched_count              # sources whose frames go to the tap
    uint32_t next_in_phase
    uint32_t prev_in_phase
    uint32_t tick_low                   # last tick summed
    uint32_t talkers                    # of that tick: its own, and what it heard of others besides
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
    int32_t role_slot[ROLES]            # how many slots further on the sum of that role lies, in `own`; 0: it is silent
    sum_t own
    sum_t bridges


ctypedef struct key_event_t:            # a telephone-event on its way from its source to whoever hears it
    uint32_t source                     # the source's key_name
    uint32_t timestamp                  # as the source says it
    uint32_t rate                       # of timestamp and duration
    event_t body
    uint8_t marker
    uint8_t fresh                       # not the rest of a press that has ended
    uint8_t sensitive                   # not to be recorded


ctypedef struct published_t:            # what a bus publishes (partial.pyx, key_ring.pyx)
    partial_t ticks[PARTIAL_DEPTH]
    uint32_t rtp_count                  # RTP members of the bus
    uint32_t key_head                   # keys written so far, stored last; key i lies in slot i mod KEYS_PUBLISHED
    key_event_t keys[KEYS_PUBLISHED]


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


ctypedef struct seat_t:                 # how an endpoint sits in a room (seat.pyx); all 0: it hears and is heard by all
    uint32_t party                      # the session whose private sources it hears, or as whose it plays; 0: none
    int32_t arrival                     # number of its coming there
    uint32_t turned_tick                # from this tick on `muted` holds,
    uint8_t muted
    uint8_t was_muted                   # and before it this
    uint8_t role
    uint8_t spoke                       # the role its voice was added to last
    uint8_t deaf_to                     # bit per role


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
    float file_gain                     # of the sample played last,
    float file_gain_to                  # of the one to which a ramp leads,
    uint32_t file_ramp                  # so many samples at 8 kHz from here,
    float file_volume                   # and of those that are not paused
    uint32_t file_paused
    uint32_t file_ended                 # file_end_t, as far as it was told
    uint32_t file_item                  # that it plays, as far as it was told
    uint32_t file_underruns             # frames that were not there in time
    event_rx_t event_rx
    event_tx_t event_tx
    seat_t seat
    uint32_t key_rate                   # clock of the press in progress
    uint32_t key_name                   # of the time line of its keys, on all workers; another one when that begins anew
    uint64_t* feeds                     # bridge: where the session it brings publishes: addresses of published_t,
    uint32_t feed_count
    uint32_t feed_phase                 # and that session's phase
    uint32_t noise_ts                   # from this timestamp of its source on endpoint_t.noise holds
    int64_t rtcp_us                     # when the peer's last RTCP came; 0: none has
    uint32_t capture_lost               # records of it for which the capture ring had no room,
    uint32_t capture_lost_heard         # and those of them that were sound from it


ctypedef struct packet_t:               # an encoded frame with room for the header in front
    uint8_t data[RTP_HEADROOM + 2 * FRAME_16K]


ctypedef struct mix_t:                  # what a bus keeps between sum and sends
    int32_t sum8[FRAME_8K]
    int32_t sum16[FRAME_16K]
    packet_t shared[CODEC_COUNT]
    int32_t shared_bytes[CODEC_COUNT]   # payload bytes; 0: not encoded in this tick


ctypedef struct group_t:                # one encoding for all who hear the same roles in the same codec
    limiter_t limiter
    uint32_t key                        # codec << 8 | roles heard; 0: free
    uint32_t tick_low                   # of the encoding
    int32_t bytes                       # of its payload
    packet_t packet


ctypedef struct roles_t:                # of a room that tells its voices apart; made by the Python thread
    sum_t sums[ROLES]                   # of the voices of each role from 1 on; 0 is what the bus's has beyond
    uint32_t talking                    # bit per role whose sum holds something,
    uint32_t talkers[ROLES]             # and how many are in it
    int32_t slots[ROLES]                # where the sums are published, when the bus's is; else -1
    group_t groups[GROUPS]


ctypedef struct bus_private_t:
    limiter_t limiter[CODEC_COUNT]      # of the shared encodings
    uint64_t* peers                     # of a spread bus: addresses of published_t in other workers' arenas
    uint64_t added                      # bit per peer whose partial of this tick is in the sum
    int64_t give_up_us                  # when to send without the missing ones
    uint32_t peer_count                 # 0: not spread
    roles_t* roles                      # NULL: all voices are one
    uint32_t keys_seen[PEERS_MAX]       # of each peer's key_head
    mix_t mix                           # touched only by large and spread buses; small ones use media_t.mix


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
    published_t* published              # PARTIAL_SLOTS
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
    sum_t roles_in[ROLES]               # scratch: another worker's, until it is certain that they are whole
    uint8_t frame[2 * FRAME_16K]        # scratch: one encoded frame out of a playout line
    uint8_t packet[2048]                # the datagram at hand


cdef inline endpoint_t* endpoint_at(media_t* m, uint32_t index) noexcept nogil:
    return m.endpoints + index


cdef inline void ticked_in(media_t* m, uint32_t* first, endpoint_t* e) noexcept nogil:
    """Onto the list of the sources a bus reads on its tick, or on that of its bridges."""
    e.prev_ticked = NONE
    e.next_ticked = first[0]
    if first[0] != NONE:
        endpoint_at(m, first[0]).prev_ticked = endpoint_index(e)
    first[0] = endpoint_index(e)


cdef inline void ticked_out(media_t* m, uint32_t* first, endpoint_t* e) noexcept nogil:
    if e.prev_ticked != NONE:
        endpoint_at(m, e.prev_ticked).next_ticked = e.next_ticked
    else:
        first[0] = e.next_ticked
    if e.next_ticked != NONE:
        endpoint_at(m, e.next_ticked).prev_ticked = e.prev_ticked


cdef inline void drop(media_t* m, int reason) noexcept nogil:
    m.stats.drops[reason] += 1


cdef inline void count(media_t* m, int counter) noexcept nogil:
    m.stats.counters[counter] += 1
