"""A captured packet as Wireshark wants it: classic pcap, Ethernet, IP, UDP."""

from libc.stdint cimport int64_t, uint8_t

from roomtone.ext.record.capture cimport capture_t


cdef enum:
    PCAP_HEADER_BYTES = 24
    PCAP_OVERHEAD_MAX = 16 + 14 + 40 + 8        # record header, Ethernet, IPv6, UDP


# The file's header; PCAP_HEADER_BYTES.
cdef void pcap_header(uint8_t* out) noexcept nogil
# One packet with its headers at that wall-clock time; bytes written, at most PCAP_OVERHEAD_MAX + record.bytes.
cdef int pcap_packet(uint8_t* out, const capture_t* record, int64_t wall_us) noexcept nogil
