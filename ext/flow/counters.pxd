"""What a worker counts: every drop by its name, what went well, how long ticks took."""

from libc.stdint cimport uint64_t

from roomtone.ext.flow.constants cimport HISTOGRAM_BINS


# Every drop has a name; names in snapshot.pyx.  A datagram is accepted (COUNT_RX_PACKETS, COUNT_RTCP_RX) or dropped at
# the door, never both; what an accepted packet meets later (EMPTY, NO_BUS, UNHEARD, NOT_LEARNED, SEND, KEY_*,
# NOISE_NO_TYPE, AUDIO_DURING_KEY, LINE_RANGE, PLAYOUT_LATE) is counted beside that.
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
    DROP_KEY_LATE = 32                  # key not relayed: this worker read another's too late
    DROP_KEY_IN_ROOM = 33               # key not relayed: rooms relay none
    DROP_NOISE_NO_TYPE = 34             # comfort noise not relayed: the destination negotiated none
    DROP_COUNT = 35


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
    COUNT_NOISE_RX = 29                 # packets of comfort noise received,
    COUNT_NOISE_TX = 30                 # and sent where a mix had nothing to hear
    COUNT_COUNT = 32


ctypedef struct worker_t:               # one a worker, in the arena
    uint64_t counters[COUNT_COUNT]
    uint64_t drops[DROP_COUNT]
    uint64_t tick_duration[HISTOGRAM_BINS]
    uint64_t tick_late[HISTOGRAM_BINS]
    uint64_t edits_applied
    uint64_t endpoints_in_use
    uint64_t beat_us                    # last loop turn
