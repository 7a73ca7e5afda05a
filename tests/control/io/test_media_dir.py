"""Which files a client may name."""

import os
import socket
from pathlib import Path

import pytest
from file_server import LIMIT_S

from roomtone.control.io.media_dir import NotPlayable, locate

NOBODY = 65534


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A media_dir with a file, and something outside."""
    media = tmp_path / "media"
    (media / "music").mkdir(parents=True)
    (media / "hold.wav").write_bytes(b"RIFF")
    (media / "music" / "jazz.ogg").write_bytes(b"OggS")
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (tmp_path / "media2").mkdir()
    (tmp_path / "media2" / "other.wav").write_bytes(b"RIFF")
    return media


@pytest.mark.parametrize("source", ["hold.wav", "./hold.wav", "music/../hold.wav", "{media}/hold.wav"])
def test_a_file_inside_is_found_however_it_is_named(media: Path, source: str) -> None:
    assert locate(str(media), source.format(media=media)).path == str(media / "hold.wav")


def test_a_link_that_stays_inside_is_followed(media: Path) -> None:
    (media / "today.ogg").symlink_to("music/jazz.ogg")
    assert locate(str(media), "today.ogg").path == str(media / "music" / "jazz.ogg")


def test_media_dir_itself_may_be_a_link(media: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(media)
    assert locate(str(tmp_path / "link"), "hold.wav").path == str(media / "hold.wav")
    assert locate(str(tmp_path / "link"), str(tmp_path / "link" / "hold.wav")).path == str(media / "hold.wav")


@pytest.mark.parametrize(
    "source",
    [
        "../secret.wav", "{media}/../secret.wav", "{tmp}/secret.wav", "/etc/passwd", "../media2/other.wav",
        "{tmp}/media2/other.wav", "music/../../secret.wav", "../nothing.wav", "/proc/self/environ", "out.wav",
        "away/secret.wav", "/", "..",
    ],
)  # fmt: skip
def test_nothing_outside_can_be_named(media: Path, tmp_path: Path, source: str) -> None:
    (media / "out.wav").symlink_to(tmp_path / "secret.wav")
    (media / "away").symlink_to(tmp_path)
    with pytest.raises(NotPlayable, match="outside media_dir"):
        locate(str(media), source.format(media=media, tmp=tmp_path))


@pytest.mark.parametrize("source", ["gone.wav", "hold.wav/x", "gone/../gone.wav", "dangling.wav", "x" * 300])
def test_what_is_not_there_is_named_so(media: Path, source: str) -> None:
    (media / "dangling.wav").symlink_to("nothing.wav")
    with pytest.raises(NotPlayable, match=r"not found|cannot be opened: File name too long"):
        locate(str(media), source)


@pytest.mark.parametrize("source", [".", "music", "pipe", "socket", "loop"])
def test_only_regular_files_can_be_played(media: Path, source: str) -> None:
    os.mkfifo(media / "pipe")
    (media / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(LIMIT_S)
        here = os.open(".", os.O_RDONLY)
        os.chdir(media)  # the name of a socket is short
        try:
            listener.bind("socket")
        finally:
            os.fchdir(here)
            os.close(here)
        with pytest.raises(NotPlayable, match="Not a regular file"):
            locate(str(media), source)


def test_a_device_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(NotPlayable, match="Not a regular file"):
        locate("/dev", "zero")


def test_a_file_that_may_not_be_read_is_refused(media: Path) -> None:
    (media / "hold.wav").chmod(0)
    us = os.geteuid()
    if us == 0:  # root may read everything
        os.seteuid(NOBODY)
    try:
        with pytest.raises(NotPlayable, match="may not be read"):
            locate(str(media), "hold.wav")
    finally:
        os.seteuid(us)


def test_the_key_changes_with_the_content(media: Path) -> None:
    first = locate(str(media), "hold.wav").key
    assert locate(str(media), "./hold.wav").key == first
    assert locate(str(media), "music/jazz.ogg").key != first
    (media / "hold.wav").write_bytes(b"RIFFRIFF")
    assert locate(str(media), "hold.wav").key != first
