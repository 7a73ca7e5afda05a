#!/usr/bin/env python3
"""Build the Dockerfile's stages without a container engine, each as a directory; needs root and debootstrap.

    deploy/replay_dockerfile.py ROOTS            every stage: ROOTS/build, ROOTS/test, ROOTS/runtime
    deploy/replay_dockerfile.py ROOTS STAGE...   these stages; what they start from must be there

Every step runs under chroot in mount and process namespaces of its own, so nothing stays mounted.  The
network is the machine's; its certificates are lent to pip for the steps and do not become part of a root.
What the Dockerfile uses of the language is understood; anything else is an error.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
RELEASES = {"debian:12-slim": "bookworm"}  # base image -> what debootstrap calls it
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LENT = "run/lent-certificates.crt"
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
MOUNTS = """set -e; root=$1; shift
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount --rbind /sys "$root/sys"
exec "$@" """


class Stage:
    """One FROM and what follows it.  root: the directory it becomes; steps: (word, rest) in order.

    user, cwd, env, entrypoint, health and ports are those at the stage's end.
    """

    def __init__(self, roots: Path, name: str, base: str, before: Iterable[tuple[str, str]] = ()) -> None:
        """before: the steps of the stage it starts from, already in that root."""
        self.name, self.base, self.before = name, base, tuple(before)
        self.roots, self.root = roots, roots / name
        self.steps: list[tuple[str, str]] = []
        self.env = {"PATH": SEARCH_PATH}
        self.cwd, self.user = "/", "root"
        self.entrypoint: list[str] = []
        self.health: list[str] = []
        self.ports: list[str] = []
        self.stop_signal = "SIGTERM"
        for step in self.before:
            self.settle(*step)

    def settle(self, word: str, rest: str) -> None:
        """Take over a step that changes no file."""
        if word in {"ENV", "ARG"}:
            for pair in shlex.split(rest):
                key, _, value = pair.partition("=")
                self.env[key] = re.sub(r"\$\{?(\w+)\}?", lambda m: self.env.get(m[1], ""), value)
        elif word == "WORKDIR":
            self.cwd = os.path.join(self.cwd, rest)
        elif word == "USER":
            self.user = rest
        elif word == "ENTRYPOINT":
            self.entrypoint = json.loads(rest)
        elif word == "HEALTHCHECK":
            self.health = json.loads(rest.partition("CMD ")[2])
        elif word == "EXPOSE":
            self.ports = rest.split()
        elif word == "STOPSIGNAL":
            self.stop_signal = rest
        elif word not in {"RUN", "COPY"}:
            raise ValueError(f"cannot replay {word}")

    def replay(self) -> None:
        """Make the root; an error ends the program."""
        origin = self.roots / self.base
        if self.base in RELEASES:
            origin = self.roots / "base"
            if not origin.exists():
                self.roots.mkdir(parents=True, exist_ok=True)
                call("debootstrap", "--variant=minbase", RELEASES[self.base], str(origin))
        call("cp", "-a", str(origin), str(self.root))
        for name in ("hosts", "resolv.conf"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        state = Stage(self.roots, self.name, self.base, self.before)
        for word, rest in self.steps:
            began = time.monotonic()
            state.settle(word, rest)
            if word == "RUN":
                state.run(rest)
            elif word == "COPY":
                state.copy(shlex.split(rest))
            elif word == "WORKDIR":
                state.outside(state.cwd).mkdir(parents=True, exist_ok=True)
            print(f"[{self.name} {time.monotonic() - began:6.1f} s] {word} {rest}", flush=True)

    def inside(self, *argv: str) -> list[str]:
        """The command line that runs argv in this root, as its user and in its environment, as process 1."""
        accounts = (line.split(":") for line in self.outside("etc/passwd").read_text().splitlines())
        uid, gid, home = next((a[2], a[3], a[5]) for a in accounts if a[0] == self.user)
        env = [f"{key}={value}" for key, value in {"HOME": home, **self.env}.items()]
        chroot = ("chroot", f"--userspec={uid}:{gid}", "--groups=", str(self.root))
        mounts = ("sh", "-c", MOUNTS, "mounts", str(self.root))
        return [*NAMESPACES, *mounts, *chroot, "env", "-i", f"--chdir={self.cwd}", *env, *argv]

    def run(self, command: str) -> None:
        lent = self.outside(LENT)
        if CERTIFICATES.exists():
            shutil.copy(CERTIFICATES, lent)
        bundle = [f"PIP_CERT=/{LENT}"] if lent.exists() else []
        call(*self.inside("env", *bundle, "sh", "-c", command))
        lent.unlink(missing_ok=True)

    def copy(self, words: list[str]) -> None:
        """COPY [--from=STAGE] SOURCE... TARGET; of a source that is a directory, its contents."""
        chosen = [word for word in words if word.startswith("--from=")]
        origin = self.roots / chosen[0].partition("=")[2] if chosen else SOURCE
        *sources, target = (word for word in words if word not in chosen)
        ignore = None if chosen else left_out((SOURCE / ".dockerignore").read_text().split())
        to = self.outside(os.path.join(self.cwd, target))
        for source in sources:
            what = origin / source.lstrip("/")
            if what.is_dir():
                shutil.copytree(what, to, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            else:
                shutil.copy2(what, to)

    def outside(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def left_out(patterns: list[str]) -> Callable[[str, list[str]], set[str]]:
    """.dockerignore's patterns as copytree's `ignore`: NAME at the top, **/NAME everywhere."""

    def matching(folder: str, names: list[str]) -> set[str]:
        at = Path(folder).relative_to(SOURCE)
        everywhere = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]
        return {
            name
            for name in names
            if any(fnmatch.fnmatch(str(at / name), pattern) for pattern in patterns)
            or any(fnmatch.fnmatch(name, pattern) for pattern in everywhere)
        }

    return matching


def call(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"failed with {done.returncode}: {shlex.join(argv)}")


def read(roots: Path = Path()) -> dict[str, Stage]:
    """The Dockerfile's stages by name, in order."""
    stages: dict[str, Stage] = {}
    text = re.sub(r"^#.*\n", "", (SOURCE / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in filter(None, text.replace("\\\n", " ").splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(roots, name, base, stages[base].steps if base in stages else ())
        else:
            stage.steps.append((word, rest.strip()))
            stage.settle(word, rest.strip())
    return stages


def main(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        print(__doc__)
        return 2
    stages = read(Path(words[0]).resolve())
    for name in words[1:] or stages:
        stages[name].replay()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
