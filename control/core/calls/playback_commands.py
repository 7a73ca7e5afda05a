"""What the commands playback/* do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from roomtone.control.core import file_requests
from roomtone.control.core.calls import collecting, commands, digits, events, playing, telling
from roomtone.control.core.calls.commands import Command, command
from roomtone.control.core.calls.playing import Playback, Urls
from roomtone.control.core.rest.asked import URLS_BODY, Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.run import Ask, Work, expect
from roomtone.control.core.session import Endpoint, EndpointFact, Session
from roomtone.engine.messages import Done, SeekFile

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

DAY_S = 86_400
Seconds = Annotated[int, Meta(ge=0, le=DAY_S)]


class StartPlayback(Struct, forbid_unknown_fields=True, kw_only=True):
    """offset_sec: where to begin; of one URL only."""

    urls: Urls
    offset_sec: Seconds = 0
    command_uid: str | None = None


class PlaySilence(Struct, forbid_unknown_fields=True, kw_only=True):
    """duration_ms 0: until stopped."""

    duration_ms: Annotated[int, Meta(ge=0, le=DAY_S * 1000)] = 0
    command_uid: str | None = None


class Seek(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where to, in the file that plays: one of the two."""

    offset_sec: Seconds | None = None
    offset_ms: Annotated[int, Meta(ge=0, le=DAY_S * 1000)] | None = None
    command_uid: str | None = None


# -- begin ---------------------------------------------------------------------------------------------------


def start(core: Core, asked: Asked, body: StartPlayback) -> Outcome:
    """The last wins: what is played now ends."""
    for number, url in enumerate(body.urls):
        file_requests.check_url(url, f"urls/{number}")
    if body.offset_sec and len(body.urls) > 1:
        raise Refusal(400, "validation_error", "offset_sec goes with one URL only")
    return _play(core, asked, body.urls, offset_ms=body.offset_sec * 1000)


def silence(core: Core, asked: Asked, body: PlaySilence) -> Outcome:
    return _play(core, asked, [], duration_ms=body.duration_ms or None)


def _play(
    core: Core, asked: Asked, urls: list[str], *, offset_ms: int = 0, duration_ms: int | None = None
) -> Outcome:
    collecting.stop(core, asked.the_session, digits.UNKNOWN)
    accepted = commands.accept(core, asked)
    playback = Playback(
        id=core.next_id(),
        uid=accepted.uid,
        urls=urls,
        began=partial(_began, core, accepted),
        ended=partial(_ended, core, accepted),
        offset_ms=offset_ms,
        duration_ms=duration_ms,
    )
    playing.start(core, asked.the_session, playback)
    return commands.accepted(core, asked)


def _began(core: Core, accepted: Command, playback: Playback) -> None:
    session = accepted.asked.the_session
    event = events.PlaybackStarted(
        telling.uuid(core, session), playback.uid, playback.urls, playback.file_path
    )
    telling.tell(core, session, event, accepted.asked)
    commands.succeed(core, accepted)


def _ended(core: Core, accepted: Command, playback: Playback, cause: str) -> None:
    if not playback.started:
        commands.fail(core, accepted, "file_not_found" if cause == playing.FAILED else cause)
    else:
        tell_stopped(core, accepted.asked.the_session, playback, cause)


def tell_stopped(core: Core, session: Session, playback: Playback, cause: str) -> None:
    event = events.PlaybackStopped(
        telling.uuid(core, session),
        playback.uid,
        playback.urls,
        playback.file_path,
        playback.head.base_ms,
        playback.head.heard_ms,
        cause,
    )
    telling.tell(core, session, event)


# -- change --------------------------------------------------------------------------------------------------


def pause(core: Core, asked: Asked, body: Struct) -> Outcome:
    return _pause_or_resume(core, asked, EndpointFact.FILE_PAUSED)


def resume(core: Core, asked: Asked, body: Struct) -> Outcome:
    return _pause_or_resume(core, asked, EndpointFact.FILE_RESUMED)


def _pause_or_resume(core: Core, asked: Asked, fact: EndpointFact) -> Outcome:
    playback = _started(asked)
    accepted = commands.accept(core, asked)
    if playback.paused == (fact is EndpointFact.FILE_PAUSED):
        commands.succeed(core, accepted, changed=False)
    else:
        commands.carry_out(core, accepted, _change(core, asked, playback, fact))
    return commands.accepted(core, asked)


def _change(core: Core, asked: Asked, playback: Playback, fact: EndpointFact) -> Work:
    endpoint = _endpoint(asked, playback)
    changed = yield from file_requests.change(core, endpoint, fact)
    playback.paused = fact is EndpointFact.FILE_PAUSED
    if playback.paused:
        playback.head.stand(core.now_us)
    else:
        playback.head.run(core.now_us)
    core.emit(asked.the_session, changed)


def seek(core: Core, asked: Asked, body: Seek) -> Outcome:
    if (body.offset_ms is None) == (body.offset_sec is None):
        raise Refusal(400, "validation_error", "One of offset_sec and offset_ms is needed")
    playback = _started(asked)
    to_ms = body.offset_ms if body.offset_ms is not None else (body.offset_sec or 0) * 1000
    commands.carry_out(core, commands.accept(core, asked), _seek(core, asked, playback, to_ms))
    return commands.accepted(core, asked)


def _seek(core: Core, asked: Asked, playback: Playback, to_ms: int) -> Work:
    endpoint = _endpoint(asked, playback)
    answers = yield [Ask(endpoint.worker, SeekFile(endpoint=endpoint.id, position_ms=to_ms))]
    expect(answers[0], Done)
    if playback.paused:
        playback.head.stand(core.now_us, to_ms)
    else:
        playback.head.run(core.now_us, to_ms)


def restart(core: Core, asked: Asked, body: Struct) -> Outcome:
    """From the beginning of the first file."""
    playback = _started(asked)
    commands.carry_out(core, commands.accept(core, asked), _restart(core, asked, playback))
    return commands.accepted(core, asked)


def _restart(core: Core, asked: Asked, playback: Playback) -> Work:
    _endpoint(asked, playback)
    yield from playing.make_again(core, asked.the_session, playback)


def stop(core: Core, asked: Asked, body: Struct) -> Outcome:
    session = asked.the_session
    commands.succeed(core, commands.accept(core, asked), changed=session.leg.playback is not None)
    playing.stop(core, session, playing.STOPPED)
    return commands.accepted(core, asked)


def _started(asked: Asked) -> Playback:
    """What is heard.  Raises `Refusal`: nothing is, or not yet, or it is silence."""
    playback = asked.the_session.leg.playback
    if playback is None or not playback.started or not playback.urls:
        raise refuse("no_active_playback")
    return playback


def _endpoint(asked: Asked, playback: Playback) -> Endpoint:
    """What plays it.  Raises `Refusal`: it has ended meanwhile."""
    endpoint = asked.the_session.endpoints.get(playback.endpoint)
    if playback.over or endpoint is None:
        raise refuse("no_active_playback")
    return endpoint


OPERATIONS: dict[str, Operation] = dict([
    command(
        "playback/start",
        start,
        "Play files to the call; what is played ends",
        "playback.started",
        "playback.stopped",
        "playback.file_not_found",
        body=StartPlayback,
        max_body=URLS_BODY,
        group="playback",
        timing="deferred",
    ),
    command(
        "playback/silence",
        silence,
        "Send silence; what is played ends",
        "playback.started",
        "playback.stopped",
        body=PlaySilence,
        group="playback",
        timing="deferred",
    ),
    command("playback/stop", stop, "End what is played", "playback.stopped", group="seek"),
    command("playback/pause", pause, "Hold what is played", group="seek", timing="deferred"),
    command("playback/resume", resume, "Play on", group="seek", timing="deferred"),
    command("playback/seek", seek, "Play on from there", body=Seek, group="seek", timing="deferred"),
    command("playback/restart", restart, "Play from the beginning", group="seek", timing="deferred"),
])  # fmt: skip
