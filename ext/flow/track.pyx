"""Memory of decoded files: a pool of chunks, tracks that hold some of them, lists of tracks and places in them."""

from cpython.buffer cimport PyBUF_WRITE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from posix.mman cimport MADV_DONTNEED, madvise, munmap

from roomtone.ext.base.types cimport rt_load_acquire64, rt_store_release64
from roomtone.ext.flow.constants cimport CHUNK_8K
from roomtone.ext.flow.playback cimport chunk_t
from roomtone.ext.flow.pool cimport pool_room

CHUNK_SAMPLES = CHUNK_8K

cdef enum:
    LIST_ITEMS = 128
    CHUNK_ROOM = 49152                  # a chunk_t in whole pages, so that one alone can be given back to the kernel

CHUNK_BYTES = CHUNK_ROOM
LIST_MAX = LIST_ITEMS


cdef class ChunkPool:
    """See track.pyi."""

    def __cinit__(self, uint32_t count):
        self.memory = <uint8_t*> pool_room(<size_t> count * CHUNK_ROOM)
        self.count = count
        self.free = list(range(<int> count - 1, -1, -1))

    def __dealloc__(self):
        if self.memory != NULL:
            munmap(self.memory, <size_t> self.count * CHUNK_ROOM)

    def take(self):
        if not self.free:
            return -1
        self.used += 1
        return self.free.pop()

    def room(self, uint32_t slot):
        if slot >= self.count:
            raise ValueError("no such chunk")
        return PyMemoryView_FromMemory(<char*> self.memory + <size_t> slot * CHUNK_ROOM, sizeof(chunk_t), PyBUF_WRITE)

    def give_back(self, uint32_t slot):
        madvise(self.memory + <size_t> slot * CHUNK_ROOM, CHUNK_ROOM, MADV_DONTNEED)
        self.free.append(slot)
        self.used -= 1


cdef class Track:
    """See track.pyi."""

    def __cinit__(self, ChunkPool pool not None, uint32_t seconds):
        self.t.chunks = <uint64_t*> PyMem_Malloc((seconds + 1) * sizeof(uint64_t))
        if self.t.chunks == NULL:
            raise MemoryError
        memset(self.t.chunks, 0, (seconds + 1) * sizeof(uint64_t))      # touched: the media thread reads it
        self.t.chunk_count = seconds
        self.t.samples = -1
        self.pool = pool
        self.slots = {}

    def __dealloc__(self):
        PyMem_Free(self.t.chunks)

    def __del__(self):
        for slot in self.slots.values():
            self.pool.give_back(slot)

    def __len__(self):
        return self.t.chunk_count

    def __contains__(self, second):
        return second in self.slots

    def __iter__(self):
        return iter(sorted(self.slots))

    @property
    def held(self):
        return len(self.slots)

    @property
    def samples(self):
        return None if self.t.samples < 0 else self.t.samples

    def publish(self, uint32_t second, uint32_t slot):
        if second >= self.t.chunk_count or second in self.slots or slot >= self.pool.count:
            raise ValueError("no such second, or it is there")
        self.slots[second] = slot
        rt_store_release64(<unsigned long*> &self.t.chunks[second],
                           <uint64_t> (self.pool.memory + <size_t> slot * CHUNK_ROOM))

    def withdraw(self, uint32_t second):
        slot = self.slots.pop(second)
        rt_store_release64(<unsigned long*> &self.t.chunks[second], 0)
        return slot

    def end(self, int64_t samples, bint failed):
        if self.t.samples >= 0:
            return
        self.t.failed = failed
        rt_store_release64(<unsigned long*> &self.t.samples, <uint64_t> samples)


cdef class Playback:
    """See track.pyi."""

    def __cinit__(self, Track track not None, *, int64_t position, loops, bint shared, bint more=False):
        cdef size_t room = (LIST_ITEMS if more else 1) * sizeof(uint64_t)
        self.p.items = <uint64_t*> PyMem_Malloc(room)
        if self.p.items == NULL:
            raise MemoryError
        memset(self.p.items, 0, room)                       # touched: the media thread reads it
        self.p.at.position = position
        self.p.at.loops_left = -1 if loops is None else loops
        self.p.shared = shared
        self.tracks = []
        self.put(track, more)

    def __dealloc__(self):
        PyMem_Free(self.p.items)

    cdef void put(self, Track track, bint more):
        cdef uint64_t count = len(self.tracks)
        self.p.items[count] = <uint64_t> &track.t
        self.tracks.append(track)
        rt_store_release64(<unsigned long*> &self.p.listed, 2 * (count + 1) + more)

    def append(self, Track track not None, *, bint more):
        if not self.more or len(self.tracks) == LIST_ITEMS:
            raise ValueError("no more was announced, or the list is full")
        self.put(track, more)

    def close(self):
        rt_store_release64(<unsigned long*> &self.p.listed, 2 * <uint64_t> len(self.tracks))

    def __len__(self):
        return len(self.tracks)

    @property
    def more(self):
        return self.p.listed & 1 != 0

    @property
    def item(self):
        return self.p.at.item

    @property
    def position(self):
        return <int64_t> rt_load_acquire64(<const unsigned long*> &self.p.at.position)

    @property
    def loops(self):
        return self.p.at.loops_left != 0

    @property
    def ended(self):
        return self.p.ended != 0
