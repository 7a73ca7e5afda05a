"""Buses that hear more than their own endpoints: bridges of two sessions, sessions spread over workers."""

from __future__ import annotations

import msgspec


class SpreadPeer(msgspec.Struct, frozen=True, array_like=True):
    """Where a worker publishes its sum of a session's own sources."""

    worker: int
    epoch: int
    slot: int


class CreateBridge(msgspec.Struct, tag="create_bridge", tag_field="t", kw_only=True):
    """An endpoint that brings what another session says.  Silent until `FeedBridge`.  Reply: `Done`.

    is_source: `session` hears the other one.
    """

    session: str
    endpoint: str
    phase: int
    is_source: bool
    note: bytes = b""
    key_relay_limit: int = 20


class TurnBridge(msgspec.Struct, tag="turn_bridge", tag_field="t", kw_only=True):
    """A bridge's direction has changed; fields as in `CreateBridge`.  Reply: `Done`."""

    endpoint: str
    is_source: bool
    note: bytes


class FeedBridge(msgspec.Struct, tag="feed_bridge", tag_field="t", kw_only=True):
    """Where the other session's buses publish their sums, and their phase.  Reply: `Done`."""

    endpoint: str
    phase: int
    feeds: list[SpreadPeer]


class OpenSpread(msgspec.Struct, tag="open_spread", tag_field="t", kw_only=True):
    """Let the session's bus here (made if it does not exist) publish its sum.  Reply: `SpreadOpened`."""

    session: str
    phase: int
    key_relay_limit: int = 20


class SpreadOpened(msgspec.Struct, tag="spread_opened", tag_field="t", kw_only=True):
    slot: int
    epoch: int


class SetSpread(msgspec.Struct, tag="set_spread", tag_field="t", kw_only=True):
    """Tell a publishing bus which other workers' sums to add and wait for; []: nobody's.  Reply: `Done`."""

    session: str
    peers: list[SpreadPeer]


class CloseSpread(msgspec.Struct, tag="close_spread", tag_field="t"):
    """The session's bus here publishes nothing any more and adds nobody's sums.  Reply: `Done`."""

    session: str
