"""The floor's own process: reads {"peers": [[ip, port], ...], "ip", "first": bool}, answers, forwards."""

import json
import socket
import sys

from roomtone.bench.load import floor, proc


def main() -> int:
    proc.end_with_parent()
    proc.raise_descriptors()
    sockets = []
    request = json.loads(sys.stdin.readline())
    own = request["ip"]
    for ip, port in request["peers"]:
        s = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        s.bind((own, 0))
        s.connect((ip, port))
        sockets.append(s)
    print(json.dumps({"ports": [s.getsockname()[1] for s in sockets]}), flush=True)
    with proc.first_in_line(request["first"]):
        floor.run([s.fileno() for s in sockets])
    return 0


if __name__ == "__main__":
    sys.exit(main())
