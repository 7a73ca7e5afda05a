"""A scripted worker: what control asks of it, it answers in memory."""

from __future__ import annotations

import itertools
from typing import Any

from fake_files import DURATION_MS, FILE_COMMANDS, FakeFile

from roomtone.engine import messages as ms
from roomtone.ext.event.stats_record import record

KINDS = {ms.CreateRtp: "rtp", ms.CreateTone: "tone", ms.CreateFile: "file", ms.CreateBridge: "bridge"}
UNKNOWN = ms.Failed(code="ENDPOINT_ERROR", message="unknown endpoint")


class FakeWorker:
    """Answers as a worker does.

    refuse: what to answer instead, by type of command; mute: what not to answer; stalled: take nothing, and
    do all of it in order when `Desk.answer_late` comes.
    """

    def __init__(self, index: int, epoch: int = 1) -> None:
        self.index = index
        self.epoch = epoch
        self.commands: list[ms.CommandBody] = []
        self.endpoints: dict[str, str] = {}  # endpoint -> session
        self.created: dict[str, ms.RtpCreated] = {}
        self.moves: dict[str, int] = {}  # endpoint -> its last move
        self.buses: set[str] = set()  # sessions with a bus here,
        self.peers: dict[str, list[ms.SpreadPeer]] = {}  # and whose sums those that publish add
        self.feeds: dict[str, ms.FeedBridge] = {}  # bridge -> what it brings
        self.turned: dict[str, bool] = {}  # bridge -> whether it is a source
        self.rooms: set[str] = set()  # open here
        self.seats: dict[str, tuple[str, ms.Seat]] = {}  # endpoint -> the room it sits in, and how
        self.duration_ms: int | None = DURATION_MS  # of files; None: not known before their end
        self.files: dict[str, FakeFile] = {}  # endpoint -> what it plays
        self.last_us: dict[str, int] = {}  # session -> RTP activity
        self.heard_us: dict[str, int] = {}  # session -> what its peers sent, where that is not the same
        self.refuse: dict[type, ms.Failed] = {}
        self.mute: set[type] = set()
        self.stalled = False
        self.held: list[tuple[int, ms.CommandBody]] = []  # not answered
        self.behind: list[tuple[int, ms.CommandBody]] | None = None  # came while those were answered
        self.counters: dict[str, dict[str, Any]] = {}
        self._ports = itertools.count(30000, 2)

    def of(self, kind: type) -> list[Any]:
        return [body for body in self.commands if isinstance(body, kind)]

    def take(self, n: int, body: ms.CommandBody) -> ms.ReplyBody | None:
        """A command came.  None: no answer (yet)."""
        self.commands.append(body)
        if self.stalled or type(body) in self.mute:
            self.held.append((n, body))
            return None
        if self.behind is not None:
            self.behind.append((n, body))
            return None
        return self.refuse.get(type(body)) or self.answer(body)

    def answer(self, body: ms.CommandBody) -> ms.ReplyBody:
        match body:
            case ms.CreateRtp():
                self._enter(body)
                port = next(self._ports)
                rtcp_port = port if body.rtcp_mux else port + 1
                self.created[body.endpoint] = made = ms.RtpCreated(
                    local_ip=body.media_ip,
                    rtp_port=port,
                    rtcp_port=rtcp_port,
                    ssrc=port,
                    cname="c",
                    handle=port,
                )
                return made
            case ms.CreateTone() | ms.CreateBridge():
                self._enter(body)
                if isinstance(body, ms.CreateBridge):
                    self.turned[body.endpoint] = body.is_source
                return ms.Done()
            case ms.MoveEndpoint():
                if body.endpoint not in self.endpoints:
                    return UNKNOWN
                if body.move > self.moves.get(body.endpoint, 0):
                    self.moves[body.endpoint] = body.move
                    self.seats.pop(body.endpoint, None)
                    self._enter(body)
                return ms.Done()
            case ms.OpenRoom():
                self.rooms.add(body.session)
                self.buses.add(body.session)
                return ms.Done()
            case ms.TakeSeat():
                if body.endpoint not in self.endpoints or body.room not in self.rooms:
                    return ms.Failed(code="ENDPOINT_ERROR", message="unknown endpoint or room")
                if body.move > self.moves.get(body.endpoint, 0):
                    self.moves[body.endpoint] = body.move
                    self.seats[body.endpoint] = (body.room, body.seat)
                return ms.Done()
            case ms.LeaveSeat():
                if body.move > self.moves.get(body.endpoint, 0):
                    self.moves[body.endpoint] = body.move
                    self.seats.pop(body.endpoint, None)
                return ms.Done()
            case ms.TurnBridge():
                if body.endpoint not in self.endpoints:
                    return UNKNOWN
                self.turned[body.endpoint] = body.is_source
                return ms.Done()
            case ms.FeedBridge():
                if body.endpoint not in self.endpoints:
                    return UNKNOWN
                self.feeds[body.endpoint] = body
                return ms.Done()
            case ms.StartRecording():
                return ms.RecordingStarted(
                    file_path=body.file_path.removesuffix("?mix"), started_at_epoch_ms=1_700_000_000_000
                )
            case ms.OpenFeed():
                return ms.FeedOpened(f"/run/feed-{body.recording}-{body.worker}")
            case ms.StartFeed():
                return ms.Done()
            case ms.StopRecording():
                return ms.RecordingDone(
                    file_path="/rec/a.pcap",
                    duration_ms=5,
                    packets=3,
                    dropped_packets=1,
                    stopped_at_epoch_ms=6,
                )
            case ms.CreateFile():
                self._enter(body)
                self.files[body.endpoint] = FakeFile(body, self.duration_ms)
                return ms.FileCreated(
                    duration_ms=self.duration_ms, shared_id="shared" if body.shared else None
                )
            case body if isinstance(body, FILE_COMMANDS) and body.endpoint in self.files:
                return self.files[body.endpoint].answer(body)
            case ms.AskFile() | ms.QueueFile():
                return UNKNOWN
            case ms.RemoveEndpoint():
                known = self.endpoints.pop(body.endpoint, None)
                self.feeds.pop(body.endpoint, None)
                self.turned.pop(body.endpoint, None)
                self.seats.pop(body.endpoint, None)
                self.files.pop(body.endpoint, None)
                return ms.Done() if known else UNKNOWN
            case ms.CloseSession():
                self.endpoints = {e: s for e, s in self.endpoints.items() if s != body.session}
                self.feeds = {e: feed for e, feed in self.feeds.items() if e in self.endpoints}
                self.files = {e: file for e, file in self.files.items() if e in self.endpoints}
                self.turned = {e: turned for e, turned in self.turned.items() if e in self.endpoints}
                self.buses.discard(body.session)
                self.rooms.discard(body.session)
                self.seats = {
                    e: seat
                    for e, seat in self.seats.items()
                    if e in self.endpoints and seat[0] != body.session
                }
                self.peers.pop(body.session, None)
                return ms.Done()
            case ms.GetStats():
                mine = [e for e, session in self.endpoints.items() if session == body.session]
                base = {"kind": "rtp", "codec": "PCMU"}
                return ms.Stats(
                    [ms.EndpointStats(endpoint=e, **(base | self.counters.get(e, {}))) for e in mine]
                )
            case ms.PollStats():
                asked = [[e for e, s in self.endpoints.items() if s == session] for session in body.sessions]
                counted = [self.counters.get(e, {}) for endpoints in asked for e in endpoints]
                return ms.StatsPolled(asked, b"".join(record(**{"codec": 1, **c}) for c in counted))
            case ms.GetActivity():
                last_us = self.last_us.get(body.session, 0)
                return ms.Activity(last_us, self.heard_us.get(body.session, last_us))
            case ms.SetSpread():
                if body.session not in self.peers:
                    return ms.Failed(code="ENDPOINT_ERROR", message="publishes nothing")
                self.peers[body.session] = body.peers
                return ms.Done()
            case ms.CloseSpread():
                self.peers.pop(body.session, None)
                return ms.Done()
            case ms.OpenSpread():
                self.buses.add(body.session)
                self.peers.setdefault(body.session, [])
                return ms.SpreadOpened(slot=100 + self.index, epoch=self.epoch)
            case _:
                return ms.Done()

    def _enter(
        self, body: ms.CreateRtp | ms.CreateTone | ms.CreateFile | ms.CreateBridge | ms.MoveEndpoint
    ) -> None:
        self.endpoints[body.endpoint] = body.session
        self.buses.add(body.session)
        if not isinstance(body, ms.CreateBridge | ms.MoveEndpoint) and body.room is not None:
            self.seats[body.endpoint] = (body.room, body.seat or ms.Seat())


def held(worker: FakeWorker) -> list[ms.SnapshotEndpoint]:
    """The endpoints that a worker tells a new control process of, with what it was told last of each."""
    last = {body.endpoint: body for body in worker.commands if getattr(body, "note", b"")}
    made = {body.endpoint: body for body in worker.commands if isinstance(body, tuple(KINDS))}
    return [
        ms.SnapshotEndpoint(
            session=session,
            endpoint=endpoint,
            kind=getattr(made[endpoint], "kind", KINDS[type(made[endpoint])]),
            note=last[endpoint].note,
            created=worker.created.get(endpoint),
            finished=endpoint in worker.files and worker.files[endpoint].ended,
            started=endpoint in worker.files and worker.files[endpoint].started,
            paused=endpoint in worker.files and worker.files[endpoint].paused,
            moves=worker.moves.get(endpoint, 0),
            room=worker.seats[endpoint][0] if endpoint in worker.seats else None,
            seat=worker.seats[endpoint][1] if endpoint in worker.seats else None,
        )
        for endpoint, session in worker.endpoints.items()
    ]


def kept(worker: FakeWorker) -> list[ms.SnapshotRecording]:
    """The recordings that it tells of."""
    stopped = {body.recording for body in worker.of(ms.StopRecording)}
    closed = {body.session for body in worker.of(ms.CloseSession)}
    return [
        ms.SnapshotRecording(
            session=body.session,
            recording=body.recording,
            endpoint=body.endpoint,
            file_path=body.file_path.removesuffix("?mix"),
            started_us=0,
        )
        for body in worker.of(ms.StartRecording)
        if body.recording not in stopped and body.session not in closed
    ]
