"""session.info tells the truth of every sort of endpoint, and who follows the events comes to the same."""

from __future__ import annotations

import itertools
from contextlib import suppress

from fake_worker import Desk, Refused
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from session_model import NEVER_US, NO_SUCH, Told, Truth, picks, ways

from roomtone.control.core import effects as fx
from roomtone.control.core.audio import DIAL_WAIT_US
from roomtone.engine import messages as ms

NOBODY = "nobody"


class EverySort(Told):
    """With recordings, bots on audio WebSockets, and another session that endpoints and voices go to."""

    desk: Desk

    def furnish(self) -> None:
        self.other = self.desk.connect()
        self.far = self.other.call("session.create")["session_id"]
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
