"""Random transfers and bridges over three workers that stall, refuse and die: nothing is lost or left over.

Workers here take their commands in order; a stalled one takes none until it goes on, and then all.
"""

from desk import OFFER, Client, Desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomtone.engine import messages as ms

WORKERS = 3
SESSIONS = 4
LIMIT = 5
REFUSAL = ms.Failed(code="ENDPOINT_ERROR", message="refused")
REFUSABLE = (ms.CreateRtp, ms.CreateBridge, ms.TurnBridge, ms.OpenSpread, ms.MoveEndpoint)
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

picks = st.integers(0, 11)
indices = st.integers(0, WORKERS - 1)


class Linking(RuleBasedStateMachine):
    """SESSIONS clients, each with a session; what they ask for, and what workers do."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk(
            workers=WORKERS,
            config=f"max_endpoints_per_session = {LIMIT}\nsession_spread_at = 3\nmax_sessions = 0\n"
            "disconnect_timeout_secs = 3\n",
        )
        self.clients = [self.client() for _ in range(SESSIONS)]
        for pick in range(SESSIONS):
            self.ask(pick, "endpoint.create_from_offer", sdp=OFFER)

    def client(self) -> Client:
        client = self.desk.connect()
        client.call("session.create")
        return client

    def session_id(self, pick: int) -> str:
        bound = self.desk.core.connections[self.clients[pick % SESSIONS].id].session
        return bound.id if bound is not None else next(iter(self.desk.core.sessions), "0" * 36)

    def endpoints(self, pick: int, kind: str) -> list[str]:
        bound = self.desk.core.connections[self.clients[pick % SESSIONS].id].session
        return [e.id for e in bound.endpoints.values() if e.kind == kind] if bound is not None else []

    def ask(self, pick: int, method: str, **params: object) -> None:
        """Ask, unless the last request is still open: one that waits is not the point here."""
        client = self.clients[pick % SESSIONS]
        if client.ready:
            client.send(method, **params)

    # -- clients ---------------------------------------------------------------------------------------------

    @rule(pick=picks)
    def make(self, pick: int) -> None:
        self.ask(pick, "endpoint.create_from_offer", sdp=OFFER)

    @rule(pick=picks, which=picks, to=picks)
    def transfer(self, pick: int, which: int, to: int) -> None:
        if mine := self.endpoints(pick, "rtp"):
            self.ask(
                pick,
                "endpoint.transfer",
                endpoint_id=mine[which % len(mine)],
                target_session_id=self.session_id(to),
            )

    @rule(pick=picks, to=picks, direction=st.sampled_from(DIRECTIONS))
    def bridge(self, pick: int, to: int, direction: str) -> None:
        self.ask(pick, "session.bridge", target_session_id=self.session_id(to), direction=direction)

    @rule(pick=picks, which=picks, direction=st.sampled_from((*DIRECTIONS, "auto")))
    def turn_a_bridge(self, pick: int, which: int, direction: str) -> None:
        if mine := self.endpoints(pick, "bridge"):
            end = mine[which % len(mine)]
            self.ask(pick, "endpoint.update_direction", endpoint_id=end, direction=direction)

    @rule(pick=picks, which=picks, kind=st.sampled_from(["rtp", "bridge", "bridge"]))
    def remove(self, pick: int, which: int, kind: str) -> None:
        if mine := self.endpoints(pick, kind):
            self.ask(pick, "endpoint.remove", endpoint_id=mine[which % len(mine)])

    @rule(pick=picks, orphan=st.booleans())
    def end_a_session(self, pick: int, orphan: bool) -> None:
        place = pick % SESSIONS
        if orphan or not self.clients[place].ready:
            self.clients[place].close()
        else:
            self.clients[place].send("session.destroy")
        self.clients[place] = self.client()

    # -- workers ---------------------------------------------------------------------------------------------

    @rule(index=indices)
    def stall(self, index: int) -> None:
        self.desk.workers[index].stalled = True

    @rule(index=indices)
    def go_on(self, index: int) -> None:
        self.desk.workers[index].stalled = False
        self.desk.answer_late(index)

    @rule(index=indices, kinds=st.sets(st.sampled_from(REFUSABLE), max_size=2))
    def refuse(self, index: int, kinds: set[type]) -> None:
        self.desk.workers[index].refuse = dict.fromkeys(kinds, REFUSAL)

    @rule(index=indices)
    def die(self, index: int) -> None:
        self.desk.kill(index)
        self.desk.restart(index)
        for place, client in enumerate(self.clients):
            if self.desk.core.connections[client.id].session is None:
                self.clients[place] = self.client()

    @rule(seconds=st.sampled_from([0.1, 2, 6]))
    def time_passes(self, seconds: float) -> None:
        self.desk.advance(seconds)

    # -- what must hold --------------------------------------------------------------------------------------

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "desk"):
            return
        core = self.desk.core
        owners: dict[str, str] = {}
        for session in core.sessions.values():
            for endpoint in session.endpoints.values():
                assert owners.setdefault(endpoint.id, session.id) == session.id, "in two sessions"
            assert len(session.endpoints) <= session.size <= LIMIT
            assert sum(e.kind == "bridge" for e in session.endpoints.values()) <= session.bridges
        for worker, load in core.workers.loads().items():
            assert load == sum(session.counts.get(worker, 0) for session in core.sessions.values())

    def teardown(self) -> None:
        """Everybody goes on; then workers hold what sessions list, publish what is heard, and no more."""
        if not hasattr(self, "desk"):
            return
        for index in self.desk.workers:
            self.refuse(index, set())
            self.go_on(index)
        self.desk.advance(12)
        self.check_workers()
        for pick in range(SESSIONS):
            info = self.clients[pick].call("session.info")
            held = [
                e
                for w in self.desk.workers.values()
                for e, s in w.endpoints.items()
                if s == info["session_id"]
            ]
            assert sorted(e["endpoint_id"] for e in info["endpoints"]) == sorted(held)
        for client in self.clients:
            client.call("session.destroy")
        self.desk.advance(4)
        for worker in self.desk.workers.values():
            assert not (worker.endpoints or worker.buses or worker.peers or worker.feeds)
        assert set(self.desk.core.workers.loads().values()) == {0}

    def check_workers(self) -> None:
        core, workers = self.desk.core, self.desk.workers
        listed = {e.id: (s.id, e.worker) for s in core.sessions.values() for e in s.endpoints.values()}
        held = {e: (s, index) for index, worker in workers.items() for e, s in worker.endpoints.items()}
        assert held == listed, "an endpoint was lost, or left behind"
        publishing: dict[str, set[int]] = {}
        for session in core.sessions.values():
            assert session.run is None and session.size == len(session.endpoints)
            inhabited = {e.worker for e in session.endpoints.values()}
            bridged = any(e.kind == "bridge" for e in session.endpoints.values())
            if bridged or len(inhabited) > 1:
                publishing[session.id] = inhabited | {session.home}
            for endpoint in session.endpoints.values():
                other = core.other_end(endpoint)
                assert (other is not None) == (endpoint.kind == "bridge"), "half a bridge"
        for index, worker in workers.items():
            assert set(worker.peers) == {s for s, where in publishing.items() if index in where}
            for session_id, peers in worker.peers.items():
                assert {peer.worker for peer in peers} == publishing[session_id] - {index}
                assert all(peer.epoch == workers[peer.worker].epoch for peer in peers)
            for end in (core.sessions[s].endpoints[e] for e, s in worker.endpoints.items()):
                other = core.other_end(end)
                if other is None:
                    continue
                heard = end.is_source and other.is_destination
                assert worker.turned[end.id] == heard
                if heard:
                    feed = worker.feeds[end.id]
                    far = core.sessions[end.far.session]
                    assert {peer.worker for peer in feed.feeds} == publishing[far.id]
                    assert feed.phase == far.phase


Linking.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestLinking = Linking.TestCase
