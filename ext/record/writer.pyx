"""One writer a file system: the only thread that touches the files of recordings once they are open.

A file is written in order, at offsets: what lies between two chunks is silence and stays a hole.  The first failure ends
a recording: it is cut back to what was written whole, and what still comes is counted as refused.  A file that lost its
last name (somebody removed it, or its directory) has failed too.
"""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from roomtone.ext.base.stack cimport node_t, stack_push, stack_take
from roomtone.ext.record._file cimport (
    EFD_CLOEXEC,
    EINTR,
    EIO,
    ENOENT,
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NOFOLLOW,
    O_RDWR,
    close,
    errno,
    eventfd,
    fgetxattr,
    fsetxattr,
    fstat,
    ftruncate,
    openat,
    pread,
    pwrite,
    read,
    renameat,
    rt_load32,
    rt_load64,
    rt_store32,
    rt_store64,
    rt_swap,
    rt_wake,
    stat_t,
    unlinkat,
    write,
)
from roomtone.ext.record.recording cimport (
    CHANNELS_MAX,
    CHUNK_BYTES,
    CHUNK_CLOSE,
    CHUNK_DATA,
    CHUNK_WIDEN,
    FORMAT_WAV,
    LOSS_COUNT,
    NAME_BYTES,
    NEWS_CLOSED,
    NEWS_FAILED,
    PUBLIC_ID_BYTES,
    WAV_HEADER_BYTES,
    chunk_t,
    news_t,
    recording_t,
    writer_t,
)
from roomtone.ext.record.wav cimport wav_header


cdef enum:
    WIDEN_SAMPLES = 2048            # of all channels, copied in one piece
    FILE_MODE = 0o640
    OWNER_BYTES = 256               # of the extended attribute that says whose a recording is


ctypedef struct note_t:             # SLOT in engine/recording_counts.py
    char public_id[PUBLIC_ID_BYTES]
    uint64_t packets
    uint64_t dropped
    int64_t duration_us


cdef const char* OWNER = b"user.roomtone.app"
cdef const char* WIDER = b".wider"      # and the name: a file in the making beside the one it replaces


# -- writing -----------------------------------------------------------------------------------------------------------

cdef int put(int fd, const uint8_t* data, int64_t n, int64_t offset) noexcept nogil:
    """All of it; 0, or errno."""
    cdef ssize_t done
    while n > 0:
        done = pwrite(fd, data, n, offset)
        if done < 0 and errno == EINTR:
            continue
        if done <= 0:
            return errno if done < 0 else EIO
        data += done
        offset += done
        n -= done
    return 0


cdef int feed(recording_t* r, const chunk_t* chunk) noexcept nogil:
    """All of it into the pipe, however long the other worker takes; 0, or errno."""
    cdef int64_t at = 0
    cdef ssize_t n
    while at < chunk.bytes:
        n = write(r.fd, chunk.data + at, chunk.bytes - at)
        if n > 0:
            at += n
        elif errno != EINTR:
            return errno
    return 0


cdef int check_name(recording_t* r) noexcept nogil:
    cdef stat_t status
    if fstat(r.fd, &status) < 0:
        return errno
    return 0 if status.st_nlink else ENOENT


cdef int header(recording_t* r, int64_t end) noexcept nogil:
    cdef uint8_t[WAV_HEADER_BYTES] data
    cdef int error
    wav_header(data, r.header_channels, r.rate_hz, end)
    error = put(r.fd, data, WAV_HEADER_BYTES, 0)
    if error == 0:
        r.header_end = end
    return error


cdef int extend(recording_t* r, int64_t end) noexcept nogil:
    """The file ends there; a WAV's header says so once in a second of sound."""
    if end > r.good_end:
        r.good_end = end
    if r.format != FORMAT_WAV or r.good_end - r.header_end < r.rate_hz * r.header_channels * 2:
        return 0
    return header(r, r.good_end)


cdef int data(recording_t* r, const chunk_t* chunk) noexcept nogil:
    cdef int error = check_name(r)
    if error == 0 and chunk.bytes == 0 and chunk.offset > r.good_end and ftruncate(r.fd, chunk.offset) < 0:
        error = errno               # silence grows the file as well
    if error == 0:
        error = put(r.fd, chunk.data, chunk.bytes, chunk.offset)
    if error == 0:
        error = extend(r, chunk.offset + chunk.bytes)
    if error == 0:
        rt_store64(&r.bytes, r.bytes + chunk.bytes)
    return error


cdef void take_note(recording_t* r, const chunk_t* chunk) noexcept nogil:
    """What there is of it now, should this process end here."""
    cdef note_t note
    cdef int i
    if r.counts_fd < 0:
        return
    memcpy(note.public_id, r.public_id, PUBLIC_ID_BYTES)
    note.packets = r.written
    note.dropped = r.refused
    for i in range(LOSS_COUNT):
        note.dropped += rt_load64(&r.lost[i])
    if r.format == FORMAT_WAV:
        note.duration_us = (r.good_end - WAV_HEADER_BYTES) * 1000000 // (2 * r.header_channels * r.rate_hz)
    else:
        if chunk.until_us:
            r.until_us = chunk.until_us
        note.duration_us = r.until_us - r.started_us if r.until_us else 0
    put(r.counts_fd, <uint8_t*> &note, sizeof(note), <int64_t> r.slot * sizeof(note))


# -- more channels -----------------------------------------------------------------------------------------------------

cdef int copy_wider(writer_t* w, recording_t* r, int fd, int64_t samples, int channels, int more) noexcept nogil:
    """Every sample of `channels` channels to its place among `more`, the new ones silent."""
    cdef int16_t* narrow = <int16_t*> w.scratch
    cdef int16_t* wide = narrow + WIDEN_SAMPLES * CHANNELS_MAX
    cdef int64_t at = 0
    cdef ssize_t got
    cdef int error
    cdef int n
    cdef int i
    while at < samples:
        n = <int> min(samples - at, <int64_t> WIDEN_SAMPLES)
        memset(narrow, 0, 2 * n * channels)
        memset(wide, 0, 2 * n * more)
        got = pread(r.fd, narrow, 2 * n * channels, WAV_HEADER_BYTES + 2 * at * channels)
        if got < 0:
            return errno
        for i in range(n):
            memcpy(wide + i * more, narrow + i * channels, 2 * channels)
        error = put(fd, <uint8_t*> wide, 2 * n * more, WAV_HEADER_BYTES + 2 * at * more)
        if error:
            return error
        at += n
    return 0


cdef void copy_owner(int old, int new) noexcept nogil:
    cdef char[OWNER_BYTES] owner
    cdef ssize_t n = fgetxattr(old, OWNER, owner, OWNER_BYTES)
    if n > 0:
        fsetxattr(new, OWNER, owner, n, 0)


cdef int replace(recording_t* r, int fd, const char* temporary) noexcept nogil:
    """The wider file takes the name."""
    copy_owner(r.fd, fd)
    if renameat(r.folder_fd, temporary, r.folder_fd, r.name) < 0:
        return errno
    close(r.fd)
    r.fd = fd
    return 0


cdef int widen(writer_t* w, recording_t* r, int64_t samples, int channels, int more) noexcept nogil:
    """Rewrite a WAV for more channels, beside it, so that at no moment there is none."""
    cdef char[NAME_BYTES + 8] temporary
    cdef int error = check_name(r)
    cdef int fd
    if error:
        return error
    memcpy(temporary, WIDER, strlen(WIDER))
    memcpy(temporary + strlen(WIDER), r.name, strlen(r.name) + 1)
    fd = openat(r.folder_fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE)
    if fd < 0:
        return errno
    error = copy_wider(w, r, fd, samples, channels, more)
    if error == 0:
        error = replace(r, fd, temporary)
    if error:
        unlinkat(r.folder_fd, temporary, 0)
        close(fd)
        return error
    r.header_channels = more
    r.good_end = WAV_HEADER_BYTES + 2 * samples * more
    return header(r, r.good_end)


# -- one recording -----------------------------------------------------------------------------------------------------

cdef void tell(writer_t* w, recording_t* r, uint32_t kind) noexcept nogil:
    cdef news_t* news = <news_t*> calloc(1, sizeof(news_t))
    if news == NULL:
        return
    news.recording = r
    news.kind = kind
    stack_push(&w.news, &news.node)
    rt_wake(w.news_fd)


cdef void fail(writer_t* w, recording_t* r, int error) noexcept nogil:
    """Cut the file back to what is whole; the first failure is told."""
    if r.error:
        return
    rt_store32(&r.error, error)
    if not r.feeding:
        ftruncate(r.fd, r.good_end)
        if r.format == FORMAT_WAV:
            header(r, r.good_end)
    tell(w, r, NEWS_FAILED)


cdef void finish(writer_t* w, recording_t* r, int64_t end) noexcept nogil:
    cdef int error = 0
    if rt_load32(&r.abandoned):
        end = r.good_end
    if not r.error and not r.feeding:
        error = check_name(r)
        if error == 0 and ftruncate(r.fd, end) < 0:
            error = errno
        if error == 0 and r.format == FORMAT_WAV:
            error = header(r, end)
    if close(r.fd) < 0 and error == 0 and errno != EINTR:
        error = errno
    if not r.feeding:
        close(r.folder_fd)
    if error and not r.error:
        rt_store32(&r.error, error)
    free(r.spare)
    tell(w, r, NEWS_CLOSED)


cdef void one(writer_t* w, recording_t* r, const chunk_t* chunk) noexcept nogil:
    cdef int error = 0
    if r.error or rt_load32(&r.abandoned):
        if chunk.kind == CHUNK_DATA:
            rt_store64(&r.refused, r.refused + chunk.packets)
        return
    if chunk.kind == CHUNK_WIDEN:
        error = widen(w, r, chunk.offset, chunk.packets, chunk.bytes)
    else:
        error = feed(r, chunk) if r.feeding else data(r, chunk)
        if error:
            rt_store64(&r.refused, r.refused + chunk.packets)
        else:
            rt_store64(&r.written, r.written + chunk.packets)
            take_note(r, chunk)
    if error:
        fail(w, r, error)


cdef void writer_turn(writer_t* w) noexcept nogil:
    cdef node_t* node = stack_take(&w.chunks)
    cdef chunk_t* chunk
    while node != NULL:
        chunk = <chunk_t*> node
        node = node.next
        if chunk.kind == CHUNK_CLOSE:
            finish(w, chunk.recording, chunk.offset)
        else:
            one(w, chunk.recording, chunk)
            if chunk.capacity == CHUNK_BYTES:
                chunk = <chunk_t*> rt_swap(&chunk.recording.spare, chunk)
        free(chunk)


cdef void writer_run(writer_t* w) noexcept nogil:
    cdef uint64_t value
    while not rt_load32(&w.stop):
        read(w.wake_fd, &value, 8)
        writer_turn(w)


cdef class Writer:
    """See writer.pyi."""

    def __cinit__(self, int news_fd):
        self.w.wake_fd = eventfd(0, EFD_CLOEXEC)
        self.w.scratch = <uint8_t*> malloc(2 * 2 * WIDEN_SAMPLES * CHANNELS_MAX)
        if self.w.wake_fd < 0 or self.w.scratch == NULL:
            raise MemoryError
        self.w.news_fd = news_fd

    def __dealloc__(self):
        if self.w.wake_fd >= 0:
            close(self.w.wake_fd)
        free(self.w.scratch)

    def run(self):
        with nogil:
            writer_run(&self.w)

    def step(self):
        with nogil:
            writer_turn(&self.w)

    def stop(self):
        rt_store32(&self.w.stop, 1)
        rt_wake(self.w.wake_fd)

    def take_news(self):
        cdef node_t* node = stack_take(&self.w.news)
        cdef node_t* next_node
        cdef news_t* news
        out = []
        while node != NULL:
            news = <news_t*> node
            next_node = node.next
            out.append((news.recording.id, news.kind == NEWS_FAILED))
            free(node)
            node = next_node
        return out
