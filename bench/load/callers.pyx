"""Native callers: N connected UDP sockets, each sending one RTP packet every 20 ms, in one nogil thread.

The loop wakes on a 200 us grid and serves every caller whose send is due: it first reads what has arrived
for that caller, then sends.  There is no epoll: arrival times are the kernel's (SO_TIMESTAMPNS), so that
reading late does not falsify a delay.  Frame k of a caller is due at k * 20 ms + phase on the wall clock;
sequence number and timestamp are made from k, so that they only go forward from one run to the next.

Not every socket need be read: what comes to the others fills the smallest receive buffer and is dropped there,
which costs the callers nothing.

Everything that comes in is stored as one `arrival_t`; numbers are made of it afterwards (figures.py).
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import socket

import numpy as np

cdef inline int64_t clock_ns(int clock) noexcept nogil:
    cdef timespec t
    clock_gettime(clock, &t)
    return t.tv_sec * <int64_t> NS_PER_S + t.tv_nsec


cdef bint caller_read(load_t* load, caller_t* c, int64_t now_ns) noexcept nogil:
    """Read one datagram; True: there may be another that is due already.

    A second read is made only when the first found a packet older than one frame (or RTCP): in the steady
    state a caller costs one read a frame and none that finds nothing.
    """
    cdef uint8_t data[DATAGRAM_BYTES]
    cdef uint8_t control[CONTROL_BYTES]
    cdef iovec part
    cdef msghdr m
    cdef cmsghdr* head
    cdef timespec* stamp
    cdef arrival_t a
    cdef ssize_t size
    part.iov_base = data
    part.iov_len = DATAGRAM_BYTES
    memset(&m, 0, sizeof(m))
    m.msg_iov = &part
    m.msg_iovlen = 1
    m.msg_control = control
    m.msg_controllen = CONTROL_BYTES
    size = recvmsg(c.fd, &m, MSG_DONTWAIT)
    if size < 0:
        return errno == EINTR
    head = CMSG_FIRSTHDR(&m)
    if size >= 2 and RTCP_FIRST <= data[1] <= RTCP_LAST:
        load.rtcp += 1
        return True
    if (size < HEADER_BYTES or head == NULL or head.cmsg_level != SOL_SOCKET
            or head.cmsg_type != SO_TIMESTAMPNS_LINUX):
        load.unexpected += 1
        return True
    stamp = <timespec*> CMSG_DATA(head)
    a.arrival_ns = stamp.tv_sec * <int64_t> NS_PER_S + stamp.tv_nsec
    a.sent_ns = 0
    if load.stamp and size >= HEADER_BYTES + SENT_TIME_BYTES:
        memcpy(&a.sent_ns, &data[HEADER_BYTES], SENT_TIME_BYTES)
    a.seq = ntohs((<uint16_t*> &data[2])[0])
    a.timestamp = ntohl((<uint32_t*> &data[4])[0])
    a.payload_type = data[1]
    a.size = <uint16_t> size
    c.received += 1
    if now_ns >= load.start_ns:
        load.packets_window += now_ns < load.end_ns
        arrival_store(load, c, &a, &data[HEADER_BYTES])
    return now_ns - a.arrival_ns > FRAME_NS


cdef void arrival_store(load_t* load, caller_t* c, const arrival_t* a, const uint8_t* payload) noexcept nogil:
    """Keep one arrival, and its payload when this caller is listened to."""
    cdef size_t row
    if c.stored >= load.arrivals_each:
        load.overflow += 1
        return
    load.arrivals[<size_t> c.row * load.arrivals_each + c.stored] = a[0]
    c.stored += 1
    if c.capture >= 0 and c.captured < load.capture_frames and a.size == HEADER_BYTES + load.payload_bytes:
        row = <size_t> c.capture * load.capture_frames + c.captured
        load.capture_arrivals[row] = a[0]
        memcpy(load.capture + row * load.payload_bytes, payload, load.payload_bytes)
        c.captured += 1


cdef void caller_send(load_t* load, caller_t* c, uint32_t number, int64_t frame, int64_t now_ns) noexcept nogil:
    """now_ns: the time of the wake-up; a stamped packet takes its own."""
    cdef uint8_t data[DATAGRAM_BYTES]
    data[0] = RTP_VERSION_BITS
    data[1] = c.payload_type
    (<uint16_t*> &data[2])[0] = htons(<uint16_t> frame)
    (<uint32_t*> &data[4])[0] = htonl(<uint32_t> (frame * load.samples))
    (<uint32_t*> &data[8])[0] = htonl(<uint32_t> (SSRC_BASE + number))
    memcpy(&data[HEADER_BYTES], c.payload + (frame % c.loop_frames) * load.payload_bytes, load.payload_bytes)
    if load.stamp:
        now_ns = clock_ns(CLOCK_REALTIME)
        memcpy(&data[HEADER_BYTES], &now_ns, SENT_TIME_BYTES)
    if send(c.fd, data, HEADER_BYTES + load.payload_bytes, MSG_DONTWAIT) < 0:
        load.send_errors += 1
        return
    c.sent += 1
    if load.start_ns <= now_ns < load.end_ns:
        c.sent_window += 1
        load.packets_window += 1


cdef void load_run(load_t* load, int64_t until_ns) noexcept nogil:
    """Serve every due caller until `until_ns` (wall clock), then read what is still on its way."""
    cdef int64_t offset_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC)
    cdef int64_t now_ns = clock_ns(CLOCK_REALTIME)
    cdef int64_t frame = now_ns // FRAME_NS + 1
    cdef int64_t target_ns, late_us
    cdef int64_t cpu_start_ns = -1
    cdef int32_t position = 0
    cdef uint32_t number
    cdef int _read
    cdef caller_t* c
    cdef timespec t
    prctl(PR_SET_TIMERSLACK, 1)
    while now_ns < until_ns:
        target_ns = (now_ns // WAKE_NS + 1) * WAKE_NS
        t.tv_sec = (target_ns - offset_ns) // NS_PER_S
        t.tv_nsec = (target_ns - offset_ns) % NS_PER_S
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)
        now_ns = clock_ns(CLOCK_MONOTONIC) + offset_ns
        if now_ns >= load.start_ns and cpu_start_ns < 0:
            cpu_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)
        if now_ns >= load.end_ns and load.cpu_ns == 0:
            load.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start_ns
        if load.start_ns <= now_ns < load.end_ns:
            late_us = (now_ns - target_ns) // NS_PER_US
            load.lateness[late_us if late_us < LATENESS_BUCKETS else LATENESS_BUCKETS - 1] += 1
        while frame * FRAME_NS + load.callers[load.order[position]].phase_ns <= now_ns:
            number = load.order[position]
            c = &load.callers[number]
            if c.row >= 0:
                for _read in range(DRAIN_LIMIT):
                    if not caller_read(load, c, now_ns):
                        break
            if c.sends:
                caller_send(load, c, number, frame, now_ns)
            position += 1
            if position == load.order_count:
                position = 0
                frame += 1
        now_ns = clock_ns(CLOCK_MONOTONIC) + offset_ns
    if load.cpu_ns == 0 and cpu_start_ns >= 0:   # so far behind that one turn went past the window's end
        load.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start_ns
    load_drain(load)


cdef void load_drain(load_t* load) noexcept nogil:
    """After the last send: wait for the rest, then empty every socket that is read."""
    cdef timespec t
    cdef int32_t number
    cdef caller_t* c
    cdef int64_t before
    t.tv_sec = 0
    t.tv_nsec = DRAIN_AFTER_NS
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL)
    for number in range(load.count):
        c = &load.callers[number]
        while c.row >= 0:
            before = c.received + load.rtcp + load.unexpected
            caller_read(load, c, clock_ns(CLOCK_REALTIME))
            if c.received + load.rtcp + load.unexpected == before:
                break


# -- the Python face ---------------------------------------------------------------------------------------

ARRIVAL = np.dtype(
    [("arrival_ns", "<i8"), ("sent_ns", "<i8"), ("timestamp", "<u4"), ("seq", "<u2"), ("size", "<u2"),
     ("payload_type", "<u4")]
)


cdef class Callers:
    """N callers; caller i lives on ips[i mod n].  Order of use: addresses, connect, speak, run, arrivals.

    Ownership: keeps the sockets, and the payload table given to `speak`, alive until it is collected.
    """

    cdef load_t load
    cdef list sockets
    cdef object table
    cdef object arrival_array
    cdef object capture_array
    cdef object capture_arrival_array
    cdef object lateness_array

    def __cinit__(self, int count, ips=("127.0.0.1",)):
        memset(&self.load, 0, sizeof(load_t))
        if count < 1:
            raise ValueError("at least one caller is needed")
        self.load.callers = <caller_t*> calloc(count, sizeof(caller_t))
        self.load.order = <int32_t*> calloc(count, sizeof(int32_t))
        if self.load.callers == NULL or self.load.order == NULL:
            raise MemoryError()
        self.load.count = count
        self.sockets = []
        for number in range(count):
            ip = ips[number % len(ips)]
            s = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
            s.setblocking(False)
            s.bind((ip, 0))
            self.sockets.append(s)
            self.load.callers[number].fd = s.fileno()
            self.load.callers[number].capture = -1

    def __dealloc__(self):
        free(self.load.callers)
        free(self.load.order)

    def addresses(self):
        """The local (ip, port) of each caller."""
        return [s.getsockname()[:2] for s in self.sockets]

    def connect(self, addresses):
        """addresses: one (ip, port) a caller; what queued before is thrown away."""
        if len(addresses) != self.load.count:
            raise ValueError(f"{self.load.count} callers, {len(addresses)} addresses")
        for s, address in zip(self.sockets, addresses):
            s.connect(tuple(address))
            s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS_LINUX, 1)
            try:
                while True:
                    s.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                pass

    def speak(self, phases_ns, table, which, payload_types, int samples, bint stamp, sends=None, read=None):
        """What each caller sends, and whose sockets are read.

        phases_ns: int64[N], 0 .. 20 ms.  table: uint8[T, L, P]: T payload loops of L frames of P bytes.
        which: int[N], the row of `table` a caller sends.  payload_types: int[N].  samples: timestamp units a
        frame.  stamp: overwrite the first 8 payload bytes with the send time (relayed payload is opaque).
        sends: bool[N], None: everybody.  read: numbers of the callers whose sockets are read, None: all.
        """
        self.table = np.ascontiguousarray(table, dtype=np.uint8)
        if self.table.shape[2] > DATAGRAM_BYTES - HEADER_BYTES or self.table.shape[2] < SENT_TIME_BYTES:
            raise ValueError("a payload has 8 to 1488 bytes")
        cdef const uint8_t[:, :, ::1] rows = self.table
        for number in range(self.load.count):
            if not 0 <= phases_ns[number] < FRAME_NS or not 0 <= which[number] < rows.shape[0]:
                raise ValueError(f"caller {number}: phase or payload loop out of range")
            self.load.callers[number].phase_ns = phases_ns[number]
            self.load.callers[number].payload = &rows[<Py_ssize_t> which[number], 0, 0]
            self.load.callers[number].loop_frames = <uint32_t> rows.shape[1]
            self.load.callers[number].payload_type = payload_types[number]
            self.load.callers[number].sends = sends is None or bool(sends[number])
            self.load.callers[number].row = -1
        for row, number in enumerate(range(self.load.count) if read is None else read):
            self.load.callers[<Py_ssize_t> number].row = row
        self.load.order_count = 0
        for number in np.argsort(np.asarray(phases_ns), kind="stable"):
            if self.load.callers[<Py_ssize_t> number].row < 0:
                self.sockets[number].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LEAST_BUFFER)
                if not self.load.callers[<Py_ssize_t> number].sends:
                    continue
            self.load.order[self.load.order_count] = number
            self.load.order_count += 1
        if self.load.order_count == 0:
            raise ValueError("nobody sends and nobody is read")
        self.load.payload_bytes = <uint32_t> rows.shape[2]
        self.load.samples = samples
        self.load.stamp = stamp

    def run(self, int64_t start_ns, int64_t end_ns, int64_t until_ns, listen=(), int capture_frames=0):
        """Send from now to `until_ns`; what is judged lies between `start_ns` and `end_ns` (wall clock).

        listen: callers (that are read) whose payloads are kept, the first `capture_frames` of the window each.
        Blocks without the GIL.  Returns totals: sent, received (whole run), sent_window: lists by caller;
        rtcp, unexpected, send_errors, overflow, packets_window, cpu_ns (window), lateness_us (histogram).
        """
        cdef load_t* load = &self.load
        if self.table is None:
            raise ValueError("speak first")
        each = (until_ns - start_ns + NS_PER_S) // FRAME_NS + DRAIN_LIMIT
        rows_read = sum(load.callers[i].row >= 0 for i in range(load.count))
        self.arrival_array = np.zeros((max(rows_read, 1), each), dtype=ARRIVAL)
        self.arrival_array.view(np.uint8).fill(1)   # the pages are there before the first packet
        shape = (max(len(listen), 1), max(capture_frames, 1))
        self.capture_array = np.ones((*shape, load.payload_bytes), dtype=np.uint8)
        self.capture_arrival_array = np.zeros(shape, dtype=ARRIVAL)
        self.lateness_array = np.zeros(LATENESS_BUCKETS, dtype=np.int64)
        load.arrivals = <arrival_t*> <size_t> self.arrival_array.ctypes.data
        load.arrivals_each = each
        load.capture = <uint8_t*> <size_t> self.capture_array.ctypes.data
        load.capture_arrivals = <arrival_t*> <size_t> self.capture_arrival_array.ctypes.data
        load.capture_frames = capture_frames
        load.lateness = <int64_t*> <size_t> self.lateness_array.ctypes.data
        load.start_ns, load.end_ns = start_ns, end_ns
        load.unexpected = load.rtcp = load.send_errors = load.overflow = load.cpu_ns = load.packets_window = 0
        for number in range(load.count):
            load.callers[number].capture = -1
            load.callers[number].stored = load.callers[number].captured = 0
            load.callers[number].sent = load.callers[number].sent_window = load.callers[number].received = 0
        for row, number in enumerate(listen):
            load.callers[<Py_ssize_t> number].capture = row
        with nogil:
            load_run(load, until_ns)
        return {
            "sent": [load.callers[i].sent for i in range(load.count)],
            "sent_window": [load.callers[i].sent_window for i in range(load.count)],
            "received": [load.callers[i].received for i in range(load.count)],
            "rtcp": load.rtcp,
            "unexpected": load.unexpected,
            "send_errors": load.send_errors,
            "overflow": load.overflow,
            "cpu_ns": load.cpu_ns,
            "packets_window": load.packets_window,
            "lateness_us": self.lateness_array,
        }

    def arrivals(self, int number):
        """Arrivals of one caller in the order they were read: array of ARRIVAL, a view.

        ValueError: its socket is not read.
        """
        row = self.load.callers[number].row
        if row < 0:
            raise ValueError(f"caller {number} is not read")
        return self.arrival_array[row, : self.load.callers[number].stored]

    def captured(self, int row):
        """(arrivals, payloads uint8[frames, P]) of the row-th caller listened to, as views."""
        for number in range(self.load.count):
            if self.load.callers[number].capture == row:
                n = self.load.callers[number].captured
                return self.capture_arrival_array[row, :n], self.capture_array[row, :n]
        raise ValueError(f"nobody listens in row {row}")

    def close(self):
        for s in self.sockets:
            s.close()
