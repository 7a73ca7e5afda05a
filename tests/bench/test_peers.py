"""The peers' side of the bench, as far as it goes without a peer."""

import asyncio
import json
import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.bench.load.measure import Plan
from roomtone.bench.load.payload import FORMATS
from roomtone.bench.load.server import Placement
from roomtone.bench.peers import main, peer, table
from roomtone.bench.peers.janus import Janus, Session, join_request, refuse
from roomtone.bench.peers.ng import Ng, NgError, decode, encode
from roomtone.bench.peers.peer import Peer, PeerError
from roomtone.bench.peers.rtpengine import Rtpengine, answer_of, offer_of

PCMU, PCMA = FORMATS["PCMU"], FORMATS["PCMA"]
CPU = min(os.sched_getaffinity(0))
VALUES = st.recursive(
    st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


# -- ng ----------------------------------------------------------------------------------------------------


@given(VALUES)
def test_what_is_bencoded_is_read_back(value):
    assert decode(encode(value)) == value


def test_bencoding_is_that_of_the_protocol():
    assert encode({"sdp": "v=0", "command": "offer", "flags": ["a"], "n": -3}) == (
        b"d7:command5:offer5:flagsl1:ae1:ni-3e3:sdp3:v=0e"
    )


@pytest.mark.parametrize(
    "broken",
    [b"", b"i12", b"5:four", b"l1:a", b"d1:a", b"d1:ae", b"di1ei2ee", b"i1ei2e", b"x", b"-1:a"],
)
def test_what_is_not_one_value_is_refused(broken):
    with pytest.raises(ValueError):
        decode(broken)


def ask(answers):
    """Ask a server on loopback that gives these answers in turn; returns the result and the questions."""
    heard = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve():
            for answer in answers:
                data, sender = server.recvfrom(4096)
                heard.append(data)
                for reply in answer:
                    server.sendto(reply(data.partition(b" ")[0]), sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with Ng(*server.getsockname()) as ng:
                return asyncio.run(ng.call("ping", call_id="1")), heard
        finally:
            thread.join()


def test_an_answer_to_another_question_is_passed_over():
    result, heard = ask([[lambda _: b"99 d6:result5:errore", lambda cookie: cookie + b" d6:result4:ponge"]])
    assert result == {"result": "pong"}
    assert heard == [b"1 d7:call-id1:17:command4:pinge"]


def test_a_lost_answer_is_asked_for_again_with_the_same_cookie(monkeypatch):
    monkeypatch.setattr("roomtone.bench.peers.ng.REPLY_WAIT_S", 0.05)
    _, heard = ask([[], [lambda cookie: cookie + b" d6:result2:oke"]])
    assert heard[0] == heard[1]


def test_a_refusal_is_told():
    with pytest.raises(NgError, match="Unknown call-id"):
        ask([[lambda cookie: cookie + b" d12:error-reason15:Unknown call-id6:result5:errore"]])


def test_equal_codecs_are_not_transcoded():
    asked = offer_of(7, "127.0.1.1", 4000, PCMU, PCMU)
    assert "codec" not in asked
    assert "m=audio 4000 RTP/AVP 0 101" in asked["sdp"]
    assert "c=IN IP4 127.0.1.1" in asked["sdp"]


def test_other_codecs_are_offered_alone():
    asked, answered = offer_of(7, "::1", 4000, PCMU, PCMA), answer_of(7, "::1", 4002, PCMA)
    assert asked["codec"] == {"mask": ["PCMU"], "transcode": ["PCMA"]}
    assert "RTP/AVP 0 101" in asked["sdp"]
    assert "RTP/AVP 8 101" in answered["sdp"]
    assert (asked["call-id"], asked["from-tag"]) == (answered["call-id"], answered["from-tag"])
    assert "to-tag" in answered


# -- Janus -------------------------------------------------------------------------------------------------


def test_a_participant_joins_with_his_own_address_and_codec():
    request = join_request(3, PCMA, ("127.0.1.2", 5000), 2)
    assert request["rtp"] == {"ip": "127.0.1.2", "port": 5000, "payload_type": 8}
    assert (request["room"], request["codec"], request["prebuffer"]) == (3, "pcma", 2)


def test_janus_is_not_asked_for_what_it_does_not_speak():
    with pytest.raises(PeerError, match="L16/8000"):
        join_request(1, FORMATS["L16/8000"], ("127.0.0.1", 5000), 2)


def test_refusals_of_janus_and_of_its_plugin_are_told():
    with pytest.raises(PeerError, match="No such session"):
        refuse({"janus": "error", "error": {"code": 458, "reason": "No such session"}})
    with pytest.raises(PeerError, match="Room 1 already exists"):
        refuse({"janus": "success", "plugindata": {"data": {"error": "Room 1 already exists"}}})


def test_a_join_is_answered_by_the_event_of_its_own_handle():
    async def joined():
        session = Session(Janus(Placement()), 1)
        session.waiting = {5: asyncio.get_running_loop().create_future()}
        event = {"janus": "event", "plugindata": {"data": {"audiobridge": "joined", "rtp": {"port": 9}}}}
        session.hear({"janus": "keepalive"})
        session.hear(event | {"sender": 6})
        assert not session.waiting[5].done()
        session.hear(event | {"sender": 5})
        return session.waiting[5].result()["rtp"]["port"]

    assert asyncio.run(joined()) == 9


def test_janus_loads_nothing_but_the_bridge_and_http(tmp_path, monkeypatch):
    monkeypatch.setattr("roomtone.bench.peers.janus.LIBRARIES", str(tmp_path / "lib"))
    for name in ("plugins/libjanus_audiobridge.so", "plugins/libjanus_sip.so", "transports/libjanus_http.so"):
        file = tmp_path / "lib" / "some-linux" / "janus" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    folder = tmp_path / "run"
    folder.mkdir()
    options = Janus(Placement()).arguments(folder)
    assert f"--configs-folder={folder}" in options
    assert [f.name for f in (folder / "plugins").iterdir()] == ["libjanus_audiobridge.so"]
    assert [f.name for f in (folder / "transports").iterdir()] == ["libjanus_http.so"]
    assert f'plugins_folder = "{folder}/plugins"' in (folder / "janus.jcfg").read_text()


# -- a peer's process --------------------------------------------------------------------------------------


class Waiter(Peer):
    """Makes a file when it is ready, and waits to be stopped."""

    name = "waiter"
    program = "sh"
    script = 'touch "$1"; exec tail -f /dev/null'

    def arguments(self, folder):
        self.sign = folder / "ready"
        return ["-c", self.script, "sh", str(self.sign)]

    async def answers(self):
        return self.sign.exists()

    async def open(self, scenario, callers):
        return callers


def test_a_peer_keeps_to_the_measured_cpu_and_leaves_nothing():
    async def once():
        waiter = Waiter(Placement(measured=(CPU,)))
        await waiter.start()
        pid, folder = waiter.pid, waiter.folder
        found = os.sched_getaffinity(pid), waiter.cost().measured.run_ns, waiter.rss_bytes()["worker"]
        await waiter.stop()
        return *found, pid, folder

    cpus, run_ns, rss, pid, folder = asyncio.run(once())
    assert cpus == {CPU}
    assert run_ns > 0 and rss > 0
    assert not os.path.exists(f"/proc/{pid}")
    assert not folder.exists()


def test_a_peer_that_ends_at_once_says_why(monkeypatch):
    monkeypatch.setattr(Waiter, "script", "echo no licence >&2; exit 3")
    waiter = Waiter(Placement(measured=(CPU,)))

    async def once():
        try:
            await waiter.start()
        finally:
            await waiter.stop()

    with pytest.raises(PeerError, match="status 3: no licence"):
        asyncio.run(once())


def test_a_peer_that_is_not_there_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(Rtpengine, "program", "no-such-program")
    with pytest.raises(ValueError, match=peer.PACKAGES):
        Rtpengine.installed()


# -- workloads and the table -------------------------------------------------------------------------------


def test_workloads_are_spelled_out():
    relay, transcode, rooms = (main.scenario_of(w) for w in ("relay-500", "transcode-20", "rooms-60x3"))
    assert (relay.kind, relay.count) == ("relay", 1000)
    assert (transcode.kind, transcode.count) == ("transcode", 40)
    assert (rooms.kind, rooms.rooms, rooms.size, rooms.talkers) == ("mix", 60, 3, 3)
    assert all(main.scenario_of(w) for w in main.WORKLOADS)


@pytest.mark.parametrize("wrong", ["relay", "rooms-3", "rooms-0x3", "relay-5x2", "mix-3x3"])
def test_a_word_that_is_no_workload_is_refused(wrong):
    with pytest.raises(ValueError):
        main.scenario_of(wrong)


def measured(us, **more):
    found = {"us_per_packet": us, "load": 0.5, "loss": 0.0, "void": [], "counters": {}}
    return [found | {"delay_p50_us": 50.0, "delay_p99_us": 900.0} | more]


def row_of(workload, engine, other, **more):
    scenario = main.scenario_of(workload)
    name = "janus" if scenario.kind == "mix" else "rtpengine"
    servers = {"engine": measured(engine), name: measured(other, **more), "floor": measured(4.0)}
    comparison = {"scenario": scenario.as_dict(), "servers": servers, "void": {name: 2}}
    return table.row(workload, comparison, name, "1.2", Plan())


def test_a_goal_is_judged_by_the_ratio_to_the_peer():
    assert "| 0.650 | 0.65 met |" in table.markdown([row_of("relay-500", 5.2, 8.0)])
    assert "| 0.651 | 0.65 missed |" in table.markdown([row_of("relay-500", 5.21, 8.0)])


def test_wrong_voices_of_a_peer_are_shown():
    heard = {"listened": 3, "deaf": 0, "voices_missing": 4, "voices_echoed": 0, "voices_strange": 0}
    row = row_of("rooms-20x10", 3.0, 30.0, **heard)
    assert "4 missing" in table.markdown([row])
    assert not main.failed(row)


def test_a_workload_measured_again_replaces_its_row_alone(tmp_path):
    file = tmp_path / "peers.json"
    order = ["relay-500", "rooms-20x10"]
    table.merge(file, [row_of("rooms-20x10", 3.0, 30.0)], order)
    table.merge(file, [row_of("relay-500", 5.0, 8.0)], order)
    table.merge(file, [row_of("rooms-20x10", 6.0, 30.0)], order)
    kept = json.loads(file.read_text())["results"]
    assert [(r["workload"], r["ratio"]) for r in kept] == [("relay-500", 0.625), ("rooms-20x10", 0.2)]
