"""The command line: ``roomtone serve | check | inspect | bench | spec | version``.

Each command imports what it needs when it runs: ``serve`` must accept connections within two seconds.
Exit codes: 0 done, 2 the command line or the configuration has a fault, 1 anything else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

if TYPE_CHECKING:
    from roomtone.control.core.config import Config

EXIT_USAGE = 2
LogLevel = Literal["debug", "info", "warning", "error"]
Words = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]

app = App(
    name="roomtone",
    help="A media engine for voice: RTP in, mixed or relayed RTP out, steered over WebSocket.",
    version=lambda: version_text(),
    help_format="plaintext",
)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    # These two have options of their own, --help included: hand everything over untouched.
    if words and words[0] == "bench":
        return bench(*words[1:])
    if words and words[0] == "inspect":
        return inspect(*words[1:])
    try:
        result = app(words, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return EXIT_USAGE  # the message has been printed
    return result if isinstance(result, int) else 0


@app.command
def serve(
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    listen: Annotated[str | None, Parameter(name=["--listen", "-l"])] = None,
    media_ip: Annotated[tuple[str, ...] | None, Parameter(name=["--media-ip", "-m"], negative=())] = None,
    workers: int | None = None,
    log_level: LogLevel | None = None,
) -> int:
    """Start the server and run until SIGTERM or SIGINT.

    Parameters
    ----------
    config
        TOML file; what the command line says beats it.
    listen
        Address and port of WebSocket and HTTP.
    media_ip
        Address the media ports are bound to; once a family (IPv4, IPv6).
    workers
        Media processes; 0: as many as there are processors for them.
    log_level
        Least level that is logged.
    """
    settings = read_config(
        config, {"listen": listen, "media_ip": media_ip, "workers": workers, "log_level": log_level}
    )
    if settings is None:
        return EXIT_USAGE
    from roomtone.control.supervisor import run_supervisor

    return run_supervisor(settings)


@app.command
def check(*, config: Annotated[Path, Parameter(name=["--config", "-c"])]) -> int:
    """Check a configuration file and print the configuration it comes to.

    Parameters
    ----------
    config
        TOML file.
    """
    settings = read_config(config, {})
    if settings is None:
        return EXIT_USAGE
    import msgspec
    from rich.console import Console
    from rich.table import Table

    table = Table("key", "value", title=f"{config}: no fault", title_justify="left")
    for name, value in msgspec.to_builtins(settings).items():
        if name != "warnings":
            table.add_row(name, "" if value is None else msgspec.json.encode(value).decode())
    Console().print(table)
    return 0


@app.command
def inspect(*words: Words) -> int:
    """Show every endpoint of a running server, read from the workers' memory without stopping them."""
    from roomtone.engine.inspect import main as inspect_main

    return int(inspect_main(list(words)) or 0)


@app.command
def bench(*words: Words) -> int:
    """Measure this machine: capacity, latency, pacing.  See roomtone bench --help."""
    from roomtone.bench.load.main import main as bench_main

    return int(bench_main(list(words)) or 0)


@app.command
def spec(which: Literal["session", "rest"] = "session", /) -> int:
    """Print the session protocol as an AsyncAPI 3.0 document, or REST and webhooks as an OpenAPI 3.1 one."""
    from roomtone.control import spec as session
    from roomtone.control import spec_rest as rest

    sys.stdout.buffer.write((rest if which == "rest" else session).encoded(version_number()))
    sys.stdout.flush()
    return 0


@app.command
def version() -> int:
    """Print the version."""
    print(version_text())
    return 0


def version_text() -> str:
    return f"roomtone {version_number()}"


def version_number() -> str:
    from importlib.metadata import version as installed

    return installed("roomtone")


def read_config(path: Path | None, overrides: dict[str, object]) -> Config | None:
    """The effective configuration; None after one line per fault on standard error."""
    from roomtone.control.core.config import ConfigError, load
    from roomtone.control.io.auth import TokenFileError, Tokens

    faults: list[str] = []
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{path}: {error}")
    settings = None
    try:
        settings = load(
            text, {key: value for key, value in overrides.items() if value is not None}, os.environ
        )
        if settings.auth_token_file is not None:
            Tokens.read(settings.auth_token_file)
        if settings.tls is not None:
            from roomtone.control.io.tls import server_context

            server_context(settings.tls.cert_path, settings.tls.key_path)
    except ConfigError as error:
        faults.extend(error.faults)
    except TokenFileError as error:
        faults.extend(error.faults)
    except OSError as error:
        faults.append(f"tls: {error}")
    for fault in faults:
        print(f"roomtone: {fault}", file=sys.stderr)
    if faults or settings is None:
        return None
    for warning in settings.warnings:
        print(f"roomtone: warning: {warning}", file=sys.stderr)
    return settings


if __name__ == "__main__":
    sys.exit(main())
