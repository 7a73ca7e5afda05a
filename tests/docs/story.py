"""Runs the examples of a protocol document against a server, in the order in which they stand.

A fenced block ``session`` is a conversation.  ``> `` is sent, ``< `` must come back; a frame may go on over
further lines that begin with two blanks.  ``2> `` and ``2< `` are another connection.  In a frame

    "$name"      stands for a value: the first time it is remembered, from then on it must be the same
    "…"          as a value: anything;  as a key: there may be further members

A block ``audio`` is a conversation with the bot's audio WebSocket, where ``> 200 ms`` is a binary frame of so
much audio.

A block ``sdp NAME`` is the value of ``$NAME``; a block ``answer NAME`` shows one, where numbers of four and
more digits and the cname may differ.  A block ``http`` is a request line, headers and a body where there are
some, the status, and the body of the answer.  Who asks is the application ``my-app``, for ``/admin/`` the
administrator, unless the headers say otherwise.  A block ``webhook`` is the body of the next one of its event
that comes to ``my-app``.  A block ``events`` shows events that are not part of the story; they must be as the
contract has them.

What telephones do is not part of the protocol; it stands in comments: ``<!-- alice speaks -->``, where
alice is the name of the SDP she offered.  Likewise ``alice presses 5``, ``alice stops``, ``alice says bye
REASON``, ``connection 1 ends``, ``bot dials $token``, ``bot hangs up``.  Into her telephone go ``alice utters
a sentence``, ``alice plays key 5`` and ``alice plays cng`` (or ced): a key within the audio, a fax tone.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
from contract import check_audio_text, check_event
from demo_parts.caller import Caller, Script
from demo_parts.receiver import Receiver
from demo_parts.server import Server
from demo_parts.sound import FRAME_MS, FRAME_SAMPLES, FRAMES_A_SECOND
from sounds import key, sine, voice

FRAME_WAIT_S = 20.0
POLL_S = 0.05
DELIVERIES = "/api/v1/webhooks/deliveries"  # what came of one is written down after it
TRACK_FRAMES = 120 * FRAMES_A_SECOND
BOT_BYTES_A_MS = 32  # 16 kHz, as in the example
APP, API_KEY = "my-app", "a-key-of-my-app-1"
STATUS = re.compile(r"\d{3} ")
HEADER = re.compile(r"([A-Za-z-]+): (.*)")
HEARD_FRAMES = 5  # packets until a telephone counts as heard
BLOCK = re.compile(r"^```([^\n]+)\n(.*?)^```$|^<!-- (.*?) -->$", re.M | re.S)
ANYTHING = "…"
SHOWN_ONLY = ("text", "python")  # programs are run by tests of their own
RECEIVER_REPORT, BYE = 201, 203
FAX_TONES = {"cng": (1100, 500), "ced": (2100, 2600)}  # Hz, ms (ITU-T T.30)


@dataclass
class Step:
    """One block of a document.  kind: session, sdp, answer, http, webhook or action."""

    kind: str
    argument: str
    text: str


def steps(document: str) -> list[Step]:
    out = []
    for info, text, action in BLOCK.findall(document):
        if action:
            out.append(Step("action", action.strip(), ""))
        else:
            kind, _, argument = info.strip().partition(" ")
            out.append(Step(kind, argument.strip(), text))
    return out


def frames(text: str) -> list[tuple[str, str, str]]:
    """(connection, direction, frame) of a conversation."""
    out: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        match = re.match(r"(\d?)([<>]) (.*)$", line)
        if match:
            out.append((match[1] or "1", match[2], match[3]))
        elif line.startswith("  ") and out:
            connection, direction, frame = out[-1]
            out[-1] = (connection, direction, frame + " " + line.strip())
        elif line.strip():
            raise AssertionError(f"not a line of a conversation: {line!r}")
    return out


class Mismatch(AssertionError):
    pass


class Values:
    """What the names stand for."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def filled(self, pattern: Any) -> Any:
        """A frame to send: names replaced."""
        if isinstance(pattern, dict):
            return {key: self.filled(value) for key, value in pattern.items()}
        if isinstance(pattern, list):
            return [self.filled(value) for value in pattern]
        if isinstance(pattern, str) and pattern.startswith("$"):
            return self.known[pattern[1:]]
        return pattern

    def match(self, pattern: Any, value: Any, where: str = "") -> None:
        """Raises Mismatch."""
        if pattern == ANYTHING:
            return
        if isinstance(pattern, str) and pattern.startswith("$"):
            if self.known.setdefault(pattern[1:], value) != value:
                raise Mismatch(f"{where}: {value!r} is not {pattern} = {self.known[pattern[1:]]!r}")
        elif isinstance(pattern, dict) and isinstance(value, dict):
            named = set(pattern) - {ANYTHING}
            if named != set(value) and not (ANYTHING in pattern and named <= set(value)):
                raise Mismatch(f"{where}: members {sorted(value)}, not {sorted(pattern)}")
            for key in named:
                self.match(pattern[key], value[key], f"{where}.{key}")
        elif isinstance(pattern, list) and isinstance(value, list):
            if len(pattern) != len(value):
                raise Mismatch(f"{where}: {len(value)} entries, not {len(pattern)}")
            for number, (one, other) in enumerate(zip(pattern, value, strict=True)):
                self.match(one, other, f"{where}[{number}]")
        elif pattern != value or type(pattern) is not type(value):
            raise Mismatch(f"{where}: {value!r}, not {pattern!r}")


class Story:
    """One document being run."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.values = Values()
        self.requests = 0  # requests sent
        self.done = 0  # blocks run
        self.frames: list[tuple[str, Any]] = []  # direction and frame, as they went
        self.events: Counter[str] = Counter()
        self._http: aiohttp.ClientSession
        self._receiver = Receiver()
        self._webhooks: Counter[str] = Counter()  # shown, by event
        self._has_app = False
        self._bot: aiohttp.ClientWebSocketResponse
        self._connections: dict[str, aiohttp.ClientWebSocketResponse] = {}
        self._telephones: dict[str, Caller] = {}
        self._talking: dict[str, asyncio.Task[None]] = {}
        self._numbers: dict[str, int] = {}
        self._offered: dict[str, str] = {}  # id of a request -> name of its SDP

    async def run(self, document: str) -> None:
        async with self._receiver, aiohttp.ClientSession(self.server.http_url) as self._http:
            self.values.known["webhook_url"] = self._receiver.url("/hook")
            try:
                for step in steps(document):
                    if step.kind not in SHOWN_ONLY:
                        await getattr(self, f"_do_{step.kind}")(step)
                        self.done += 1
            finally:
                for task in self._talking.values():
                    task.cancel()
                for telephone in self._telephones.values():
                    telephone.close()

    # -- blocks ----------------------------------------------------------------------------------------------

    async def _do_sdp(self, step: Step) -> None:
        telephone = Caller(step.argument, "PCMU", Script(np.zeros(TRACK_FRAMES * FRAME_SAMPLES, np.int16)), 1)
        await telephone.open()
        self._telephones[step.argument] = telephone
        port = re.search(r"^m=audio (\d+)", telephone.offer_sdp(), re.M)
        assert port
        text = re.sub(r"^m=audio \d+", f"m=audio {port[1]}", step.text, flags=re.M)
        self.values.known[step.argument] = text.replace("\n", "\r\n")

    async def _do_answer(self, step: Step) -> None:
        given = str(self.values.known[step.argument]).replace("\r\n", "\n")
        assert _without_numbers(given).strip() == _without_numbers(step.text).strip()

    async def _do_http(self, step: Step) -> None:
        request, *lines = step.text.splitlines()
        method, path = request.split()
        for name, value in self.values.known.items():
            path = path.replace(f"${name}", str(value))
        at = next(number for number, line in enumerate(lines) if STATUS.match(line))
        given = [line for line in lines[:at] if line]
        headers = dict(match.groups() for line in given if (match := HEADER.fullmatch(line)))
        text = " ".join(line for line in given if not HEADER.fullmatch(line))
        body = json.loads(text) if text else None
        if path.startswith("/api/") and not self._has_app:
            key = {"api_key": API_KEY, "webhook_url": self.values.known["webhook_url"]}
            status, made = await self._ask("POST", f"/admin/apps/{APP}", {}, key)
            assert status == 201, made
        shown = int(lines[at].split()[0]), json.loads(" ".join(lines[at + 1 :]))
        answer = await self._shown(shown, method, path, headers, self.values.filled(body))
        offer = body.get("sdp") if isinstance(body, dict) else None
        if isinstance(offer, str) and offer.startswith("$") and "sdp_answer" in answer:
            self._telephones[offer[1:]].connect(answer["sdp_answer"])

    async def _shown(
        self, shown: tuple[int, Any], method: str, path: str, headers: dict[str, str], body: Any
    ) -> Any:
        """The answer, which must be as shown: at once, or soon where it tells what came of a delivery."""
        patience = asyncio.get_running_loop().time() + FRAME_WAIT_S
        while True:
            status, answer = await self._ask(method, path, headers, body)
            known = dict(self.values.known)
            try:
                assert status == shown[0], answer
                self.values.match(shown[1], answer, path)
                return answer
            except AssertionError:
                may_come = method == "GET" and path.startswith(DELIVERIES)
                if not may_come or asyncio.get_running_loop().time() > patience:
                    raise
            self.values.known = known
            await asyncio.sleep(POLL_S)

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and body of the answer; what the application needs to know of it is kept."""
        who = {}
        if path.startswith("/admin/"):
            who = {"X-Admin-API-Key": self.server.admin_key}
        elif path.startswith("/api/"):
            who = {"X-App-ID": APP, "X-API-Key": API_KEY}
        async with self._http.request(method, path, headers=who | headers, json=body) as reply:
            answer = await reply.json(content_type=None)
        if path == f"/admin/apps/{APP}" and reply.status < 300:
            self._has_app = True
            if "webhook_secret" in answer:
                self._receiver.secrets.setdefault("/hook", []).append(answer["webhook_secret"])
        return reply.status, answer

    async def _do_webhook(self, step: Step) -> None:
        shown = json.loads(step.text)
        name = shown["event"]
        self._webhooks[name] += 1
        self.values.match(shown, await self._receiver.wait_for(name, self._webhooks[name]), name)

    async def _do_events(self, step: Step) -> None:
        for _, _, text in frames(step.text):
            check_event(json.loads(text))

    async def _do_session(self, step: Step) -> None:
        for connection, direction, text in frames(step.text):
            socket = await self._connection(connection)
            if direction == ">":
                await socket.send_str(self._request(text))
            else:
                async with asyncio.timeout(FRAME_WAIT_S):
                    message = await socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, f"{message} instead of {text}"
                self._received(json.loads(text), json.loads(message.data))

    async def _do_audio(self, step: Step) -> None:
        for _, direction, text in frames(step.text):
            if direction == "<":
                async with asyncio.timeout(FRAME_WAIT_S):
                    told = json.loads(await self._bot.receive_str())
                check_audio_text(told, from_bot=False)
                self.values.match(json.loads(text), told)
            elif text.endswith(" ms"):
                await self._bot.send_bytes(bytes(int(text.split()[0]) * BOT_BYTES_A_MS))
            else:
                check_audio_text(json.loads(text), from_bot=True)
                await self._bot.send_str(text)

    async def _connection(self, name: str) -> aiohttp.ClientWebSocketResponse:
        if name not in self._connections:
            self._connections[name] = await self._http.ws_connect("/")
        return self._connections[name]

    def _request(self, text: str) -> str:
        try:
            pattern = json.loads(text)
        except ValueError:
            return text
        self.requests += 1
        if isinstance(pattern, dict) and "method" in pattern:
            sdp = (pattern.get("params") or {}).get("sdp")
            if isinstance(sdp, str) and sdp.startswith("$"):
                self._offered[pattern["id"]] = sdp[1:]
        frame = self.values.filled(pattern)
        self.frames.append((">", frame))
        return json.dumps(frame)

    def _received(self, pattern: Any, value: Any) -> None:
        self.frames.append(("<", value))
        try:
            self.values.match(pattern, value)
        except Mismatch as error:
            raise AssertionError(f"{error}\nin {json.dumps(value)}\nfor {json.dumps(pattern)}") from None
        if "event" in value:
            self.events[value["event"]] += 1
        elif value["id"] in self._offered and "sdp_answer" in value.get("result", {}):
            self._telephones[self._offered[value["id"]]].connect(value["result"]["sdp_answer"])

    # -- telephones ------------------------------------------------------------------------------------------

    async def _do_action(self, step: Step) -> None:
        who, verb, *more = step.argument.split()
        if who == "connection":
            await self._connections.pop(verb).close()
        elif verb == "dials":
            token = self.values.known[more[0].removeprefix("$")]
            self._bot = await self._http.ws_connect(f"/audio/{token}")
        elif verb == "hangs":
            await self._bot.close()
        elif verb == "speaks":
            self._talking[who] = asyncio.create_task(self._speak(who))
            while self._numbers.get(who, 0) < HEARD_FRAMES:
                await asyncio.sleep(FRAME_MS / 1000)
        elif verb == "presses":
            self._telephones[who].script.keys[self._numbers[who] + 1] = more[0]
        elif verb == "utters":
            self._into(who, voice(1.0))
        elif verb == "plays":
            self._into(who, key(more[1], 120) if more[0] == "key" else sine(*FAX_TONES[more[0]]))
        elif verb == "stops":
            self._talking.pop(who).cancel()
        elif verb == "says":
            self._say_bye(who, " ".join(more[1:]))
        else:
            raise AssertionError(f"unknown action: {step.argument}")

    async def _speak(self, who: str) -> None:
        """By the clock: a frame whose time was missed follows at once."""
        telephone, now = self._telephones[who], asyncio.get_running_loop().time
        first, began_s = self._numbers.get(who, 0), now()
        for number in range(first, TRACK_FRAMES):
            telephone.frame(number)
            self._numbers[who] = number + 1
            await asyncio.sleep(began_s + (number + 1 - first) * FRAME_MS / 1000 - now())

    def _into(self, who: str, sound: np.ndarray) -> None:
        """Say it from the next frame but one on."""
        first = (self._numbers[who] + 2) * FRAME_SAMPLES
        self._telephones[who].script.track[first : first + len(sound)] = sound

    def _say_bye(self, who: str, reason: str) -> None:
        """An empty receiver report and a BYE with its reason (RFC 3550 section 6.6) on the RTP port."""
        ssrc = self._telephones[who].ssrc
        text = bytes([len(reason)]) + reason.encode()
        text += bytes(-len(text) % 4)
        bye = struct.pack("!BBHI", 0x81, BYE, 1 + len(text) // 4, ssrc) + text
        self._telephones[who].send_raw(struct.pack("!BBHI", 0x80, RECEIVER_REPORT, 1, ssrc) + bye)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d{4,}", "#", re.sub(r"cname:\S+", "cname:#", text.replace("rtpmap:", "rtpmap ")))
