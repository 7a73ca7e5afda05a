"""What is answered to frames that are no good requests, and in which order things are checked."""

import json

import pytest
from desk import OFFER, Client, Desk, Refused
from hypothesis import given
from hypothesis import strategies as st

from roomtone.control.core.frame import Refused as NoRequest
from roomtone.control.core.frame import decode_params, decode_request, encode_error
from roomtone.control.core.problems import CODES, Problem
from roomtone.control.core.requests import METHODS

NO_SUCH = "00000000-0000-4000-8000-000000000000"


def code_of(client: Client, method: str, **params: object) -> str:
    with pytest.raises(Refused) as refused:
        client.call(method, **params)
    assert refused.value.code in CODES
    assert refused.value.message
    return refused.value.code


@pytest.mark.parametrize(
    ("frame", "code", "request_id"),
    [
        ("", "PARSE_ERROR", ""),
        ("nonsense", "PARSE_ERROR", ""),
        ("[1]", "PARSE_ERROR", ""),
        ('"text"', "PARSE_ERROR", ""),
        ('{"method":"session.list"}', "PARSE_ERROR", ""),
        ('{"id":7,"method":"session.list"}', "PARSE_ERROR", ""),
        ('{"id":"a"}', "PARSE_ERROR", "a"),
        ('{"id":"a","method":null}', "PARSE_ERROR", "a"),
        ('{"id":"a","method":"session.list","params":', "PARSE_ERROR", ""),
        (b'{"id":"\xff","method":"session.list"}', "PARSE_ERROR", ""),
        ("[" * 100_000, "PARSE_ERROR", ""),
        ('{"id":"","method":"session.list"}', "INVALID_REQUEST", ""),
        ('{"id":"a","method":"session.lists"}', "UNKNOWN_METHOD", "a"),
        ('{"id":"a","method":"endpoint.webrtc.create_offer"}', "UNKNOWN_METHOD", "a"),
        ('{"id":"a","method":"endpoint.fly"}', "UNKNOWN_METHOD", "a"),
        ('{"id":"a","method":"session.attach","params":[]}', "INVALID_PARAMS", "a"),
        ('{"id":"a","method":"session.attach","params":{"session_id":"x"}}', "INVALID_PARAMS", "a"),
        ('{"id":"a","method":"session.info","params":7}', "NO_SESSION", "a"),
    ],
)
def test_a_bad_frame_is_answered_with_its_code(
    desk: Desk, frame: str | bytes, code: str, request_id: str
) -> None:
    client = desk.connect()
    client.send_raw(frame)
    (reply,) = client.log
    assert (reply["id"], reply["error"]["code"]) == (request_id, code)
    assert "result" not in reply
    assert client.ready


def test_an_id_may_have_1024_bytes_and_no_more(desk: Desk) -> None:
    client = desk.connect()
    client.send_raw(json.dumps({"id": "x" * 1024, "method": "session.list"}))
    client.send_raw(json.dumps({"id": "é" * 513, "method": "session.list"}, ensure_ascii=False))
    good, bad = client.log
    assert good["id"] == "x" * 1024 and good["result"] == {"sessions": []}
    assert bad["error"]["code"] == "INVALID_PARAMS"
    assert "1024" in bad["error"]["message"]


def test_params_may_be_absent_null_or_have_unknown_fields(desk: Desk) -> None:
    client = desk.connect()
    for tail in ("", ',"params":null', ',"params":{"new":1},"jsonrpc":"2.0"'):
        client.send_raw('{"id":"a","method":"session.list"' + tail + "}")
    assert [m["result"] for m in client.log] == [{"sessions": []}] * 3


def test_without_a_session_that_is_said_before_the_params_are_looked_at(desk: Desk) -> None:
    client = desk.connect()
    needs = set(METHODS) - {"session.create", "session.attach", "session.list", "server.info"}
    assert {code_of(client, method, endpoint_id=1) for method in needs} == {"NO_SESSION"}


def test_a_bound_connection_is_told_so_before_its_params_are_looked_at(client: Client) -> None:
    assert code_of(client, "session.attach") == "SESSION_ALREADY_BOUND"
    assert code_of(client, "session.create", caller_id=1) == "SESSION_ALREADY_BOUND"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("endpoint.create_from_offer", {}),
        ("endpoint.create_from_offer", {"sdp": OFFER, "direction": "both"}),
        ("endpoint.create_offer", {}),
        ("endpoint.create_offer", {"type": "sip"}),
        ("endpoint.create_offer", {"type": "rtp", "codecs": "pcmu"}),
        ("endpoint.create_offer", {"type": "rtp", "srtp": True, "srtp_optional": True}),
        ("endpoint.accept_answer", {"endpoint_id": NO_SUCH}),
        ("endpoint.remove", {"endpoint_id": "nobody"}),
        ("endpoint.update_direction", {"endpoint_id": NO_SUCH, "direction": "auto "}),
        ("endpoint.create_tone", {}),
        ("endpoint.create_tone", {"tone": "song"}),
        ("endpoint.create_tone", {"tone": "sine", "frequency": 19.9}),
        ("endpoint.create_tone", {"tone": "sine", "frequency": 20001}),
        ("endpoint.create_tone", {"tone": "beep", "duration_ms": 0}),
        ("endpoint.create_tone", {"tone": "beep", "duration_ms": "1"}),
        ("endpoint.dtmf.inject", {"endpoint_id": NO_SUCH, "digit": "E"}),
        ("endpoint.dtmf.inject", {"endpoint_id": NO_SUCH, "digit": "12"}),
        ("endpoint.dtmf.inject", {"endpoint_id": NO_SUCH, "digit": "1\n"}),
        ("endpoint.dtmf.inject", {"endpoint_id": NO_SUCH, "digit": "1", "duration_ms": 10001}),
        ("endpoint.dtmf.inject", {"endpoint_id": NO_SUCH, "digit": "1", "volume": 64}),
        ("endpoint.dtmf.set_sensitive", {"endpoint_id": NO_SUCH, "enabled": 1}),
        ("stats.subscribe", {"interval_ms": 499}),
        ("stats.subscribe", {"interval_ms": 3600001}),
        ("session.create", {"caller_id": None}),
    ],
)
def test_wrong_params_are_refused(client: Client, method: str, params: dict[str, object]) -> None:
    if method == "session.create":
        client.call("session.destroy")
    assert code_of(client, method, **params) == "INVALID_PARAMS"


def test_a_refusal_names_the_parameter_and_does_not_send_everything_back(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        client.call("endpoint.create_from_offer", sdp=OFFER, direction="x" * 100_000)
    assert "Invalid enum value" in refused.value.message and "$.direction" in refused.value.message
    assert len(refused.value.message) < 300


def test_an_sdp_above_the_limit_is_refused_by_size() -> None:
    client = Desk(config="max_sdp_size_kb = 1").connect()
    client.call("session.create")
    padded = OFFER + "a=x:" + "y" * 1024
    assert code_of(client, "endpoint.create_from_offer", sdp=padded) == "INVALID_PARAMS"
    assert client.call("endpoint.create_from_offer", sdp=OFFER)["endpoint_id"]


def test_without_a_limit_an_sdp_may_have_any_size() -> None:
    client = Desk(config="max_sdp_size_kb = 0").connect()
    client.call("session.create")
    padded = OFFER + "a=x:" + "y" * 100_000
    assert client.call("endpoint.create_from_offer", sdp=padded)["endpoint_id"]


def test_pipelined_requests_are_answered_in_order_one_at_a_time(client: Client) -> None:
    ids = [
        client.send("endpoint.create_from_offer", sdp=OFFER),
        client.send("session.info"),
        client.send("nonsense"),
        client.send("server.info"),
    ]
    assert [m["id"] for m in client.log if "id" in m][1:] == ids
    assert len(client.reply(ids[1])["result"]["endpoints"]) == 1


def test_server_info_tells_name_version_and_media_addresses() -> None:
    client = Desk(config='media_ip = ["192.0.2.1", "2001:db8::1"]\nnode_id = "west-3"').connect()
    expected = {"hostname": "west-3", "version": "9.9", "media_ip": ["192.0.2.1", "2001:db8::1"]}
    assert client.call("server.info") == expected


def test_the_timeline_mark_is_wall_clock(desk: Desk, client: Client) -> None:
    first = client.call("session.timeline.mark")["marked_at_epoch_ms"]
    desk.advance(1.5)
    assert client.call("session.timeline.mark")["marked_at_epoch_ms"] == first + 1500
    assert first == 1_700_000_001_000


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused_with_a_code(data: bytes) -> None:
    try:
        request = decode_request(data)
    except NoRequest as refused:
        assert refused.problem.code in {"PARSE_ERROR", "INVALID_REQUEST", "INVALID_PARAMS"}
        reply = json.loads(encode_error(refused.request_id, refused.problem))
        assert reply["id"] == refused.request_id
    else:
        assert request.id and request.method is not None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(METHODS)), json_values)
def test_any_params_are_decoded_or_refused(method: str, params: object) -> None:
    frame = json.dumps({"id": "a", "method": method, "params": params}).encode()
    request = decode_request(frame)
    try:
        decoded = decode_params(METHODS[method].decoder, request.params)
    except Problem as problem:
        assert problem.code == "INVALID_PARAMS"
    else:
        assert isinstance(decoded, METHODS[method].params)
