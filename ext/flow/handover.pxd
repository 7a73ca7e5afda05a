"""What the two threads of a worker tell each other: facts out, edits in, of a fixed size each."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from roomtone.ext.base.types cimport handle_t
from roomtone.ext.flow.constants cimport EVENT_TYPES, RECEIVE_TYPES
from roomtone.ext.flow.endpoint cimport addr_t


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
    FACT_FILE_NEXT_ = 12
    FACT_SEATED_ = 13

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
    EDIT_SEAT = 24
    EDIT_CAPTURE = 25
    EDIT_FILE_GAIN = 26
    EDIT_BUS_ROOM = 27


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
    uint8_t noise_type
    uint8_t noise_tx_type
    uint32_t event_rate[EVENT_TYPES]
    uint32_t event_tx_rate
