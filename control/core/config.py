"""What can be configured, with defaults and limits: TOML text in, a `Config` or every fault out."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

MAX_PORT = 65535
LOG_LEVELS = ("debug", "info", "warning", "error")
WITHOUT_MEANING = frozenset({
    "webrtc_port_range", "auth_hmac_secret_file", "auth_hmac_max_age_secs", "max_pending_downloads",
    "max_download_owners", "max_cache_entries", "max_cache_bytes", "legacy_ice_renomination",
})  # fmt: skip
MAX_COOLDOWN_MS = 60_000
MAX_SECONDS = 365 * 24 * 3600  # a year: beyond it a number is a mistake


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    cert_path: str = ""
    key_path: str = ""


class Rooms(Struct, frozen=True, forbid_unknown_fields=True):
    strict_names: bool = False


class Tenancy(Struct, frozen=True, forbid_unknown_fields=True):
    hide_foreign: bool = False


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Cooldowns of the groups of REST commands (core/rest/cooldown.py), in milliseconds."""

    playback_ms: int = 500
    seek_ms: int = 100
    heavy_ms: int = 2000
    conference_ms: int = 2000
    conference_mute_ms: int = 2000
    conference_play_ms: int = 2000
    conference_control_ms: int = 200


class Watchdog(Struct, frozen=True, forbid_unknown_fields=True):
    mode: Literal["progress", "literal"] = "progress"


class Webhooks(Struct, frozen=True, forbid_unknown_fields=True):
    allow_http: bool = False
    allow_localhost: bool = False
    allow_networks: tuple[str, ...] = ()
    timeout_secs: int = 10  # of an attempt
    max_in_flight: int = 64  # attempts at a time, of one endpoint
    breaker_hold_secs: int = 86400  # events that waited so long for an endpoint that is down leave the order
    retention_secs: int = 604800  # events and what became of them


class Compat(Struct, frozen=True, forbid_unknown_fields=True):
    started_on_dispatch: bool = False


class Config(Struct, frozen=True, kw_only=True):
    """The configuration; the names are the TOML keys.  None: not set; 0 in `max_` limits: unlimited."""

    listen: str = "127.0.0.1:9100"
    media_ip: tuple[str, ...] = ("127.0.0.1",)  # one a family
    rtp_port_range: tuple[int, int] = (30000, 39999)
    workers: int = 0  # 0: as many as this process may use processors
    cpu_affinity: tuple[int, ...] | None = None
    disconnect_timeout_secs: int = 30
    shutdown_max_wait_secs: int = 300
    media_dir: str | None = None
    recording_dir: str | None = None
    cache_dir: str | None = None
    cache_cleanup_interval_secs: int = 300
    max_concurrent_downloads: int = 16
    max_sessions: int = 10000
    max_endpoints_per_session: int = 20
    max_recordings_per_session: int = 100
    recording_flush_timeout_secs: int = 10
    recording_channel_size: int = 1000
    recording_ring_bytes: int = 33554432
    ws_max_message_size_kb: int = 256
    max_sdp_size_kb: int = 64
    session_idle_timeout_secs: int = 0
    empty_session_timeout_secs: int = 0
    media_timeout_secs: int = 5
    max_connections: int = 1000
    ws_ping_interval_secs: int = 30
    event_channel_size: int = 256
    critical_event_channel_size: int = 64
    transcode_cache_size: int = 64
    max_file_download_bytes: int = 104857600
    max_recording_download_bytes: int = 536870912
    rtp_source_networks: tuple[str, ...] = ()
    file_download_origins: tuple[str, ...] = ()
    file_download_networks: tuple[str, ...] = ()
    log_level: str = "info"

    worker_endpoints: int = 8192
    session_spread_at: int = 200
    relay_gather_us: int = 500
    overload_shed_at: float = 0.85  # share of a media thread's CPU; 0: never (engine/overload.py)
    overload_refuse_at: float = 0.92
    node_id: str | None = None  # None: the host's name
    state_dir: str | None = None
    outbox_max_events: int = 1_000_000
    outbox_max_bytes: int = 2_147_483_648
    runtime_dir: str | None = None
    auth_token_file: str | None = None
    allow_plaintext_control: bool = False
    allow_unauthenticated_control: bool = False
    neural_vad_streams: int = 50
    tls: Tls | None = None
    rooms: Rooms = field(default_factory=Rooms)
    tenancy: Tenancy = field(default_factory=Tenancy)
    limits: Limits = field(default_factory=Limits)
    watchdog: Watchdog = field(default_factory=Watchdog)
    webhooks: Webhooks = field(default_factory=Webhooks)
    compat: Compat = field(default_factory=Compat)

    warnings: tuple[str, ...] = ()  # not a key: what `load` has to say to the operator

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host (without brackets) and port."""
        return _split_address(self.listen)


class ConfigError(Exception):
    """Every fault of a configuration, one message each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


# Least and greatest value of the whole numbers.  Keys that are not here take any number from 0.
RANGES: dict[str, tuple[int, int]] = {
    "workers": (0, 1024),
    "disconnect_timeout_secs": (0, MAX_SECONDS),
    "shutdown_max_wait_secs": (0, MAX_SECONDS),
    "cache_cleanup_interval_secs": (1, MAX_SECONDS),
    "recording_flush_timeout_secs": (1, MAX_SECONDS),
    "recording_channel_size": (1, 1_000_000),
    "recording_ring_bytes": (1 << 20, 1 << 30),
    "ws_max_message_size_kb": (1, 1_048_576),
    "max_sdp_size_kb": (0, 1024),
    "session_idle_timeout_secs": (0, MAX_SECONDS),
    "empty_session_timeout_secs": (0, MAX_SECONDS),
    "media_timeout_secs": (1, MAX_SECONDS),
    "ws_ping_interval_secs": (1, MAX_SECONDS),
    "event_channel_size": (1, 1_000_000),
    "critical_event_channel_size": (1, 1_000_000),
    "worker_endpoints": (1, 1 << 20),  # a handle has 20 bits of index
    "session_spread_at": (1, 1 << 20),
    "relay_gather_us": (0, 5000),
    "outbox_max_events": (1000, 1 << 40),
    "outbox_max_bytes": (1 << 20, 1 << 50),
}
WEBHOOK_RANGES = {
    "timeout_secs": (1, 30),
    "max_in_flight": (1, 1000),
    "breaker_hold_secs": (1, MAX_SECONDS),
    "retention_secs": (3600, MAX_SECONDS),
}
# Variables that permit, with true or 1, what the key of [webhooks] does.
ENVIRONMENT = {"ALLOW_HTTP_WEBHOOKS": "allow_http", "ALLOW_LOCALHOST_WEBHOOKS": "allow_localhost"}
NUMBERS = tuple(name for name, kind in Config.__annotations__.items() if kind == "int")


def load(
    text: str, overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Build the configuration from a TOML file's text and the command line's values.

    overrides beat the file; values None are no override.  environ: may permit what `ENVIRONMENT` names.
    Unknown keys are faults, keys of the reference server without meaning here are warnings.  Raises
    `ConfigError` with every fault found.
    """
    faults: list[str] = []
    warnings: list[str] = []
    try:
        given: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"not TOML: {error}"]) from None
    for name, key in ENVIRONMENT.items():
        if (environ or {}).get(name, "").lower() in ("true", "1"):
            table = given.setdefault("webhooks", {})
            if isinstance(table, dict):
                table.setdefault(key, True)
    given.update({key: value for key, value in (overrides or {}).items() if value is not None})
    values: dict[str, Any] = {}
    types = {f.name: f.type for f in msgspec.structs.fields(Config) if f.name != "warnings"}
    for key, value in given.items():
        if key in WITHOUT_MEANING:
            warnings.append(f"{key}: has no meaning here and is ignored")
        elif key not in types:
            faults.append(f"{key}: unknown key")
        else:
            try:
                values[key] = msgspec.convert(_prepared(key, value), types[key])
            except (msgspec.ValidationError, ValueError) as error:
                faults.append(f"{key}: {error}")
    config = Config(**values, warnings=tuple(warnings))
    for check in CHECKS:
        faults.extend(check(config))
    if faults:
        raise ConfigError(faults)
    return config


def _prepared(key: str, value: Any) -> Any:
    """Bring the shorter spellings to the one form: a single media_ip, a processor list such as "0-3,6"."""
    if key == "media_ip" and isinstance(value, str):
        return [value]
    if key == "cpu_affinity" and isinstance(value, str):
        return _processors(value)
    return value


def _processors(text: str) -> list[int]:
    out: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", part)
        if match is None:
            raise ValueError(f"{part!r} is no processor or range of processors")
        first = int(match[1])
        out.extend(range(first, int(match[2] or first) + 1))
    return out


def state_dir(config: Config, runtime_dir: str) -> str:
    """Where the store lies."""
    return config.state_dir or f"{runtime_dir}/state"


def _split_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > len(str(MAX_PORT)):
        raise ValueError("must be ADDRESS:PORT")
    if int(port) > MAX_PORT:
        raise ValueError(f"port {port} is above {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets")
    if not host:
        raise ValueError("must be ADDRESS:PORT")
    return host, int(port)


# -- checks: each yields the faults of one subject -----------------------------------------------------------


def _check_numbers(config: Config) -> list[str]:
    faults = []
    for name in NUMBERS:
        low, high = RANGES.get(name, (0, 2**63 - 1))
        if not low <= getattr(config, name) <= high:
            faults.append(f"{name}: {getattr(config, name)} is outside {low}..{high}")
    for name, value in msgspec.structs.asdict(config.limits).items():
        if not 0 <= value <= MAX_COOLDOWN_MS:
            faults.append(f"limits.{name}: {value} is outside 0..{MAX_COOLDOWN_MS}")
    for name, (low, high) in WEBHOOK_RANGES.items():
        if not low <= getattr(config.webhooks, name) <= high:
            faults.append(f"webhooks.{name}: {getattr(config.webhooks, name)} is outside {low}..{high}")
    return faults


def _check_overload(config: Config) -> list[str]:
    names = ("overload_shed_at", "overload_refuse_at")
    faults = [f"{name}: must be from 0 to 1" for name in names if not 0 <= getattr(config, name) <= 1]
    if not faults and config.overload_shed_at > config.overload_refuse_at > 0:
        faults.append("overload_shed_at: must not be above overload_refuse_at")
    return faults


def _check_listen(config: Config) -> list[str]:
    try:
        host, _ = config.listen_address
    except ValueError as error:
        return [f"listen: {error}"]
    faults = []
    if not _is_loopback(host):
        if config.auth_token_file is None and not config.allow_unauthenticated_control:
            faults.append(
                "listen: not loopback and no auth_token_file (allow_unauthenticated_control=true permits it)"
            )
        if config.tls is None and not config.allow_plaintext_control:
            faults.append("listen: not loopback and no [tls] (allow_plaintext_control=true permits it)")
    if config.tls is not None and not (config.tls.cert_path and config.tls.key_path):
        faults.append("tls: needs both cert_path and key_path")
    return faults


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_media(config: Config) -> list[str]:
    faults = []
    families = []
    for text in config.media_ip:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            faults.append(f"media_ip: {text!r} is no IP address")
            continue
        if address.is_unspecified or address.is_multicast:
            faults.append(f"media_ip: {text} cannot stand in an SDP")
        families.append(address.version)
    if not config.media_ip:
        faults.append("media_ip: at least one address is needed")
    if len(set(families)) < len(families):
        faults.append("media_ip: one address a family")
    low, high = config.rtp_port_range
    if not (1 <= low <= high <= MAX_PORT):
        faults.append(f"rtp_port_range: must be two ports in order, 1..{MAX_PORT}")
    elif high < low + low % 2 + 1:
        faults.append("rtp_port_range: holds no pair of an even port and the next")
    return faults


def _check_networks(config: Config) -> list[str]:
    faults = []
    given = {
        "rtp_source_networks": config.rtp_source_networks,
        "file_download_networks": config.file_download_networks,
        "webhooks.allow_networks": config.webhooks.allow_networks,
    }
    for name, networks in given.items():
        for text in networks:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                faults.append(f"{name}: {error}")
    for origin in config.file_download_origins:
        if not re.fullmatch(r"https?://[^/?#\s]+", origin):
            faults.append(f"file_download_origins: {origin!r} is no origin such as https://example.org")
    return faults


def _check_words(config: Config) -> list[str]:
    faults = []
    if config.log_level not in LOG_LEVELS:
        faults.append(f"log_level: must be one of {', '.join(LOG_LEVELS)}")
    if config.cpu_affinity is not None and (not config.cpu_affinity or min(config.cpu_affinity) < 0):
        faults.append("cpu_affinity: needs at least one processor number")
    for name in (
        "media_dir",
        "recording_dir",
        "cache_dir",
        "state_dir",
        "runtime_dir",
        "auth_token_file",
        "node_id",
    ):
        value = getattr(config, name)
        if value is not None and (not value or "\0" in value):
            faults.append(f"{name}: must not be empty")
    return faults


CHECKS: tuple[Callable[[Config], list[str]], ...] = (
    _check_numbers,
    _check_overload,
    _check_listen,
    _check_media,
    _check_networks,
    _check_words,
)
