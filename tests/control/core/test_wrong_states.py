"""Every method in every wrong state: the named error, and nothing has changed.

The rows are made from the table of methods, so a new method is in it from its first day; `GOOD` says what its
parameters look like, and which state of an endpoint it cannot work on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from desk import ANSWER, OFFER, Client, Desk

from roomtone.control.core.requests import METHODS, Binding
from roomtone.engine import messages as ms

NO_SUCH = "00000000-0000-4000-8000-000000000000"
HUGE = 10**400
LONG = "x" * 200_000
MESSAGE_MAX = 300  # characters; whatever the client sent does not come back whole

# Parameters that are right, for a session with the endpoints of `Stage`.
GOOD: dict[str, dict[str, Any]] = {
    "session.create": {},
    "session.attach": {"session_id": "$orphan"},
    "session.destroy": {},
    "session.info": {},
    "session.list": {},
    "session.bridge": {"target_session_id": "$orphan", "direction": "sendrecv"},
    "session.timeline.mark": {},
    "server.info": {},
    "endpoint.create_from_offer": {"sdp": OFFER, "direction": "sendrecv"},
    "endpoint.rtp.create_from_offer": {"sdp": OFFER},
    "endpoint.create_offer": {"type": "rtp", "srtp": False, "srtp_optional": False, "codecs": ["PCMU"]},
    "endpoint.rtp.create_offer": {},
    "endpoint.accept_answer": {"endpoint_id": "$offering", "sdp": ANSWER, "offer_generation": None},
    "endpoint.rtp.accept_answer": {"endpoint_id": "$offering", "sdp": ANSWER},
    "endpoint.update_remote_sdp": {"endpoint_id": "$rtp", "sdp": OFFER},
    "endpoint.rtp.reinvite": {"endpoint_id": "$rtp", "sdp": OFFER},
    "endpoint.update_direction": {"endpoint_id": "$rtp", "direction": "auto"},
    "endpoint.remove": {"endpoint_id": "$rtp"},
    "endpoint.transfer": {"endpoint_id": "$rtp", "target_session_id": "$orphan"},
    "endpoint.create_tone": {"tone": "sine", "frequency": 440.0, "duration_ms": 100},
    "endpoint.create_websocket": {"direction": "sendrecv", "sample_rate": 16000, "flush_ms": 20},
    "endpoint.create_with_file": {"source": "http://media.example/", "headers": {"A": "b"}, "gain_db": 3.0},
    "endpoint.file.seek": {"endpoint_id": "$file", "position_ms": 0},
    "endpoint.file.pause": {"endpoint_id": "$file"},
    "endpoint.file.resume": {"endpoint_id": "$file"},
    "endpoint.dtmf.inject": {"endpoint_id": "$rtp", "digit": "1", "duration_ms": 160, "volume": 10},
    "endpoint.dtmf.set_sensitive": {"endpoint_id": "$rtp", "enabled": True},
    "vad.start": {
        "endpoint_id": "$rtp",
        "silence_interval_ms": 500,
        "speech_threshold": 0.5,
        "model": "energy",
    },
    "vad.stop": {"endpoint_id": "$keyless"},
    "fax_detect.start": {"endpoint_id": "$rtp"},
    "fax_detect.stop": {"endpoint_id": "$keyless"},
    "recording.start": {"file_path": "/rec/b.pcap", "endpoint_id": "$rtp"},
    "recording.stop": {"recording_id": "$recording"},
    "stats.subscribe": {"interval_ms": 5000, "include_diagnostics": False},
    "stats.unsubscribe": {},
    "stats.snapshot": {},
}
# The endpoints of the stage that a method works on; others are refused: ENDPOINT_ERROR, or what CODES says.
WORKS_ON: dict[str, set[str]] = {
    "endpoint.accept_answer": {"offering"},
    "endpoint.rtp.accept_answer": {"offering"},
    "endpoint.update_remote_sdp": {"rtp", "keyless"},
    "endpoint.rtp.reinvite": {"rtp", "keyless"},
    "endpoint.update_direction": {"rtp", "keyless", "offering", "bot", "bridge"},
    "endpoint.transfer": {"rtp", "keyless", "offering"},
    "endpoint.remove": {
        "rtp",
        "keyless",
        "offering",
        "tone",
        "finished",
        "bot",
        "file",
        "buffering",
        "ended",
        "bridge",
    },
    "endpoint.file.seek": {"file"},
    "endpoint.file.pause": {"file"},
    "endpoint.file.resume": {"file"},
    "endpoint.dtmf.inject": {"rtp"},
    "endpoint.dtmf.set_sensitive": {"rtp", "keyless", "offering"},
    "vad.start": {"rtp", "keyless", "offering", "bot"},
    "vad.stop": {"keyless"},
    "recording.start": {"rtp", "keyless", "offering", "tone", "finished", "bot", "file", "ended", "bridge"},
    "fax_detect.start": {"rtp", "keyless", "offering", "bot"},
    "fax_detect.stop": {"keyless"},
}
CODES = {
    "vad.start": "VAD_ERROR", "vad.stop": "VAD_ERROR", "recording.start": "RECORDING_ERROR",
    "fax_detect.start": "FAX_DETECT_ERROR", "fax_detect.stop": "FAX_DETECT_ERROR",
}  # fmt: skip
# Of endpoints: ENDPOINT_ERROR, or what CODES says.
UNKNOWN_ID = dict.fromkeys(("session_id", "target_session_id"), "SESSION_NOT_FOUND")
UNKNOWN_ID["recording_id"] = "RECORDING_ERROR"
MISFIT = {"endpoint.transfer": "INVALID_PARAMS"}  # of other methods: as an unknown one


class Stage:
    """A session with an endpoint of every sort, another one that is orphaned, and what is seen of both."""

    def __init__(self) -> None:
        self.desk = Desk(config='max_sdp_size_kb = 64\nmedia_dir = "/media"\n')
        self.client = self.desk.connect()
        self.session = self.client.call("session.create")["session_id"]
        keyless = OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 0 8")
        self.ids = {
            "rtp": self.make("endpoint.create_from_offer", sdp=OFFER),
            "keyless": self.make("endpoint.create_from_offer", sdp=keyless),
            "offering": self.make("endpoint.create_offer", type="rtp"),
            "tone": self.make("endpoint.create_tone", tone="busy"),
            "bot": self.make("endpoint.create_websocket"),
            "finished": self.make("endpoint.create_tone", tone="beep", duration_ms=1),
            "file": self.make("endpoint.create_with_file", source="hold.wav"),
            "buffering": self.make("endpoint.create_with_file", source="http://media.example/slow"),
            "ended": self.make("endpoint.create_with_file", source="hold.wav"),
        }
        self.client.call("vad.start", endpoint_id=self.ids["keyless"])
        self.client.call("fax_detect.start", endpoint_id=self.ids["keyless"])
        ended = ms.ToneFinished(session=self.session, endpoint=self.ids["finished"])
        self.desk.event(0, ended)
        started = self.client.call("recording.start", file_path="/rec/a.pcap")
        self.ids["recording"] = started["recording_id"]
        self.desk.event(
            0, ms.FileFinished(session=self.session, endpoint=self.ids["ended"], reason="completed")
        )
        former = self.desk.connect()
        self.ids["orphan"] = former.call("session.create")["session_id"]
        former.close()
        bridged = self.client.call("session.bridge", target_session_id=self.ids["orphan"])
        self.ids["bridge"] = bridged["endpoint_id"]

    def make(self, method: str, **params: object) -> str:
        return self.client.call(method, **params)["endpoint_id"]

    def filled(self, params: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self.ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value
            for key, value in params.items()
        }

    def seen(self) -> list[object]:
        """All that anybody can see of the sessions, and what their worker was told."""
        core = self.desk.core
        told = [type(body).__name__ for body in self.desk.workers[0].commands]
        return [*(msgspec.to_builtins(core.session(id)) for id in core.sessions), told]

    def refused(self, client: Client, method: str, params: dict[str, Any]) -> str | None:
        """The code a request is refused with, None if it is not; a refused one must have changed nothing."""
        before, waiting = self.seen(), len(client.log)
        client.send_raw(json.dumps({"id": "x", "method": method, "params": self.filled(params)}))
        reply, *_ = client.log[waiting:]
        if "error" not in reply:
            return None
        assert self.seen() == before, f"{method} was refused and changed something"
        assert 0 < len(reply["error"]["message"]) < MESSAGE_MAX
        return reply["error"]["code"]


def binding(method: str) -> Binding:
    return METHODS[method].binding


def code_of(method: str) -> str:
    """What it refuses an endpoint with."""
    return CODES.get(method, "ENDPOINT_ERROR")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_the_table_has_every_method_and_only_those_with_an_endpoint_choose_one() -> None:
    assert set(GOOD) == set(METHODS)
    with_endpoint = {name for name, method in METHODS.items() if "endpoint_id" in fields(method.params)}
    assert set(WORKS_ON) == with_endpoint
    for name, params in GOOD.items():
        assert set(params) <= set(fields(METHODS[name].params))


def fields(params: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(params)}


@pytest.mark.parametrize("method", GOOD)
def test_right_parameters_are_taken(stage: Stage, method: str) -> None:
    client = stage.client if binding(method) is not Binding.MAKES else stage.desk.connect()
    assert stage.refused(client, method, GOOD[method]) is None


# -- the connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in GOOD if binding(name) is Binding.NEEDS])
def test_a_connection_without_a_session_is_told_so_whatever_it_asks(stage: Stage, method: str) -> None:
    for params in (GOOD[method], {name: [] for name in GOOD[method]}):
        assert stage.refused(stage.desk.connect(), method, params) == "NO_SESSION"


@pytest.mark.parametrize("method", [name for name in GOOD if binding(name) is Binding.NEEDS])
def test_a_connection_whose_session_has_ended_is_told_so(method: str) -> None:
    desk = Desk(config="empty_session_timeout_secs = 1")
    stage = Stage.__new__(Stage)
    ids = dict.fromkeys(("rtp", "keyless", "offering", "orphan", "recording", "file"), NO_SUCH)
    stage.desk, stage.ids = desk, ids
    client = desk.connect()
    client.call("session.create")
    desk.advance(2)
    expected = None if METHODS[method].frees else "SESSION_GONE"
    assert stage.refused(client, method, GOOD[method]) == expected


@pytest.mark.parametrize("method", [name for name in GOOD if binding(name) is Binding.MAKES])
def test_a_connection_with_a_session_gets_no_other_one(stage: Stage, method: str) -> None:
    assert stage.refused(stage.client, method, GOOD[method]) == "SESSION_ALREADY_BOUND"


def test_a_session_that_another_connection_has_is_not_given_away(stage: Stage) -> None:
    other = stage.desk.connect()
    assert stage.refused(other, "session.attach", {"session_id": stage.session}) == "SESSION_NOT_ORPHANED"


def test_nobody_commands_an_orphaned_session_without_attaching(stage: Stage) -> None:
    stage.client.close()
    for method in (name for name in GOOD if binding(name) is Binding.NEEDS):
        assert stage.refused(stage.desk.connect(), method, GOOD[method]) == "NO_SESSION"


# -- the parameters ------------------------------------------------------------------------------------------


def wrong_values(kind: Any) -> Iterator[object]:
    """JSON of every type, and sizes nobody means, that are none of this parameter's."""
    for value in (None, True, 7, -1, 1.5, 2**63, HUGE, 1e300, "", "x", LONG, "\0", [], [[]], {}, {"a": 1}):
        try:
            msgspec.convert(value, kind)
        except (msgspec.ValidationError, OverflowError):
            yield value


@pytest.mark.parametrize("method", [name for name in GOOD if fields(METHODS[name].params)])
def test_a_wrong_or_missing_parameter_is_refused(stage: Stage, method: str) -> None:
    client = stage.client if binding(method) is not Binding.MAKES else stage.desk.connect()
    struct = METHODS[method].params
    for field in msgspec.structs.fields(struct):
        wrong = list(wrong_values(fields(struct)[field.name]))
        assert wrong
        for value in wrong:
            params = {**GOOD[method], field.name: value}
            assert stage.refused(client, method, params) == "INVALID_PARAMS", (field.name, str(value)[:40])
        if field.required:
            left = {name: value for name, value in GOOD[method].items() if name != field.name}
            assert stage.refused(client, method, left) == "INVALID_PARAMS"


@pytest.mark.parametrize("method", [name for name in GOOD if "sdp" in GOOD[name]])
@pytest.mark.parametrize(
    ("sdp", "code"),
    [(LONG, "INVALID_PARAMS"), ("", "ENDPOINT_ERROR"), ("v=0\r\n\0", "ENDPOINT_ERROR")],
    ids=["huge", "empty", "binary"],
)
def test_an_sdp_that_is_none_is_refused(stage: Stage, method: str, sdp: str, code: str) -> None:
    assert stage.refused(stage.client, method, {**GOOD[method], "sdp": sdp}) == code


# -- what the parameters name --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in GOOD if any(key.endswith("_id") for key in GOOD[name])])
def test_an_id_that_names_nothing_is_refused(stage: Stage, method: str) -> None:
    client = stage.client if binding(method) is not Binding.MAKES else stage.desk.connect()
    for key in (key for key in GOOD[method] if key.endswith("_id")):
        params = {**GOOD[method], key: NO_SUCH}
        assert stage.refused(client, method, params) == UNKNOWN_ID.get(key, code_of(method))


@pytest.mark.parametrize("method", WORKS_ON)
def test_an_endpoint_of_another_session_is_as_unknown_as_any(stage: Stage, method: str) -> None:
    stranger = stage.desk.connect()
    stranger.call("session.create")
    assert stage.refused(stranger, method, GOOD[method]) == code_of(method)


@pytest.mark.parametrize("sort", sorted(WORKS_ON["endpoint.remove"]))
@pytest.mark.parametrize("method", WORKS_ON)
def test_an_endpoint_that_does_not_fit_is_refused(stage: Stage, method: str, sort: str) -> None:
    expected = None if sort in WORKS_ON[method] else MISFIT.get(method, code_of(method))
    params = {**GOOD[method], "endpoint_id": f"${sort}"}
    assert stage.refused(stage.client, method, params) == expected
