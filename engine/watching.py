"""What is asked about the speech, keys and fax tones of endpoints, and the events that answer.

The detectors are the media thread's (ext/flow/tap.pxd), or a neural network's on a side thread (neural.py);
both only ring: something began.  What is told follows from what they know then, and for silences from the
clock (silence.py), so a ring that is lost with a full ring of facts costs nothing that a look does not
bring back.

Under load the detectors pause (overload.py): speech first, then keys and fax tones.  Whoever asked is told
so once; afterwards everything begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from roomtone.engine.errors import CommandError
from roomtone.engine.messages import (
    FaxFailed,
    FaxTone,
    Silent,
    SpeechStarted,
    Vad,
    VadFailed,
)
from roomtone.engine.overload import REST_US, Level
from roomtone.engine.silence import STARTED, Heard, Silence

if TYPE_CHECKING:
    from roomtone.engine.events import Outbox
    from roomtone.engine.neural import NeuralVad, Stream
    from roomtone.engine.overload import Overload
    from roomtone.engine.plan import Endpoint, RtpEndpoint
    from roomtone.engine.retirement import Retirement
    from roomtone.engine.timers import Timers
    from roomtone.ext.flow.media import Media

OVERLOAD = "overload"  # vad.error, fax.error: paused until the load falls
TOLD_A_SLICE = 64  # endpoints told of a pause in one piece
_SERIALS = 2**31 - 1  # an edit's field
_FAX_TONES = ("cng", "ced")  # as ext/flow counts them


class Watch:
    """What is asked about one endpoint.  serial: of the present `vad`; told: fax tones told of, by kind."""

    __slots__ = ("armed", "paused", "serial", "silence", "stream", "told", "vad")

    def __init__(self) -> None:
        self.vad: Vad | None = None
        self.serial = 0
        self.silence: Silence | None = None
        self.stream: Stream | None = None  # the neural network's
        self.armed = False  # a timer will look
        self.paused = False  # what is known is from before a pause
        self.told: tuple[int, int] | None = None  # None: nobody asked for fax tones


class Watching:
    """All watches of this worker."""

    def __init__(
        self,
        media: Media,
        timers: Timers,
        retirement: Retirement,
        outbox: Outbox,
        overload: Overload,
        neural: NeuralVad,
    ) -> None:
        self._media = media
        self._timers = timers
        self._retirement = retirement
        self._outbox = outbox
        self._overload = overload
        self._neural = neural
        self._serial = 0
        self._watched: dict[int, RtpEndpoint] = {}  # by handle: those with a watch
        self.speech = True  # detectors of speech run
        self.keys = True  # those of keys and fax tones
        self._resumed_us = 0  # what began before this is from before the last pause

    # -- asking ----------------------------------------------------------------------------------------------

    def start_vad(self, endpoint: RtpEndpoint, vad: Vad) -> None:
        """Tell of speech and silence from now on, by these rules alone."""
        replaced = endpoint.watch.stream if endpoint.watch is not None else None
        stream = None
        if vad.neural:
            stream = self._neural.open(endpoint.handle, vad.speech_threshold, replaced is not None)
        watch = self._watch(endpoint)
        self._serial = self._serial % _SERIALS + 1
        watch.vad, watch.serial, watch.stream = vad, self._serial, stream
        watch.silence, watch.armed, watch.paused = Silence(vad.silence_interval_ms), False, False
        self._write(endpoint, replaced)
        if not self.speech:
            self._vad_paused(endpoint)

    def stop_vad(self, endpoint: RtpEndpoint) -> None:
        watch = endpoint.watch
        if watch is None or watch.vad is None:
            raise CommandError("VAD_ERROR", f"speech of endpoint {endpoint.id} is not being watched")
        replaced = watch.stream
        watch.vad = watch.silence = watch.stream = None
        self._write(endpoint, replaced)

    def start_fax(self, endpoint: RtpEndpoint) -> None:
        watch = self._watch(endpoint)
        watch.told = self._media.fax_tones(endpoint.handle)
        self._write(endpoint, None)
        if not self.keys:
            self._fax_paused(endpoint)

    def stop_fax(self, endpoint: RtpEndpoint) -> None:
        watch = endpoint.watch
        if watch is None or watch.told is None:
            raise CommandError("FAX_DETECT_ERROR", f"endpoint {endpoint.id} is not watched for fax tones")
        watch.told = None
        self._write(endpoint, None)

    def removed(self, endpoint: Endpoint, number: int) -> None:
        """The endpoint was closed by edit `number`."""
        watch = endpoint.watch
        if watch is not None:
            del self._watched[endpoint.handle]
            endpoint.watch = None
            if watch.stream is not None:
                self._retirement.after(number, self._neural.close, watch.stream)

    def _watch(self, endpoint: RtpEndpoint) -> Watch:
        if endpoint.watch is None:
            endpoint.watch = Watch()
            self._watched[endpoint.handle] = endpoint
        return endpoint.watch

    def _write(self, endpoint: RtpEndpoint, replaced: Stream | None) -> None:
        """Tell the media thread; what it no longer writes to is closed after that."""
        watch = endpoint.watch
        assert watch is not None
        vad, stream = watch.vad, watch.stream
        number = self._media.watch(
            endpoint.handle,
            serial=watch.serial,
            speech=vad is not None and stream is None,
            threshold=vad.speech_threshold if vad is not None else 1.0,
            fax=watch.told is not None,
            frames=stream.frames if stream is not None else 0,
        )
        if replaced is not None:
            self._retirement.after(number, self._neural.close, replaced)
        if vad is None and watch.told is None:
            endpoint.watch = None
            del self._watched[endpoint.handle]

    # -- looking ---------------------------------------------------------------------------------------------

    def look(self, endpoint: RtpEndpoint, now_us: int) -> None:
        """Tell what is due of this endpoint."""
        watch = endpoint.watch
        if watch is None:
            return
        stream = watch.stream
        if stream is not None and stream.failed:
            failed, stream.failed = stream.failed, ""
            self._outbox.put(VadFailed(session=endpoint.session.id, endpoint=endpoint.id, error=failed))
        if watch.silence is not None and self.speech:
            self._look_speech(endpoint, watch, watch.silence, now_us)
        if watch.told is not None:
            self._look_fax(endpoint, watch, watch.told)

    def look_streams(self, now_us: int) -> None:
        """The neural network rang."""
        for handle in self._neural.rang():
            endpoint = self._watched.get(handle)
            if endpoint is not None:
                self.look(endpoint, now_us)

    def _look_speech(self, endpoint: RtpEndpoint, watch: Watch, silence: Silence, now_us: int) -> None:
        heard = self._heard(endpoint, watch)
        if heard is None:
            return
        if watch.paused:
            if heard.began_us < self._resumed_us:
                return
            watch.paused = False
            silence.forget()
        for ms in silence.look(heard, now_us):
            session, id = endpoint.session.id, endpoint.id
            if ms == STARTED:
                self._outbox.put(SpeechStarted(session=session, endpoint=id))
            else:
                self._outbox.put(Silent(session=session, endpoint=id, duration_ms=ms))
        due_us = silence.due_us
        if due_us is not None and not watch.armed:
            watch.armed = True
            self._timers.at(due_us, self._silence_due, (endpoint, silence))

    def _heard(self, endpoint: RtpEndpoint, watch: Watch) -> Heard | None:
        """What the detector knows; None: nothing of this request yet."""
        if watch.stream is not None:
            return watch.stream.heard
        heard = Heard(*self._media.speech(endpoint.handle))
        return heard if heard.serial == watch.serial else None  # else the edit was not applied yet

    def _silence_due(self, argument: tuple[RtpEndpoint, Silence], now_us: int) -> None:
        endpoint, silence = argument
        watch = endpoint.watch
        if watch is None or watch.silence is not silence:
            return  # replaced or ended
        watch.armed = False
        self.look(endpoint, now_us)

    def _look_fax(self, endpoint: RtpEndpoint, watch: Watch, told: tuple[int, int]) -> None:
        heard = self._media.fax_tones(endpoint.handle)
        watch.told = heard
        for tone, now, before in zip(_FAX_TONES, heard, told, strict=True):
            if now != before:
                self._outbox.put(FaxTone(session=endpoint.session.id, endpoint=endpoint.id, tone=tone))

    # -- overload --------------------------------------------------------------------------------------------

    def level_changed(self, now_us: int) -> Iterator[None] | None:
        """Stop or start detectors as the load allows.  Returns the telling of who asked, in slices."""
        speech = not self._overload.gives_up(Level.VOICE_DETECTION)
        keys = not self._overload.gives_up(Level.INBAND_KEYS)
        if (speech, keys) == (self.speech, self.keys):
            return None
        tell: list[Callable[[RtpEndpoint], None]] = []
        if self.speech and not speech:
            tell.append(self._vad_paused)
        if self.keys and not keys:
            tell.append(self._fax_paused)
        if speech and not self.speech:
            self._resumed_us = (
                now_us - REST_US // 2
            )  # a pause is longer, and a tick's time may lie a little back
        self.speech, self.keys = speech, keys
        self._media.watch_kinds(speech=speech, keys=keys)
        return self._tell(tell) if tell else None

    def _tell(self, tell: list[Callable[[RtpEndpoint], None]]) -> Iterator[None]:
        for number, endpoint in enumerate(list(self._watched.values()), 1):
            for one in tell:
                one(endpoint)
            if number % TOLD_A_SLICE == 0:
                yield

    def _vad_paused(self, endpoint: RtpEndpoint) -> None:
        watch = endpoint.watch
        if watch is not None and watch.vad is not None:
            watch.paused = True
            self._outbox.put(VadFailed(session=endpoint.session.id, endpoint=endpoint.id, error=OVERLOAD))

    def _fax_paused(self, endpoint: RtpEndpoint) -> None:
        if endpoint.watch is not None and endpoint.watch.told is not None:
            self._outbox.put(FaxFailed(session=endpoint.session.id, endpoint=endpoint.id, error=OVERLOAD))

    # -- counting --------------------------------------------------------------------------------------------

    def gauges(self) -> dict[str, float]:
        watches = [endpoint.watch for endpoint in self._watched.values() if endpoint.watch is not None]
        return {
            "watched_speech": sum(watch.vad is not None for watch in watches),
            "watched_speech_neural": self._neural.streams,
            "watched_fax": sum(watch.told is not None for watch in watches),
            "speech_paused": int(not self.speech),
            "keys_paused": int(not self.keys),
        }
