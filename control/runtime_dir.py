"""The runtime directory: mode 0700, ours alone, holding the sockets between roomtone's processes."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from roomtone.engine.process_messages import COMMANDS_ENDPOINT, EVENTS_ENDPOINT, SUPERVISOR_SOCKET

_MODE = 0o700
_UNIX_PATH_BYTES = 107  # sun_path is 108 with its final zero (unix(7))
_BACKLOG = 4
_SCHEME = "ipc://"


class RuntimeDirError(Exception):
    """It cannot be used; the message says why."""


class RuntimeDir:
    """path: the directory; listener: the bound socket `roomtone inspect` connects to.

    configured None: a fresh directory, removed again at `close`; else that one, made if it does not exist.
    """

    __slots__ = ("_made", "listener", "path")

    def __init__(self, configured: str | None) -> None:
        self._made = configured is None
        self.path = _fresh() if configured is None else _configured(Path(configured))
        try:
            self.listener = self._listen()
        except BaseException:
            if self._made:
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    def close(self) -> None:
        self.listener.close()
        if self._made:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            for path in _sockets(self.path):
                path.unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        longest = max(len(os.fsencode(path)) for path in _sockets(self.path))
        if longest > _UNIX_PATH_BYTES:
            raise RuntimeDirError(
                f"runtime_dir: {self.path} is {longest - _UNIX_PATH_BYTES} bytes too long for a socket's path"
            )
        path = SUPERVISOR_SOCKET.format(runtime_dir=self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            if _answers(path):
                raise RuntimeDirError(f"runtime_dir: a roomtone is running in {self.path}")
            Path(path).unlink(missing_ok=True)
            listener.bind(path)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise RuntimeDirError(f"runtime_dir: {self.path}: {error.strerror}") from error
        except RuntimeDirError:
            listener.close()
            raise
        return listener


def candidates() -> list[Path]:
    """Runtime directories of ours with a supervisor's socket that answers."""
    base = _base()
    names = [base / "roomtone", *base.glob(f"roomtone-{os.getuid()}-*")]
    return [path for path in names if _answers(SUPERVISOR_SOCKET.format(runtime_dir=path))]


def _base() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


def _fresh() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=f"roomtone-{os.getuid()}-{os.getpid()}-", dir=_base()))
    except OSError as error:
        raise RuntimeDirError(f"runtime_dir: cannot make one in {_base()}: {error.strerror}") from error


def _configured(path: Path) -> Path:
    path = path.absolute()
    try:
        path.mkdir(mode=_MODE, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.getuid():
            raise RuntimeDirError(f"runtime_dir: {path} belongs to another user")
        if stat.S_IMODE(found.st_mode) != _MODE:
            path.chmod(_MODE)
    except OSError as error:
        raise RuntimeDirError(f"runtime_dir: {path}: {error.strerror}") from error
    return path


def _sockets(path: Path) -> list[Path]:
    ipc = (COMMANDS_ENDPOINT, EVENTS_ENDPOINT)
    names = [SUPERVISOR_SOCKET, *(endpoint.removeprefix(_SCHEME) for endpoint in ipc)]
    return [Path(name.format(runtime_dir=path)) for name in names]


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
