"""Any sequence of commands, lost connections, slow, refusing, dying workers: what must hold all the time."""

import json

from desk import ANSWER, OFFER, Client, Desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomtone.control.core.problems import CODES
from roomtone.engine import messages as ms

WORKERS = 3
MUTABLE = (
    ms.CreateRtp, ms.CreateTone, ms.CreateFile, ms.UpdateRtp, ms.RemoveEndpoint, ms.OpenSpread, ms.GetStats,
    ms.PollStats, ms.PauseFile, ms.ResumeFile,
)  # fmt: skip
METHODS = (
    "session.create", "session.destroy", "session.info", "session.list", "session.attach", "stats.snapshot",
    "stats.subscribe",
)  # fmt: skip
CLIENTS = 3
SOURCES = ("hold.wav", "gone.wav", "http://a.example/", "http://b.example/", "http://c.example/")
NO_SUCH = "00000000-0000-4000-8000-000000000000"
REFUSAL = ms.Failed(code="ENDPOINT_ERROR", message="refused")

OFF_OR_SHORT = st.sampled_from([0, 9])
picks = st.integers(0, 30)


class Sessions(RuleBasedStateMachine):
    """Clients and workers that do anything."""

    @initialize(orphan_s=st.integers(1, 40), empty_s=st.sampled_from([0, 9]), idle_s=st.sampled_from([0, 25]))
    def begin(self, orphan_s: int, empty_s: int, idle_s: int) -> None:
        config = (
            "max_sessions = 5\nmax_endpoints_per_session = 6\nsession_spread_at = 2\n"
            "event_channel_size = 6\ncritical_event_channel_size = 2\n"
            f"disconnect_timeout_secs = {orphan_s}\nempty_session_timeout_secs = {empty_s}\n"
            f"session_idle_timeout_secs = {idle_s}\n"
            'media_dir = "/media"\nmax_concurrent_downloads = 2\n'
        )
        self.desk = Desk(workers=WORKERS, config=config)
        self.clients: list[Client] = []
        self.asked: list[tuple[Client, str]] = []
        self.session_ids: list[str] = []
        self.endpoint_ids: list[str] = []
        for pick in range(CLIENTS):
            self.clients.append(self.desk.connect())
            self.ask(pick, "session.create")
            self.ask(pick, "endpoint.create_from_offer", sdp=OFFER)

    # -- clients ---------------------------------------------------------------------------------------------

    @rule(
        pick=picks, which=picks, again=st.sampled_from(["session.attach", "session.create", "session.list"])
    )
    def lose_a_connection_and_open_another(self, pick: int, which: int, again: str) -> None:
        place = pick % CLIENTS
        client = self.clients[place]
        client.close()
        self.check_replies(client)
        self.asked = [(c, r) for c, r in self.asked if c is not client]
        self.clients[place] = self.desk.connect()
        self.ask(
            place, again, **({"session_id": self.some(self.session_ids, which)} if "attach" in again else {})
        )

    def some(self, known: list[str], which: int) -> str:
        """One of the last known ids, now and then one that never was."""
        return [*known, NO_SUCH][-1 - which % min(len(known) + 1, 8)]

    def ask(self, pick: int, method: str, **params: object) -> None:
        client = self.clients[pick % CLIENTS]
        bound = self.desk.core.connections[client.id].session
        if bound is None and client.ready and pick % 2 and not method.startswith("session."):
            self.asked.append((client, client.send("session.create")))
        self.asked.append((client, client.send(method, **params)))
        self.learn()

    def learn(self) -> None:
        """Ids from all replies, oldest first."""
        results = [m["result"] for client in self.clients for m in client.log if "result" in m]
        for result in results:
            for key, known in (("session_id", self.session_ids), ("endpoint_id", self.endpoint_ids)):
                if key in result and result[key] not in known:
                    known.append(result[key])

    @rule(pick=picks, which=picks, method=st.sampled_from(METHODS))
    def ask_about_the_session(self, pick: int, which: int, method: str) -> None:
        params: dict[str, object] = {}
        if method == "session.attach":
            params = {"session_id": self.some(self.session_ids, which)}
        elif method == "stats.subscribe":
            params = {"interval_ms": 500 + which * 100}
        self.ask(pick, method, **params)

    @rule(pick=picks, source=st.sampled_from(SOURCES), ttl_s=st.sampled_from([0, 10]))
    def play(self, pick: int, source: str, ttl_s: int) -> None:
        self.ask(pick, "endpoint.create_with_file", source=source, cache_ttl_secs=ttl_s, timeout_ms=6000)

    @rule(which=picks, well=st.booleans())
    def a_download_ends(self, which: int, well: bool) -> None:
        urls = sorted(effect.url for effect in self.desk.downloading.values())
        if urls:
            url = urls[which % len(urls)]
            self.desk.arrive(url) if well else self.desk.fail(url)

    @rule(pick=picks, kind=st.integers(0, 3))
    def make(self, pick: int, kind: int) -> None:
        if kind == 0:
            self.ask(pick, "endpoint.create_from_offer", sdp=OFFER)
        elif kind == 1:
            self.ask(pick, "endpoint.create_offer", type="rtp", codecs=["pcma", "l16"])
        else:
            self.ask(pick, "endpoint.create_tone", tone="beep", duration_ms=100)

    @rule(pick=picks, which=picks, what=st.integers(0, 7))
    def change(self, pick: int, which: int, what: int) -> None:
        client = self.clients[pick % CLIENTS]
        bound = self.desk.core.connections[client.id].session
        known = list(bound.endpoints) if bound is not None and pick % 8 else self.endpoint_ids
        method, params = (
            ("endpoint.remove", {}),
            ("endpoint.accept_answer", {"sdp": ANSWER}),
            ("endpoint.rtp.reinvite", {"sdp": OFFER}),
            ("endpoint.update_direction", {"direction": ("auto", "inactive", "recvonly")[which % 3]}),
            ("endpoint.dtmf.inject", {"digit": "1"}),
            ("endpoint.file.pause", {}),
            ("endpoint.file.resume", {}),
            ("endpoint.file.seek", {"position_ms": 0}),
        )[what]
        self.ask(pick, method, endpoint_id=self.some(known, which), **params)

    @rule(pick=picks, reading=st.booleans())
    def read_or_not(self, pick: int, reading: bool) -> None:
        client = self.clients[pick % CLIENTS]
        client.reading = reading
        if reading:
            client.read()
            self.learn()

    # -- workers ---------------------------------------------------------------------------------------------

    @rule(index=st.integers(0, WORKERS - 1), kinds=st.sets(st.sampled_from(MUTABLE)), answers=st.booleans())
    def worker_mood(self, index: int, kinds: set[type], answers: bool) -> None:
        """What the worker refuses, but for removals, or leaves unanswered."""
        worker = self.desk.workers[index]
        worker.refuse = dict.fromkeys(kinds - {ms.RemoveEndpoint}, REFUSAL) if answers else {}
        worker.mute = set() if answers else kinds

    @rule(index=st.integers(0, WORKERS - 1))
    def worker_catches_up(self, index: int) -> None:
        self.desk.answer_late(index)
        self.learn()

    @rule(index=st.integers(0, WORKERS - 1))
    def worker_dies_and_returns(self, index: int) -> None:
        self.desk.kill(index)
        self.desk.restart(index)

    @rule(index=st.integers(0, WORKERS - 1), which=picks, kind=st.integers(0, 4))
    def worker_tells(self, index: int, which: int, kind: int) -> None:
        held = sorted(self.desk.workers[index].endpoints.items())
        if held:
            endpoint, session = held[which % len(held)]
            self.desk.event(
                index,
                (
                    ms.ToneFinished(session=session, endpoint=endpoint),
                    ms.KeyPressed(session=session, endpoint=endpoint, digit="1", duration_ms=9),
                    ms.MediaTimeout(session=session, endpoint=endpoint, duration_ms=5000),
                    ms.PeerLearned(session=session, endpoint=endpoint, remote_rtp_addr="192.0.2.1:1"),
                    ms.FileFinished(session=session, endpoint=endpoint, reason="completed"),
                )[kind],
            )

    @rule(seconds=st.sampled_from([0.1, 1, 4, 6, 20]))
    def time_passes(self, seconds: float) -> None:
        self.desk.advance(seconds)
        self.learn()

    # -- what must hold --------------------------------------------------------------------------------------

    def check_replies(self, client: Client) -> None:
        ids = [m["id"] for m in client.log if "id" in m]
        assert len(ids) == len(set(ids)), "a request was answered twice"
        order = [r for c, r in self.asked if c is client]
        assert ids == order[: len(ids)], "requests were answered out of order"
        assert all(m["error"]["code"] in CODES for m in client.log if "error" in m)
        assert "INTERNAL_ERROR" not in {m["error"]["code"] for m in client.log if "error" in m}

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "desk"):
            return
        core = self.desk.core
        sessions = core.sessions.values()
        for worker, load in core.workers.loads().items():
            assert load == sum(session.counts.get(worker, 0) for session in sessions)
        for session in sessions:
            listed = dict.fromkeys(session.counts, 0)
            for endpoint in session.endpoints.values():
                listed[endpoint.worker] += 1
            assert all(listed[w] <= session.counts[w] for w in listed)
            assert session.size <= 6
            assert (session.connection is None) == (session.state == "orphaned")
            if session.connection is not None:
                assert core.connections[session.connection].session is session
        assert len(core.sessions) <= 5
        for client in self.clients:
            self.check_replies(client)

    def teardown(self) -> None:
        """In the end everything is answered, and workers hold exactly what sessions list."""
        if not hasattr(self, "desk"):
            return
        for worker in self.desk.workers.values():
            worker.mute.clear()
            worker.refuse.clear()
        for client in self.clients:
            client.reading = True
            client.read()
        for index in self.desk.workers:
            self.desk.answer_late(index)
        self.desk.advance(12)
        for index in self.desk.workers:
            self.desk.answer_late(index)
        core = self.desk.core
        for client, request_id in self.asked:
            assert client.reply(request_id) is not None, f"{request_id} was never answered"
        for client in self.clients:
            lost = [json.dumps(data) for data in client.events("session.lost")]
            assert len(lost) == len(set(lost)), "session.lost twice"
            ended = [data["endpoint_id"] for data in client.events("endpoint.file.finished")]
            assert len(ended) == len(set(ended)), "endpoint.file.finished twice"
        assert not self.desk.downloading and not core.downloads.running and not core.downloads.waiting
        assert all(copy.holders == 0 for copy in core.downloads.copies.values())
        assert {copy.name for copy in core.downloads.copies.values()} == self.desk.disk
        listed = {e.id: s.id for s in core.sessions.values() for e in s.endpoints.values()}
        held = {e: s for worker in self.desk.workers.values() for e, s in worker.endpoints.items()}
        assert held == listed
        for session in core.sessions.values():
            assert session.run is None and not session.waiting
            assert session.size == len(session.endpoints)


Sessions.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestAnySequence = Sessions.TestCase
