"""The kernel's socket and epoll interface, declared once."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<sys/socket.h>" nogil:
    int AF_INET
    int AF_INET6
    int AF_UNSPEC
    int SOL_SOCKET
    int SO_MEMINFO
    int MSG_DONTWAIT
    int MSG_TRUNC
    int MSG_NOSIGNAL
    ctypedef unsigned int socklen_t
    cdef struct sockaddr:
        uint16_t sa_family
    cdef struct sockaddr_storage:
        uint16_t ss_family
    cdef struct iovec:
        void* iov_base
        size_t iov_len
    cdef struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    int connect(int fd, const sockaddr* addr, socklen_t n)
    int getsockopt(int fd, int level, int name, void* value, socklen_t* n)

# The bare system calls: glibc's wrappers are cancellation points and cost two atomic operations each in a process with
# threads (3 % of a mixed packet).
cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>
    #define rt_recv(fd, buf, n, flags)   syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL)
    #define rt_recvmsg(fd, m, flags)     syscall(SYS_recvmsg, fd, m, flags)
    #define rt_send(fd, buf, n, flags)   syscall(SYS_sendto, fd, buf, n, flags, NULL, 0)
    #define rt_sendto(fd, buf, n, flags, to, tolen)  syscall(SYS_sendto, fd, buf, n, flags, to, tolen)
    """
    ssize_t recv "rt_recv"(int fd, void* buf, size_t n, int flags) nogil
    ssize_t recvmsg "rt_recvmsg"(int fd, msghdr* m, int flags) nogil
    ssize_t send "rt_send"(int fd, const void* buf, size_t n, int flags) nogil
    ssize_t sendto "rt_sendto"(int fd, const void* buf, size_t n, int flags, const sockaddr* to, socklen_t tolen) nogil

cdef extern from "<linux/sockios.h>" nogil:
    unsigned long SIOCGSTAMPNS

cdef extern from "<linux/sock_diag.h>" nogil:
    int SK_MEMINFO_DROPS

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, void* argument)

cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct in6_addr:
        uint8_t s6_addr[16]
    cdef struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
    uint16_t htons(uint16_t v)
    uint16_t ntohs(uint16_t v)

cdef extern from "<sys/epoll.h>" nogil:
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLLIN
    int EPOLLERR
    int EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* e)
    int epoll_pwait2(int epfd, epoll_event* events, int n, const timespec* timeout, const void* sigmask)

cdef extern from "<sys/eventfd.h>" nogil:
    int EFD_NONBLOCK
    int EFD_CLOEXEC
    int eventfd(unsigned int initial, int flags)

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN
    int ECONNREFUSED
    int EINTR
    int ENOBUFS
