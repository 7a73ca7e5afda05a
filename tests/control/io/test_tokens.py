"""The token file and where a request carries its token."""

from pathlib import Path

import pytest

from roomtone.control.io.auth import TokenFileError, Tokens, bearer_subprotocol, bearer_token


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tokens"
    path.write_text(text)
    return path


def test_each_token_speaks_for_its_application(tmp_path: Path) -> None:
    tokens = Tokens.read(write(tmp_path, "# staff\nalpha:one\n\n beta : two:with:colons \nalpha:three\n"))
    assert tokens.app_of("one") == "alpha"
    assert tokens.app_of("three") == "alpha"
    assert tokens.app_of("two:with:colons") == "beta"
    assert tokens.app_of("on") is None
    assert tokens.app_of("") is None
    assert len(tokens) == 3


def test_every_faulty_line_is_named_and_no_token_is_shown(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError) as caught:
        Tokens.read(write(tmp_path, "alpha:secret\nnocolonsecret\n:secret\nbeta:\n"))
    assert [fault.split(", ")[1] for fault in caught.value.faults] == [
        "line 2: expected app_id:token",
        "line 3: expected app_id:token",
        "line 4: expected app_id:token",
    ]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_file_without_tokens_is_a_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(TokenFileError, match="no token"):
        Tokens.read(write(tmp_path, text))


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="No such file"):
        Tokens.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"Authorization": "Basic abc"}, None),
        ({"Sec-WebSocket-Protocol": "chat, bearer.abc"}, "abc"),
        ({"Sec-WebSocket-Protocol": "chat"}, None),
        ({}, None),
    ],
)
def test_a_request_carries_its_token_in_a_header_or_a_subprotocol(
    headers: dict[str, str], token: str | None
) -> None:
    assert bearer_token(headers) == token


def test_the_subprotocol_is_echoed_whole() -> None:
    assert bearer_subprotocol({"Sec-WebSocket-Protocol": "x, bearer.a.b"}) == "bearer.a.b"
