"""What the methods endpoint.* do."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roomtone.control.core import (
    api,
    api_linking,
    audio,
    bridging,
    negotiate,
    notes,
    placing,
    sdp,
    spreading,
    tones,
    transferring,
)
from roomtone.control.core.calls import playing, telling
from roomtone.control.core.problems import ENDPOINT_ERROR, INVALID_PARAMS, Problem, endpoint_not_found
from roomtone.control.core.run import Answer, Ask, Call, Procedure, expect
from roomtone.control.core.session import Bus, Endpoint, EndpointFact, Session
from roomtone.engine.codecs import Codec
from roomtone.engine.messages import (
    CreateRtp,
    Done,
    Failed,
    InjectKey,
    RemoveEndpoint,
    RtpCreated,
    UpdateRtp,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

# -- finding and checking ------------------------------------------------------------------------------------


def _find(session: Session, endpoint_id: str) -> Endpoint:
    endpoint = session.endpoints.get(endpoint_id.lower())
    if endpoint is None:
        raise endpoint_not_found(endpoint_id)
    return endpoint


def find_rtp(session: Session, endpoint_id: str) -> Endpoint:
    endpoint = _find(session, endpoint_id)
    if endpoint.kind != "rtp":
        raise Problem(ENDPOINT_ERROR, f"Not an RTP endpoint but a {endpoint.kind} endpoint", "endpoint_id")
    return endpoint


def _find_directed(session: Session, endpoint_id: str) -> Endpoint:
    endpoint = _find(session, endpoint_id)
    if endpoint.kind not in ("rtp", "websocket", "bridge"):
        raise Problem(ENDPOINT_ERROR, f"A {endpoint.kind} endpoint has no direction to change", "endpoint_id")
    return endpoint


def media_ip_of(core: Core, family: int) -> str:
    for text in core.config.media_ip:
        address = sdp.ip_address(text)
        if address is not None and address.version == family:
            return text
    raise Problem(ENDPOINT_ERROR, f"No media_ip of the offer's family IPv{family} is configured", "sdp")


def _check_family(endpoint: Endpoint, family: int) -> None:
    assert endpoint.created is not None
    ours = sdp.ip_address(endpoint.created.local_ip)
    if ours is None or ours.version != family:
        raise Problem(ENDPOINT_ERROR, "The SDP's address is of another family than the endpoint's", "sdp")


# -- making --------------------------------------------------------------------------------------------------


def create_from_offer(core: Core, call: Call, params: api.CreateFromOffer) -> Procedure:
    created = yield from answer_offer(core, call.session, params.sdp, params.direction)
    telling.answered(core, call.session)
    return created


def answer_offer(
    core: Core, session: Session, offer: str, direction: api.Direction
) -> Generator[list[Ask], list[Answer], api.AnswerCreated]:
    """An RTP endpoint from a peer's offer.  Raises `Problem`."""
    answerable = negotiate.read_offer(offer, direction, core.config.max_sdp_size_kb)
    agreement = answerable.agreement
    media_ip = media_ip_of(core, agreement.family)
    placing.check_room(core, session)
    endpoint = Endpoint(
        id=core.next_id(),
        kind="rtp",
        worker=-1,
        policy=direction,
        negotiated=agreement.direction,
        held=agreement.held,
        media=agreement.media,
        remote=agreement.remote,
        rtcp_mux=agreement.rtcp_mux,
    )
    endpoint.created = yield from placing.create(
        core, session, endpoint, lambda: rtp_command(core, session, endpoint, media_ip), RtpCreated
    )
    endpoint.happened(EndpointFact.OFFER_ANSWERED)
    return api.AnswerCreated(endpoint.id, negotiate.write_answer(answerable, endpoint.next_line()))


def create_offer(core: Core, call: Call, params: api.CreateOffer) -> Procedure:
    if params.srtp and params.srtp_optional:
        raise Problem(INVALID_PARAMS, "srtp and srtp_optional exclude each other", "srtp_optional")
    if params.type == "webrtc":
        raise Problem(ENDPOINT_ERROR, "WebRTC is not supported by this build", "type")
    return create_rtp_offer(core, call, params)


def create_rtp_offer(core: Core, call: Call, params: api.RtpCreateOffer) -> Procedure:
    if params.srtp and params.srtp_optional:
        raise Problem(INVALID_PARAMS, "srtp and srtp_optional exclude each other", "srtp_optional")
    if params.srtp or params.srtp_optional:
        raise Problem(ENDPOINT_ERROR, "SRTP is not supported by this build", "srtp")
    codecs = negotiate.offered_codecs(params.codecs)
    return (yield from make_offer(core, call.session, params.direction, codecs))


def make_offer(
    core: Core, session: Session, direction: api.Direction, codecs: tuple[Codec, ...]
) -> Generator[list[Ask], list[Answer], api.OfferCreated]:
    """An RTP endpoint with an offer of ours, to be answered.  Raises `Problem`."""
    placing.check_room(core, session)
    media_ip = core.config.media_ip[0]
    endpoint = Endpoint(id=core.next_id(), kind="rtp", worker=-1, policy=direction, offered=codecs)
    endpoint.created = yield from placing.create(
        core, session, endpoint, lambda: rtp_command(core, session, endpoint, media_ip), RtpCreated
    )
    endpoint.happened(EndpointFact.OFFER_MADE)
    return api.OfferCreated(endpoint.id, negotiate.write_offer(codecs, direction, endpoint.next_line()))


def rtp_command(core: Core, bus: Bus, endpoint: Endpoint, media_ip: str) -> CreateRtp:
    return CreateRtp(
        session=bus.id,
        endpoint=endpoint.id,
        phase=bus.phase,
        media_ip=media_ip,
        rtcp_mux=endpoint.rtcp_mux,
        is_source=endpoint.is_source,
        is_destination=endpoint.is_destination,
        send_at_once=_send_at_once(endpoint),
        media=endpoint.media,
        remote=endpoint.remote,
        note=notes.note(core, bus, endpoint),
        key_relay_limit=spreading.KEY_RELAY_LIMIT,
    )


def _send_at_once(endpoint: Endpoint) -> bool:
    """A peer that only listens sends nothing we could learn its address from, or it is known beforehand."""
    return endpoint.is_destination and not (endpoint.is_source and endpoint.learns)


def create_tone(core: Core, call: Call, params: api.CreateTone) -> Procedure:
    endpoint = yield from tones.make(core, call.session, params.tone, params.frequency, params.duration_ms)
    return api.ToneCreated(endpoint.id, params.tone)


# -- changing ------------------------------------------------------------------------------------------------


def accept_answer(core: Core, call: Call, params: api.AcceptAnswer) -> Procedure:
    endpoint = find_rtp(call.session, params.endpoint_id)
    if endpoint.state != "connecting":
        raise Problem(ENDPOINT_ERROR, "The endpoint has no unanswered offer", "endpoint_id")
    if params.offer_generation not in (None, endpoint.sdp_version):
        raise Problem(ENDPOINT_ERROR, "The answer is for another offer", "offer_generation")
    call.emit((yield from take_answer(core, call.session, endpoint, params.sdp)))
    telling.answered(core, call.session)
    return api.Empty()


def take_answer(
    core: Core, session: Session, endpoint: Endpoint, answer: str
) -> Generator[list[Ask], list[Answer], api.StateChanged]:
    """The peer's answer to our offer: what the endpoint became.  Raises `Problem`."""
    agreement = negotiate.read_answer(answer, endpoint.offered, endpoint.policy, core.config.max_sdp_size_kb)
    _check_family(endpoint, agreement.family)
    proposed = msgspec.structs.replace(
        endpoint,
        negotiated=agreement.direction,
        held=agreement.held,
        media=agreement.media,
        remote=agreement.remote,
        rtcp_mux=agreement.rtcp_mux,
    )
    silence = UpdateRtp(endpoint=endpoint.id, is_source=False, is_destination=False)
    answers = yield [
        Ask(
            endpoint.worker,
            _update(core, session, proposed, relearn=False),
            lambda _: core.tell(endpoint.worker, silence),
        )
    ]
    expect(answers[0], Done)
    _adopt(endpoint, proposed)
    old, new = endpoint.happened(EndpointFact.ANSWER_ACCEPTED)
    return api.StateChanged(endpoint.id, old, new)


def update_remote_sdp(core: Core, call: Call, params: api.UpdateRemoteSdp) -> Procedure:
    """A re-offer: address, direction, codecs; what we send stays while the peer still has it."""
    endpoint = find_rtp(call.session, params.endpoint_id)
    if endpoint.media is None or endpoint.created is None:
        raise Problem(ENDPOINT_ERROR, "The endpoint's own offer is not answered yet", "endpoint_id")
    allowed = endpoint.override or endpoint.policy
    answerable = negotiate.read_offer(
        params.sdp, allowed, core.config.max_sdp_size_kb, keep=endpoint.media.send_codec
    )
    agreement = answerable.agreement
    _check_family(endpoint, agreement.family)
    proposed = msgspec.structs.replace(
        endpoint,
        negotiated=negotiate.restricted(agreement.offered, endpoint.policy),
        held=agreement.held,
        media=agreement.media,
        remote=agreement.remote,
        rtcp_mux=agreement.rtcp_mux,
        learned=None,
    )
    yield from point(core, call.session, endpoint, proposed)
    return api.SdpAnswer(negotiate.write_answer(answerable, endpoint.next_line()))


def point(
    core: Core, session: Session, endpoint: Endpoint, proposed: Endpoint
) -> Generator[list[Ask], list[Answer], None]:
    """Send to another address, in other codecs.  Raises `Problem`: it is as it was."""
    before = _update(core, session, msgspec.structs.replace(endpoint), relearn=True)
    there = _update(core, session, proposed, relearn=True)
    answers = yield [Ask(endpoint.worker, there, lambda _: core.tell(endpoint.worker, before))]
    expect(answers[0], Done)
    _adopt(endpoint, proposed)


def _update(core: Core, session: Session, endpoint: Endpoint, relearn: bool) -> UpdateRtp:
    return UpdateRtp(
        endpoint=endpoint.id,
        media=endpoint.media,
        remote=endpoint.remote,
        rtcp_mux=endpoint.rtcp_mux or None,
        is_source=endpoint.is_source,
        is_destination=endpoint.is_destination,
        send_at_once=_send_at_once(endpoint),
        relearn=relearn,
        note=notes.note(core, session, endpoint),
    )


def _adopt(endpoint: Endpoint, proposed: Endpoint) -> None:
    """What was proposed to the worker is done."""
    endpoint.negotiated = proposed.negotiated
    endpoint.held = proposed.held
    endpoint.media = proposed.media
    endpoint.remote = proposed.remote
    endpoint.rtcp_mux = proposed.rtcp_mux
    endpoint.learned = proposed.learned
    created = endpoint.created
    if proposed.rtcp_mux and created is not None and created.rtcp_port != created.rtp_port:
        endpoint.created = msgspec.structs.replace(created, rtcp_port=created.rtp_port)


def update_direction(core: Core, call: Call, params: api.UpdateDirection) -> Procedure:
    endpoint = _find_directed(call.session, params.endpoint_id)
    override = None if params.direction == "auto" else params.direction
    if endpoint.kind == "bridge":
        yield from bridging.turn(core, call.session, endpoint, override)
        return api.Empty()
    proposed = msgspec.structs.replace(endpoint, override=override)
    unchanged = (proposed.is_source, proposed.is_destination) == (endpoint.is_source, endpoint.is_destination)
    bot = endpoint.audio is not None
    if not unchanged and (not bot or endpoint.state == "connected"):  # a bot's is on no bus else
        relearn = proposed.is_source and not endpoint.is_source and not bot
        before = _turn(core, call.session, endpoint, relearn=False)
        answers = yield [
            Ask(
                endpoint.worker,
                _turn(core, call.session, proposed, relearn),
                lambda _: core.tell(endpoint.worker, before),
            )
        ]
        expect(answers[0], Done)
        if relearn:
            endpoint.learned = None
    endpoint.override = override
    return api.Empty()


def _turn(core: Core, session: Session, endpoint: Endpoint, relearn: bool) -> UpdateRtp:
    return UpdateRtp(
        endpoint=endpoint.id,
        is_source=endpoint.is_source,
        is_destination=endpoint.is_destination,
        send_at_once=_send_at_once(endpoint) if endpoint.audio is None else None,
        relearn=relearn,
        note=notes.note(core, session, endpoint),
    )


# -- removing ------------------------------------------------------------------------------------------------


def remove(core: Core, call: Call, params: api.EndpointRemove) -> Procedure:
    """A worker that does not know the endpoint refuses with ENDPOINT_ERROR: then it is removed as well."""
    session = call.session
    endpoint = _find(session, params.endpoint_id)
    if endpoint.state == "buffering":
        if not core.downloads.leave(endpoint.id):  # it is there, and the worker about to open it
            core.tell(endpoint.worker, RemoveEndpoint(endpoint.id))
        placing.removed(core, session, endpoint)
        return api.EndpointRemoved(core.epoch_ms())
    answers = yield [
        Ask(endpoint.worker, RemoveEndpoint(endpoint.id), lambda _: placing.removed(core, session, endpoint))
    ]
    answer = answers[0]
    if not (isinstance(answer, Failed) and answer.code == ENDPOINT_ERROR):
        expect(answer, Done)
    placing.removed(core, session, endpoint)
    playing.removed(core, session, endpoint)
    return api.EndpointRemoved(core.epoch_ms())


# -- keys ----------------------------------------------------------------------------------------------------


def dtmf_inject(core: Core, call: Call, params: api.DtmfInject) -> Procedure:
    endpoint = find_rtp(call.session, params.endpoint_id)
    if endpoint.media is None:
        raise Problem(ENDPOINT_ERROR, "The endpoint is not connected", "endpoint_id")
    if endpoint.media.event_send is None:
        raise Problem(ENDPOINT_ERROR, "The peer negotiated no telephone-event", "endpoint_id")
    if not endpoint.is_destination:
        raise Problem(ENDPOINT_ERROR, f"The peer does not receive: it is {endpoint.direction}", "endpoint_id")
    body = InjectKey(
        endpoint=endpoint.id, digit=params.digit, duration_ms=params.duration_ms, volume=params.volume
    )
    answers = yield [Ask(endpoint.worker, body)]
    expect(answers[0], Done)
    return api.Empty()


METHODS: dict[str, tuple[Callable[..., Any], type[Struct], type[Struct]]] = {
    "endpoint.create_from_offer": (create_from_offer, api.CreateFromOffer, api.AnswerCreated),
    "endpoint.rtp.create_from_offer": (create_from_offer, api.CreateFromOffer, api.AnswerCreated),
    "endpoint.create_offer": (create_offer, api.CreateOffer, api.OfferCreated),
    "endpoint.rtp.create_offer": (create_rtp_offer, api.RtpCreateOffer, api.OfferCreated),
    "endpoint.accept_answer": (accept_answer, api.AcceptAnswer, api.Empty),
    "endpoint.rtp.accept_answer": (accept_answer, api.AcceptAnswer, api.Empty),
    "endpoint.update_remote_sdp": (update_remote_sdp, api.UpdateRemoteSdp, api.SdpAnswer),
    "endpoint.rtp.reinvite": (update_remote_sdp, api.UpdateRemoteSdp, api.SdpAnswer),
    "endpoint.update_direction": (update_direction, api.UpdateDirection, api.Empty),
    "endpoint.remove": (remove, api.EndpointRemove, api.EndpointRemoved),
    "endpoint.create_websocket": (audio.create_websocket, api.CreateWebsocket, api.WebsocketCreated),
    "endpoint.transfer": (
        transferring.transfer,
        api_linking.EndpointTransfer,
        api_linking.EndpointTransferred,
    ),
    "endpoint.create_tone": (create_tone, api.CreateTone, api.ToneCreated),
    "endpoint.dtmf.inject": (dtmf_inject, api.DtmfInject, api.Empty),
}
