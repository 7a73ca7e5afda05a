"""A recording is made inside recording_dir or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.engine.recording_path import MIX, PathError, create, discard, open_file, owner_of, split, target


@pytest.mark.parametrize(
    "path",
    [
        "call.wav", "/rec", "/rec/", "/recordings/call.wav", "/rec/../etc/call.wav", "/rec/./call.wav",
        "/rec//call.wav", "/rec/.hidden.wav", "/rec/a/.b/call.wav", "/rec/call.mp3", "/rec/call", "/rec/.wav",
        "/rec/call.pcap?mix",
        "/rec/" + "x" * 240 + ".wav", "/rec/" + "a/" * 32 + "call.wav",
        "/rec/a\0b.wav", "/rec/a\nb.wav", "/rec/call.wav?mix?mix", "",
    ],
)  # fmt: skip
def test_what_is_no_place_for_a_recording_is_refused(path: str) -> None:
    with pytest.raises(PathError):
        target(path, "/rec")


def test_without_a_directory_recording_is_off() -> None:
    with pytest.raises(PathError, match="off"):
        target("/rec/call.wav", None)


def test_a_path_may_have_32_parts() -> None:
    assert len(target("/rec/" + "a/" * 31 + "call.wav", "/rec").parts) == 32


def test_the_suffix_says_what_is_written() -> None:
    assert target("/rec/a/b.pcap", "/rec/")[:4] == ("/rec/a/b.pcap", ("a", "b.pcap"), False, False)
    assert target("/rec/b.wav", "/rec") == ("/rec/b.wav", ("b.wav",), True, False)
    assert target("/rec/b.wav" + MIX, "/rec") == ("/rec/b.wav", ("b.wav",), True, True)


@given(st.text(max_size=40))
def test_parts_never_lead_upwards(text: str) -> None:
    try:
        parts = split(text)
    except PathError:
        return
    assert all(part and part not in (".", "..") and "/" not in part for part in parts)
    assert "/".join(parts) == text


def test_the_file_is_new_private_and_knows_whose_it_is(tmp_path: Path) -> None:
    opened = create(str(tmp_path), ("a", "b", "call.wav"), "acme")
    mode = stat.S_IMODE((tmp_path / "a/b/call.wav").stat().st_mode)
    assert mode & 0o007 == 0 and mode & 0o200
    fd = open_file(str(tmp_path), ("a", "b", "call.wav"))
    assert owner_of(fd) == ("acme" if opened.owned else None)
    os.close(fd)
    with pytest.raises(FileExistsError):
        create(str(tmp_path), ("a", "b", "call.wav"), "acme")
    discard(opened, ("a", "b", "call.wav"))
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "rec", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "way").symlink_to(outside)
    (inside / "call.wav").symlink_to(outside / "call.wav")
    for parts in (("way", "call.wav"), ("call.wav",)):
        with pytest.raises(OSError) as refused:
            create(str(inside), parts, "")
        assert refused.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST)
        with pytest.raises(OSError):
            open_file(str(inside), parts)
    assert list(outside.iterdir()) == []


def test_only_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("folder.wav", "pipe.wav"):
        with pytest.raises(IsADirectoryError):
            open_file(str(tmp_path), (name,))
