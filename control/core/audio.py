"""A bot's audio WebSocket: endpoint.create_websocket, and what becomes of the endpoint.

Theory of operation
-------------------
For the media thread the endpoint is an RTP endpoint like any other (L16, 20 ms) whose peer is this process,
over loopback.  It is made with the command, on no bus, and a token is given out.  A bot that dials with it
within `DIAL_WAIT_US` uses it up; then io makes its end of the loopback pair, the worker is told that end's
port and puts the endpoint on the bus, and only when it has done so the bot's audio is let go.

    token given --dialled--> OpenAudio --bound--> UpdateRtp --done--> StartAudio, ``connected``

A socket that ends takes the endpoint off the bus for good.  A token nobody used takes its endpoint along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import api, effects, notes, placing, spreading
from roomtone.control.core.audio_book import AUDIO_DIAL, Dial
from roomtone.control.core.calls import telling
from roomtone.control.core.run import Ask, Call, Procedure, Work
from roomtone.control.core.session import Audio, Endpoint, EndpointFact, Session
from roomtone.engine.codecs import CLOCK_RATE_HZ, Codec
from roomtone.engine.messages import (
    CreateRtp,
    Done,
    Media,
    PayloadType,
    Remote,
    RemoveEndpoint,
    RtpCreated,
    UpdateRtp,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

DIAL_WAIT_US = 30_000_000  # websocket.md section 7: a token is good for 30 s
LOOPBACK = "127.0.0.1"
PAYLOAD_TYPE, EVENT_PAYLOAD_TYPE = 96, 97  # dynamic ones (RFC 3551 section 3); both ends are ours
CODECS = {8000: Codec.L16_8K, 16000: Codec.L16_16K, 48000: Codec.L16_16K}  # by the bot's sample rate
POLICY_VIOLATION, INTERNAL_ERROR = 1008, 1011  # RFC 6455 section 7.4.1


def create_websocket(core: Core, call: Call, params: api.CreateWebsocket) -> Procedure:
    session = call.session
    placing.check_room(core, session)
    codec = CODECS[params.sample_rate]
    token = (core.next_id() + core.next_id()).replace("-", "")  # 244 random bits
    audio = Audio(params.sample_rate, params.flush_ms, token)
    endpoint = Endpoint(
        id=core.next_id(),
        kind="websocket",
        worker=-1,
        policy=params.direction,
        media=Media(
            receive=[PayloadType(PAYLOAD_TYPE, codec)],
            send_payload_type=PAYLOAD_TYPE,
            send_codec=codec,
            # Never sent; a peer that could send keys is not searched for keys in its audio.
            event_receive=[(EVENT_PAYLOAD_TYPE, CLOCK_RATE_HZ[codec])],
        ),
        rtcp_mux=True,
        audio=audio,
    )
    endpoint.happened(EndpointFact.SOCKET_AWAITED)

    def body() -> CreateRtp:
        return CreateRtp(
            session=session.id,
            endpoint=endpoint.id,
            phase=session.phase,
            media_ip=LOOPBACK,
            rtcp_mux=True,
            is_source=False,
            is_destination=False,
            media=endpoint.media,
            note=notes.note(core, session, endpoint),
            key_relay_limit=spreading.KEY_RELAY_LIMIT,
            kind="websocket",
        )

    endpoint.created = yield from placing.create(core, session, endpoint, body, RtpCreated)
    core.audio.tokens[token] = Dial(session, endpoint)
    core.effect(effects.ScheduleAt(core.now_us + DIAL_WAIT_US, (AUDIO_DIAL, token)))
    return api.WebsocketCreated(endpoint.id, token)


# -- the bot's socket ----------------------------------------------------------------------------------------


def happened(core: Core, given: effects.AudioDialled | effects.AudioBound | effects.AudioEnded) -> None:
    match given:
        case effects.AudioDialled():
            _dialled(core, given)
        case effects.AudioBound():
            dial = core.audio.sockets.get(given.socket)
            if dial is not None:
                core.work(_join(core, dial, given))
        case effects.AudioEnded():
            ended = core.audio.sockets.pop(given.socket, None)
            if ended is not None:  # of one whose endpoint is gone nothing is known any more
                _disconnected(core, ended)
                _leave_bus(core, ended)


def _dialled(core: Core, given: effects.AudioDialled) -> None:
    """A token is used up by the first who brings it."""
    dial = core.audio.tokens.pop(given.token, None)
    if dial is None:
        core.effect(effects.CloseAudio(given.socket, POLICY_VIOLATION, "unknown connect token"))
        return
    core.effect(effects.CancelTimer((AUDIO_DIAL, given.token)))
    audio, created = dial.endpoint.audio, dial.endpoint.created
    assert audio is not None and created is not None
    audio.socket = given.socket
    core.audio.sockets[given.socket] = dial
    core.effect(effects.OpenAudio(given.socket, created.rtp_port, audio.sample_rate, audio.flush_ms))


def _join(core: Core, dial: Dial, given: effects.AudioBound) -> Work:
    """Put the endpoint on its bus, its peer being that port."""
    session, endpoint = dial.session, dial.endpoint
    connected = msgspec.structs.replace(endpoint, state="connected")
    body = UpdateRtp(
        endpoint=endpoint.id,
        remote=Remote(ip=LOOPBACK, port=given.port, rtcp_port=given.port),
        is_source=endpoint.is_source,
        is_destination=endpoint.is_destination,
        send_at_once=True,
        note=notes.note(core, session, connected),
    )
    answers = yield [Ask(endpoint.worker, body, lambda _: _leave_bus(core, dial))]
    if given.socket not in core.audio.sockets:
        return  # it ended meanwhile, and the worker has been told so
    if not isinstance(answers[0], Done):
        core.effect(effects.CloseAudio(given.socket, INTERNAL_ERROR, "the media worker did not answer"))
        return  # what follows follows from the socket's end
    old, new = endpoint.happened(EndpointFact.SOCKET_CONNECTED)
    core.effect(effects.StartAudio(given.socket))
    core.emit(session, api.StateChanged(endpoint.id, old, new))
    core.emit(session, api.WsConnected(endpoint.id))
    telling.answered(core, session)
    core.log("info", "audio_socket_connected", session=session.id, endpoint=endpoint.id)


def _disconnected(core: Core, dial: Dial) -> None:
    session, endpoint = dial.session, dial.endpoint
    assert endpoint.audio is not None
    endpoint.audio.socket = None
    old, new = endpoint.happened(EndpointFact.SOCKET_CLOSED)
    core.emit(session, api.StateChanged(endpoint.id, old, new))
    core.emit(session, api.WsDisconnected(endpoint.id))
    core.log("info", "audio_socket_disconnected", session=session.id, endpoint=endpoint.id)


def _leave_bus(core: Core, dial: Dial) -> None:
    session, endpoint = dial.session, dial.endpoint
    if endpoint.id in session.endpoints:
        note = notes.note(core, session, endpoint)
        core.tell(
            endpoint.worker, UpdateRtp(endpoint=endpoint.id, is_source=False, is_destination=False, note=note)
        )


def timer(core: Core, key: tuple[str, ...]) -> None:
    """Nobody dialled in time."""
    dial = core.audio.tokens.pop(key[1], None)
    if dial is not None:
        _timed_out(core, dial)


def _timed_out(core: Core, dial: Dial) -> None:
    session, endpoint = dial.session, dial.endpoint
    core.tell(endpoint.worker, RemoveEndpoint(endpoint.id))
    placing.removed(core, session, endpoint)
    core.emit(session, api.WsConnectTimeout(endpoint.id))
    core.log("info", "audio_socket_not_dialled", session=session.id, endpoint=endpoint.id)


# -- after a restart of this process -------------------------------------------------------------------------


def sockets_lost(core: Core, sessions: list[Session]) -> None:
    """Recalled sessions: their bots' sockets ended with the process that held them, and so did its tokens."""
    for session in sessions:
        for endpoint in [endpoint for endpoint in session.endpoints.values() if endpoint.audio is not None]:
            dial = Dial(session, endpoint)
            if endpoint.state == "connected":
                _disconnected(core, dial)
                _leave_bus(core, dial)
            elif endpoint.state == "connecting":
                _timed_out(core, dial)
