"""Parameters of the methods about speech and fax tones; the events stand in api.py."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from roomtone.control.core.api import Id


class VadStart(Struct):
    """model: the engine's own detector, or the neural network (extra `[vad]`)."""

    endpoint_id: Id
    silence_interval_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 1000
    speech_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    model: Literal["energy", "neural"] = "energy"


class VadStop(Struct):
    endpoint_id: Id


class FaxDetectStart(Struct):
    endpoint_id: Id


class FaxDetectStop(Struct):
    endpoint_id: Id
