"""What the callers are made of: the system calls they use, their numbers and their state."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME
    int CLOCK_THREAD_CPUTIME_ID
    int TIMER_ABSTIME
    int clock_gettime(int clock, timespec* t)
    int clock_nanosleep(int clock, int flags, const timespec* request, timespec* remain)

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        unsigned int msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    int SOL_SOCKET
    int MSG_DONTWAIT
    cmsghdr* CMSG_FIRSTHDR(msghdr* m)
    void* CMSG_DATA(cmsghdr* c)
    ssize_t recvmsg(int fd, msghdr* m, int flags)
    ssize_t send(int fd, const void* data, size_t size, int flags)

cdef extern from "<sys/prctl.h>" nogil:
    int PR_SET_TIMERSLACK
    int prctl(int option, unsigned long value)

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t v)
    uint16_t ntohs(uint16_t v)
    uint32_t htonl(uint32_t v)
    uint32_t ntohl(uint32_t v)

cdef enum:
    FRAME_NS = 20000000          # one packet's time
    WAKE_NS = 200000             # the grid the loop wakes on
    HEADER_BYTES = 12            # RTP without CSRC and extension, RFC 3550 section 5.1
    SENT_TIME_BYTES = 8          # wall-clock ns that a relayed payload begins with
    DATAGRAM_BYTES = 1500        # the largest datagram read
    CONTROL_BYTES = 64           # room for one SCM_TIMESTAMPNS
    DRAIN_LIMIT = 64             # most datagrams read at one visit
    DRAIN_AFTER_NS = 200000000   # how long arrivals are awaited after the last send
    RTCP_FIRST = 192             # RFC 5761 section 4: second byte 192..223 is RTCP
    RTCP_LAST = 223
    LEAST_BUFFER = 1             # SO_RCVBUF of sockets nobody reads: the kernel makes the least it knows of it
    LATENESS_BUCKETS = 20001     # wake-up lateness in 1 us steps, the last holds all above
    NS_PER_US = 1000
    NS_PER_S = 1000000000
    SSRC_BASE = 0x52540000       # SSRC of caller i is SSRC_BASE + i
    RTP_VERSION_BITS = 0x80
    SO_TIMESTAMPNS_LINUX = 35    # asm-generic/socket.h; SCM_TIMESTAMPNS is the same number

cdef struct caller_t:
    int fd
    int32_t row                  # row of the arrivals, -1: its socket is not read
    int32_t capture              # row of the capture buffer, -1: payloads are not kept
    uint8_t payload_type
    uint8_t sends
    const uint8_t* payload       # loop_frames frames of payload_bytes each
    uint32_t loop_frames
    uint32_t stored              # arrivals stored
    int64_t phase_ns             # 0 .. FRAME_NS
    int64_t sent                 # packets the kernel took, whole run
    int64_t sent_window          # ... with a send time inside the window
    int64_t received             # RTP packets read, whole run
    uint32_t captured            # frames captured

cdef packed struct arrival_t:
    int64_t arrival_ns           # kernel time, wall clock
    int64_t sent_ns              # the send time the payload carried; 0: it carries none
    uint32_t timestamp
    uint16_t seq
    uint16_t size                # bytes of the datagram
    uint32_t payload_type        # with the marker bit, as on the wire

cdef struct load_t:
    caller_t* callers
    int32_t* order               # numbers of callers that send or are read, by phase
    int32_t order_count
    int32_t count
    arrival_t* arrivals          # [callers read][arrivals_each]
    uint32_t arrivals_each
    uint8_t* capture             # [rows][frames_each][payload_bytes]
    arrival_t* capture_arrivals  # [rows][frames_each]
    uint32_t capture_frames
    uint32_t payload_bytes
    uint32_t samples             # timestamp units a frame
    bint stamp                   # put the send time into the payload
    int64_t start_ns             # window, wall clock
    int64_t end_ns
    int64_t unexpected           # datagrams that are neither RTP nor RTCP, or without kernel time
    int64_t rtcp
    int64_t send_errors
    int64_t overflow             # arrivals there was no room for
    int64_t cpu_ns               # thread time inside the window
    int64_t packets_window       # sends and reads made inside the window
    int64_t* lateness            # [LATENESS_BUCKETS] wake-ups inside the window
