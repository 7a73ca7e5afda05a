"""The session protocol's text frames: requests in; replies and events out.

Requests are decoded strictly by type; unknown fields are ignored.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from roomtone.control.core.api import EventData
from roomtone.control.core.problems import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Problem

MAX_REQUEST_ID_BYTES = 1024  # websocket.md section 1
SHOWN = 120  # characters of a decoder's message, from each end


class Request(Struct):
    id: str
    method: str
    params: msgspec.Raw = msgspec.Raw(b"")


class _IdOnly(Struct):
    id: str = ""


_EVENT_BEGINS = b'{"event":'
_encoder = msgspec.json.Encoder()
_request_decoder = msgspec.json.Decoder(Request)
_id_decoder = msgspec.json.Decoder(_IdOnly)


class Refused(Exception):
    """A frame that is no request: the problem and the id to answer with."""

    def __init__(self, request_id: str, problem: Problem) -> None:
        super().__init__(request_id, problem)
        self.request_id = request_id
        self.problem = problem


def decode_request(data: bytes) -> Request:
    """One text frame.  Raises `Refused`."""
    try:
        request = _request_decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(_readable_id(data), Problem(PARSE_ERROR, f"Not a request: {_shown(error)}")) from None
    if not request.id:
        raise Refused("", Problem(INVALID_REQUEST, "The id must not be empty", "id"))
    if len(request.id.encode()) > MAX_REQUEST_ID_BYTES:
        message = f"The id exceeds the maximum length of {MAX_REQUEST_ID_BYTES} bytes"
        raise Refused(request.id, Problem(INVALID_PARAMS, message, "id"))
    return request


def _readable_id(data: bytes) -> str:
    try:
        return _id_decoder.decode(data).id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""


def _shown(error: Exception) -> str:
    """What the decoder says: what is wrong, which may quote the client at any length, and where."""
    text = str(error)
    return text if len(text) <= 2 * SHOWN else f"{text[:SHOWN]}…{text[-SHOWN:]}"


def params_decoder(params: type[Struct]) -> msgspec.json.Decoder:
    return msgspec.json.Decoder(params)


def decode_params(decoder: msgspec.json.Decoder, raw: msgspec.Raw) -> Struct:
    """Parameters of one method; absent and null are the same as an empty object.  Raises `Problem`."""
    text = bytes(raw)
    try:
        params: Struct = decoder.decode(b"{}" if text in (b"", b"null") else text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(INVALID_PARAMS, f"Invalid params: {_shown(error)}") from None
    return params


def encode_result(request_id: str, result: Struct) -> bytes:
    return b'{"id":%b,"result":%b}' % (_encoder.encode(request_id), _encoder.encode(result))


def encode_error(request_id: str, problem: Problem) -> bytes:
    error = {"code": problem.code, "message": problem.message}
    return b'{"id":%b,"error":%b}' % (_encoder.encode(request_id), _encoder.encode(error))


def encode_event(event: EventData) -> bytes:
    return b'%b"%b","data":%b}' % (_EVENT_BEGINS, event.NAME.encode(), _encoder.encode(event))


def is_event(text: bytes) -> bool:
    """Whether an encoded text is an event, not a reply."""
    return text.startswith(_EVENT_BEGINS)
