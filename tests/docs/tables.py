"""Reading Markdown."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def section(document: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return document.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the body of every table in the text."""
    out, body = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            body = False
        elif re.fullmatch(r"[|\- ]+", line):
            body = True
        elif body:
            out.append([cell.strip() for cell in line.strip("|").split("|")])
    return out


def quoted(text: str) -> list[str]:
    """Everything between backticks."""
    return re.findall(r"`([^`]+)`", text)
