"""Classic pcap (microseconds, the least byte first) with the headers a packet had on the wire.

    magic a1b2c3d4 | version 2.4 | zone 0 | accuracy 0 | snap length | link type 1 (Ethernet)
    per packet: seconds | microseconds | bytes here | bytes on the wire | Ethernet II | IPv4 (RFC 791) or IPv6
    (RFC 8200) | UDP (RFC 768) | what was sent

SRTP would stand here decrypted.  Lengths and IPv4's checksum are right; the UDP checksum is zero in IPv4 ("none") and
right in IPv6, where it may not be zero.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from roomtone.ext.record.capture cimport (
    CAPTURE_RTCP_OUT,
    CAPTURE_RTP_OUT,
    capture_data,
    capture_t,
)
from roomtone.ext.record.little cimport little16, little32


cdef enum:
    MAGIC = 0xA1B2C3D4
    VERSION_MAJOR = 2
    VERSION_MINOR = 4
    SNAP_BYTES = 65535
    LINK_ETHERNET = 1
    RECORD_HEADER_BYTES = 16
    ETHERNET_BYTES = 14
    ETHERNET_IPV4 = 0x0800
    ETHERNET_IPV6 = 0x86DD
    LOCAL_MAC = 1                       # last bytes of two locally administered addresses: ours and the peer's
    REMOTE_MAC = 2
    IPV4_BYTES = 20
    IPV6_BYTES = 40
    UDP_BYTES = 8
    PROTOCOL_UDP = 17
    HOPS = 64
    DO_NOT_FRAGMENT = 0x4000


cdef inline void put16(uint8_t* at, uint32_t value) noexcept nogil:
    at[0] = value >> 8 & 0xFF
    at[1] = value & 0xFF


cdef uint32_t sum16(const uint8_t* at, int n, uint32_t sum) noexcept nogil:
    """Add words in network order; an odd last byte counts as if a zero followed (RFC 1071)."""
    cdef int i
    for i in range(0, n - 1, 2):
        sum += <uint32_t> at[i] << 8 | at[i + 1]
    if n & 1:
        sum += <uint32_t> at[n - 1] << 8
    return sum


cdef uint16_t fold(uint32_t sum) noexcept nogil:
    while sum >> 16:
        sum = (sum & 0xFFFF) + (sum >> 16)
    return <uint16_t> ~sum


cdef void pcap_header(uint8_t* out) noexcept nogil:
    memset(out, 0, PCAP_HEADER_BYTES)
    little32(out, MAGIC)
    little16(out + 4, VERSION_MAJOR)
    little16(out + 6, VERSION_MINOR)
    little32(out + 16, SNAP_BYTES)
    little32(out + 20, LINK_ETHERNET)


cdef void ethernet(uint8_t* out, int source, int destination, int protocol) noexcept nogil:
    memset(out, 0, ETHERNET_BYTES)
    out[0] = out[6] = 2                 # locally administered
    out[5] = <uint8_t> destination
    out[11] = <uint8_t> source
    put16(out + 12, protocol)


cdef int ipv4(uint8_t* out, const uint8_t* source, const uint8_t* destination, int udp_bytes) noexcept nogil:
    memset(out, 0, IPV4_BYTES)
    out[0] = 0x45                       # version 4, five words
    put16(out + 2, IPV4_BYTES + udp_bytes)
    put16(out + 6, DO_NOT_FRAGMENT)
    out[8] = HOPS
    out[9] = PROTOCOL_UDP
    memcpy(out + 12, source, 4)
    memcpy(out + 16, destination, 4)
    put16(out + 10, fold(sum16(out, IPV4_BYTES, 0)))
    return IPV4_BYTES


cdef int ipv6(uint8_t* out, const uint8_t* source, const uint8_t* destination, int udp_bytes) noexcept nogil:
    memset(out, 0, IPV6_BYTES)
    out[0] = 0x60
    put16(out + 4, udp_bytes)
    out[6] = PROTOCOL_UDP
    out[7] = HOPS
    memcpy(out + 8, source, 16)
    memcpy(out + 24, destination, 16)
    return IPV6_BYTES


cdef void udp_checksum_ipv6(const uint8_t* ip, uint8_t* udp, int udp_bytes) noexcept nogil:
    """Over the pseudo-header too (RFC 8200 section 8.1); a sum of zero is sent as all ones."""
    cdef uint32_t sum = sum16(ip + 8, 32, <uint32_t> udp_bytes + PROTOCOL_UDP)
    cdef uint16_t check = fold(sum16(udp, udp_bytes, sum))
    put16(udp + 6, check if check else 0xFFFF)


cdef int pcap_packet(uint8_t* out, const capture_t* record, int64_t wall_us) noexcept nogil:
    cdef bint outgoing = record.kind == CAPTURE_RTP_OUT or record.kind == CAPTURE_RTCP_OUT
    cdef const uint8_t* source = &record.local_ip[0] if outgoing else &record.remote_ip[0]
    cdef const uint8_t* destination = &record.remote_ip[0] if outgoing else &record.local_ip[0]
    cdef bint six = record.family == 6
    cdef uint8_t* frame = out + RECORD_HEADER_BYTES
    cdef uint8_t* ip = frame + ETHERNET_BYTES
    cdef uint8_t* udp
    cdef int udp_bytes = UDP_BYTES + record.bytes
    ethernet(frame, LOCAL_MAC if outgoing else REMOTE_MAC, REMOTE_MAC if outgoing else LOCAL_MAC,
             ETHERNET_IPV6 if six else ETHERNET_IPV4)
    if six:
        udp = ip + ipv6(ip, source, destination, udp_bytes)
    else:
        udp = ip + ipv4(ip, source, destination, udp_bytes)
    put16(udp, record.local_port if outgoing else record.remote_port)
    put16(udp + 2, record.remote_port if outgoing else record.local_port)
    put16(udp + 4, udp_bytes)
    put16(udp + 6, 0)
    memcpy(udp + UDP_BYTES, capture_data(record), record.bytes)
    if six:
        udp_checksum_ipv6(ip, udp, udp_bytes)
    little32(out, <uint32_t> (wall_us // 1000000))
    little32(out + 4, <uint32_t> (wall_us % 1000000))
    little32(out + 8, <uint32_t> (udp + udp_bytes - frame))
    little32(out + 12, <uint32_t> (udp + udp_bytes - frame))
    return <int> (udp + udp_bytes - out)
