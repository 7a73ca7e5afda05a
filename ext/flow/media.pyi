"""The Python face of ext/flow: what the worker's Python thread may ask of the media thread.

One `Media` a worker.  `run()` is entered once, on its own thread, releases the GIL and returns only after `stop()`.
All other methods are called from the Python thread only.  Handles are ints (20 bits index, 12 bits generation).

Edits: methods whose docstring says *edit* write one record into the edit ring and return its number; they are applied
in order, between ticks.  `applied()` tells the last number applied; what an edit retired (sockets, memory) may be
released only when applied() >= its number.  A full ring blocks the caller (microseconds to a few ms).

Order of use for an RTP endpoint:
    handle = media.endpoint_take()                      # RuntimeError when the arena is full
    media.endpoint_open(handle, rtp_fd, rtcp_fd, ...)   # fills the slot (touches its pages), then the edit
    media.source_add(bus, handle); media.destination_add(bus, handle)
    ...
    n = media.endpoint_close(handle)                    # BYE, EPOLL_CTL_DEL, leaves bus by itself
    (applied() >= n) -> close sockets; media.endpoint_free(handle)
"""

from typing import Any

from roomtone.ext.flow.track import Playback

def arena_bytes(endpoints: int) -> int:
    """Size of an arena with so many slots (sparse; only touched pages cost memory)."""

class Arena:
    """A worker's hot state in shared memory.  Opening checks magic, layout hash and size: ValueError otherwise."""

    endpoints: int
    worker: int
    epoch: int
    def __init__(self, fd: int, *, writable: bool = False) -> None: ...
    @staticmethod
    def format(fd: int, *, endpoints: int, worker: int, epoch: int) -> None:
        """Size and initialise a fresh memfd (supervisor side; no media object needed)."""
    def partial_address(self, slot: int) -> int:
        """Address of a partial-sum slot, for Media.bus_spread of another worker."""
    def inspect(self) -> list[dict[str, Any]]:
        """Every endpoint in use: handle, kind, local/remote addresses, ssrc, seq, timestamp, counters.

        Reads under each slot's sequence lock; works on a dead worker's arena.  A slot whose lock stayed odd has
        "torn": True.
        """
    def close(self) -> None: ...

class Media:
    def __init__(self, arena: Arena, *, fact_fd: int, lab: bool = False) -> None:
        """fact_fd: an eventfd the media thread writes to (once a loop turn) when facts wait.

        lab=True: no sockets, no epoll, no thread: for `LabMedia` (lab.pyi).
        """
    def run(self) -> None: ...
    def stop(self) -> None: ...
    def applied(self) -> int: ...
    # -- endpoints ---------------------------------------------------------------------------------------------------
    def endpoint_take(self) -> int: ...
    def endpoint_free(self, handle: int) -> None:
        """Give the slot back (FIFO; it rests 2 s).  Only after the close edit was applied."""
    def endpoint_open(
        self,
        handle: int,
        *,
        rtp_fd: int,
        rtcp_fd: int,  # -1: rtcp-mux
        local: tuple[str, int],
        local_rtcp_port: int,
        ssrc: int,
        cname: str,
        seq: int,  # first sequence number
        timestamp: int,  # first timestamp
    ) -> int:
        """Edit.  Sockets are non-blocking and bound; the endpoint hears and sends nothing until endpoint_media."""
    def endpoint_media(
        self,
        handle: int,
        *,
        receive: list[tuple[int, int]],  # (payload type, codec number), at most 8
        send_payload_type: int,
        send_codec: int,
        event_receive: list[tuple[int, int]],  # (payload type, clock rate), at most 4
        event_send: tuple[int, int] | None,
        may_receive: bool,  # the peer may send (counts for the media time-out)
        may_send: bool,
        noise_receive: int | None = None,  # payload type of comfort noise the peer may send, its clock 8 kHz,
        noise_send: int | None = None,  # and of what it is sent; None: none
    ) -> int:
        """Edit: what negotiation agreed.  A codec change takes effect between ticks."""
    def endpoint_remote(
        self, handle: int, *, remote: tuple[str, int], rtcp_port: int, learn: bool, send_at_once: bool
    ) -> int:
        """Edit.  learn: (re)open source learning; the socket is disconnected (a fresh one is learning anyway).

        send_at_once: sending to the SDP address may begin before anything was received.
        """
    # -- watching ----------------------------------------------------------------------------------------------------
    def watch(
        self, handle: int, *, serial: int, speech: bool, threshold: float, fax: bool, frames: int
    ) -> int:
        """Edit: what detectors look for in what the peer says (tap.pxd).  Keys are looked for without being asked
        whenever endpoint_media names no event_receive.

        serial: 1 to 2**31 - 1; another one than before: what is known of speech begins anew.
        threshold: probability from which on a frame is speech, 0 to 1.
        frames: 0, or from watch_take: 8 kHz frames go there as well, whatever is asked for.
        """
    def watch_kinds(self, *, speech: bool, keys: bool) -> int:
        """Edit: which detectors run at all; speech: with frames, keys: with fax tones.  At first: all."""
    def watch_take(self) -> int:
        """A ring of 64 frames for `watch`.  The caller gives it back with watch_free after an edit took its place."""
    def watch_free(self, frames: int) -> None: ...
    def watched_frames(self, frames: int, limit: int = 64) -> list[tuple[int, bytes]]:
        """Frames out of a ring of watch_take, oldest first: (time of its tick, 160 samples int16).  One thread a ring."""
    def speech(self, handle: int) -> tuple[int, int, int, int]:
        """(serial, tick of the latest utterance's first frame, of the latest frame with speech in it, of the last frame
        of the utterance before); times 0: none yet.
        """
    def fax_tones(self, handle: int) -> tuple[int, int]:
        """Times CNG and times CED began since the slot exists."""
    def sensitive(self, handle: int, enabled: bool) -> int:
        """Edit: the peer's keys are not to be recorded."""
    def endpoint_mux(self, handle: int) -> int:
        """Edit: rtcp-mux agreed, forget the RTCP socket (the caller closes it after the edit was applied)."""
    def endpoint_close(self, handle: int) -> int: ...
    def endpoint_move(self, handle: int, bus: int) -> int:
        """Edit: from the bus it is on to another, as source and destination as it was; it loses its seat (see `seat`)."""
    def inject(self, handle: int, *, event: int, duration_ms: int, volume: int) -> int:
        """Edit: start one RFC 4733 event now.  One at a time: FACT_INJECT_DONE says the next may start."""
    def gather(self, us: int) -> None:
        """Before run: how long packets of relayed legs wait for others under load, 0 (never) to 5000 microseconds.

        Load is 10,000 such packets a second.  ValueError: out of range.
        """
    def source_networks(self, networks: list[str]) -> None:
        """CIDR list that first packets must come from; before run()."""
    # -- recordings ------------------------------------------------------------------------------------------------------
    def capture_prepare(self, ring_bytes: int) -> bool:
        """Make and touch the capture ring, a piece a call (about 0.3 ms).  True: it is ready.

        ring_bytes: the least size, taken from the first call.
        """
    def capture_ring_address(self) -> int:
        """For `Drain` (ext/record/drain.pyi), which must not outlive this object."""
    def capture_position(self) -> int:
        """The position behind everything captured so far."""
    def capture_lost(self, handle: int) -> tuple[int, int]:
        """Records of an open endpoint for which the ring had no room: all, and those that were sound from it."""
    def capture(self, handle: int, on: bool) -> int:
        """Edit: copy what this endpoint receives and sends, or no longer.  The ring must be ready."""
    # -- tones -------------------------------------------------------------------------------------------------------
    def tone_open(self, handle: int, *, kind: int, frequency_hz: float, duration_ms: int) -> int:
        """Edit: a slot from endpoint_take becomes a tone; add it with source_add.  duration_ms -1: for ever."""
    # -- files -------------------------------------------------------------------------------------------------------
    def file_open(self, handle: int, playback: Playback, *, gain_db: float) -> int:
        """Edit: a slot from endpoint_take becomes a file that plays from there; add it with source_add.

        The playback, and with it its track, is kept until endpoint_free.
        """
    def file_seek(self, handle: int, *, position: int, item: int = 0) -> int:
        """Edit: play on from there (samples at 8 kHz of that item); nothing happens to a file that has ended."""
    def file_pause(self, handle: int, *, paused: bool) -> int:
        """Edit: out and in within 10 ms, the place is kept; a shared playback goes on for the others."""
    def file_gain(self, handle: int, *, gain_db: float | None, ramp_ms: int) -> int:
        """Edit: as loud from now on, by a linear ramp, to this endpoint's listeners; None: digital silence."""
    def fence(self) -> int:
        """Edit that changes nothing: once it is applied, chunks withdrawn before it are read no more."""
    # -- bridges -----------------------------------------------------------------------------------------------------
    def bridge_open(self, handle: int) -> int:
        """Edit: a slot from endpoint_take becomes a bridge; add it with source_add.  It is silent until fed."""
    def bridge_feed(self, handle: int, *, phase: int, feeds: list[int]) -> int:
        """Edit: bring the sum of the buses that publish at these addresses, at most 63, all of that phase."""
    # -- buses -------------------------------------------------------------------------------------------------------
    def bus_take(self) -> int: ...
    def bus_free(self, bus: int) -> None: ...
    def bus_open(self, bus: int, *, phase: int, key_relay_limit: int) -> int:
        """Edit.  key_relay_limit 0: keys are relayed in a bus of any size.  Sum rates follow the members' codecs."""
    def bus_close(self, bus: int) -> int: ...
    def source_add(self, bus: int, handle: int) -> int: ...
    def source_remove(self, bus: int, handle: int) -> int: ...
    def destination_add(self, bus: int, handle: int) -> int:
        """Edit.  Destinations of one codec share a mix group; the media thread keeps the groups."""
    def destination_remove(self, bus: int, handle: int) -> int: ...
    def partial_take(self) -> int:
        """A partial-sum slot of our own arena; RuntimeError when none is left."""
    def partial_free(self, slot: int) -> None: ...
    def partial_address(self, slot: int) -> int:
        """Where a slot of our own arena lies, for bridge_feed here."""
    def bus_spread(self, bus: int, *, slot: int, peers: list[int]) -> int:
        """Edit: publish to `slot` and add the partials at these addresses (Arena.partial_address), at most 63.

        An empty list: publish without waiting for anybody.  An empty list with slot -1: neither.
        """
    # -- rooms -------------------------------------------------------------------------------------------------------
    def bus_room(self, bus: int, *, roles: list[int] | None) -> int:
        """Edit: the bus is a room's from now on: nothing is relayed, every destination gets a packet every 20 ms.

        roles None: all voices are one.  Else their roles are told apart; of a bus that publishes the list names 7 more
        slots of partial_take, for the sums of the roles 1 to 7.
        """
    def seat(
        self,
        bus: int,
        handle: int,
        *,
        role: int = 0,
        hears: int = 0xFF,
        speaks: bool = True,
        party: int = 0,
        arrival: int = 0,
    ) -> int:
        """Edit: the endpoint sits there so (messages.Seat) from the next tick on; the plain seat is that of any bus.

        It leaves the bus it is on, and brings what it is on its own, as endpoint_move; one that is on none sits there
        once it is added.  party: number of the session named by Seat.private; 0: none.
        arrival: it comes to a room; that number is told with FACT_SEATED.  Repeated until it was told.
        """
    def arriving(self, handle: int) -> bool:
        """It came to a room, and that was not told yet."""
    # -- facts: what the media thread tells --------------------------------------------------------------------------
    def facts(self, limit: int = 4096) -> list[tuple[Any, ...]]:
        """Drain facts.  Tuples start with a FACT_* number and the handle; ints unless said:

        FACT_PINNED    (k, handle, ip: str, port)
        FACT_KEY       (k, handle, event_code, duration_ms)
        FACT_INJECT_DONE (k, handle)
        FACT_TONE_DONE (k, handle)
        FACT_BYE       (k, handle, ssrcs: list[int], reason: str | None)
        FACT_PROBE     (k, handle)   a self-probe datagram reached the media thread
        FACT_FILE_STARTED (k, handle, at_us)   its first frame was played
        FACT_FILE_NEXT    (k, handle, item)    another one of its list has begun
        FACT_FILE_ENDED   (k, handle, failed, item)  its last; failed 1: what should have followed could not be decoded
        FACT_RESYNC    (k, 0)        facts were lost (ring full): re-read what matters
        FACT_INBAND_KEY (k, handle, event_code, duration_ms)   heard in the audio
        FACT_HEARD     (k, handle)   an utterance or a fax tone began: speech() or fax_tones() tell
        FACT_SEATED    (k, handle, arrival)   the first tick with it in the room it came to, see seat()
        """
    def silent(self, limit_us: int) -> list[tuple[int, int]]:
        """(handle, silence in ms) of endpoints whose peer may send and did not for limit_us; once per silence.

        Re-armed by the next valid packet.
        """
    # -- reading, without stopping the media thread --------------------------------------------------------------------
    def stats(self, handle: int) -> dict[str, Any]:
        """Keys: those of messages.EndpointStats without endpoint, kind, codec; plus "codec" as a number (0: none)."""
    def stats_records(self, handles: list[int]) -> bytes:
        """What is counted of each, one record behind the other (ext/event/stats_record.pxd)."""
    def line(self, handle: int) -> dict[str, Any]:
        """ssrc and cname of what we send, remote: the peer's RTP address as ip:port."""
    def file_state(self, handle: int) -> tuple[int, int, bool, bool]:
        """When its first frame was played (0: not yet), which item plays, whether it has ended, whether because that could
        not be decoded.
        """
    def file_underruns(self, handle: int) -> int:
        """Frames of it that were not there in time."""
    def last_activity_us(self, handle: int) -> int: ...
    def last_heard_us(self, handle: int) -> int:
        """RTP or RTCP of the peer; 0: never."""
    def metrics(self) -> dict[str, Any]:
        """Keys counters, drops, gauges (dicts) and tick_duration_us, tick_late_us (histograms), as messages.Metrics."""

    def memory(self) -> dict[str, int]:
        """Gauges in bytes: arena_bytes and private_bytes (mapped), *_resident_bytes (in memory), endpoint_resident_bytes:
        what is in memory of both over the slots that were ever in use.  Cost: asks the kernel for every page, 0.1 to
        0.6 ms; once a scrape, not more.
        """

FACT_PINNED: int
FACT_KEY: int
FACT_INJECT_DONE: int
FACT_TONE_DONE: int
FACT_BYE: int
FACT_PROBE: int
FACT_RESYNC: int
FACT_FILE_STARTED: int
FACT_FILE_NEXT: int
FACT_FILE_ENDED: int
FACT_INBAND_KEY: int
FACT_HEARD: int
FACT_SEATED: int
