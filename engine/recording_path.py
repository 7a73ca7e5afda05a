"""Where recordings lie: what a path below `recording_dir` may be, and opening it without leaving that place.

Every part of a path is opened below the part before it and none may be a symbolic link, so what is checked is
what is opened.  Names that begin with a dot are refused: `..`, and what is ours.  The application a recording
belongs to stands in an extended attribute of its file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import NamedTuple

PCAP, WAV, MIX = ".pcap", ".wav", "?mix"
NAME_BYTES = 240  # of a part; leaves room for the prefix of a file that is being rewritten
PARTS = 32  # of a path: enough for years, months and days, and no tree without bottom
OWNER = "user.roomtone.app"  # also in ext/record/writer.pyx
FOLDER_MODE, FILE_MODE, FEED_MODE = 0o750, 0o640, 0o600
FEED_BYTES = 1 << 18  # that a pipe holds: what 100 legs bring until the drain looks again
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _FOLDER | os.O_NOFOLLOW
_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PathError(Exception):
    """The path cannot be a recording's; the message is for the client."""


class Target(NamedTuple):
    """What a `file_path` asks for.  parts: below recording_dir."""

    file_path: str
    parts: tuple[str, ...]
    wav: bool
    mix: bool


class Opened(NamedTuple):
    """An empty recording: its file, directory and file system.  owned: the attribute was written."""

    fd: int
    folder_fd: int
    device: int
    owned: bool


def split(relative: str) -> tuple[str, ...]:
    """Parts of a path below recording_dir.  PathError."""
    parts = tuple(relative.split("/"))
    if len(parts) > PARTS:
        raise PathError(f"The path has more than {PARTS} parts")
    for part in parts:
        if not part or part.startswith(".") or len(part.encode("utf-8", "replace")) > NAME_BYTES:
            raise PathError("Parts of the path must not be empty, begin with a dot or be over 240 bytes long")
        if not part.isprintable():
            raise PathError("The path has characters that cannot be printed")
    return parts


def target(file_path: str, recording_dir: str | None) -> Target:
    """Check a client's file_path.  PathError."""
    if recording_dir is None:
        raise PathError("Recording is off: recording_dir is not configured")
    path, mix = (file_path[: -len(MIX)], True) if file_path.endswith(MIX) else (file_path, False)
    inside = recording_dir.rstrip("/") + "/"
    if not path.startswith(inside):
        raise PathError("file_path must be absolute and inside recording_dir")
    parts = split(path[len(inside) :])
    wav = path.endswith(WAV)
    if not wav and not path.endswith(PCAP):
        raise PathError("file_path must end in .pcap or .wav")
    if mix and not wav:
        raise PathError("?mix is for .wav")
    return Target(path, parts, wav, mix)


def open_folder(recording_dir: str, parts: tuple[str, ...], *, make: bool = False) -> int:
    """Descriptor of the directory below recording_dir.  OSError.  make: with what is missing on the way."""
    folder = os.open(recording_dir, _FOLDER)
    for part in parts:
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, FOLDER_MODE, dir_fd=folder)
            below = os.open(part, _BELOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder


def create(recording_dir: str, parts: tuple[str, ...], owner: str) -> Opened:
    """Make the file; it must not exist.  OSError.  May wait for the disk."""
    folder = open_folder(recording_dir, parts[:-1], make=True)
    try:
        fd = os.open(parts[-1], _FRESH, FILE_MODE, dir_fd=folder)
    except OSError:
        os.close(folder)
        raise
    owned = True
    try:
        os.setxattr(fd, OWNER, owner.encode())
    except OSError:
        owned = False  # a file system without extended attributes
    return Opened(fd, folder, os.fstat(fd).st_dev, owned)


def discard(opened: Opened, parts: tuple[str, ...]) -> None:
    """Undo `create`."""
    with contextlib.suppress(OSError):
        os.unlink(parts[-1], dir_fd=opened.folder_fd)
    os.close(opened.fd)
    os.close(opened.folder_fd)


def open_file(recording_dir: str, parts: tuple[str, ...]) -> int:
    """Descriptor for reading a regular file.  OSError; IsADirectoryError for anything else."""
    folder = open_folder(recording_dir, parts[:-1])
    try:
        fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError(parts[-1])
    return fd


def owner_of(fd: int) -> str | None:
    """The application it belongs to; None: not known."""
    try:
        return os.getxattr(fd, OWNER).decode()
    except (OSError, UnicodeDecodeError):
        return None


# -- pipes between workers -----------------------------------------------------------------------------------


def open_feed(path: str) -> int:
    """Make a named pipe; descriptor of its reading end, which never waits.  OSError."""
    unlink(path)
    os.mkfifo(path, FEED_MODE)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # over the user's share of pipe memory: the usual size has to do
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, FEED_BYTES)
    return fd


def join_feed(path: str, hello: bytes) -> int:
    """Descriptor of the writing end; `hello` is written, and nobody else can come.  OSError: nobody reads."""
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        unlink(path)
        os.write(fd, hello)
    except OSError:
        os.close(fd)
        raise
    os.set_blocking(fd, True)
    return fd


def unlink(path: str) -> None:
    """If it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
