"""One function a command: (worker, body) -> reply body.

A function may be a generator: it yields where a piece of work ends (the Python thread does nothing over 2
ms in one piece) and returns the reply body.  `After(number, body)` as the result means: reply once that
edit was applied; `Later()`: whoever keeps it replies. Whatever raises `CommandError` has changed nothing.
"""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from roomtone.engine import asking, linking, rooms
from roomtone.engine import messages as m
from roomtone.engine.errors import CommandError
from roomtone.engine.plan import (
    AudioSocketEndpoint,
    Endpoint,
    FileEndpoint,
    RtpEndpoint,
    ToneEndpoint,
)
from roomtone.engine.ports import loopback_pair
from roomtone.engine.recorder import RECORDING_ERROR
from roomtone.engine.replies import After, Later

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

TONES = {"ringback": 0, "ringing": 1, "busy": 2, "beep": 3, "sine": 4, "silence": 5}  # ext/dsp/tone.pxd
A_SLICE = 32  # endpoints handled in one piece: some 10 us each
TONE_GRACE_US = 500_000  # a tone starts with the next tick of its bus; after this it is over for certain
_CNAME_BYTES = 12  # RFC 7022 section 4.2: 96 random bits, in base64
_SSRC_END, _SEQ_END, _TIMESTAMP_END = 16, 18, 22  # where they lie in an endpoint's random bytes
_SEQ_MASK = 0x7FFF  # first half of the circle: no wrap soon after the start (RFC 3711 section 3.3.1)


Result = m.ReplyBody | After | Later
Slices = Generator[None, None, Result]

# -- endpoints -----------------------------------------------------------------------------------------------


def create_rtp(worker: Worker, body: m.CreateRtp) -> Slices:
    plan, media = worker.plan, worker.media
    plan.check_new(body.endpoint)
    profile = plan.profile(body.media) if body.media is not None else None
    room = plan.room_for(body.session, body.room)
    _check_remote(body.remote)
    audio_socket = body.kind == "websocket"
    if audio_socket:
        pair = loopback_pair()
    else:
        pool = worker.ports.pool(body.media_ip)
        while (taken := pool.take(worker.now_us(), body.rtcp_mux)) is None:
            yield
        pair = taken
    try:
        handle, session = plan.take_place(body.session, body.phase, body.key_relay_limit)
    except CommandError:
        os.close(pair.rtp_fd)
        if pair.rtcp_fd >= 0:
            os.close(pair.rtcp_fd)
        worker.ports.give_back(pair, worker.now_us())
        raise
    chance = os.urandom(_TIMESTAMP_END)
    cname = b64encode(chance[:_CNAME_BYTES]).decode()
    ssrc = int.from_bytes(chance[_CNAME_BYTES:_SSRC_END], "big") or 1
    media.endpoint_open(
        handle,
        rtp_fd=pair.rtp_fd,
        rtcp_fd=pair.rtcp_fd,
        local=(pair.ip, pair.rtp_port),
        local_rtcp_port=pair.rtcp_port,
        ssrc=ssrc,
        cname=cname,
        seq=int.from_bytes(chance[_SSRC_END:_SEQ_END], "big") & _SEQ_MASK,
        timestamp=int.from_bytes(chance[_SEQ_END:], "big"),
    )
    kind = AudioSocketEndpoint if audio_socket else RtpEndpoint
    endpoint = kind(body.endpoint, session, handle, plan.next_serial(), pair)
    endpoint.learned = audio_socket  # there is nothing to learn: control says where it is
    endpoint.note = body.note
    plan.add(endpoint, room, body.seat)
    worker.retirement.hold(endpoint)
    worker.watch_silence()
    endpoint.is_source = body.is_source
    endpoint.is_destination = body.is_destination
    endpoint.send_at_once = body.send_at_once
    endpoint.remote = body.remote
    endpoint.profile = profile
    _write_remote(worker, endpoint, learn=True)
    plan.settle(endpoint)
    return m.RtpCreated(
        local_ip=pair.ip,
        rtp_port=pair.rtp_port,
        rtcp_port=pair.rtcp_port,
        ssrc=ssrc,
        cname=cname,
        handle=handle,
    )


def update_rtp(worker: Worker, body: m.UpdateRtp) -> Result:
    plan = worker.plan
    endpoint = plan.find_rtp(body.endpoint)
    muxed = endpoint.pair.rtcp_fd < 0
    if body.rtcp_mux is False and muxed:
        raise CommandError("ENDPOINT_ERROR", "rtcp-mux cannot be taken back")
    profile = plan.profile(body.media) if body.media is not None else None
    _check_remote(body.remote)
    if body.rtcp_mux and not muxed:
        worker.retirement.mux(worker.media.endpoint_mux(endpoint.handle), endpoint)
    if body.is_source is not None:
        endpoint.is_source = body.is_source
    if body.is_destination is not None:
        endpoint.is_destination = body.is_destination
    if profile is not None:
        endpoint.profile = profile
    if body.note is not None:
        endpoint.note = body.note
    if body.send_at_once is not None:
        endpoint.send_at_once = body.send_at_once
    if body.remote is not None:
        endpoint.remote = body.remote
    if body.relearn:
        endpoint.learned = False
    if body.remote is not None or body.send_at_once is not None or body.relearn:
        _write_remote(worker, endpoint, learn=body.relearn)
    if profile is not None or body.is_source is not None or body.is_destination is not None:
        plan.settle(endpoint)
    return m.Done()


def create_tone(worker: Worker, body: m.CreateTone) -> Result:
    plan, media = worker.plan, worker.media
    kind = TONES.get(body.tone)
    if kind is None:
        raise CommandError("INVALID_PARAMS", f"no such tone: {body.tone!r}")
    plan.check_new(body.endpoint)
    room = plan.room_for(body.session, body.room)
    handle, session = plan.take_place(body.session, body.phase)
    duration_ms = -1 if body.duration_ms is None else body.duration_ms
    ends_us = None if duration_ms < 0 else worker.now_us() + duration_ms * 1000 + TONE_GRACE_US
    media.tone_open(handle, kind=kind, frequency_hz=body.frequency_hz, duration_ms=duration_ms)
    endpoint = ToneEndpoint(body.endpoint, session, handle, plan.next_serial(), ends_us)
    endpoint.note = body.note
    plan.add(endpoint, room, body.seat)
    media.source_add(endpoint.bus, handle)
    return m.Done()


def create_file(worker: Worker, body: m.CreateFile) -> Result:
    return worker.files.create(body)


def queue_file(worker: Worker, body: m.QueueFile) -> Result:
    return worker.files.queue(worker.plan.find_file(body.endpoint), body)


def end_list(worker: Worker, body: m.EndList) -> Result:
    worker.files.end_list(worker.plan.find_file(body.endpoint))
    return m.Done()


def seek_file(worker: Worker, body: m.SeekFile) -> Result:
    return worker.files.seek(worker.plan.find_file(body.endpoint), body.position_ms)


def pause_file(worker: Worker, body: m.PauseFile) -> Result:
    worker.files.pause(worker.plan.find_file(body.endpoint), True)
    return m.Done()


def resume_file(worker: Worker, body: m.ResumeFile) -> Result:
    worker.files.pause(worker.plan.find_file(body.endpoint), False)
    return m.Done()


def set_file_gain(worker: Worker, body: m.SetFileGain) -> Result:
    worker.files.set_gain(worker.plan.find_file(body.endpoint), body)
    return m.Done()


def ask_file(worker: Worker, body: m.AskFile) -> Result:
    return worker.files.position(worker.plan.find_file(body.endpoint))


def remove_endpoint(worker: Worker, body: m.RemoveEndpoint) -> Result:
    if worker.files.cancel(body.endpoint):
        return m.Done()
    return After(_retire(worker, worker.plan.find(body.endpoint)), m.Done())


def close_session(worker: Worker, body: m.CloseSession) -> Slices:
    plan = worker.plan
    worker.files.cancel_all(body.session)
    recorder = worker.recorder
    if body.reason is not None:
        recorder.session_ended(body.session, body.reason)
    session = plan.sessions.pop(body.session, None)
    if session is None:
        return recorder.after(body.session, m.Done())
    for number, endpoint in enumerate(list(session.members.values()), 1):
        if not endpoint.gone:
            _retire(worker, endpoint)
        if number % A_SLICE == 0:
            yield
    for number, endpoint in enumerate(list(session.seated.values()), 1):
        if endpoint.room is session:
            plan.stand_up(endpoint)
        if number % A_SLICE == 0:
            yield
    linking.end_spread(worker, session)
    number = plan.close_session(session)
    worker.retirement.after(number, worker.media.bus_free, session.bus)
    return recorder.after(body.session, After(number, m.Done()))


def inject_key(worker: Worker, body: m.InjectKey) -> Result:
    endpoint = worker.plan.find_rtp(body.endpoint)
    worker.keys.press(endpoint, body.digit, body.duration_ms, body.volume, worker.now_us())
    return m.Done()


# -- watching ------------------------------------------------------------------------------------------------


def start_vad(worker: Worker, body: m.StartVad) -> Result:
    worker.watching.start_vad(_watchable(worker, body.endpoint, "VAD_ERROR"), body.vad)
    return m.Done()


def stop_vad(worker: Worker, body: m.StopVad) -> Result:
    worker.watching.stop_vad(_watchable(worker, body.endpoint, "VAD_ERROR"))
    return m.Done()


def detect_fax(worker: Worker, body: m.DetectFax) -> Result:
    endpoint = _watchable(worker, body.endpoint, "FAX_DETECT_ERROR")
    if body.enabled:
        worker.watching.start_fax(endpoint)
    else:
        worker.watching.stop_fax(endpoint)
    return m.Done()


def set_sensitive(worker: Worker, body: m.SetSensitive) -> Result:
    endpoint = worker.plan.find_rtp(body.endpoint)
    endpoint.sensitive = body.enabled
    return After(worker.media.sensitive(endpoint.handle, body.enabled), m.Done())


def _watchable(worker: Worker, id: str, code: str) -> RtpEndpoint:
    try:
        return worker.plan.find_rtp(id)
    except CommandError as error:
        raise CommandError(code, error.message) from None


# -- recordings ----------------------------------------------------------------------------------------------


def start_recording(worker: Worker, body: m.StartRecording) -> Slices:
    recording = worker.recorder.admit(body)
    try:
        while not worker.media.capture_prepare(worker.config.recording_ring_bytes):
            yield
    except MemoryError:
        worker.recorder.dismiss(recording)
        raise CommandError(RECORDING_ERROR, "No memory for what is recorded") from None
    return worker.recorder.start(recording, body.app_id)


def open_feed(worker: Worker, body: m.OpenFeed) -> Result:
    return worker.recorder.open_feed(body)


def start_feed(worker: Worker, body: m.StartFeed) -> Slices:
    while not worker.media.capture_prepare(worker.config.recording_ring_bytes):
        yield
    worker.recorder.start_feed(body)
    return m.Done()


def pause_recording(worker: Worker, body: m.PauseRecording) -> Result:
    worker.recorder.pause(body.recording)
    return m.Done()


def resume_recording(worker: Worker, body: m.ResumeRecording) -> Result:
    worker.recorder.resume(body.recording)
    return m.Done()


def stop_recording(worker: Worker, body: m.StopRecording) -> Result:
    return worker.recorder.stop(body)


# -- parts ---------------------------------------------------------------------------------------------------


def _check_remote(remote: m.Remote | None) -> None:
    if remote is None:
        return
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in remote.ip else socket.AF_INET, remote.ip)
    except OSError:
        raise CommandError("ENDPOINT_ERROR", f"not an IP address: {remote.ip!r}") from None


def _write_remote(worker: Worker, endpoint: RtpEndpoint, *, learn: bool) -> None:
    remote = endpoint.remote
    if remote is None or not remote.port:
        return  # our offer is not answered yet
    worker.media.endpoint_remote(
        endpoint.handle,
        remote=(remote.ip, remote.port),
        rtcp_port=remote.rtcp_port,
        learn=learn,
        send_at_once=endpoint.send_at_once,
    )


def _retire(worker: Worker, endpoint: Endpoint) -> int:
    if isinstance(endpoint, RtpEndpoint) and endpoint.kind == "rtp":
        worker.quality.ended(worker.media.stats(endpoint.handle))
    number = worker.plan.remove(endpoint)
    if isinstance(endpoint, FileEndpoint):
        worker.files.removed(endpoint, number)
    worker.watching.removed(endpoint, number)
    worker.retirement.endpoint(number, endpoint)
    return number


COMMANDS: dict[type, Callable[[Worker, Any], Result | Slices]] = {
    m.CreateRtp: create_rtp,
    m.UpdateRtp: update_rtp,
    m.CreateTone: create_tone,
    m.CreateFile: create_file,
    m.QueueFile: queue_file,
    m.EndList: end_list,
    m.SeekFile: seek_file,
    m.PauseFile: pause_file,
    m.ResumeFile: resume_file,
    m.SetFileGain: set_file_gain,
    m.AskFile: ask_file,
    m.RemoveEndpoint: remove_endpoint,
    m.CloseSession: close_session,
    m.InjectKey: inject_key,
    m.StartVad: start_vad,
    m.StopVad: stop_vad,
    m.DetectFax: detect_fax,
    m.SetSensitive: set_sensitive,
    m.StartRecording: start_recording,
    m.OpenFeed: open_feed,
    m.StartFeed: start_feed,
    m.PauseRecording: pause_recording,
    m.ResumeRecording: resume_recording,
    m.StopRecording: stop_recording,
    m.GetStats: asking.get_stats,
    m.PollStats: asking.poll_stats,
    m.GetActivity: asking.get_activity,
    m.OpenSpread: linking.open_spread,
    m.SetSpread: linking.set_spread,
    m.CloseSpread: linking.close_spread,
    m.CreateBridge: linking.create_bridge,
    m.TurnBridge: linking.turn_bridge,
    m.FeedBridge: linking.feed_bridge,
    m.MoveEndpoint: linking.move_endpoint,
    m.OpenRoom: rooms.open_room,
    m.TakeSeat: rooms.take_seat,
    m.LeaveSeat: rooms.leave_seat,
    m.TakeSnapshot: asking.take_snapshot,
    m.GetMetrics: asking.get_metrics,
}
