"""What the Dockerfile promises about the product it ships; deploy/prove_image.py runs the image itself."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import replay_dockerfile
from replay_dockerfile import Stage

from roomtone.control.core.config import Config

ROOT = Path(__file__).parents[2]
OK, UNAVAILABLE = 200, 503
Answering = Callable[[int], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """answering(status) starts a server that gives this answer to GET /health; its URL."""
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/health" else UNAVAILABLE)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: pytest shows what matters."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/health"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def health_exit(stage: Stage, url: str) -> int:
    program, *arguments = stage.health
    assert program == "python3"
    done = subprocess.run(
        [sys.executable, *arguments], env={"ROOMTONE_HEALTH": url}, capture_output=True, check=False
    )
    return done.returncode


def test_lint_and_tests_run_on_what_was_built_and_the_image_starts_afresh(stages: dict[str, Stage]) -> None:
    assert [(stage.name, stage.base) for stage in stages.values()] == [
        ("build", "debian:12-slim"),
        ("test", "build"),
        ("runtime", "debian:12-slim"),
    ]
    assert stages["test"].cwd == stages["build"].cwd != "/"


def test_the_image_serves_as_an_unprivileged_user(stages: dict[str, Stage]) -> None:
    runtime = stages["runtime"]
    assert runtime.user != "root"
    assert any(word == "RUN" and rest.startswith("useradd") and rest.endswith(runtime.user)
               for word, rest in runtime.steps)  # fmt: skip
    assert runtime.entrypoint == ["roomtone", "serve"]
    assert runtime.stop_signal == "SIGTERM"


def test_the_exposed_ports_and_the_health_check_are_those_of_the_default_configuration(
    stages: dict[str, Stage],
) -> None:
    config = Config()
    first, last = config.rtp_port_range
    host, port = config.listen_address
    assert stages["runtime"].ports == [f"{port}/tcp", f"{first}-{last}/udp"]
    assert stages["runtime"].env["ROOMTONE_HEALTH"] == f"http://{host}:{port}/health"


def test_the_health_check_tells_a_server_that_answers_from_one_that_does_not(
    stages: dict[str, Stage], answering: Answering
) -> None:
    runtime = stages["runtime"]
    assert health_exit(runtime, answering(OK)) == 0
    assert health_exit(runtime, answering(UNAVAILABLE)) != 0
    assert health_exit(runtime, "http://127.0.0.1:1/health") != 0, "nobody listens on port 1"


def test_the_makefile_installs_what_build_and_test_stage_install(stages: dict[str, Stage]) -> None:
    steps = [*stages["build"].steps, *stages["test"].steps]
    in_stages = [
        name for word, rest in steps if word == "RUN" for name in re.findall(r"deploy/apt-\w+\.txt", rest)
    ]
    recipe = re.search(r"^\t@?deploy/apt-install (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert recipe[1].split() == in_stages
    assert all((ROOT / name).exists() for name in in_stages)


def test_a_package_list_names_each_package_once_in_order() -> None:
    lists = sorted((ROOT / "deploy").glob("apt-*.txt"))
    assert lists
    for path in lists:
        packages = path.read_text().splitlines()
        assert packages == sorted(set(packages)), path.name


def test_the_context_holds_sources_and_nothing_built() -> None:
    leaves_out = replay_dockerfile.left_out((ROOT / ".dockerignore").read_text().split())
    top = [
        ".git",
        ".venv",
        "build",
        "dist",
        ".ruff_cache",
        ".hypothesis",
        "ext",
        "setup.py",
        "README.md",
        ".ci",
    ]
    assert set(top) - leaves_out(str(ROOT), top) == {"ext", "setup.py", "README.md", ".ci"}
    deep = ["rtp.pyx", "rtp.pxd", "rtp.cpython-311-x86_64-linux-gnu.so", "__pycache__", "build"]
    assert set(deep) - leaves_out(str(ROOT / "ext" / "wire"), deep) == {"rtp.pyx", "rtp.pxd", "build"}


@pytest.mark.parametrize("instruction", ["ADD a b", "SHELL x", "VOLUME /data"])
def test_an_instruction_the_replay_does_not_know_is_an_error(instruction: str) -> None:
    with pytest.raises(ValueError, match="cannot replay"):
        Stage(Path(), "any", "debian:12-slim").settle(*instruction.split(" ", 1))
