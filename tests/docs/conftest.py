"""The product, fresh for each test, for what the documents say of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import soundfile
from demo_parts.server import Server
from file_server import FileServer, whole
from rest import AT_ONCE


@pytest.fixture
def known(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What names in the pages stand for; with the files and the web server that the pages play from."""
    for name, seconds in (("hold.wav", 60.0), ("ding.wav", 0.1)):
        soundfile.write(tmp_path / name, np.zeros(int(8000 * seconds), np.int16), 8000)
    (tmp_path / "README").write_text("no music")
    with FileServer() as web:
        web.routes["/music.wav?key=hunter2"] = whole((tmp_path / "hold.wav").read_bytes())
        yield {
            "music_url": web.url("/music.wav?key=hunter2"),
            "missing_url": web.url("/missing.wav"),
        }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """media_timeout_secs 1, so that a silence is told within the test's patience.

    media_dir and recording_dir: tmp_path.  Nothing waits for a cooldown or, at the end, for a session.
    """
    with Server(
        workers=1,
        media_timeout_secs=1,
        shutdown_max_wait_secs=0,
        media_dir=str(tmp_path),
        recording_dir=str(tmp_path),
        file_download_networks=["127.0.0.0/8"],
        **{"webhooks.allow_http": True, "webhooks.allow_localhost": True, **AT_ONCE},
    ) as running:
        yield running
        print(running.log)
