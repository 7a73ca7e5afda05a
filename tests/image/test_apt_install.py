"""deploy/apt-install with stand-ins for dpkg, apt-get, sudo and id: what it asks of the system, and when."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "apt-install"
STAND_INS = {
    "dpkg-query": 'case "$4" in here*) printf installed;; gone*) printf config-files;; *) exit 1;; esac',
    "apt-get": 'echo "$DEBIAN_FRONTEND apt-get $*" >>"$LOG"; cat >>"$LOG"; [ "$1" != "$REFUSED" ]',
    "id": 'echo "$USER_ID"',
}
SUDO = {"sudo": 'shift; [ "$1" = true ] || echo "sudo $1" >>"$LOG"; exec "$@"'}


class System:
    """A machine with these programs and no others.  `asked`: what apt-get and sudo were told."""

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        for name in ("cat", "env", "true", "sh"):
            (self.bin / name).symlink_to(f"/bin/{name}")
        for name, text in programs.items():
            path = self.bin / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

    def install(self, *packages: str, user: int = 0, refused: str = "") -> subprocess.CompletedProcess[str]:
        """refused: the word of apt-get that fails."""
        listed = self.folder / "packages.txt"
        listed.write_text("".join(f"{name}\n" for name in packages))
        env = {"PATH": str(self.bin), "LOG": str(self.log), "USER_ID": str(user), "REFUSED": refused}
        return subprocess.run(
            [SCRIPT, listed], env=env, input="an answer\n", capture_output=True, text=True, check=False
        )

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path, STAND_INS)


def test_what_is_installed_is_not_asked_for(system: System) -> None:
    done = system.install("here-1", "here-2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert system.asked == []


def test_root_installs_what_is_missing_and_nothing_can_ask_a_question(system: System) -> None:
    done = system.install("here", "new", "gone-but-for-its-configuration")
    assert done.returncode == 0
    update, install = system.asked[0], system.asked[-1]
    assert update.endswith("apt-get update -qq")
    assert install.startswith("noninteractive apt-get install -y")
    assert "--no-install-recommends" in install
    assert install.endswith(" new gone-but-for-its-configuration")
    assert "an answer" not in system.asked


def test_lists_that_cannot_be_fetched_are_told_and_the_old_ones_serve(system: System) -> None:
    done = system.install("new", refused="update")
    assert done.returncode == 0
    assert "update failed" in done.stderr
    assert system.asked[-1].endswith(" new")


def test_an_install_that_fails_fails(system: System) -> None:
    assert system.install("new", refused="install").returncode != 0


def test_without_the_right_the_missing_packages_are_named(system: System) -> None:
    done = system.install("here", "new-1", "new-2", user=1000)
    assert done.returncode == 1
    assert "apt-get install new-1 new-2" in done.stderr
    assert system.asked == []


def test_a_user_who_may_use_sudo_does(tmp_path: Path) -> None:
    system = System(tmp_path, STAND_INS | SUDO)
    assert system.install("new", user=1000).returncode == 0
    assert "sudo apt-get" in system.asked
    assert system.asked[-1].endswith(" new")


def test_a_system_without_dpkg_is_told_what_is_needed_and_goes_on(tmp_path: Path) -> None:
    system = System(tmp_path, {name: text for name, text in STAND_INS.items() if name != "dpkg-query"})
    done = system.install("new-1", "new-2")
    assert done.returncode == 0
    assert "new-1 new-2" in done.stderr
    assert system.asked == []
