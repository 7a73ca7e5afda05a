"""What the recorder asks of the kernel."""

from libc.stdint cimport int32_t, int64_t, uint64_t


cdef extern from "<sys/types.h>" nogil:
    ctypedef unsigned int mode_t
    ctypedef int64_t off_t

cdef extern from "<sys/stat.h>" nogil:
    cdef struct stat_t "stat":
        unsigned long st_nlink
    int fstat(int fd, stat_t* status)

cdef extern from "<fcntl.h>" nogil:
    enum: O_RDWR
    enum: O_CREAT
    enum: O_EXCL
    enum: O_NOFOLLOW
    enum: O_CLOEXEC
    int openat(int folder, const char* name, int flags, mode_t mode)

cdef extern from "<stdio.h>" nogil:
    int renameat(int old_folder, const char* old, int new_folder, const char* new)

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int fd, const void* data, size_t n, off_t offset)
    ssize_t pread(int fd, void* data, size_t n, off_t offset)
    ssize_t read(int fd, void* data, size_t n)
    ssize_t write(int fd, const void* data, size_t n)
    int ftruncate(int fd, off_t size)
    int unlinkat(int folder, const char* name, int flags)
    int close(int fd)

cdef extern from "<sys/xattr.h>" nogil:
    ssize_t fgetxattr(int fd, const char* name, void* value, size_t size)
    int fsetxattr(int fd, const char* name, const void* value, size_t size, int flags)

cdef extern from "<poll.h>" nogil:
    enum: POLLIN
    cdef struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd* fds, unsigned long count, int timeout_ms)

cdef extern from "<sys/eventfd.h>" nogil:
    enum: EFD_CLOEXEC
    enum: EFD_NONBLOCK
    int eventfd(unsigned int value, int flags)

cdef extern from "<errno.h>" nogil:
    int errno
    enum: EINTR
    enum: EIO
    enum: EAGAIN
    enum: ENOENT

cdef extern from *:
    """
    #define rt_load(p)      __atomic_load_n((p), __ATOMIC_RELAXED)
    #define rt_store(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELAXED)
    #define rt_swap(p, v)   __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
    """
    uint64_t rt_load64 "rt_load"(const uint64_t* p) noexcept nogil
    void rt_store64 "rt_store"(uint64_t* p, uint64_t v) noexcept nogil
    int rt_load32 "rt_load"(const int32_t* p) noexcept nogil
    void rt_store32 "rt_store"(int32_t* p, int32_t v) noexcept nogil
    void* rt_swap(void** p, void* v) noexcept nogil


cdef inline void rt_wake(int fd) noexcept nogil:
    cdef uint64_t one = 1
    write(fd, &one, 8)
