"""Control frames against core in memory: each has exactly one reply, with a code of ours."""

import json
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

with atheris.instrument_imports(include=["roomtone.control.core"]):
    from roomtone.control.core.problems import CODES
    from roomtone.control.core.requests import METHODS

from desk import ANSWER, OFFER, Desk

MAX_FRAMES = 5
NAMES = [*METHODS, "session.bridge", ""]
KEYS = (
    "endpoint_id", "session_id", "sdp", "direction", "type", "codecs", "tone", "frequency", "duration_ms",
    "digit", "volume", "enabled", "interval_ms", "srtp", "offer_generation", "caller_id",
)  # fmt: skip
IDS = [f"5eed000{n}-0000-4000-8000-000000000000" for n in (1, 2, 3)]
VALUES = (
    OFFER, ANSWER, "rtp", "sendonly", "auto", "beep", "sine", "5", "pcmu", ["pcma", "l16"], [], {}, None,
    True, False, 0, 1, 500, 65536, -1, 2**70, 0.5, "\x00", *IDS,
)  # fmt: skip


@atheris.instrument_func
def composed(data: bytes) -> list[bytes]:
    """A few requests of known words and values."""
    source = atheris.FuzzedDataProvider(data)
    frames = []
    while source.remaining_bytes() > 2 and len(frames) < MAX_FRAMES:
        method = NAMES[source.ConsumeIntInRange(0, len(NAMES) - 1)]
        params = {
            KEYS[source.ConsumeIntInRange(0, len(KEYS) - 1)]: VALUES[
                source.ConsumeIntInRange(0, len(VALUES) - 1)
            ]
            for _ in range(source.ConsumeIntInRange(0, 4))
        }
        frame = json.dumps({"id": str(len(frames)), "method": method, "params": params}).encode()
        if source.ConsumeIntInRange(0, 7) == 0:
            place = source.ConsumeIntInRange(0, len(frame))
            frame = frame[:place] + source.ConsumeBytes(3) + frame[place + 1 :]
        frames.append(frame)
    return frames


@atheris.instrument_func
def test_one_input(data: bytes) -> None:
    desk = Desk()
    client = desk.connect()
    client.send("session.create")
    client.send("endpoint.create_offer", type="rtp")
    frames = [data, *composed(data)]
    for frame in frames:
        client.send_raw(frame)
    replies = [message for message in client.log if "id" in message]
    assert len(replies) == len(frames) + 2 and client.ready
    for reply in replies:
        assert isinstance(reply["id"], str)
        assert ("error" in reply) != ("result" in reply)
        assert reply.get("error", {"code": "PARSE_ERROR"})["code"] in CODES - {"INTERNAL_ERROR"}
    client.send("session.destroy")
    client.close()
    assert not desk.workers[0].endpoints and not desk.timers


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
