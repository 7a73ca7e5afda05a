"""Every change to what the media thread does is one record in the edit ring; edit.pyx applies it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from posix.unistd cimport write

import ipaddress
import socket
import threading

from roomtone.ext.base.ring cimport ring_init, ring_push, ring_slot
from roomtone.ext.base.types cimport rt_fence_full, rt_load_acquire32, rt_load_acquire64
from roomtone.ext.codec.codec cimport codec_get
from roomtone.ext.flow.constants cimport CNAME_BYTES, EVENT_TYPES, PEERS_MAX, RECEIVE_TYPES, ROLES
from roomtone.ext.flow.endpoint cimport (
    EP_ARRIVING,
    EP_LEARNING,
    EP_PROBE,
    EP_WATCH_FAX,
    EP_WATCH_FRAMES,
    EP_WATCH_KEYS,
    EP_WATCH_SPEECH,
    KIND_BRIDGE,
    KIND_FILE,
    KIND_RTP,
    KIND_TONE,
    NO_TYPE,
    addr_t,
    endpoint_t,
    lock_begin,
    lock_end,
)
from roomtone.ext.flow.graph cimport roles_t
from roomtone.ext.flow.handover cimport (
    EDIT_BRIDGE,
    EDIT_BRIDGE_FEED,
    EDIT_BUS_CLOSE,
    EDIT_BUS_OPEN,
    EDIT_BUS_ROOM,
    EDIT_BUS_SPREAD,
    EDIT_CAPTURE,
    EDIT_CLOSE,
    EDIT_DESTINATION_ADD,
    EDIT_DESTINATION_REMOVE,
    EDIT_FENCE,
    EDIT_FILE,
    EDIT_FILE_GAIN,
    EDIT_FILE_PAUSE,
    EDIT_FILE_SEEK,
    EDIT_INJECT,
    EDIT_MEDIA,
    EDIT_MUX,
    EDIT_OPEN,
    EDIT_REMOTE,
    EDIT_SEAT,
    EDIT_SENSITIVE,
    EDIT_SOURCE_ADD,
    EDIT_SOURCE_REMOVE,
    EDIT_TONE,
    EDIT_WATCH,
    EDIT_WATCH_KINDS,
    edit_t,
)
from roomtone.ext.flow.loop cimport loop_step
from roomtone.ext.flow.media_memory cimport touch_pages
from roomtone.ext.flow.tap_state cimport TAP_FRAMES, tap_frame_t, tap_ring_t
from roomtone.ext.flow.track cimport Playback

cdef enum:
    INDEX_MASK = 0xFFFFF
    GATHER_MAX_US = 5000


cdef int addr_fill(addr_t* a, str ip, int port) except -1:
    """An address in numbers; ValueError otherwise."""
    cdef bytes packed
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        packed = socket.inet_pton(family, ip)
    except OSError:
        raise ValueError(f"not an IP address: {ip!r}") from None
    memset(a, 0, sizeof(addr_t))
    memcpy(a.ip, <const uint8_t*> packed, len(packed))
    a.family = 6 if family == socket.AF_INET6 else 4
    a.port = port
    return 0


cdef uint64_t address_array(addresses) except? 0:
    """A copy the media thread can read; 0 for none."""
    cdef uint64_t* array
    cdef int i
    if len(addresses) > PEERS_MAX:
        raise ValueError(f"a session spreads over at most {PEERS_MAX} workers besides one's own")
    if not addresses:
        return 0
    array = <uint64_t*> calloc(len(addresses), sizeof(uint64_t))
    if array == NULL:
        raise MemoryError
    for i in range(len(addresses)):
        array[i] = addresses[i]
    return <uint64_t> array


cdef class EditWriter(MediaMemory):
    """The middle part of Media (media.pyi): one method an edit."""

    def __cinit__(self):
        self.arrays = {}
        self.retired = []

    cdef void wake(self, bint always) noexcept:
        cdef uint64_t one = 1
        rt_fence_full()     # an edit is written before we look whether the media thread sleeps
        if self.m.wake_fd >= 0 and (always or rt_load_acquire32(<uint32_t*> &self.m.sleeping)):
            write(self.m.wake_fd, &one, 8)

    cdef edit_t* edit_new(self, uint32_t kind) except NULL:
        """A record to fill.  A full ring waits for the media thread; in the lab it is drained by step()."""
        cdef edit_t* d = <edit_t*> ring_slot(&self.m.edits)
        while d == NULL:
            if self.m.lab:
                loop_step(&self.m, self.m.now_us)
            else:
                self.wake(True)
                threading.Event().wait(0.0005)
            d = <edit_t*> ring_slot(&self.m.edits)
        memset(d, 0, sizeof(edit_t))
        d.kind = kind
        return d

    cdef edit_t* edit_for(self, uint32_t handle, uint32_t kind) except NULL:
        """A record about an endpoint."""
        cdef edit_t* d
        self.slot(handle)
        d = self.edit_new(kind)
        d.handle = handle
        return d

    cdef uint64_t edit_done(self) noexcept:
        ring_push(&self.m.edits)
        self.edits_written += 1
        self.wake(False)
        return self.edits_written

    def applied(self):
        cdef uint64_t done = rt_load_acquire64(<const unsigned long*> &self.m.stats.edits_applied)
        while self.retired and self.retired[0][0] <= done:
            free(<void*> <uint64_t> self.retired.pop(0)[1])
        return done

    def endpoint_open(self, uint32_t handle, *, int rtp_fd, int rtcp_fd, local, int local_rtcp_port, uint32_t ssrc,
                      str cname, uint16_t seq, uint32_t timestamp):
        cdef endpoint_t* e = self.slot(handle)
        cdef bytes name = cname.encode("ascii")[:CNAME_BYTES]
        lock_begin(e)
        e.rtp_fd = rtp_fd
        e.rtcp_fd = rtcp_fd
        addr_fill(&e.local, local[0], local[1])
        e.local_rtcp_port = local_rtcp_port
        e.tx_ssrc = ssrc
        e.tx_seq = seq - 1
        e.tx_ts = timestamp
        e.cname_bytes = len(name)
        memcpy(e.cname, <const char*> name, len(name))
        e.flags = EP_PROBE if cname == "probe" else EP_LEARNING
        e.kind = KIND_RTP
        lock_end(e)
        self.touch(handle)
        self.edit_for(handle, EDIT_OPEN)
        return self.edit_done()

    def endpoint_media(self, uint32_t handle, *, receive, int send_payload_type, int send_codec, event_receive,
                       event_send, bint may_receive, bint may_send, noise_receive=None, noise_send=None):
        cdef edit_t* d
        cdef int i
        if len(receive) > RECEIVE_TYPES or len(event_receive) > EVENT_TYPES:
            raise ValueError("too many payload types")
        if codec_get(send_codec) == NULL or any(codec_get(codec) == NULL for _, codec in receive):
            raise ValueError("unknown codec number")
        d = self.edit_for(handle, EDIT_MEDIA)
        d.receive_count = len(receive)
        for i in range(len(receive)):
            d.receive_type[i], d.receive_codec[i] = receive[i]
        memset(d.event_type, NO_TYPE, EVENT_TYPES)
        for i in range(len(event_receive)):
            d.event_type[i], d.event_rate[i] = event_receive[i]
        d.event_tx_type, d.event_tx_rate = event_send if event_send is not None else (NO_TYPE, 8000)
        d.noise_type = NO_TYPE if noise_receive is None else noise_receive
        d.noise_tx_type = NO_TYPE if noise_send is None else noise_send
        d.send_type = send_payload_type
        d.send_codec = send_codec
        d.a = may_receive
        d.b = may_send
        if not event_receive:
            self.touch_tap(handle)
        return self.edit_done()

    def endpoint_remote(self, uint32_t handle, *, remote, int rtcp_port, bint learn, bint send_at_once):
        cdef addr_t address
        cdef edit_t* d
        addr_fill(&address, remote[0], remote[1])
        d = self.edit_for(handle, EDIT_REMOTE)
        d.addr = address
        d.a = rtcp_port
        d.b = learn
        d.c = send_at_once
        return self.edit_done()

    def endpoint_mux(self, uint32_t handle):
        self.edit_for(handle, EDIT_MUX)
        return self.edit_done()

    def watch_take(self):
        cdef tap_ring_t* ring = <tap_ring_t*> calloc(1, sizeof(tap_ring_t))
        if ring == NULL:
            raise MemoryError
        ring_init(&ring.ring, <uint8_t*> ring.frames, sizeof(tap_frame_t), TAP_FRAMES)
        return <uint64_t> ring

    def watch_free(self, uint64_t frames):
        free(<void*> frames)

    def watch(self, uint32_t handle, *, uint32_t serial, bint speech, double threshold, bint fax, uint64_t frames):
        cdef edit_t* d
        self.slot(handle)
        self.touch_tap(handle)
        d = self.edit_for(handle, EDIT_WATCH)
        d.a = (EP_WATCH_SPEECH if speech else 0) | (EP_WATCH_FAX if fax else 0) | (EP_WATCH_FRAMES if frames else 0)
        d.b = serial
        d.x = threshold
        d.address = frames
        return self.edit_done()

    def watch_kinds(self, *, bint speech, bint keys):
        cdef edit_t* d = self.edit_new(EDIT_WATCH_KINDS)
        d.a = (EP_WATCH_SPEECH | EP_WATCH_FRAMES if speech else 0) | (EP_WATCH_KEYS | EP_WATCH_FAX if keys else 0)
        return self.edit_done()

    def sensitive(self, uint32_t handle, bint enabled):
        cdef edit_t* d = self.edit_for(handle, EDIT_SENSITIVE)
        d.a = enabled
        return self.edit_done()

    def endpoint_close(self, uint32_t handle):
        self.edit_for(handle, EDIT_CLOSE)
        n = self.edit_done()
        self.retire_array(handle, n)
        return n

    def endpoint_move(self, uint32_t handle, uint32_t bus):
        return self.seat(bus, handle)

    def inject(self, uint32_t handle, *, int event, int duration_ms, int volume):
        cdef edit_t* d = self.edit_for(handle, EDIT_INJECT)
        d.a = event
        d.b = duration_ms
        d.c = volume
        return self.edit_done()

    def capture(self, uint32_t handle, bint on):
        cdef edit_t* d = self.edit_for(handle, EDIT_CAPTURE)
        d.a = on
        d.address = <uint64_t> &self.capture_ring
        return self.edit_done()

    def gather(self, int us):
        """See media.pyi."""
        if not 0 <= us <= GATHER_MAX_US:
            raise ValueError(f"packets gather for 0 to {GATHER_MAX_US} microseconds, not {us}")
        self.m.gather_us = us

    def source_networks(self, networks):
        cdef bytes packed
        if len(networks) > 64:
            raise ValueError("at most 64 source networks")
        for i, text in enumerate(networks):
            network = ipaddress.ip_network(text)
            packed = network.network_address.packed
            memcpy(self.m.networks[i].ip, <const uint8_t*> packed, len(packed))
            self.m.networks[i].family = network.version
            self.m.networks[i].prefix = network.prefixlen
        self.m.network_count = len(networks)

    def tone_open(self, uint32_t handle, *, int kind, double frequency_hz, int64_t duration_ms):
        cdef endpoint_t* e = self.slot(handle)
        cdef edit_t* d
        lock_begin(e)
        e.kind = KIND_TONE
        lock_end(e)
        self.touch(handle)
        d = self.edit_for(handle, EDIT_TONE)
        d.a = kind
        d.b = <int32_t> min(duration_ms, 0x7FFFFFFF)
        d.x = frequency_hz
        return self.edit_done()

    def file_open(self, uint32_t handle, Playback playback not None, *, double gain_db):
        cdef endpoint_t* e = self.slot(handle)
        cdef edit_t* d
        lock_begin(e)
        e.kind = KIND_FILE
        lock_end(e)
        self.touch(handle)
        self.playbacks[handle] = playback
        d = self.edit_for(handle, EDIT_FILE)
        d.address = <uint64_t> &playback.p
        d.x = 10 ** (gain_db / 20)
        return self.edit_done()

    def file_seek(self, uint32_t handle, *, int64_t position, int item=0):
        cdef edit_t* d = self.edit_for(handle, EDIT_FILE_SEEK)
        d.address = <uint64_t> position
        d.a = item
        return self.edit_done()

    def file_pause(self, uint32_t handle, *, bint paused):
        cdef edit_t* d = self.edit_for(handle, EDIT_FILE_PAUSE)
        d.a = paused
        return self.edit_done()

    def file_gain(self, uint32_t handle, *, gain_db, int ramp_ms):
        cdef edit_t* d = self.edit_for(handle, EDIT_FILE_GAIN)
        d.x = 0 if gain_db is None else 10 ** (<double> gain_db / 20)
        d.a = ramp_ms
        return self.edit_done()

    def fence(self):
        self.edit_new(EDIT_FENCE)
        return self.edit_done()

    def bridge_open(self, uint32_t handle):
        cdef endpoint_t* e = self.slot(handle)
        lock_begin(e)
        e.kind = KIND_BRIDGE
        lock_end(e)
        self.touch(handle)
        self.edit_for(handle, EDIT_BRIDGE)
        return self.edit_done()

    def bridge_feed(self, uint32_t handle, *, int phase, feeds):
        cdef edit_t* d = self.edit_for(handle, EDIT_BRIDGE_FEED)
        cdef uint64_t array = address_array(feeds)
        d.a = phase
        d.b = len(feeds)
        d.address = array
        return self.array_done(handle, array)

    cdef edit_t* bus_edit(self, uint32_t kind, uint32_t bus) except NULL:
        cdef edit_t* d
        if bus >= self.capacity or not self.arena.bus(bus).in_use & 1:
            raise ValueError("no such bus")
        d = self.edit_new(kind)
        d.bus = bus
        return d

    cdef uint64_t member_edit(self, uint32_t kind, uint32_t bus, uint32_t handle) except 0:
        cdef edit_t* d
        self.slot(handle)
        d = self.bus_edit(kind, bus)
        d.handle = handle
        return self.edit_done()

    def bus_open(self, uint32_t bus, *, int phase, int key_relay_limit):
        cdef edit_t* d = self.bus_edit(EDIT_BUS_OPEN, bus)
        d.a = phase
        d.b = key_relay_limit
        return self.edit_done()

    def bus_close(self, uint32_t bus):
        self.bus_edit(EDIT_BUS_CLOSE, bus)
        n = self.edit_done()
        self.retire_array(bus, n)
        self.retire_array(("roles", bus), n)
        return n

    def source_add(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_SOURCE_ADD, bus, handle)

    def source_remove(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_SOURCE_REMOVE, bus, handle)

    def destination_add(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_DESTINATION_ADD, bus, handle)

    def destination_remove(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_DESTINATION_REMOVE, bus, handle)

    cdef void retire_array(self, owner, uint64_t n):
        address = self.arrays.pop(owner, None)
        if address:
            self.retired.append((n, address))

    cdef uint64_t array_done(self, owner, uint64_t array):
        """The edit at hand names an array: its predecessor is freed once it is applied."""
        cdef uint64_t n = self.edit_done()
        self.retire_array(owner, n)
        if array:
            self.arrays[owner] = array
        return n

    def bus_spread(self, uint32_t bus, *, int slot, peers):
        cdef edit_t* d = self.bus_edit(EDIT_BUS_SPREAD, bus)
        cdef uint64_t array = address_array(peers)
        d.a = slot
        d.b = len(peers)
        d.address = array
        return self.array_done(bus, array)

    def bus_room(self, uint32_t bus, *, roles):
        cdef edit_t* d
        cdef roles_t* made = NULL
        cdef int i
        if roles is not None:
            if len(roles) not in (0, ROLES - 1):
                raise ValueError(f"{ROLES - 1} slots, or none")
            made = <roles_t*> calloc(1, sizeof(roles_t))
            if made == NULL:
                raise MemoryError
            touch_pages(<uint8_t*> made, sizeof(roles_t))
            for i in range(1, ROLES):
                made.slots[i] = roles[i - 1] if roles else -1
        d = self.bus_edit(EDIT_BUS_ROOM, bus)
        d.address = <uint64_t> made
        return self.array_done(("roles", bus), <uint64_t> made)

    def seat(self, uint32_t bus, uint32_t handle, *, int role=0, int hears=0xFF, bint speaks=True, uint32_t party=0,
             int arrival=0):
        cdef edit_t* d
        if not (0 <= role < ROLES and 0 <= hears <= 0xFF):
            raise ValueError(f"a role is 0 to {ROLES - 1}, and hears a bit for each")
        self.slot(handle)
        d = self.bus_edit(EDIT_SEAT, bus)
        d.handle = handle
        d.a = role | hears << 8 | (not speaks) << 16
        d.b = arrival
        d.address = party
        return self.edit_done()

    def arriving(self, uint32_t handle):
        return self.slot(handle).flags & EP_ARRIVING != 0
