"""Telephones for scripts that run a real media thread: sockets of this machine, RTP of their own making."""

import os
import socket
import struct

from roomtone.ext.flow.media import Arena, Media

HOST = "127.0.0.1"
HEADER = struct.Struct("!BBHII")
KEYS = (101, 8000)  # telephone-event: payload type and clock


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((HOST, 0))
    s.setblocking(False)
    return s


def media_of(endpoints):
    """A media thread that has not begun."""
    fd = os.memfd_create("arena")
    Arena.format(fd, endpoints=endpoints, worker=0, epoch=1)
    return Media(Arena(fd, writable=True), fact_fd=-1)


def open_bus(media, phase=0):
    bus = media.bus_take()
    media.bus_open(bus, phase=phase, key_relay_limit=20)
    return bus


class Telephone:
    """Both ends of a call: `ours` is the engine's socket, `theirs` the peer's.

    known: the engine knows the peer's address and sends at once; else it learns it from the first packet.
    """

    def __init__(self, media, bus, codec=1, payload_type=0, *, rtcp=False, keys=False, known=False):
        self.ours, self.theirs = udp(), udp()
        self.rtcp = udp() if rtcp else None
        self.payload_type = payload_type
        self.n = 0  # packets said
        self.samples = 320 if codec == 4 else 160  # of a packet, and its timestamp steps
        self.handle = handle = media.endpoint_take()
        media.endpoint_open(
            handle,
            rtp_fd=self.ours.fileno(),
            rtcp_fd=self.rtcp.fileno() if self.rtcp else -1,
            local=self.ours.getsockname(),
            local_rtcp_port=(self.rtcp or self.ours).getsockname()[1],
            ssrc=handle,
            cname="c",
            seq=1,
            timestamp=1,
        )
        media.endpoint_media(
            handle,
            receive=[(payload_type, codec)],
            send_payload_type=payload_type,
            send_codec=codec,
            event_receive=[KEYS] if keys else [],
            event_send=KEYS if keys else None,
            may_receive=True,
            may_send=True,
        )
        remote = self.theirs.getsockname()
        media.endpoint_remote(handle, remote=remote, rtcp_port=remote[1], learn=not known, send_at_once=known)
        media.source_add(bus, handle)
        media.destination_add(bus, handle)

    def send(self, payload, payload_type=None):
        self.n += 1
        kind = self.payload_type if payload_type is None else payload_type
        header = HEADER.pack(0x80, kind, self.n, self.n * self.samples, self.handle)
        self.theirs.sendto(header + payload, self.ours.getsockname())
