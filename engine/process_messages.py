"""What the processes of one machine tell each other at start, in trouble and at the end.

Supervisor, control and workers talk over SOCK_SEQPACKET pairs, one MessagePack struct a datagram, descriptors
by SCM_RIGHTS; `roomtone inspect` asks the supervisor over a socket of its own.  What control and workers say
about sessions is in the package messages; units and the schema rule are the same.
"""

from __future__ import annotations

import msgspec

# -- what a worker needs to know at start (JSON, in the environment variable ROOMTONE_WORKER) ----------------


# Slot 0 of an arena is never used (handle 0 names nothing), one slot is the worker's self-probe.
HIDDEN_SLOTS = 2


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Made by the supervisor, read once by the worker."""

    index: int
    workers: int
    epoch: int  # counts the starts of this worker index, from 1
    cpu: int | None  # the CPU to pin to; None: do not pin
    runtime_dir: str  # holds commands.ipc (ROUTER bound by control) and events.ipc (PULL bound by control)
    arena_fd: int  # memfd of this worker's arena, inherited
    supervisor_fd: int  # SOCK_SEQPACKET to the supervisor, inherited
    endpoints: int = 8192  # that can be made; the arena has HIDDEN_SLOTS more
    rtp_port_min: int = 30000
    rtp_port_max: int = 39999
    media_timeout_ms: int = 5000
    source_networks: tuple[str, ...] = ()  # CIDR; empty: any
    relay_gather_us: int = 0  # relayed packets wait so long for company under load
    overload_shed_at: float = 0.85  # of the CPU; 0: never (engine/overload.py)
    overload_refuse_at: float = 0.92
    cached_tracks: int = 64  # decoded files that are kept although nobody plays them
    neural_vad_streams: int = 50
    file_chunks: int = 4096  # seconds of decoded files in memory at most, played or kept: 200 MB
    recording_dir: str | None = None  # None: no recordings
    recording_channel_size: int = 1000  # packets of a recording that may wait for the disk
    recording_ring_bytes: int = 1 << 25  # of memory between media thread and recorder
    recording_flush_timeout_ms: int = 10_000  # how long the end of a recording waits for them
    log_level: str = "info"


# -- supervisor <-> worker, one MessagePack struct a datagram, descriptors by SCM_RIGHTS ---------------------


class Hold(msgspec.Struct, tag="hold", tag_field="t"):
    """Worker -> supervisor: keep duplicates of these media sockets, descriptors in that order.

    An endpoint has one for RTP and, without rtcp-mux, one for RTCP.  A second Hold of one key replaces the
    first (rtcp-mux agreed: the odd port goes).
    """

    held: list[tuple[int, int]]  # (the endpoint's handle, how many descriptors)


class Release(msgspec.Struct, tag="release", tag_field="t"):
    """Worker -> supervisor: close the duplicates of these keys; answered by `Released` with the same keys."""

    keys: list[int]


class Released(msgspec.Struct, tag="released", tag_field="t"):
    keys: list[int]


class ArenaMap(msgspec.Struct, tag="arena", tag_field="t"):
    """Supervisor -> worker: another worker's arena (one descriptor), to be mapped read-only."""

    worker: int
    epoch: int


class ArenaGone(msgspec.Struct, tag="arena_gone", tag_field="t"):
    """Supervisor -> worker: that worker died; its partial sums will not change any more."""

    worker: int
    epoch: int


class Stop(msgspec.Struct, tag="stop", tag_field="t"):
    """Supervisor -> worker: end now (control has finished draining)."""


SupervisorMessage = Hold | Release | Released | ArenaMap | ArenaGone | Stop


# -- what control needs to know at start (JSON, in the environment variable ROOMTONE_CONTROL) ----------------


class ControlStart(msgspec.Struct, frozen=True, kw_only=True):
    """Made by the supervisor, read once by control."""

    config: msgspec.Raw  # control/core/config.Config as JSON
    runtime_dir: str  # exists, mode 0700
    workers: int  # the number in use; config.workers may be 0 (automatic)
    supervisor_fd: int  # SOCK_SEQPACKET to the supervisor, inherited


class DispatcherStart(msgspec.Struct, frozen=True, kw_only=True):
    """Made by the supervisor, read once by the dispatcher (JSON, in ROOMTONE_DISPATCHER)."""

    config: msgspec.Raw
    runtime_dir: str


# -- supervisor <-> control, one MessagePack struct a datagram -----------------------------------------------


class WorkerSpawned(msgspec.Struct, tag="worker_spawned", tag_field="t", kw_only=True):
    """Supervisor -> control: this process runs now; told again to a control process that was restarted.

    The worker answers commands from its `WorkerUp` on (or, for a restarted control, at once).
    """

    worker: int
    epoch: int
    pid: int


class WorkerExited(msgspec.Struct, tag="worker_exited", tag_field="t", kw_only=True):
    """Supervisor -> control: that epoch is over.  status: exit status, or minus the signal's number."""

    worker: int
    epoch: int
    status: int


class Drained(msgspec.Struct, tag="drained", tag_field="t"):
    """Control -> supervisor: no session is left after SIGTERM; the workers may be stopped."""


ControlMessage = WorkerSpawned | WorkerExited | Drained


# -- supervisor -> `roomtone inspect`, over runtime_dir/supervisor.sock --------------------------------------


class InspectWorker(msgspec.Struct, tag="inspect_worker", tag_field="t", kw_only=True):
    """A living or recently dead worker; one descriptor: its arena.  status None: it lives."""

    worker: int
    epoch: int
    pid: int
    status: int | None = None
    ended_ms_ago: int | None = None


class InspectSockets(msgspec.Struct, tag="inspect_sockets", tag_field="t", kw_only=True):
    """Media sockets the supervisor holds of that worker: (key, address, port), bound as the kernel says."""

    worker: int
    epoch: int
    sockets: list[tuple[int, str, int]]


class InspectEnd(msgspec.Struct, tag="inspect_end", tag_field="t"):
    """Everything was told."""


InspectMessage = InspectWorker | InspectSockets | InspectEnd


# -- names both ends know ------------------------------------------------------------------------------------

COMMANDS_ENDPOINT = "ipc://{runtime_dir}/commands.ipc"
EVENTS_ENDPOINT = "ipc://{runtime_dir}/events.ipc"
# Exit status of a control process that cannot work with its configuration (address in use, unreadable file):
# at the first start the supervisor ends with it instead of starting control again.
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
SUPERVISOR_SOCKET = "{runtime_dir}/supervisor.sock"


def worker_identity(index: int, epoch: int) -> bytes:
    """ZeroMQ identity of a worker's DEALER socket."""
    return b"worker-%d/%d" % (index, epoch)
