"""What ties buses together: spreading, bridges, and moves from one to another.  Commands as in commands.py.

A session that others hear publishes the sum of its sources in a slot of this worker's arena.  Other workers
of the same session add it (spreading), other sessions bring it by a bridge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.engine import messages as m
from roomtone.engine import rooms
from roomtone.engine.errors import CommandError
from roomtone.engine.plan import BridgeEndpoint, Session

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

MAX_PEERS = 63  # ext/flow: sums a bus adds, or a bridge brings
PARTIAL_REST_US = 2_000_000  # a slot rests: others may still read it for a few ticks

# -- publishing and spreading --------------------------------------------------------------------------------


def open_spread(worker: Worker, body: m.OpenSpread) -> m.ReplyBody:
    session = worker.plan.session(body.session, body.phase, body.key_relay_limit)
    if session.slot < 0:
        try:
            session.slot = worker.media.partial_take()
        except RuntimeError:
            raise CommandError("ENDPOINT_ERROR", "this worker has no slot left to publish in") from None
        try:
            rooms.write_room(worker, session)
        except CommandError:
            worker.media.partial_free(session.slot)
            session.slot = -1
            raise
        worker.media.bus_spread(session.bus, slot=session.slot, peers=[])
    return m.SpreadOpened(slot=session.slot, epoch=worker.config.epoch)


def set_spread(worker: Worker, body: m.SetSpread) -> m.ReplyBody:
    session = worker.plan.sessions.get(body.session)
    if session is None or session.slot < 0:
        raise CommandError("ENDPOINT_ERROR", f"session {body.session} publishes nothing here")
    addresses = _addresses(worker, body.peers)
    session.peers = body.peers
    if body.peers:
        worker.spread[session.id] = session
    else:
        worker.spread.pop(session.id, None)
    worker.media.bus_spread(session.bus, slot=session.slot, peers=addresses)
    return m.Done()


def close_spread(worker: Worker, body: m.CloseSpread) -> m.ReplyBody:
    session = worker.plan.sessions.get(body.session)
    if session is not None:
        end_spread(worker, session)
    return m.Done()


def end_spread(worker: Worker, session: Session) -> None:
    worker.spread.pop(session.id, None)
    if session.slot < 0:
        return
    number = worker.media.bus_spread(session.bus, slot=-1, peers=[])
    worker.retirement.after(number, worker.rest_partial, session.slot)
    session.slot = -1
    session.peers = []
    if session.role_slots:
        rooms.write_room(worker, session)


# -- bridges and moves ---------------------------------------------------------------------------------------


def create_bridge(worker: Worker, body: m.CreateBridge) -> m.ReplyBody:
    plan, media = worker.plan, worker.media
    plan.check_new(body.endpoint)
    handle, session = plan.take_place(body.session, body.phase, body.key_relay_limit)
    media.bridge_open(handle)
    endpoint = BridgeEndpoint(body.endpoint, session, handle, plan.next_serial())
    endpoint.note = body.note
    plan.add(endpoint)
    _turn(worker, endpoint, body.is_source)
    return m.Done()


def turn_bridge(worker: Worker, body: m.TurnBridge) -> m.ReplyBody:
    endpoint = worker.plan.find_bridge(body.endpoint)
    endpoint.note = body.note
    _turn(worker, endpoint, body.is_source)
    return m.Done()


def _turn(worker: Worker, endpoint: BridgeEndpoint, is_source: bool) -> None:
    if is_source != endpoint.is_source:
        media = worker.media
        (media.source_add if is_source else media.source_remove)(endpoint.session.bus, endpoint.handle)
        endpoint.is_source = is_source


def feed_bridge(worker: Worker, body: m.FeedBridge) -> m.ReplyBody:
    endpoint = worker.plan.find_bridge(body.endpoint)
    addresses = _addresses(worker, body.feeds)
    endpoint.feeds, endpoint.phase = body.feeds, body.phase
    worker.media.bridge_feed(endpoint.handle, phase=body.phase, feeds=addresses)
    return m.Done()


def move_endpoint(worker: Worker, body: m.MoveEndpoint) -> m.ReplyBody:
    plan = worker.plan
    endpoint = plan.find_rtp(body.endpoint)
    if body.move <= endpoint.moves:
        return m.Done()
    plan.move(endpoint, plan.session(body.session, body.phase, body.key_relay_limit))
    endpoint.moves, endpoint.note = body.move, body.note
    return m.Done()


# -- other workers -------------------------------------------------------------------------------------------


def forget_worker(worker: Worker, dead: tuple[int, int]) -> int:
    """Read nothing of a worker (index, epoch) that died any more.  Returns the last edit of that; 0: none."""
    last = 0
    for session in list(worker.spread.values()):
        left = _without(session.peers, dead)
        if len(left) < len(session.peers):
            session.peers = left
            last = worker.media.bus_spread(session.bus, slot=session.slot, peers=_addresses(worker, left))
    for bridge in worker.plan.bridges.values():
        left = _without(bridge.feeds, dead)
        if len(left) < len(bridge.feeds):
            bridge.feeds = left
            last = worker.media.bridge_feed(bridge.handle, phase=bridge.phase, feeds=_addresses(worker, left))
    return last


def _without(peers: list[m.SpreadPeer], dead: tuple[int, int]) -> list[m.SpreadPeer]:
    return [peer for peer in peers if (peer.worker, peer.epoch) != dead]


def _addresses(worker: Worker, peers: list[m.SpreadPeer]) -> list[int]:
    if len(peers) > MAX_PEERS:
        raise CommandError("INVALID_PARAMS", f"at most {MAX_PEERS} workers")
    return [_address(worker, peer) for peer in peers]


def _address(worker: Worker, peer: m.SpreadPeer) -> int:
    if (peer.worker, peer.epoch) == (worker.config.index, worker.config.epoch):
        return worker.media.partial_address(peer.slot)
    arena = worker.arenas.get((peer.worker, peer.epoch))
    if arena is None:
        raise CommandError("ENDPOINT_ERROR", f"no arena of worker {peer.worker}, epoch {peer.epoch}")
    return arena.partial_address(peer.slot)
