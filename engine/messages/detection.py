"""What is told of what a peer says: keys, speech, fax tones."""

from __future__ import annotations

import msgspec


class KeyPressed(msgspec.Struct, tag="key", tag_field="t", kw_only=True):
    """source: rfc4733 | inband."""

    session: str
    endpoint: str
    digit: str
    duration_ms: int
    source: str = "rfc4733"


class SetSensitive(msgspec.Struct, tag="set_sensitive", tag_field="t", kw_only=True):
    """The peer's keys are not to be recorded, or again.  Reply: `Done`."""

    endpoint: str
    enabled: bool


class Vad(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell of an endpoint's speech (websocket.md, vad.start).

    speech_threshold: probability from which on a frame is speech, 0 to 1.  neural: by the neural network.
    """

    silence_interval_ms: int = 1000
    speech_threshold: float = 0.5
    neural: bool = False


class StartVad(msgspec.Struct, tag="start_vad", tag_field="t", kw_only=True):
    """Tell of the endpoint's speech from now on; replaces what was asked before.  Reply: `Done`."""

    endpoint: str
    vad: Vad


class StopVad(msgspec.Struct, tag="stop_vad", tag_field="t"):
    """Reply: `Done`."""

    endpoint: str


class SpeechStarted(msgspec.Struct, tag="speech", tag_field="t", kw_only=True):
    session: str
    endpoint: str


class Silent(msgspec.Struct, tag="silence", tag_field="t", kw_only=True):
    """duration_ms: since speech was last heard."""

    session: str
    endpoint: str
    duration_ms: int


class VadFailed(msgspec.Struct, tag="vad_failed", tag_field="t", kw_only=True):
    """Speech is not watched any more, or not for the time being ("overload")."""

    session: str
    endpoint: str
    error: str


class DetectFax(msgspec.Struct, tag="detect_fax", tag_field="t", kw_only=True):
    """Tell of fax tones from now on, or no longer.  Reply: `Done`."""

    endpoint: str
    enabled: bool


class FaxTone(msgspec.Struct, tag="fax_tone", tag_field="t", kw_only=True):
    """tone: cng | ced."""

    session: str
    endpoint: str
    tone: str


class FaxFailed(msgspec.Struct, tag="fax_failed", tag_field="t", kw_only=True):
    """Fax tones are not watched for, for the time being ("overload")."""

    session: str
    endpoint: str
    error: str
