"""The configuration: defaults, what beats what, and one message for every fault."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.control.core.config import WITHOUT_MEANING, Config, ConfigError, load

DEFAULTS = {
    "listen": "127.0.0.1:9100",
    "media_ip": ("127.0.0.1",),
    "rtp_port_range": (30000, 39999),
    "workers": 0,
    "disconnect_timeout_secs": 30,
    "shutdown_max_wait_secs": 300,
    "cache_cleanup_interval_secs": 300,
    "max_concurrent_downloads": 16,
    "max_sessions": 10000,
    "max_endpoints_per_session": 20,
    "max_recordings_per_session": 100,
    "recording_flush_timeout_secs": 10,
    "recording_channel_size": 1000,
    "recording_ring_bytes": 33554432,
    "ws_max_message_size_kb": 256,
    "max_sdp_size_kb": 64,
    "session_idle_timeout_secs": 0,
    "empty_session_timeout_secs": 0,
    "media_timeout_secs": 5,
    "max_connections": 1000,
    "ws_ping_interval_secs": 30,
    "event_channel_size": 256,
    "critical_event_channel_size": 64,
    "transcode_cache_size": 64,
    "max_file_download_bytes": 104857600,
    "max_recording_download_bytes": 536870912,
    "rtp_source_networks": (),
    "file_download_origins": (),
    "file_download_networks": (),
    "log_level": "info",
    "worker_endpoints": 8192,
    "session_spread_at": 200,
    "relay_gather_us": 500,
    "overload_shed_at": 0.85,
    "overload_refuse_at": 0.92,
    "allow_plaintext_control": False,
    "allow_unauthenticated_control": False,
    "neural_vad_streams": 50,
    "outbox_max_events": 1000000,
    "outbox_max_bytes": 2147483648,
}
UNSET = {
    "cpu_affinity", "media_dir", "recording_dir", "cache_dir", "node_id", "state_dir", "runtime_dir",
    "auth_token_file", "tls",
}  # fmt: skip
TABLES = {"rooms", "tenancy", "limits", "watchdog", "webhooks", "compat"}


def faults(text: str, **overrides: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(text, overrides)
    assert str(error.value) == "\n".join(error.value.faults)
    return error.value.faults


def test_an_empty_file_gives_the_defaults() -> None:
    config = load("")
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert all(getattr(config, name) is None for name in UNSET)
    assert set(Config.__struct_fields__) == set(DEFAULTS) | UNSET | TABLES | {"warnings"}
    assert config.listen_address == ("127.0.0.1", 9100)
    assert config.limits.conference_mute_ms == 2000 and config.watchdog.mode == "progress"


def test_the_command_line_beats_the_file_and_the_file_beats_defaults() -> None:
    text = 'workers = 3\nlog_level = "debug"\nmedia_ip = "192.0.2.1"\ncpu_affinity = "0-2,5"\n'
    config = load(text, {"workers": 5, "log_level": None, "media_ip": ("192.0.2.9", "2001:db8::1")})
    assert (config.workers, config.log_level) == (5, "debug")
    assert config.media_ip == ("192.0.2.9", "2001:db8::1")
    assert config.cpu_affinity == (0, 1, 2, 5)


def test_every_fault_has_its_message_and_all_are_told_together() -> None:
    text = (
        'colour = 1\nworkers = "two"\nmax_sessions = -1\nmedia_ip = ["192.0.2.1", "192.0.2.2"]\n'
        'rtp_port_range = [40000, 30000]\nlog_level = "loud"\n[rooms]\nstrict = true\n'
    )
    told = faults(text)
    assert [fault.split(":")[0] for fault in told] == [
        "colour",
        "workers",
        "rooms",
        "max_sessions",
        "media_ip",
        "rtp_port_range",
        "log_level",
    ]
    assert "strict" in told[2]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("warnings = []", "warnings: unknown key"),
        ("workers = true", "workers"),
        ("workers = 1.5", "workers"),
        ("workers = 1025", "workers"),
        ('listen = "9100"', "listen: must be ADDRESS:PORT"),
        ('listen = ":9100"', "listen: must be ADDRESS:PORT"),
        ('listen = "127.0.0.1:65536"', "listen: port 65536"),
        ('listen = "127.0.0.1:99999999"', "listen: must be"),
        ('listen = "::1:9100"', "listen: an IPv6 address needs brackets"),
        ('media_ip = "host.example.org"', "media_ip: 'host.example.org'"),
        ('media_ip = "0.0.0.0"', "media_ip: 0.0.0.0"),
        ("media_ip = []", "media_ip: at least one"),
        ("rtp_port_range = [30000]", "rtp_port_range"),
        ("rtp_port_range = [30001, 30002]", "rtp_port_range: holds no pair"),
        ("rtp_port_range = [0, 100]", "rtp_port_range: must be two ports"),
        ("rtp_port_range = [60000, 65536]", "rtp_port_range: must be two ports"),
        ('rtp_source_networks = ["10.0.0.1/8"]', "rtp_source_networks"),
        ('file_download_networks = ["x"]', "file_download_networks"),
        ('webhooks.allow_networks = ["10.0.0.1/8"]', "webhooks.allow_networks"),
        ('file_download_origins = ["example.org"]', "file_download_origins"),
        ('cpu_affinity = "0-"', "cpu_affinity"),
        ("cpu_affinity = []", "cpu_affinity"),
        ("event_channel_size = 0", "event_channel_size"),
        ("media_timeout_secs = 0", "media_timeout_secs"),
        ("max_sdp_size_kb = -1", "max_sdp_size_kb"),
        ('media_dir = ""', "media_dir"),
        ('[tls]\ncert_path = "c"', "tls: needs both"),
        ('[watchdog]\nmode = "soft"', "watchdog"),
        ("overload_refuse_at = 1.1", "overload_refuse_at: must be from 0 to 1"),
        ("overload_shed_at = 0.95", "overload_shed_at: must not be above overload_refuse_at"),
        ("[limits]\nconference_mute_ms = -1", "limits.conference_mute_ms"),
    ],
)
def test_bad_values_are_named(line: str, fault: str) -> None:
    (told,) = faults(line)
    assert told.startswith(fault)


def test_what_is_no_toml_is_one_fault() -> None:
    assert len(faults("a = ")) == 1
    assert len(faults("workers = 1\nworkers = 2")) == 1


def test_keys_of_the_reference_server_without_meaning_are_warnings() -> None:
    config = load("\n".join(f"{key} = 1" for key in sorted(WITHOUT_MEANING)))
    assert len(config.warnings) == len(WITHOUT_MEANING) == 8
    assert config.warnings[0].startswith("auth_hmac_max_age_secs:")


def test_an_open_listen_address_needs_tokens_and_tls_or_two_permissions() -> None:
    assert len(faults('listen = "0.0.0.0:9100"')) == 2
    assert len(faults('listen = "[2001:db8::1]:9100"\nauth_token_file = "t"')) == 1
    assert len(faults("", listen="roomtone.example.org:9100")) == 2
    tls = '[tls]\ncert_path = "c"\nkey_path = "k"\n'
    assert load('listen = "0.0.0.0:9100"\nauth_token_file = "t"\n' + tls).tls.cert_path == "c"
    config = load(
        'listen = "0.0.0.0:1"\nallow_plaintext_control = true\nallow_unauthenticated_control = true'
    )
    assert config.listen_address == ("0.0.0.0", 1)
    for listen in ("127.0.0.9:1", "[::1]:1", "localhost:1"):
        load("", {"listen": listen})


any_values = (
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.booleans()
    | st.lists(st.integers() | st.text(max_size=5), max_size=3)
)


@given(st.dictionaries(st.sampled_from([*DEFAULTS, *UNSET, *TABLES]), any_values, max_size=4))
def test_any_values_give_a_configuration_or_faults(values: dict[str, object]) -> None:
    try:
        config = load("", values)
    except ConfigError as error:
        assert error.faults
        assert all(re.match(r"[a-z_.]+: ", fault) for fault in error.faults)
    else:
        assert config.listen_address[1] <= 65535


def test_load_takes_text_and_nothing_of_core_opens_a_file() -> None:
    core = Path(load.__code__.co_filename).parent
    for path in core.glob("*.py"):
        assert not re.search(r"\bopen\(|\bread_text\(|\bos\.environ\b|\bprint\(", path.read_text()), path.name


@pytest.mark.parametrize(
    ("text", "environ", "permitted"),
    [
        ("", {}, (False, False)),
        ("", {"ALLOW_HTTP_WEBHOOKS": "true"}, (True, False)),
        ("", {"ALLOW_HTTP_WEBHOOKS": "no", "ALLOW_LOCALHOST_WEBHOOKS": "1"}, (False, True)),
        ("[webhooks]\nallow_http = false", {"ALLOW_HTTP_WEBHOOKS": "true"}, (False, False)),
    ],
)
def test_the_environment_permits_where_the_file_says_nothing(
    text: str, environ: dict[str, str], permitted: tuple[bool, bool]
) -> None:
    loaded = load(text, environ=environ).webhooks
    assert (loaded.allow_http, loaded.allow_localhost) == permitted
