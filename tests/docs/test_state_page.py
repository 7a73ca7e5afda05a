"""docs/guide/state.md: its backup is one."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from demo_parts.server import Server
from running import first_python
from tables import ROOT

PAGE = (ROOT / "docs" / "guide" / "state.md").read_text()
KEY = "a-key-that-is-kept"


def ask(server: Server, method: str, path: str, **body: str) -> dict[str, object]:
    headers = {"X-App-ID": "kept", "X-API-Key": KEY, "X-Admin-API-Key": server.admin_key}
    request = urllib.request.Request(
        server.http_url + path,
        json.dumps(body).encode() if body else None,
        headers | {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as reply:
        answer: dict[str, object] = json.load(reply)
    return answer


def test_a_server_goes_on_from_the_copy_that_was_made_while_another_ran(tmp_path: Path) -> None:
    script, copy = tmp_path / "backup.py", tmp_path / "copy"
    script.write_text(first_python(PAGE))
    with Server(workers=1) as server:
        ask(server, "POST", "/admin/apps/kept", api_key=KEY)
        room = ask(server, "POST", "/api/v1/conferences", name="kept too")
        subprocess.run([sys.executable, str(script), str(server.folder / "state"), str(copy)], check=True)
        ask(server, "POST", "/admin/apps/too-late", api_key=KEY)
    with Server(workers=1, state_dir=str(copy)) as other:
        rooms = ask(other, "GET", "/api/v1/conferences")["items"]
        assert [each["room_id"] for each in rooms] == [room["room_id"]]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(other, "GET", "/admin/apps/too-late")
