"""The command line as a user types it."""

import re
from pathlib import Path

import pytest

from roomtone.control.cli import EXIT_USAGE, main


def test_a_good_file_is_shown_as_it_takes_effect(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "roomtone.toml"
    path.write_text('listen = "127.0.0.1:9200"\nmax_sessions = 0\nlegacy_ice_renomination = true\n')
    assert main(["check", "-c", str(path)]) == 0
    shown = capsys.readouterr()
    assert re.search(r"listen\W+127\.0\.0\.1:9200", shown.out)
    assert re.search(r"max_sessions\W+0\b", shown.out)
    assert re.search(r"worker_endpoints\W+8192\b", shown.out)
    assert shown.err == "roomtone: warning: legacy_ice_renomination: has no meaning here and is ignored\n"


def test_each_fault_is_one_line_and_ends_the_start(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "roomtone.toml"
    path.write_text(
        'max_sesions = 1\nworkers = -1\nmedia_ip = "nowhere"\nauth_token_file = "/does/not/exist"\n'
    )
    for words in (["check", "-c", str(path)], ["serve", "-c", str(path)]):
        assert main(words) == EXIT_USAGE
        lines = capsys.readouterr().err.splitlines()
        assert all(line.startswith("roomtone: ") for line in lines)
        assert sorted(line.split(": ")[1] for line in lines) == ["max_sesions", "media_ip", "workers"]


def test_a_faulty_token_file_ends_the_start(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "tokens").write_text("no colon\nalso none\n")
    path = tmp_path / "roomtone.toml"
    path.write_text(f'auth_token_file = "{tmp_path}/tokens"\n')
    assert main(["serve", "-c", str(path)]) == EXIT_USAGE
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_faulty_certificate_ends_the_start(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "roomtone.toml"
    path.write_text(f'[tls]\ncert_path = "{tmp_path}/none.pem"\nkey_path = "{tmp_path}/none.key"\n')
    assert main(["check", "-c", str(path)]) == EXIT_USAGE
    assert capsys.readouterr().err.startswith("roomtone: tls: ")


def test_an_open_port_needs_tokens_and_tls(capsys: pytest.CaptureFixture) -> None:
    assert main(["serve", "-l", "0.0.0.0:9100"]) == EXIT_USAGE
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "--nonsense"],
        ["serve", "--workers", "many"],
        ["serve", "--log-level", "loud"],
        ["check"],
        ["fly"],
    ],
)
def test_a_command_line_that_is_wrong_says_so(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == EXIT_USAGE
    shown = capsys.readouterr()
    assert shown.err + shown.out


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["serve", "-c", str(tmp_path / "none.toml")]) == EXIT_USAGE
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version_is_printed(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 0
    assert re.search(r"\d+\.\d+\.\d+", capsys.readouterr().out)
