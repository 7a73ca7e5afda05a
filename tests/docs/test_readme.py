"""The README shows what works; links of all documents lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo_parts.server import Server
from running import first_python, run
from tables import DOCUMENTS, ROOT

README = (ROOT / "README.md").read_text()
SCRIPT = ROOT / "examples" / "first_session.py"


def shown() -> str:
    return first_python(README)


def test_the_first_session_of_the_readme_is_the_example() -> None:
    assert shown() == SCRIPT.read_text()


def test_the_first_session_runs_as_the_readme_shows_it(server: Server, tmp_path: Path) -> None:
    printed = run(shown(), server, tmp_path)
    assert printed.count("m=audio ") == 2
    assert "\nStats(endpoints=[" in printed
    assert printed.splitlines()[-1].startswith("ToneFinished(")


def targets(text: str) -> list[str]:
    """Links to files of ours, and to headings of this or another document."""
    return [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    broken = []
    for target in targets(text):
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    assert broken == []


def test_every_make_target_that_documents_name_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        name for path in DOCUMENTS for name in re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(), re.M)
    }
    assert {"demo", "test", "serve"} <= named
    assert [name for name in sorted(named) if not re.search(rf"^{name}:", makefile, re.M)] == []


def test_every_file_that_documents_name_exists() -> None:
    tree = re.compile(r"`((?:ext|engine|control|bench|tests|docs|examples|deploy)/[\w./]+)`")
    missing = []
    for path in DOCUMENTS:
        for name in tree.findall(path.read_text()):
            if "NAME" not in name and not (ROOT / name).exists():
                missing.append((path.name, name))
    assert missing == []


def test_commands_that_documents_name_are_commands_of_the_program() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    named = set(re.findall(r"`(?:\.venv/bin/)?roomtone (\w+)", text))
    known = subprocess.run(
        [str(Path(sys.executable).with_name("roomtone")), "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert len(named) >= 3
    assert [name for name in sorted(named) if not re.search(rf"\b{name} +\S", known)] == []
