"""An HTTP server on a loopback address whose answers a test writes byte by byte."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

LIMIT_S = 20.0
TLS_HANDSHAKE = 22  # RFC 8446 section 5.1

Answer = Callable[["Visitor"], None]


class Visitor:
    """One connection with a request.  headers: names in lower case."""

    def __init__(self, connection: socket.socket, head: str) -> None:
        self.connection = connection
        request, *lines = head.split("\r\n")
        self.method, self.path, _ = request.split(" ")
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def gone(self) -> bool:
        """Wait until the other side has closed."""
        try:
            return self.connection.recv(1) == b""
        except ConnectionError:
            return True


class FileServer:
    """routes: what a path is answered with.  visits: requests by path; seen: the last one of each."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.routes: dict[str, Answer] = {}
        self.visits: Counter[str] = Counter()
        self.seen: dict[str, Visitor] = {}
        self.connections = 0
        self._socket = socket.create_server((address, port))
        self.address, self.port = self._socket.getsockname()[:2]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or self.address}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in list(self._open):
            connection.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(LIMIT_S)
            self._open.add(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
                if head[0] == TLS_HANDSHAKE:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
            visitor = Visitor(connection, head.partition(b"\r\n\r\n")[0].decode())
            self.seen[visitor.path] = visitor
            self.visits[visitor.path] += 1
            self.routes.get(visitor.path, status("404 Not Found"))(visitor)
        except OSError:
            pass  # the other side went away
        finally:
            self._open.discard(connection)
            connection.close()


def whole(body: bytes, *lines: str, length: int | None = None) -> Answer:
    """200 and a body.  length: what Content-Length says, if not the truth."""
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}", *lines]
    return lambda visitor: visitor.send("\r\n".join([*head, "", ""]).encode() + body)


def unmeasured(body: bytes) -> Answer:
    """200 and a body that ends with the connection."""
    return lambda visitor: visitor.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)


def status(line: str, *lines: str) -> Answer:
    text = "\r\n".join([f"HTTP/1.1 {line}", "Content-Length: 0", *lines, "", ""])
    return lambda visitor: visitor.send(text.encode())


def redirect(target: str, line: str = "302 Found") -> Answer:
    return status(line, f"Location: {target}")


class Stalled:
    """Sends a beginning and no more, until the test lets it go on or the other side is gone."""

    def __init__(self, body: bytes, beginning: int) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.left = threading.Event()
        self._body = body
        self._beginning = beginning

    def __call__(self, visitor: Visitor) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._body)}\r\n\r\n".encode()
        visitor.send(head + self._body[: self._beginning])
        self.begun.set()
        visitor.connection.settimeout(0.02)
        while not self.go_on.is_set():
            try:
                if visitor.gone():
                    self.left.set()
                    return
            except TimeoutError:
                continue
        visitor.send(self._body[self._beginning :])
