"""The running server against its own OpenAPI document, by an independent tool (schemathesis)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from product import Product
from rest import ADMIN_KEY

SECONDS = 25
# Not asked: keys are missing in a way of our own (400 without X-App-ID), and whether an SDP or a URL can be
# used no schema says.
EXCLUDED = "ignored_auth,positive_data_acceptance"
OF_THE_SERVER = r"^/(docs|metrics|livez|readyz|health|.*\.json)"


def test_what_the_document_says_is_so(serve: Callable[..., Product], tmp_path: Path) -> None:
    product = serve(workers=1)
    headers = {**product.api().headers, "X-Admin-API-Key": ADMIN_KEY}
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"http://127.0.0.1:{product.port}/openapi.json",
            "--exclude-path-regex",
            OF_THE_SERVER,
            *(word for name, value in headers.items() for word in ("-H", f"{name}: {value}")),
            *("--seed", "1", "--phases", "coverage,fuzzing", "-n", "5", "--no-shrink"),
            *("--max-time", str(SECONDS), "--warnings", "off", "--exclude-checks", EXCLUDED),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=5 * SECONDS,
        check=False,
    )
    assert "Test cases:" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
    assert "internal_error" not in product.log and "core_failed" not in product.log
