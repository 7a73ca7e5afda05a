"""Events of room playback (the contract's section 1.6): documented keys first, in their order.

operation_id: of the command that caused it, of the play itself where none did.  play_operation_id: always of
the play.  overlay: it plays beside the room's own, whose status it leaves alone.  aborted_operations: what
was accepted while it was fetched and could not be told, as it never began.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from roomtone.control.core.api import EventData


class Started(EventData, kw_only=True):
    NAME: ClassVar[str] = "conference.play.started"
    room_id: str
    urls: list[str]
    operation_id: str
    app_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET


class Paused(EventData, kw_only=True):
    NAME: ClassVar[str] = "conference.play.paused"
    room_id: str
    operation_id: str
    app_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET


class Resumed(EventData, kw_only=True):
    NAME: ClassVar[str] = "conference.play.resumed"
    app_id: str
    room_id: str
    operation_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET


class Stopped(EventData, kw_only=True):
    """cause: room_destroyed | replaced | room_empty | pause_limit; absent: a stop."""

    NAME: ClassVar[str] = "conference.play.stopped"
    room_id: str
    operation_id: str
    app_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET
    cause: str | UnsetType = UNSET
    aborted_operations: list[str] | UnsetType = UNSET


class VolumeChanged(EventData, kw_only=True):
    NAME: ClassVar[str] = "conference.play.volume_changed"
    room_id: str
    volume: int
    operation_id: str
    app_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET


class Finished(EventData, kw_only=True):
    """skipped_urls: those that could not be played, with on_error skip."""

    NAME: ClassVar[str] = "conference.play.finished"
    room_id: str
    operation_id: str
    urls: list[str]
    app_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET
    skipped_urls: list[str] | UnsetType = UNSET
    aborted_operations: list[str] | UnsetType = UNSET


class Failed(EventData, kw_only=True):
    """urls: those that failed.  error: playback_error | playback_timeout.

    error_detail: of a URL: http_404 (http_ and the status), unsupported_media, too_large, decode_error,
    forbidden_address, timeout, unreachable, incomplete, redirects, storage, no_room (of the worker).
    cause: worker_lost | restart: not the URL's fault.
    """

    NAME: ClassVar[str] = "conference.play.failed"
    room_id: str
    operation_id: str
    urls: list[str]
    error: str
    app_id: str
    play_operation_id: str
    overlay: bool | UnsetType = UNSET
    error_detail: str | UnsetType = UNSET
    cause: str | UnsetType = UNSET
    aborted_operations: list[str] | UnsetType = UNSET


EVENTS: dict[str, type[EventData]] = {
    kind.NAME.rpartition(".")[2]: kind
    for kind in (Started, Paused, Resumed, Stopped, VolumeChanged, Finished, Failed)
}
