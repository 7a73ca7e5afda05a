"""The sizes and times of the media thread."""


cdef enum:
    ARENA_MAGIC = 0x524D544E            # "RMTN"
    ARENA_LAYOUT = 6                    # raised by hand when a struct of the arena changes its meaning
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
    PEERS_MAX = 63                      # other workers a session spreads over
    KEYS_PUBLISHED = 64                 # packets of keys kept; a power of two
    PARTIAL_WAIT_MS = 4                 # partials are added this long after the phase,
    PARTIAL_WAIT_MAX_MS = 12            # a late one up to this long; then it is left out

    ROLES = 8                           # classes of voices in a room
    GROUPS = 16                         # encodings shared by those who hear the same roles, kept by a room

    WHEEL_SLOTS = 512                   # RTCP timer wheel
    WHEEL_SLOT_US = 16000
    HISTOGRAM_BINS = 24                 # powers of two of microseconds
