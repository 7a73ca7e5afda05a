"""One line a method of the protocol: its name, its parameters, its result.

``await client.endpoint_create_tone("busy", duration_ms=500)`` asks ``endpoint.create_tone`` and returns an
`api.ToneCreated`.  Arguments and defaults are those of the parameters' Struct, so types and defaults are the
server's own.  A test compares this table with the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from msgspec import Struct

from roomtone.control.core import api, api_detection, api_file, api_linking, api_recording

P = ParamSpec("P")
R = TypeVar("R", bound=Struct)


class Asking(Protocol):
    """What sends a request and waits for its result."""

    async def ask(self, name: str, params: Struct, result: type[R]) -> R: ...


class Method(Generic[P, R]):
    """A method of the protocol; as an attribute of a client, what calls it.  Calling raises RoomtoneError."""

    def __init__(self, name: str, params: Callable[P, Struct], result: type[R]) -> None:
        self.name = name
        self.params = params
        self.result = result

    @overload
    def __get__(self, client: None, owner: type) -> Method[P, R]: ...

    @overload
    def __get__(self, client: Asking, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...

    def __get__(self, client: Asking | None, owner: type) -> Any:
        if client is None:
            return self

        def ask(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
            return client.ask(self.name, self.params(*args, **kwargs), self.result)

        return ask


class Methods:
    """All of them; docs/protocol tells what each does."""

    session_create = Method("session.create", api.SessionCreate, api.SessionCreated)
    session_attach = Method("session.attach", api.SessionAttach, api.Empty)
    session_destroy = Method("session.destroy", api.NoParams, api.Empty)
    session_info = Method("session.info", api.NoParams, api.SessionInfo)
    session_list = Method("session.list", api.NoParams, api.SessionList)
    session_bridge = Method("session.bridge", api_linking.SessionBridge, api_linking.SessionBridged)
    session_timeline_mark = Method("session.timeline.mark", api.NoParams, api.TimelineMarked)
    server_info = Method("server.info", api.NoParams, api.ServerInfo)

    endpoint_create_from_offer = Method("endpoint.create_from_offer", api.CreateFromOffer, api.AnswerCreated)
    endpoint_create_offer = Method("endpoint.create_offer", api.CreateOffer, api.OfferCreated)
    endpoint_accept_answer = Method("endpoint.accept_answer", api.AcceptAnswer, api.Empty)
    endpoint_update_remote_sdp = Method("endpoint.update_remote_sdp", api.UpdateRemoteSdp, api.SdpAnswer)
    endpoint_update_direction = Method("endpoint.update_direction", api.UpdateDirection, api.Empty)
    endpoint_remove = Method("endpoint.remove", api.EndpointRemove, api.EndpointRemoved)
    endpoint_transfer = Method(
        "endpoint.transfer", api_linking.EndpointTransfer, api_linking.EndpointTransferred
    )
    endpoint_create_tone = Method("endpoint.create_tone", api.CreateTone, api.ToneCreated)
    endpoint_create_websocket = Method("endpoint.create_websocket", api.CreateWebsocket, api.WebsocketCreated)
    endpoint_create_with_file = Method(
        "endpoint.create_with_file", api_file.CreateWithFile, api_file.FileCreated
    )
    endpoint_file_seek = Method("endpoint.file.seek", api_file.FileSeek, api.Empty)
    endpoint_file_pause = Method("endpoint.file.pause", api_file.FileChange, api.Empty)
    endpoint_file_resume = Method("endpoint.file.resume", api_file.FileChange, api.Empty)
    endpoint_dtmf_inject = Method("endpoint.dtmf.inject", api.DtmfInject, api.Empty)
    endpoint_dtmf_set_sensitive = Method("endpoint.dtmf.set_sensitive", api.DtmfSetSensitive, api.Empty)
    vad_start = Method("vad.start", api_detection.VadStart, api.Empty)
    vad_stop = Method("vad.stop", api_detection.VadStop, api.Empty)
    fax_detect_start = Method("fax_detect.start", api_detection.FaxDetectStart, api.Empty)
    fax_detect_stop = Method("fax_detect.stop", api_detection.FaxDetectStop, api.Empty)

    endpoint_rtp_create_from_offer = Method(
        "endpoint.rtp.create_from_offer", api.CreateFromOffer, api.AnswerCreated
    )
    endpoint_rtp_create_offer = Method("endpoint.rtp.create_offer", api.RtpCreateOffer, api.OfferCreated)
    endpoint_rtp_accept_answer = Method("endpoint.rtp.accept_answer", api.AcceptAnswer, api.Empty)
    endpoint_rtp_reinvite = Method("endpoint.rtp.reinvite", api.UpdateRemoteSdp, api.SdpAnswer)

    recording_start = Method("recording.start", api_recording.RecordingStart, api_recording.RecordingStarted)
    recording_stop = Method("recording.stop", api_recording.RecordingStop, api_recording.RecordingDone)

    stats_subscribe = Method("stats.subscribe", api.StatsSubscribe, api.Empty)
    stats_unsubscribe = Method("stats.unsubscribe", api.NoParams, api.Empty)
    stats_snapshot = Method("stats.snapshot", api.NoParams, api.StatsSnapshot)
