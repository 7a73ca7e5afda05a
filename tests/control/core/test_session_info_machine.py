"""session.info tells the truth of every sort of endpoint, and who follows the events comes to the same."""

from __future__ import annotations

import itertools

from fake_worker import Desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from session_model import NEVER_US, Told, Truth, picks, ways

from roomtone.control.core import effects as fx
from roomtone.control.core.audio import DIAL_WAIT_US

NOBODY = "nobody"


class EverySort(Told):
    """With bots on audio WebSockets."""

    desk: Desk

    @initialize()
    def no_bots(self) -> None:
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


EverySort.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestSessionInfo = EverySort.TestCase
