"""What the methods vad.*, fax_detect.* and endpoint.dtmf.set_sensitive do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from roomtone.control.core import api
from roomtone.control.core.api_detection import FaxDetectStart, FaxDetectStop, VadStart, VadStop
from roomtone.control.core.endpoint_requests import find_rtp
from roomtone.control.core.problems import FAX_DETECT_ERROR, VAD_ERROR, Problem
from roomtone.control.core.rooms import talking
from roomtone.control.core.run import Ask, Call, Procedure, expect
from roomtone.control.core.session import Endpoint, Session
from roomtone.engine.messages import CommandBody, DetectFax, Done, SetSensitive, StartVad, StopVad, Vad

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


def _find(session: Session, endpoint_id: str, code: str) -> Endpoint:
    endpoint = session.endpoints.get(endpoint_id.lower())
    if endpoint is None:
        raise Problem(code, f"Endpoint not found: {endpoint_id}", "endpoint_id")
    return endpoint


def _find_heard(session: Session, endpoint_id: str, code: str) -> Endpoint:
    """One whose peer may say something."""
    endpoint = _find(session, endpoint_id, code)
    if endpoint.kind not in ("rtp", "websocket"):
        raise Problem(code, f"Nobody speaks at a {endpoint.kind} endpoint", "endpoint_id")
    if endpoint.state == "disconnected":
        raise Problem(code, "The bot is gone for good", "endpoint_id")
    if not endpoint.is_source:
        raise Problem(code, f"The endpoint's peer does not send: it is {endpoint.direction}", "endpoint_id")
    return endpoint


def _vad_command(session: Session, endpoint: Endpoint) -> CommandBody:
    """For what it is watched now: its client's sake, a room's, or nobody's."""
    vad = endpoint.vad or talking.watched(session)
    return StopVad(endpoint.id) if vad is None else StartVad(endpoint=endpoint.id, vad=vad)


def vad_start(core: Core, call: Call, params: VadStart) -> Procedure:
    endpoint = _find_heard(call.session, params.endpoint_id, VAD_ERROR)
    vad = Vad(
        silence_interval_ms=params.silence_interval_ms,
        speech_threshold=params.speech_threshold,
        neural=params.model == "neural",
    )
    yield from _carry_out(
        core, endpoint, StartVad(endpoint=endpoint.id, vad=vad), partial(_vad_command, call.session)
    )
    endpoint.vad = vad
    return api.Empty()


def vad_stop(core: Core, call: Call, params: VadStop) -> Procedure:
    endpoint = _find(call.session, params.endpoint_id, VAD_ERROR)
    if endpoint.vad is None:
        raise Problem(VAD_ERROR, "Speech of the endpoint is not being watched", "endpoint_id")
    room_s = talking.watched(call.session)
    body = StopVad(endpoint.id) if room_s is None else StartVad(endpoint=endpoint.id, vad=room_s)
    yield from _carry_out(core, endpoint, body, partial(_vad_command, call.session))
    endpoint.vad = None
    return api.Empty()


def _fax_command(endpoint: Endpoint) -> CommandBody:
    return DetectFax(endpoint=endpoint.id, enabled=endpoint.fax)


def fax_start(core: Core, call: Call, params: FaxDetectStart) -> Procedure:
    endpoint = _find_heard(call.session, params.endpoint_id, FAX_DETECT_ERROR)
    yield from _carry_out(core, endpoint, DetectFax(endpoint=endpoint.id, enabled=True), _fax_command)
    endpoint.fax = True
    return api.Empty()


def fax_stop(core: Core, call: Call, params: FaxDetectStop) -> Procedure:
    endpoint = _find(call.session, params.endpoint_id, FAX_DETECT_ERROR)
    if not endpoint.fax:
        raise Problem(FAX_DETECT_ERROR, "The endpoint is not watched for fax tones", "endpoint_id")
    yield from _carry_out(core, endpoint, DetectFax(endpoint=endpoint.id, enabled=False), _fax_command)
    endpoint.fax = False
    return api.Empty()


def dtmf_set_sensitive(core: Core, call: Call, params: api.DtmfSetSensitive) -> Procedure:
    endpoint = find_rtp(call.session, params.endpoint_id)
    body = SetSensitive(endpoint=endpoint.id, enabled=params.enabled)

    def present(endpoint: Endpoint) -> CommandBody:
        return SetSensitive(endpoint=endpoint.id, enabled=endpoint.sensitive)

    yield from _carry_out(core, endpoint, body, present)
    endpoint.sensitive = params.enabled
    return api.Empty()


def _carry_out(
    core: Core, endpoint: Endpoint, body: CommandBody, present: Callable[[Endpoint], CommandBody]
) -> Procedure:
    """Ask the endpoint's worker; a success that comes too late is undone by what holds then."""
    answers = yield [Ask(endpoint.worker, body, lambda _: core.tell(endpoint.worker, present(endpoint)))]
    return expect(answers[0], Done)


METHODS: dict[str, tuple[Callable[..., Any], type[Struct], type[Struct]]] = {
    "vad.start": (vad_start, VadStart, api.Empty),
    "vad.stop": (vad_stop, VadStop, api.Empty),
    "fax_detect.start": (fax_start, FaxDetectStart, api.Empty),
    "fax_detect.stop": (fax_stop, FaxDetectStop, api.Empty),
    "endpoint.dtmf.set_sensitive": (dtmf_set_sensitive, api.DtmfSetSensitive, api.Empty),
}
