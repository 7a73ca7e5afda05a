"""session.info tells the truth of every sort of endpoint, and who follows the events comes to the same."""

from __future__ import annotations

import itertools
from contextlib import suppress

from desk import Desk, Refused
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from session_model import NEVER_US, NO_SUCH, Told, Truth, picks, ways

from roomtone.control.core import effects as fx
from roomtone.control.core.audio import DIAL_WAIT_US
from roomtone.engine import messages as ms

NOBODY = "nobody"


class EverySort(Told):
    """With files, recordings, bots, and another session that endpoints and voices go to."""

    desk: Desk

    def furnish(self) -> None:
        self.other = self.desk.connect()
        self.far = self.other.call("session.create")["session_id"]
        self.urls: dict[str, str] = {}  # endpoint -> what it waits for
        self.away: dict[str, Truth] = {}  # endpoints that are in the other session
        self.tokens: dict[str, str] = {}  # endpoint -> what its bot dials with
        self.sockets: dict[str, int] = {}  # endpoint -> its bot
        self.numbers = itertools.count(1)

    # -- bots ------------------------------------------------------------------------------------------------

    @rule(way=ways, rate=st.sampled_from([8000, 48000]))
    def create_websocket(self, way: str, rate: int) -> None:
        made = self.ask("endpoint.create_websocket", direction=way, sample_rate=rate)
        if made:
            truth = self.truth[made["endpoint_id"]] = Truth("websocket", "connecting", way)
            truth.codec = f"L16/{rate}"
            truth.gone_us = self.desk.now_us + DIAL_WAIT_US
            self.tokens[made["endpoint_id"]] = made["connect_token"]
            self.follower[made["endpoint_id"]] = "connecting"

    @rule(which=picks)
    def bot_dials(self, which: int) -> None:
        """A token is good once; a worker that refuses costs the bot its place."""
        id = self.pick(which, "websocket")
        socket = next(self.numbers)
        self.desk.give(fx.AudioDialled(socket, self.tokens.pop(id, NOBODY)))
        if isinstance(self.desk.audio[-1], fx.OpenAudio):
            truth = self.truth[id]
            truth.gone_us = NEVER_US
            self.desk.give(fx.AudioBound(socket, 40000))
            if isinstance(self.desk.audio[-1], fx.CloseAudio):
                self.desk.give(fx.AudioEnded(socket))
                truth.state = "disconnected"
            else:
                self.sockets[id] = socket
                truth.state = "connected"

    @rule(which=picks)
    def bot_hangs_up(self, which: int) -> None:
        id = self.pick(which, "websocket")
        if id in self.sockets:
            self.desk.give(fx.AudioEnded(self.sockets.pop(id)))
            self.truth[id].state = "disconnected"

    # -- recordings ------------------------------------------------------------------------------------------

    @rule(which=picks, whole=st.booleans())
    def record(self, which: int, whole: bool) -> None:
        endpoint = None if whole else self.pick(which)
        path = f"/rec/{next(self.numbers)}.pcap"
        made = self.ask("recording.start", file_path=path, endpoint_id=endpoint)
        if made:
            self.recordings[made["recording_id"]] = (endpoint, path)

    def some_recording(self, which: int) -> str:
        return [*self.recordings, NO_SUCH][which % (len(self.recordings) + 1)]

    @rule(which=picks)
    def stop_recording(self, which: int) -> None:
        """Told in the reply, and never as an event."""
        recording = self.some_recording(which)
        if self.ask("recording.stop", recording_id=recording) is not None:
            del self.recordings[recording]
            self.stopped[recording] += 1

    @rule(which=picks)
    def recording_breaks_off(self, which: int) -> None:
        recording = self.some_recording(which)
        if recording in self.recordings:
            _, path = self.recordings.pop(recording)
            broken = ms.RecordingStopped(
                session=self.session,
                recording=recording,
                file_path=path,
                duration_ms=9,
                packets=1,
                dropped_packets=0,
                reason="write_error",
            )
            self.desk.event(0, broken)

    # -- files -----------------------------------------------------------------------------------------------

    @rule(source=st.sampled_from(["hold.wav", "gone.wav"]))
    def play(self, source: str) -> None:
        made = self.ask("endpoint.create_with_file", source=source)
        if made:
            assert source == "hold.wav"
            self.truth[made["endpoint_id"]] = Truth("file", "playing", "sendonly")
            self.follower[made["endpoint_id"]] = "playing"

    @rule(url=st.sampled_from(["http://a.example/", "http://b.example/"]))
    def play_what_must_be_fetched(self, url: str) -> None:
        """Nothing is kept in the cache, so it is fetched each time."""
        made = self.ask("endpoint.create_with_file", source=url, cache_ttl_secs=0, timeout_ms=60_000)
        if made:
            truth = self.truth[made["endpoint_id"]] = Truth("file", "buffering", "sendonly")
            truth.gone_us = self.desk.now_us + 60_000_000
            self.urls[made["endpoint_id"]] = url
            self.follower[made["endpoint_id"]] = "buffering"

    @rule(which=picks, well=st.booleans())
    def a_download_ends(self, which: int, well: bool) -> None:
        urls = sorted(effect.url for effect in self.desk.downloading.values())
        if not urls:
            return
        url = urls[which % len(urls)]
        waiting = [
            id for id, truth in self.truth.items() if truth.state == "buffering" and self.urls[id] == url
        ]
        self.desk.arrive(url) if well else self.desk.fail(url)
        for id in waiting:
            if well and not any(ms.CreateFile in worker.refuse for worker in self.desk.workers.values()):
                self.truth[id].state = "playing"
                self.truth[id].gone_us = NEVER_US
            else:
                del self.truth[id]

    @rule(which=picks, verb=st.sampled_from(["pause", "resume", "seek"]))
    def change_a_file(self, which: int, verb: str) -> None:
        id = self.pick(which, "file")
        position = {"position_ms": 1} if verb == "seek" else {}
        if self.ask(f"endpoint.file.{verb}", endpoint_id=id, **position) is not None:
            assert self.truth[id].state in ("playing", "paused")
            if verb != "seek":
                self.truth[id].state = "paused" if verb == "pause" else "playing"

    @rule(which=picks)
    def a_file_ends(self, which: int) -> None:
        id = self.pick(which, "file")
        if id in self.truth and self.truth[id].state in ("playing", "paused"):
            self.event(id, ms.FileFinished(session=self.session, endpoint=id, reason="completed"))
            self.truth[id].state = "finished"

    # -- the other session -----------------------------------------------------------------------------------

    @rule(way=ways)
    def bridge(self, way: str) -> None:
        made = self.ask("session.bridge", target_session_id=self.far, direction=way)
        if made:
            self.truth[made["endpoint_id"]] = Truth("bridge", "connected", way)
            self.follower[made["endpoint_id"]] = "connected"

    @rule(which=picks)
    def transfer(self, which: int) -> None:
        id = self.pick(which, "rtp")
        if self.ask("endpoint.transfer", endpoint_id=id, target_session_id=self.far) is not None:
            self.away[id] = self.truth.pop(id)

    @rule(which=picks)
    def transfer_back(self, which: int) -> None:
        if self.away:
            id = list(self.away)[which % len(self.away)]
            with suppress(Refused):
                self.other.call("endpoint.transfer", endpoint_id=id, target_session_id=self.session)
                self.truth[id] = self.away.pop(id)


EverySort.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestSessionInfo = EverySort.TestCase
