"""What clients of the public server of this protocol know is here and told, or answers that it is not there.

The lists are the protocol's.  A name beyond them would be one that no client knows.
"""

from __future__ import annotations

import re
import urllib.error

import msgspec
import pytest
from demo_parts.server import Server
from tables import ROOT, quoted, rows, section

from roomtone.control.core import api
from roomtone.control.core.config import Config, load
from roomtone.control.core.problems import CODES
from roomtone.control.core.requests import METHODS

PROTOCOL = ROOT / "docs" / "protocol"
SESSION = (PROTOCOL / "session.md").read_text()
HTTP = (PROTOCOL / "http.md").read_text()

METHODS_OF_THE_PROTOCOL = {
    "session.create", "session.attach", "session.destroy", "session.info", "session.list", "session.bridge",
    "session.timeline.mark", "server.info",
    "endpoint.create_from_offer", "endpoint.create_offer", "endpoint.accept_answer", "endpoint.accept_offer",
    "endpoint.rtp.reinvite", "endpoint.update_remote_sdp", "endpoint.update_direction", "endpoint.remove",
    "endpoint.ice_restart", "endpoint.srtp_rekey", "endpoint.transfer", "endpoint.create_tone",
    "endpoint.create_with_file", "endpoint.create_websocket",
    "endpoint.file.seek", "endpoint.file.pause", "endpoint.file.resume",
    "endpoint.dtmf.inject", "endpoint.dtmf.set_sensitive",
    "recording.start", "recording.stop", "vad.start", "vad.stop", "fax_detect.start", "fax_detect.stop",
    "stats.subscribe", "stats.unsubscribe", "stats.snapshot",
    *(
        f"endpoint.{kind}.{verb}"
        for kind in ("rtp", "webrtc")
        for verb in (
            "create_from_offer", "create_offer", "accept_answer", "accept_offer", "ice_restart", "srtp_rekey",
        )
    ),
}  # fmt: skip
# Event -> the members that clients of the public server know, and the queue it waits in.
EVENTS_OF_THE_PROTOCOL = {
    "endpoint.state_changed": ("endpoint_id old_state new_state", "critical"),
    "endpoint.file.finished": ("endpoint_id reason error", "critical"),
    "recording.stopped": (
        "recording_id file_path duration_ms packets dropped_packets reason", "critical"
    ),
    "session.idle_timeout": ("session_id idle_timeout_secs", "critical"),
    "session.empty_timeout": ("session_id empty_timeout_secs", "critical"),
    "session.orphaned": ("timeout_remaining_ms", "normal"),
    "dtmf": ("endpoint_id digit duration_ms", "normal"),
    "endpoint.media_timeout": ("endpoint_id duration_ms", "normal"),
    "endpoint.rtcp_bye": ("endpoint_id ssrc_list reason", "normal"),
    "endpoint.transferred_out": ("endpoint_id target_session_id", "normal"),
    "endpoint.transferred_in": ("endpoint_id source_session_id endpoint_type direction state", "normal"),
    "vad.speech_started": ("endpoint_id", "normal"),
    "vad.silence": ("endpoint_id silence_duration_ms", "normal"),
    "vad.error": ("endpoint_id error", "normal"),
    "stats": ("endpoints", "normal"),
    "events.dropped": ("count", "normal"),
    "session.lost": ("session_id reason", "critical"),
    "endpoint.ice_state_changed": ("endpoint_id ice_state", "critical"),
    "endpoint.file.started": ("endpoint_id started_at_epoch_ms", "critical"),
    "endpoint.tone.finished": ("endpoint_id", "normal"),
    "endpoint.ws.connected": ("endpoint_id", "critical"),
    "endpoint.ws.disconnected": ("endpoint_id", "critical"),
    "endpoint.ws.connect_timeout": ("endpoint_id", "critical"),
    "fax.cng_detected": ("endpoint_id", "normal"),
    "fax.ced_detected": ("endpoint_id", "normal"),
    "fax.error": ("endpoint_id error", "normal"),
}  # fmt: skip
CODES_OF_THE_PROTOCOL = """
    PARSE_ERROR INVALID_REQUEST UNKNOWN_METHOD INVALID_PARAMS NO_SESSION SESSION_ALREADY_BOUND
    SESSION_NOT_FOUND SESSION_NOT_ORPHANED SESSION_GONE SESSION_UNRESPONSIVE SESSION_BUSY SHUTTING_DOWN
    MAX_SESSIONS_REACHED ENDPOINT_ERROR RECORDING_ERROR VAD_ERROR FAX_DETECT_ERROR STATS_ERROR
    TRANSFER_FAILED INTERNAL_ERROR
"""
ROUTES_OF_THE_PROTOCOL = (
    "/health", "/livez", "/readyz", "/metrics", "/sessions", "/sessions/{id}", "/recordings",
    "/recordings/{path}", "/asyncapi.json", "/openapi.json", "/docs",
)  # fmt: skip  # and the WebSockets /audio/{token} and any other path
KEYS_OF_THE_PROTOCOL = """
    listen media_ip rtp_port_range workers cpu_affinity disconnect_timeout_secs shutdown_max_wait_secs
    media_dir recording_dir cache_dir cache_cleanup_interval_secs max_concurrent_downloads max_sessions
    max_endpoints_per_session max_recordings_per_session recording_flush_timeout_secs recording_channel_size
    ws_max_message_size_kb max_sdp_size_kb session_idle_timeout_secs empty_session_timeout_secs
    media_timeout_secs max_connections ws_ping_interval_secs event_channel_size critical_event_channel_size
    transcode_cache_size max_file_download_bytes max_recording_download_bytes rtp_source_networks
    file_download_origins file_download_networks log_level
    worker_endpoints session_spread_at node_id state_dir runtime_dir auth_token_file allow_plaintext_control
    allow_unauthenticated_control neural_vad_streams tls
    webrtc_port_range auth_hmac_secret_file auth_hmac_max_age_secs max_pending_downloads max_download_owners
    max_cache_entries max_cache_bytes legacy_ice_renomination
"""


def test_no_method_has_a_name_that_clients_do_not_know() -> None:
    assert set(METHODS) <= METHODS_OF_THE_PROTOCOL


def test_every_method_is_told_or_said_not_to_be_there() -> None:
    told = {quoted(row[0])[0] for row in rows(section(SESSION, "All methods"))}
    assert told == set(METHODS)
    assert told < METHODS_OF_THE_PROTOCOL, "then nothing is missing, and the section Not there goes"
    assert "UNKNOWN_METHOD" in section(SESSION, "Not there")


def test_events_have_the_members_and_the_queue_that_clients_know() -> None:
    assert set(api.EVENTS) <= set(EVENTS_OF_THE_PROTOCOL)
    for name, event in api.EVENTS.items():
        members, queue = EVENTS_OF_THE_PROTOCOL[name]
        assert set(members.split()) <= {field.name for field in msgspec.structs.fields(event)}, name
        assert (queue == "critical") == event.CRITICAL, name


def test_the_list_of_error_codes_is_closed() -> None:
    assert set(CODES_OF_THE_PROTOCOL.split()) == CODES


@pytest.mark.parametrize("key", KEYS_OF_THE_PROTOCOL.split())
def test_a_configuration_written_for_the_public_server_is_taken(key: str) -> None:
    """Every key is one of ours, or accepted with a warning that says it means nothing here."""
    ours = {field.name for field in msgspec.structs.fields(Config)}
    if key not in ours:
        (warning,) = load(f"{key} = 1\n").warnings
        assert key in warning


def test_every_route_is_told_or_not_there(server: Server) -> None:
    told = {route for row in rows(HTTP) for route in re.findall(r"(/[^\s`]+)", row[0])} - {"/audio/{token}"}
    assert told <= set(ROUTES_OF_THE_PROTOCOL)
    for route in ROUTES_OF_THE_PROTOCOL:
        path = route.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{path}", "none.wav")
        answered = answer(server, path)
        assert (b"no such path" in answered) == (route not in told), route


def answer(server: Server, path: str) -> bytes:
    try:
        return server.get(path).encode()
    except urllib.error.HTTPError as error:
        return error.read()
