"""What session.info must tell: a model of the session beside core, and a client that follows the events.

The *truth* is kept by the test from what was asked and what workers told.  The *follower* knows replies and
events only; it must come to the same states, and after `events.dropped` one session.info must set it right.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from desk import OFFER, Desk, Refused
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roomtone.control.core import api
from roomtone.control.core.requests import METHODS
from roomtone.engine import messages as ms

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
NO_SUCH = "00000000-0000-4000-8000-000000000000"
HOLD = "0.0.0.0"
ADDRESS = "192.0.2.7"
SIZES = 'media_dir = "/media"\nmax_endpoints_per_session = 5\nsession_spread_at = 3\n'
NEVER_US = 2**62
ENDS = ("endpoint.ws.connect_timeout", "endpoint.transferred_out")  # events that an endpoint is gone
REFUSALS = (
    "ENDPOINT_ERROR",
    "INVALID_PARAMS",
    "VAD_ERROR",
    "FAX_DETECT_ERROR",
    "INTERNAL_ERROR",
    "TRANSFER_FAILED",
    "RECORDING_ERROR",
)

picks = st.integers(0, 30)
ways = st.sampled_from(DIRECTIONS)
addresses = st.sampled_from([ADDRESS, ADDRESS, HOLD])


def both(one: str, other: str) -> str:
    """What the peer may do when both must allow it."""
    sends = all(way in ("sendrecv", "sendonly") for way in (one, other))
    receives = all(way in ("sendrecv", "recvonly") for way in (one, other))
    return {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
        (sends, receives), "inactive"
    )


def offer(way: str, address: str = ADDRESS) -> str:
    return OFFER.replace("a=sendrecv", f"a={way}").replace("c=IN IP4 192.0.2.7", f"c=IN IP4 {address}")


class Truth:
    """One endpoint as it must be shown."""

    def __init__(self, endpoint_type: str, state: str, policy: str) -> None:
        self.endpoint_type = endpoint_type
        self.state = state
        self.policy = policy
        self.agreed = policy
        self.override: str | None = None
        self.codec: str | None = None
        self.remote: str | None = None  # as its SDP says
        self.learned: str | None = None  # whence it sends
        self.watched: set[str] = set()  # vad, fax_detect
        self.gone_us = NEVER_US  # when it goes by itself

    @property
    def direction(self) -> str:
        return self.override or self.agreed

    def agree(self, way: str, address: str) -> None:
        """The peer's SDP was accepted: a peer without an address cannot be sent to."""
        self.agreed = both(both(way, "sendonly") if address == HOLD else way, self.policy)
        self.codec = "PCMU"
        self.remote = f"{address}:4000"
        self.learned = None

    def turn(self, override: str | None) -> None:
        """Who is let speak again may send from elsewhere."""
        spoke = self.speaks
        self.override = override
        if self.speaks and not spoke:
            self.learned = None

    @property
    def speaks(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    def shown(self) -> dict[str, Any]:
        return {
            "endpoint_type": self.endpoint_type,
            "state": self.state,
            "direction": self.direction,
            "codec": self.codec,
            "remote_rtp_addr": self.learned or self.remote,
        }


class Told(RuleBasedStateMachine):
    """One client, two workers, and connections that come and go; RTP endpoints and tones."""

    @initialize(critical=st.integers(1, 3), normal=st.integers(1, 4))
    def begin(self, critical: int, normal: int) -> None:
        config = f"event_channel_size = {normal}\ncritical_event_channel_size = {critical}\n"
        self.desk = Desk(workers=2, config=config + SIZES)
        self.client = self.desk.connect()
        self.session = self.client.call("session.create")["session_id"]
        self.created_at = self.client.call("session.info")["created_at"]
        self.truth: dict[str, Truth] = {}
        self.follower: dict[str, str] = {}
        self.heard = 0  # messages of this connection the follower has taken
        self.lost = 0  # events it was told to be lost
        self.unsure = False
        self.recordings: dict[str, tuple[str | None, str]] = {}  # id -> (endpoint, file)
        self.ended: Counter[str] = Counter()  # files told to be finished
        self.stopped: Counter[str] = Counter()  # recordings told to have stopped
        self.furnish()

    def furnish(self) -> None:
        """What further sorts of endpoints need."""

    # -- asking ----------------------------------------------------------------------------------------------

    def ask(self, method: str, **params: object) -> dict[str, Any] | None:
        """The result, None if refused.  A client that does not read begins to; one that is gone attaches."""
        self.be_there()
        try:
            result = self.client.call(method, **params)
        except Refused as refused:
            assert refused.code in REFUSALS, refused
            result = None
        else:
            assert msgspec.convert(result, METHODS[method].result) is not None
        return result

    def pick(self, which: int, kind: str | None = None) -> str:
        known = [id for id, truth in self.truth.items() if kind in (None, truth.endpoint_type)]
        return [*known, NO_SUCH][which % (len(known) + 1)]

    @rule(way=ways, policy=ways, address=addresses)
    def create_from_offer(self, way: str, policy: str, address: str) -> None:
        made = self.ask("endpoint.create_from_offer", sdp=offer(way, address), direction=policy)
        if made:
            truth = self.truth[made["endpoint_id"]] = Truth("rtp", "connected", policy)
            truth.agree(way, address)
            self.follower[made["endpoint_id"]] = "connected"

    @rule(policy=ways)
    def create_offer(self, policy: str) -> None:
        made = self.ask("endpoint.create_offer", type="rtp", direction=policy)
        if made:
            self.truth[made["endpoint_id"]] = Truth("rtp", "connecting", policy)
            self.follower[made["endpoint_id"]] = "connecting"

    @rule(duration_ms=st.sampled_from([None, 100]))
    def create_tone(self, duration_ms: int | None) -> None:
        made = self.ask("endpoint.create_tone", tone="busy", duration_ms=duration_ms)
        if made:
            self.truth[made["endpoint_id"]] = Truth("tone", "playing", "sendonly")
            self.follower[made["endpoint_id"]] = "playing"

    @rule(which=picks, way=ways, address=addresses)
    def accept_answer(self, which: int, way: str, address: str) -> None:
        id = self.pick(which, "rtp")
        shown = self.desk.core.session(self.session)
        assert shown is not None
        generation = {e.endpoint_id: e.offer_generation or None for e in shown.endpoints}.get(id)
        answer = {"endpoint_id": id, "sdp": offer(way, address), "offer_generation": generation}
        if self.ask("endpoint.accept_answer", **answer) is not None:
            assert self.truth[id].state == "connecting"
            self.truth[id].state = "connected"
            self.truth[id].agree(way, address)

    @rule(which=picks, way=ways, address=addresses)
    def reinvite(self, which: int, way: str, address: str) -> None:
        id = self.pick(which)
        if self.ask("endpoint.rtp.reinvite", endpoint_id=id, sdp=offer(way, address)) is not None:
            self.truth[id].agree(way, address)

    @rule(which=picks, way=st.sampled_from([*DIRECTIONS, "auto"]))
    def update_direction(self, which: int, way: str) -> None:
        id = self.pick(which)
        if self.ask("endpoint.update_direction", endpoint_id=id, direction=way) is not None:
            self.truth[id].turn(None if way == "auto" else way)

    @rule(which=picks, what=st.sampled_from(["vad", "fax_detect"]), begin=st.booleans())
    def watch(self, which: int, what: str, begin: bool) -> None:
        id = self.pick(which)
        if self.ask(f"{what}.{'start' if begin else 'stop'}", endpoint_id=id) is not None:
            truth = self.truth[id]
            assert truth.speaks if begin else what in truth.watched
            truth.watched = truth.watched | {what} if begin else truth.watched - {what}

    @rule(which=picks)
    def remove(self, which: int) -> None:
        id = self.pick(which)
        if self.ask("endpoint.remove", endpoint_id=id) is not None:
            del self.truth[id]
            del self.follower[id]

    @rule(which=picks, method=st.sampled_from(sorted(METHODS)), value=st.sampled_from([None, 7, "x", [], {}]))
    def ask_nonsense(self, which: int, method: str, value: object) -> None:
        """Parameters of wrong types change nothing."""
        names = [field.name for field in msgspec.structs.fields(METHODS[method].params)]
        if names and not method.startswith("session."):
            self.be_there()
            self.client.send(method, **dict.fromkeys(names, value))
            assert "error" in self.client.log[-1]

    # -- what workers do -------------------------------------------------------------------------------------

    @rule(
        kinds=st.sets(
            st.sampled_from([ms.CreateRtp, ms.CreateTone, ms.CreateFile, ms.UpdateRtp, ms.StartVad])
        ),
        code=st.sampled_from(["ENDPOINT_ERROR", "INTERNAL_ERROR"]),
    )
    def workers_refuse(self, kinds: set[type], code: str) -> None:
        for worker in self.desk.workers.values():
            worker.refuse = dict.fromkeys(kinds, ms.Failed(code=code, message="refused"))

    @rule()
    def workers_obey(self) -> None:
        for worker in self.desk.workers.values():
            worker.refuse = {}

    def event(self, id: str, event: ms.Event) -> None:
        for index, worker in self.desk.workers.items():
            if id in worker.endpoints:
                self.desk.event(index, event)

    @rule(which=picks)
    def tone_ends(self, which: int) -> None:
        id = self.pick(which, "tone")
        self.event(id, ms.ToneFinished(session=self.session, endpoint=id))
        if id in self.truth:
            self.truth[id].state = "finished"

    @rule(which=picks, port=st.integers(1, 9))
    def peer_is_learned(self, which: int, port: int) -> None:
        id = self.pick(which, "rtp")
        address = f"198.51.100.1:{port}"
        if id in self.truth and self.truth[id].state == "connected":
            self.event(id, ms.PeerLearned(session=self.session, endpoint=id, remote_rtp_addr=address))
            self.truth[id].learned = address

    @rule(which=picks, times=st.integers(1, 6))
    def keys_are_pressed(self, which: int, times: int) -> None:
        id = self.pick(which, "rtp")
        for _ in range(times):
            self.event(id, ms.KeyPressed(session=self.session, endpoint=id, digit="1", duration_ms=9))

    # -- the client's side -----------------------------------------------------------------------------------

    @rule()
    def stop_reading(self) -> None:
        self.client.reading = False

    @precondition(lambda self: self.client.closed is None)
    @rule(away_s=st.sampled_from([0.0, 5.0, 29.0]))
    def lose_the_connection(self, away_s: float) -> None:
        self.follow()
        self.client.close()
        self.heard = 0
        self.desk.advance(away_s)
        self.time_passed()

    def time_passed(self) -> None:
        """What waited in vain is gone."""
        now_us = self.desk.now_us
        self.truth = {id: truth for id, truth in self.truth.items() if truth.gone_us > now_us}

    def be_there(self) -> None:
        if self.client.closed is not None:
            self.client = self.desk.connect()
            self.client.call("session.attach", session_id=self.session)
        self.client.reading = True
        self.client.read()

    def follow(self) -> None:
        """Take what came since, as a client that believes the events."""
        for message in self.client.log[self.heard :]:
            if "event" not in message:
                continue
            assert msgspec.convert(message["data"], api.EVENTS[message["event"]]) is not None
            data = message["data"]
            if message["event"] == "endpoint.state_changed" and data["endpoint_id"] in self.follower:
                if not self.unsure:
                    assert self.follower[data["endpoint_id"]] == data["old_state"]
                self.follower[data["endpoint_id"]] = data["new_state"]
            elif message["event"] == "recording.stopped":
                self.stopped[data["recording_id"]] += 1
            elif message["event"] == "endpoint.file.finished":
                self.ended[data["endpoint_id"]] += 1
                if self.follower.get(data["endpoint_id"]) == "buffering":  # it never was there
                    del self.follower[data["endpoint_id"]]
            elif message["event"] == "endpoint.transferred_in":
                self.follower[data["endpoint_id"]] = data["state"]
            elif message["event"] in ENDS:
                self.follower.pop(data["endpoint_id"], None)
            elif message["event"] == "events.dropped":
                self.lost += data["count"]
                self.unsure = True
        self.heard = len(self.client.log)

    @invariant()
    def the_truth_is_told(self) -> None:
        if not hasattr(self, "desk"):
            return
        orphaned, reading = self.client.closed is not None, self.client.reading
        if orphaned:
            info = msgspec.to_builtins(self.desk.core.session(self.session))
        else:
            info = self.ask("session.info")
        assert info["session_id"] == self.session and info["created_at"] == self.created_at
        assert info["state"] == ("orphaned" if orphaned else "active")
        shown = {endpoint["endpoint_id"]: endpoint for endpoint in info["endpoints"]}
        assert list(shown) == list(self.truth)  # in the order of making
        for id, truth in self.truth.items():
            expected = truth.shown()
            assert {key: shown[id][key] for key in expected} == expected
            offering = truth.endpoint_type == "rtp" and truth.state == "connecting"
            assert ("offer_generation" in shown[id]) == offering
        for what in ("vad", "fax_detect"):
            watched = [id for id, truth in self.truth.items() if what in truth.watched]
            assert info[f"{what}_active"] == watched
        assert {
            told["recording_id"]: (told["endpoint_id"], told["file_path"]) for told in info["recordings"]
        } == self.recordings
        assert {told["state"] for told in info["recordings"]} <= {"active"}
        if not orphaned:
            self.converges(shown)
            self.client.reading = reading

    def converges(self, shown: dict[str, dict[str, Any]]) -> None:
        """The follower has heard everything there was."""
        self.follow()
        assert max(self.stopped.values(), default=0) <= 1
        assert max(self.ended.values(), default=0) <= 1
        if self.unsure:
            self.follower = {id: endpoint["state"] for id, endpoint in shown.items()}
            self.unsure = False
        assert self.follower == {id: truth.state for id, truth in self.truth.items()}
        assert self.lost == self.desk.core.counters.events_dropped
