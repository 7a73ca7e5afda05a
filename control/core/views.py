"""Sessions as clients and HTTP see them, and figures for metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct, field

from roomtone.control.core import api, recordings
from roomtone.control.core.histogram import Histogram
from roomtone.control.core.session import Endpoint, Session, address

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


SUMMARIES_A_PIECE = 500  # some 2 ms of work


class Counters:
    """Running totals since the start."""

    __slots__ = (
        "command_duration",
        "commands",
        "endpoints_refused",
        "events",
        "events_dropped",
        "joins",
        "play_reports_stale",
        "plays",
        "stats_withheld",
    )

    def __init__(self) -> None:
        self.commands: Counter[tuple[str, str]] = Counter()  # by method ("" for unknown ones) and outcome
        self.command_duration: defaultdict[str, Histogram] = defaultdict(Histogram)  # by method
        self.events: Counter[str] = Counter()  # by name
        self.events_dropped = 0
        self.joins: Counter[str] = Counter()  # to rooms, by outcome
        self.plays: Counter[str] = Counter()  # in rooms, ended, by outcome
        self.play_reports_stale = 0  # of playback in rooms that was over
        self.endpoints_refused = 0  # for overload
        self.stats_withheld = 0  # statistics events left out under overload

    def command(self, method: str, outcome: str, took_us: int) -> None:
        known = method if outcome != "UNKNOWN_METHOD" else ""
        self.commands[known, outcome] += 1
        self.command_duration[known].observe(took_us)

    def event(self, name: str) -> None:
        self.events[name] += 1


class Counts(Struct, kw_only=True):
    """Figures of this moment, and totals."""

    sessions: int
    orphaned: int
    connections: int
    endpoints: dict[str, int] = field(default_factory=dict)  # by type
    codecs: dict[str, int] = field(default_factory=dict)  # endpoints by codec sent
    workers: dict[int, int] = field(default_factory=dict)  # endpoints by living worker
    draining: bool = False
    commands: dict[tuple[str, str], int] = field(default_factory=dict)  # by method and outcome
    command_duration: dict[str, Histogram] = field(default_factory=dict)  # by method
    events: dict[str, int] = field(default_factory=dict)  # raised, by name
    events_dropped: int = 0
    rooms: int = 0
    members: int = 0
    joins: dict[str, int] = field(default_factory=dict)  # by outcome
    plays: dict[str, int] = field(default_factory=dict)  # ended, by outcome
    play_reports_stale: int = 0
    endpoints_refused: int = 0  # for overload
    stats_withheld: int = 0
    downloads_running: int = 0
    downloads_waiting: int = 0
    downloads: dict[str, int] = field(default_factory=dict)  # ended, by outcome
    downloads_wished: dict[str, int] = field(default_factory=dict)  # by how the wish was met
    cache_files: int = 0
    cache_bytes: int = 0


def rfc3339(epoch_us: int) -> str:
    """UTC with milliseconds."""
    seconds, us = divmod(epoch_us, 1_000_000)
    return f"{_second(seconds)}.{us // 1000:03}Z"


@lru_cache(maxsize=4096)  # long lists name the same seconds over and over
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def endpoint_info(endpoint: Endpoint) -> api.EndpointInfo:
    created, remote_rtcp = endpoint.created, endpoint.remote_rtcp_addr
    offering = endpoint.state == "connecting" and endpoint.audio is None
    if endpoint.audio is not None:
        created = remote_rtcp = None  # loopback between processes of ours: nobody's business
    return api.EndpointInfo(
        endpoint_id=endpoint.id,
        endpoint_type=endpoint.kind,  # type: ignore[arg-type]
        direction=endpoint.direction,
        state=endpoint.state,
        codec=endpoint.codec,
        local_rtp_addr=address(created.local_ip, created.rtp_port) if created is not None else None,
        remote_rtp_addr=endpoint.remote_rtp_addr if endpoint.audio is None else None,
        local_rtcp_addr=address(created.local_ip, created.rtcp_port) if created is not None else UNSET,
        remote_rtcp_addr=remote_rtcp or UNSET,
        offer_generation=endpoint.sdp_version if offering else UNSET,
        shared_playback_id=endpoint.shared_id or UNSET,
    )


def info(core: Core, session: Session) -> api.SessionInfo:
    return api.SessionInfo(
        session_id=session.id,
        state=session.state,  # type: ignore[arg-type]
        created_at=rfc3339(session.created_us + core.epoch_offset_us),
        endpoints=[endpoint_info(endpoint) for endpoint in session.endpoints.values()],
        vad_active=[endpoint.id for endpoint in session.endpoints.values() if endpoint.vad is not None],
        fax_detect_active=[endpoint.id for endpoint in session.endpoints.values() if endpoint.fax],
        recordings=recordings.infos(session),
    )


def summaries(core: Core, app_id: str | None) -> Iterator[bytes]:
    """JSON of an app's (None: all apps') sessions, oldest first: the entries of an array in pieces.

    Other work may come between two pieces: what ends meanwhile is left out, what begins is not there yet.
    """
    sessions = list(core.sessions.values())
    for start in range(0, len(sessions), SUMMARIES_A_PIECE):
        some = [
            api.SessionSummary(
                session_id=session.id,
                state=session.state,  # type: ignore[arg-type]
                endpoint_count=len(session.endpoints),
                created_at=rfc3339(session.created_us + core.epoch_offset_us),
            )
            for session in sessions[start : start + SUMMARIES_A_PIECE]
            if not session.ended and app_id in (None, session.app_id)
        ]
        if some:
            yield msgspec.json.encode(some)[1:-1]


def array(pieces: list[bytes]) -> bytes:
    """JSON of all entries that are in the pieces."""
    return b"[%b]" % b",".join(pieces)


def counts(core: Core) -> Counts:
    sessions = core.sessions.values()
    endpoints = [endpoint for session in sessions for endpoint in session.endpoints.values()]
    return Counts(
        sessions=len(sessions),
        orphaned=sum(session.connection is None for session in sessions),
        connections=len(core.connections),
        endpoints=dict(Counter(endpoint.kind for endpoint in endpoints)),
        codecs=dict(Counter(endpoint.codec for endpoint in endpoints if endpoint.codec)),
        workers=core.workers.loads(),
        draining=core.draining,
        commands=dict(core.counters.commands),
        command_duration=dict(core.counters.command_duration),
        events=dict(core.counters.events),
        events_dropped=core.counters.events_dropped,
        rooms=len(core.rooms),
        members=sum(room.member_count for room in core.rooms.values()),
        joins=dict(core.counters.joins),
        plays=dict(core.counters.plays),
        play_reports_stale=core.counters.play_reports_stale,
        endpoints_refused=core.counters.endpoints_refused,
        stats_withheld=core.counters.stats_withheld,
        downloads_running=len(core.downloads.running),
        downloads_waiting=len(core.downloads.waiting),
        downloads=dict(core.downloads.outcomes),
        downloads_wished=dict(core.downloads.wished),
        cache_files=len(core.downloads.copies),
        cache_bytes=core.downloads.cache_bytes,
    )
