"""Files that clients may name: regular files below `media_dir`, whatever links and dots a name has.

What is checked is the file that was opened: the name is resolved, and what its descriptor says it is must be
that.  The caller gets the resolved name, in which nothing is left to follow.
"""

from __future__ import annotations

import errno
import os
import stat

from roomtone.control.core.effects import Located


class NotPlayable(Exception):
    """Why the file cannot be used; for a person."""


def locate(media_dir: str, source: str) -> Located:
    """Where the file is that a client named, relative to media_dir or absolute.  Raises `NotPlayable`.

    Blocks as long as the file system does.
    """
    base = os.path.realpath(media_dir)
    path = os.path.realpath(os.path.join(base, source))
    if os.path.commonpath((base, path)) != base:
        raise NotPlayable("The file is outside media_dir")
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # opening a device or a pipe may do things
            raise NotPlayable("Not a regular file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotPlayable(_text(error)) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or os.readlink(f"/proc/self/fd/{descriptor}") != path:
            raise NotPlayable("The file changed while it was opened")
    finally:
        os.close(descriptor)
    return Located(path, f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}")


def _text(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "File not found"
        case errno.EACCES | errno.EPERM:
            return "The file may not be read"
        case _:
            return f"The file cannot be opened: {os.strerror(error.errno or 0)}"
