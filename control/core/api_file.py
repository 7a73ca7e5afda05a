"""Parameters and results of the methods about files; the events stand in api.py."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from roomtone.control.core.api import MAX_EXACT, Id

# In Python `$` alone would let a line feed follow.
HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$(?!\n)")]  # RFC 9110 section 5.6.2
HeaderValue = Annotated[str, Meta(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$(?!\n)")]  # no controls


class CreateWithFile(Struct):
    """source: a path below media_dir, or an http or https URL.  loop_count: how often again, None: for ever.

    What begins with cache_, timeout_ms and headers are for URLs only.
    """

    source: Annotated[str, Meta(min_length=1, max_length=8192, pattern=r"^[^\x00]*$")]
    start_ms: Annotated[int, Meta(ge=0, le=MAX_EXACT)] = 0
    loop_count: Annotated[int, Meta(ge=0, le=10_000)] | None = 0
    cache_ttl_secs: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 300
    cache_key: Annotated[str, Meta(max_length=1024)] | None = None
    shared: bool = False
    timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 10_000
    headers: dict[HeaderName, HeaderValue] | None = None
    gain_db: Annotated[float, Meta(ge=-60, le=60)] = 0.0


class FileSeek(Struct):
    endpoint_id: Id
    position_ms: Annotated[int, Meta(ge=0, le=MAX_EXACT)]


class FileChange(Struct):
    endpoint_id: Id


class FileCreated(Struct):
    endpoint_id: str
